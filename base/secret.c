#include "secret.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READABLE_BY_OTHERS (S_IRWXG | S_IRWXO)

static void close_p(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int open_file(const char *path, struct problem *problem)
{
    /* Without O_NONBLOCK a pipe in the file's place would hold us here. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENOTDIR)
        return problem_set(problem, -ENOENT, "secret file %s is missing", path);
    if (errno == EACCES)
        return problem_set(
            problem, -EACCES,
            "secret file %s may not be read by uid %u: set uid, gid and mode of the secret", path,
            (unsigned)geteuid());
    return problem_set(problem, -errno, "secret file %s cannot be opened: %s", path,
                       strerror(errno));
}

static bool is_read_only_mount(int fd)
{
    struct statvfs mount;

    return fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
}

static int check_file(int fd, const char *path, enum secret_kind kind, struct problem *problem)
{
    struct stat file;

    if (fstat(fd, &file) != 0)
        return problem_set(problem, -errno, "secret file %s: %s", path, strerror(errno));
    if (!S_ISREG(file.st_mode))
        return problem_set(problem, -EINVAL, "secret file %s is not a regular file", path);
    if (kind == SECRET_PUBLIC || (file.st_mode & READABLE_BY_OTHERS) == 0)
        return 0;
    if (file.st_uid == 0 && is_read_only_mount(fd))
        return 0;
    return problem_set(
        problem, -EPERM,
        "secret file %s has mode %04o: a private key must be open to its owner only (0400)", path,
        (unsigned)(file.st_mode & 07777));
}

/* Read up to `size` bytes. Returns how many there were, or a negative errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t used = 0;

    while (used < size) {
        const ssize_t n = read(fd, buffer + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Turn CRLF into LF and cut blanks off both ends, in place. Returns the new length. */
static size_t normalise(char *text, size_t length)
{
    size_t start = 0;
    size_t used = 0;

    while (start < length && is_blank(text[start]))
        start++;
    while (length > start && is_blank(text[length - 1]))
        length--;
    for (size_t i = start; i < length; i++) {
        if (text[i] != '\r' || text[i + 1] != '\n')
            text[used++] = text[i];
    }
    text[used] = '\0';
    return used;
}

static int
check_text(const struct secret *secret, size_t size, const char *path, struct problem *problem)
{
    if (size > SECRET_BYTES_MAX)
        return problem_set(problem, -EFBIG, "secret file %s is longer than %d bytes", path,
                           SECRET_BYTES_MAX);
    if (memchr(secret->text, '\0', size) != NULL)
        return problem_set(problem, -EINVAL, "secret file %s is not text: it has a zero byte",
                           path);
    return 0;
}

static int load(int fd, const char *path, struct secret *out, struct problem *problem)
{
    struct secret secret CLEANUP(secret_wipe) = {.length = SECRET_BYTES_MAX + 1};
    int rc = 0;

    secret.text = calloc(1, secret.length + 1);
    if (secret.text == NULL)
        return problem_set(problem, -ENOMEM, "secret file %s: out of memory", path);
    const ssize_t size = read_all(fd, secret.text, secret.length);
    if (size < 0)
        return problem_set(problem, (int)size, "secret file %s cannot be read: %s", path,
                           strerror((int)-size));
    rc = check_text(&secret, (size_t)size, path, problem);
    if (rc != 0)
        return rc;
    const size_t length = normalise(secret.text, (size_t)size);
    if (length == 0)
        return problem_set(problem, -ENODATA, "secret file %s is empty", path);
    /* What normalise() moved away must not stay behind the end either. */
    explicit_bzero(secret.text + length, secret.length - length);
    *out = (struct secret){.text = steal(&secret.text), .length = length};
    return 0;
}

int secret_load(const char *path,
                enum secret_kind kind,
                struct secret *out,
                struct problem *problem)
{
    int fd CLEANUP(close_p) = open_file(path, problem);
    int rc = 0;

    if (fd < 0)
        return fd;
    rc = check_file(fd, path, kind, problem);
    if (rc != 0)
        return rc;
    return load(fd, path, out, problem);
}

int secret_load_line(const char *path,
                     enum secret_kind kind,
                     struct secret *out,
                     struct problem *problem)
{
    struct secret secret CLEANUP(secret_wipe) = {0};
    const int rc = secret_load(path, kind, &secret, problem);

    if (rc != 0)
        return rc;
    if (secret.text == NULL || strchr(secret.text, '\n') != NULL)
        return problem_set(problem, -EINVAL, "secret file %s has more than one line", path);
    *out = secret;
    secret = (struct secret){0};
    return 0;
}

void secret_wipe(struct secret *secret)
{
    if (secret == NULL || secret->text == NULL)
        return;
    explicit_bzero(secret->text, secret->length);
    free(secret->text);
    *secret = (struct secret){0};
}
