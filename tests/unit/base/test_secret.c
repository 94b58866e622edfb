#include "base/curve.h"
#include "base/rundir.h"
#include "base/secret.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/scoop-test-XXXXXX";
static char file[64];
static struct problem problem;

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/key", folder);
}

static void remove_folder(void)
{
    unlink(file);
    rmdir(folder);
}

static void given_file(const char *bytes, size_t size, mode_t mode)
{
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

TestSuite(secret, .init = make_folder, .fini = remove_folder);
TestSuite(curve, .init = make_folder, .fini = remove_folder);
TestSuite(rundir, .init = make_folder, .fini = remove_folder);

struct content_case {
    char bytes[32];
    size_t size;
    int result;
    char text[16];
};

#define BYTES(text) text, sizeof(text) - 1

ParameterizedTestParameters(secret, is_trimmed_and_must_be_one_line)
{
    static struct content_case cases[] = {
        {BYTES("word"), 0, "word"},
        {BYTES("word\n"), 0, "word"},
        {BYTES("word\r\n"), 0, "word"},
        {BYTES(" \r\nword \n\n"), 0, "word"},
        {BYTES("two words"), 0, "two words"},
        {BYTES("one\ntwo\n"), -EINVAL, ""},
        {BYTES("one\r\ntwo"), -EINVAL, ""},
        {BYTES("a\0b"), -EINVAL, ""},
        {BYTES(""), -ENODATA, ""},
        {BYTES("\r\n \n"), -ENODATA, ""},
    };
    return cr_make_param_array(struct content_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct content_case *c, secret, is_trimmed_and_must_be_one_line)
{
    struct secret secret = {0};

    given_file(c->bytes, c->size, 0400);
    cr_assert_eq(secret_load_line(file, SECRET_PRIVATE, &secret, &problem), c->result);
    if (c->result == 0)
        cr_assert_str_eq(secret.text, c->text);
    else
        cr_assert_not_null(strstr(problem.text, file), "\"%s\"", problem.text);
    secret_wipe(&secret);
}

Test(secret, keeps_the_lines_of_a_key_with_unix_ends)
{
    struct secret secret = {0};

    given_file(BYTES("one\r\ntwo\r\n"), 0400);
    cr_assert_eq(secret_load(file, SECRET_PRIVATE, &secret, &problem), 0);
    cr_assert_str_eq(secret.text, "one\ntwo");
    cr_assert_eq(secret.length, 7);
    secret_wipe(&secret);
    cr_assert_null(secret.text);
}

struct mode_case {
    mode_t mode;
    enum secret_kind kind;
    int result;
};

ParameterizedTestParameters(secret, is_refused_when_others_can_read_it)
{
    static struct mode_case cases[] = {
        {0400, SECRET_PRIVATE, 0},      {0600, SECRET_PRIVATE, 0},
        {0440, SECRET_PRIVATE, -EPERM}, {0404, SECRET_PRIVATE, -EPERM},
        {0444, SECRET_PRIVATE, -EPERM}, {0444, SECRET_PUBLIC, 0},
    };
    return cr_make_param_array(struct mode_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct mode_case *c, secret, is_refused_when_others_can_read_it)
{
    struct secret secret = {0};

    given_file(BYTES("word\n"), c->mode);
    cr_assert_eq(secret_load(file, c->kind, &secret, &problem), c->result, "mode %o", c->mode);
    secret_wipe(&secret);
}

Test(secret, names_a_missing_file_and_never_its_content)
{
    struct secret secret = {0};

    cr_assert_eq(secret_load(file, SECRET_PRIVATE, &secret, &problem), -ENOENT);
    cr_assert_not_null(strstr(problem.text, "is missing"));
    given_file(BYTES("hush hush\nhush"), 0400);
    cr_assert_eq(secret_load_line(file, SECRET_PRIVATE, &secret, &problem), -EINVAL);
    cr_assert_null(strstr(problem.text, "hush"));
}

Test(secret, is_not_read_from_a_folder_or_a_pipe)
{
    struct secret secret = {0};

    cr_assert_eq(secret_load(folder, SECRET_PUBLIC, &secret, &problem), -EINVAL);
    cr_assert_eq(mkfifo(file, 0600), 0);
    cr_assert_eq(secret_load(file, SECRET_PRIVATE, &secret, &problem), -EINVAL);
}

Test(secret, has_a_largest_size)
{
    static char bytes[SECRET_BYTES_MAX + 1];
    struct secret secret = {0};

    memset(bytes, 'x', sizeof(bytes));
    given_file(bytes, SECRET_BYTES_MAX, 0400);
    cr_assert_eq(secret_load(file, SECRET_PRIVATE, &secret, &problem), 0);
    cr_assert_eq(secret.length, SECRET_BYTES_MAX);
    secret_wipe(&secret);
    given_file(bytes, sizeof(bytes), 0600);
    cr_assert_eq(secret_load(file, SECRET_PRIVATE, &secret, &problem), -EFBIG);
}

Test(curve, derives_the_public_half_from_the_secret_one)
{
    struct curve_pair made;
    struct curve_pair loaded = {0};
    char line[64];

    cr_assert_eq(curve_make(&made), 0);
    snprintf(line, sizeof(line), "%s\r\n", made.secret_half.text);
    given_file(line, strlen(line), 0400);
    cr_assert_eq(curve_load_pair(file, &loaded, &problem), 0, "%s", problem.text);
    cr_assert_str_eq(loaded.public_half.text, made.public_half.text);
    curve_wipe(&loaded);
    cr_assert_eq(loaded.secret_half.text[0], '\0');
}

Test(curve, takes_an_allow_list_with_blank_lines)
{
    struct curve_pair a;
    struct curve_pair b;
    struct curve_key *keys = NULL;
    size_t count = 0;
    char lines[128];

    cr_assert_eq(curve_make(&a), 0);
    cr_assert_eq(curve_make(&b), 0);
    snprintf(lines, sizeof(lines), "%s\n\n%s\n", a.public_half.text, b.public_half.text);
    given_file(lines, strlen(lines), 0444);
    cr_assert_eq(curve_load_list(file, &keys, &count, &problem), 0, "%s", problem.text);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(keys[1].text, b.public_half.text);
    free(keys);
}

struct key_case {
    char text[64];
};

ParameterizedTestParameters(curve, refuses_what_is_no_key)
{
    static struct key_case cases[] = {
        {""},
        {"short"},
        {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf"},   /* 39 */
        {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf77"}, /* 41 */
        {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf\""}, /* not of the alphabet */
        {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8 yf7"},
        {"########################################"}, /* beyond 32 bits a group */
        {"-----BEGIN OPENSSH PRIVATE KEY-----12345"},
    };
    return cr_make_param_array(struct key_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct key_case *c, curve, refuses_what_is_no_key)
{
    struct curve_key key;

    cr_assert_not(curve_is_key(c->text), "\"%s\"", c->text);
    given_file(c->text, strlen(c->text), 0444);
    cr_assert_lt(curve_load_public(file, &key, &problem), 0);
    cr_assert_not_null(strstr(problem.text, file));
}

Test(rundir, is_made_closed_and_is_taken_over_again)
{
    char path[RUNDIR_PATH_MAX];
    char written[RUNDIR_PATH_MAX];
    struct stat status;

    cr_assert_eq(rundir_make(folder, "own", path, &problem), 0, "%s", problem.text);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0700);
    cr_assert_eq(rundir_write(path, "copy", "text\n", 0400, &problem), 0, "%s", problem.text);
    cr_assert_eq(rundir_make(folder, "own", path, &problem), 0, "%s", problem.text);
    cr_assert_eq(rundir_write(path, "copy", "other\n", 0400, &problem), 0, "%s", problem.text);
    cr_assert_eq(rundir_path(path, "copy", written, &problem), 0);
    cr_assert_eq(stat(written, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0400);
    cr_assert_eq(status.st_size, 6);
    unlink(written);
    rmdir(path);
}

Test(rundir, is_refused_when_it_is_open_or_a_link)
{
    char path[RUNDIR_PATH_MAX];

    snprintf(path, sizeof(path), "%s/own", folder);
    cr_assert_eq(symlink("/tmp", path), 0);
    cr_assert_eq(rundir_make(folder, "own", path, &problem), -EPERM);
    unlink(path);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(chmod(path, 0755), 0);
    cr_assert_eq(rundir_make(folder, "own", path, &problem), -EPERM);
    rmdir(path);
}
