#include "mark.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_identity(const char *text)
{
    return strlen(text) == MARK_IDENTITY_BYTES &&
           strspn(text, "0123456789abcdef") == MARK_IDENTITY_BYTES;
}

int mark_read(struct mark *mark, const char *path, struct problem *problem)
{
    char text[MARK_IDENTITY_BYTES + 2] = "";

    *mark = (struct mark){.path = ""};
    if (path == NULL || path[0] == '\0')
        return 0;
    if (strlen(path) >= sizeof(mark->path) - 4)
        return problem_set(problem, -ENAMETOOLONG, "journal-mark: %.100s...: the path is too long",
                           path);
    memcpy(mark->path, path, strlen(path) + 1);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return problem_set(problem, -errno, "journal-mark: %s: %s", path, strerror(errno));
    const ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    if (!is_identity(text))
        return problem_set(problem, -EINVAL, "journal-mark: %s does not hold the name of a journal",
                           path);
    memcpy(mark->identity, text, sizeof(mark->identity));
    return 0;
}

static int write_file(const char *path, const char *identity)
{
    char line[MARK_IDENTITY_BYTES + 2];
    const int length = snprintf(line, sizeof(line), "%s\n", identity);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, line, (size_t)length) != length || fsync(fd) != 0)
        rc = errno != 0 ? -errno : -EIO;
    close(fd);
    return rc;
}

int mark_write(struct mark *mark, const char *identity, struct problem *problem)
{
    char fresh[sizeof(mark->path) + 4];

    if (mark->path[0] == '\0' || strcmp(mark->identity, identity) == 0)
        return 0;
    snprintf(fresh, sizeof(fresh), "%s.new", mark->path);
    int rc = write_file(fresh, identity);
    if (rc == 0 && rename(fresh, mark->path) != 0)
        rc = -errno;
    if (rc != 0)
        return problem_set(problem, rc, "journal-mark: %s: %s", mark->path, strerror(-rc));
    memcpy(mark->identity, identity, sizeof(mark->identity));
    return 0;
}
