#include "worker/program.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/scoop-program-XXXXXX";
static char second[64];

static void make_folders(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(second, sizeof(second), "%s/second", folder);
    cr_assert_eq(mkdir(second, 0700), 0);
}

static void remove_folders(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(program, .init = make_folders, .fini = remove_folders);

static void write_program(const char *where, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", where, name);
    unlink(path);
    FILE *const file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static struct wire_bytes view(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

/* The program whose file holds `text`. */
static struct program *given_program(const char *name, const char *text)
{
    uint8_t sha256[PROGRAM_SHA256_BYTES];
    unsigned size = sizeof(sha256);

    cr_assert_eq(EVP_Digest(text, strlen(text), sha256, &size, EVP_sha256(), NULL), 1);
    struct program *const program = program_new(view(name), sha256);
    cr_assert_not_null(program);
    return program;
}

static int look(struct program *program)
{
    char folders[256];

    snprintf(folders, sizeof(folders), "/nonexistent::%s:%s", folder, second);
    return program_look(program, folders, "h1", clock_now_ms());
}

Test(program, is_found_in_the_first_folder_that_has_it)
{
    struct program *p = given_program("prog", "text");
    char expected[256];

    write_program(second, "prog", "text");
    cr_assert_eq(look(p), 0);
    snprintf(expected, sizeof(expected), "%s/prog", second);
    cr_assert_str_eq(p->path, expected);
    write_program(folder, "prog", "text");
    cr_assert_eq(look(p), 0);
    snprintf(expected, sizeof(expected), "%s/prog", folder);
    cr_assert_str_eq(p->path, expected);
    program_free(p);
}

Test(program, is_refused_with_the_folders_when_it_is_not_there)
{
    struct program *p = given_program("prog", "text");

    cr_assert_eq(look(p), -ENOENT);
    cr_assert_not_null(
        strstr(p->refusal, "program prog: not on h1 (looked in /nonexistent::/tmp/"));
    program_free(p);
}

Test(program, is_refused_with_both_hashes_when_it_differs)
{
    struct program *p = given_program("prog", "text");

    write_program(folder, "prog", "other");
    cr_assert_eq(look(p), -ENOENT);
    cr_assert_not_null(strstr(p->refusal, "the client's (sha256 982d9e3eb996) is not /tmp/"), "%s",
                       p->refusal);
    cr_assert_not_null(strstr(p->refusal, "on h1 (sha256 d9298a10d1b0)"), "%s", p->refusal);
    program_free(p);
}

Test(program, is_looked_at_again_when_the_file_changed)
{
    struct program *p = given_program("prog", "text");

    write_program(folder, "prog", "other");
    cr_assert_eq(look(p), -ENOENT);
    write_program(folder, "prog", "text");
    cr_assert_eq(look(p), 0);
    cr_assert_null(p->refusal);
    write_program(folder, "prog", "texT");
    cr_assert_eq(look(p), -ENOENT);
    program_free(p);
}

struct name_case {
    char name[300];
};

ParameterizedTestParameters(program, is_refused_when_its_name_is_not_a_base_name)
{
    static struct name_case cases[] = {
        {"../prog"}, {"/bin/sh"}, {".."}, {"."}, {".hidden"}, {"second/prog"},
    };

    return cr_make_param_array(struct name_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct name_case *c, program, is_refused_when_its_name_is_not_a_base_name)
{
    struct program *p = given_program(c->name, "text");

    write_program(second, "prog", "text");
    write_program(folder, ".hidden", "text");
    cr_assert_eq(look(p), -ENOENT);
    cr_assert_not_null(strstr(p->refusal, "not the base name of a file"), "%s", p->refusal);
    program_free(p);
}

Test(program, is_refused_when_its_name_is_too_long)
{
    char name[PROGRAM_NAME_MAX + 2];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct program *p = given_program(name, "text");
    cr_assert_eq(look(p), -ENOENT);
    program_free(p);
}

Test(program, is_never_a_folder)
{
    struct program *p = given_program("second", "");

    cr_assert_eq(look(p), -ENOENT);
    cr_assert_not_null(strstr(p->refusal, "not on h1"));
    program_free(p);
}

Test(program, without_a_name_is_this_program_itself)
{
    struct program *p = given_program("", "");

    cr_assert_eq(look(p), 0);
    cr_assert_str_eq(p->path, "/proc/self/exe");
    program_free(p);
}

Test(program, knows_functions_by_name_and_sizes)
{
    struct program *p = given_program("prog", "text");
    struct wire_function wire = {.argument_bytes = 4, .result_bytes = 4, .name = view("f")};

    struct function *const f = program_function(p, &wire);
    cr_assert_eq(program_function(p, &wire), f);
    wire.result_bytes = 8;
    struct function *const wider = program_function(p, &wire);
    cr_assert_neq(wider, f);
    cr_assert_eq(wider->index, 1);
    wire.name = view("ff");
    cr_assert_neq(program_function(p, &wire), f);
    program_free(p);
}
