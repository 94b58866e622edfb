#include "cargo.h"

#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void release(void *owner)
{
    struct cargo *const cargo = owner;

    close(cargo->fd);
    if (cargo->held != NULL)
        *cargo->held -= cargo->size;
    free(cargo);
}

struct blob *cargo_wrap(int fd, uint64_t size, uint64_t *held)
{
    struct cargo *const cargo = malloc(sizeof(*cargo));
    struct blob *const blob = cargo != NULL ? blob_wrap(NULL, 0, release, cargo) : NULL;

    if (blob == NULL) {
        free(cargo);
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    *cargo = (struct cargo){.fd = fd, .size = size, .held = held};
    if (held != NULL)
        *held += size;
    return blob;
}

/* Around a new file, which is taken, with this size. */
static struct blob *wrap_new(int fd, uint64_t size, uint64_t *held)
{
    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)size) != 0) {
        const int error = errno;

        close(fd);
        errno = error;
        return NULL;
    }
    return cargo_wrap(fd, size, held);
}

struct blob *cargo_new(uint64_t size, uint64_t *held)
{
    return wrap_new(memfd_create("scoop-cargo", MFD_CLOEXEC | MFD_ALLOW_SEALING), size, held);
}

struct blob *cargo_new_program(uint64_t size, uint64_t *held)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("scoop-program", flags | MFD_EXEC);

    if (fd < 0 && errno == EINVAL) /* before Linux 6.3, where all of them can be executed */
        fd = memfd_create("scoop-program", flags);
    return wrap_new(fd, size, held);
}

int cargo_put(const struct cargo *cargo, uint64_t offset, const uint8_t *data, size_t size)
{
    while (size != 0) {
        const ssize_t put = pwrite(cargo->fd, data, size, (off_t)offset);

        if (put < 0 && errno != EINTR)
            return -errno;
        const size_t done = put > 0 ? (size_t)put : 0;
        data += done;
        offset += done;
        size -= done;
    }
    return 0;
}

int cargo_get(const struct cargo *cargo, uint64_t offset, uint8_t *data, size_t size)
{
    while (size != 0) {
        const ssize_t got = pread(cargo->fd, data, size, (off_t)offset);

        if (got == 0)
            return -EPROTO; /* sealed, so it cannot be */
        if (got < 0 && errno != EINTR)
            return -errno;
        const size_t done = got > 0 ? (size_t)got : 0;
        data += done;
        offset += done;
        size -= done;
    }
    return 0;
}

int cargo_seal(const struct cargo *cargo)
{
    return fcntl(cargo->fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0 ? 0 : -errno;
}

bool cargo_accept(int fd, uint64_t most, uint64_t *size)
{
    /* Files of other kinds have no seals, and reading them may block. What is in it may change still:
     * a process that the function left behind may have it mapped. */
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW;
    const int seals = fcntl(fd, F_GET_SEALS);
    const off_t end = seals >= 0 && (seals & needed) == needed ? lseek(fd, 0, SEEK_END) : -1;

    if (end > 0 && (uint64_t)end <= most) {
        *size = (uint64_t)end;
        return true;
    }
    close(fd);
    return false;
}

/* ---- room ---- */

/* A small file; "" when there is none. */
static void read_text(const char *folder, const char *name, char *text, size_t size)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t bytes = fd >= 0 ? read(fd, text, size - 1) : 0;

    text[bytes > 0 ? bytes : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* The number behind `word` at the beginning of a line. 0: there is none. */
static uint64_t number_of(const char *text, const char *word)
{
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, strlen(word)) == 0)
            return strtoull(line + strlen(word), NULL, 10);
    }
    return 0;
}

/* What the group may have is what its limit leaves; pages of files that nobody uses go at once. */
static bool look_at_group(void *context, const char *folder, bool unified)
{
    uint64_t *const room = context;
    char limit[64];
    char used[64];
    char detail[8192];

    read_text(folder, unified ? "memory.max" : "memory.limit_in_bytes", limit, sizeof(limit));
    read_text(folder, unified ? "memory.current" : "memory.usage_in_bytes", used, sizeof(used));
    if (limit[0] < '0' || limit[0] > '9' || used[0] == '\0')
        return false; /* "max", or no such group */
    read_text(folder, "memory.stat", detail, sizeof(detail));
    const uint64_t most = strtoull(limit, NULL, 10);
    const uint64_t idle = number_of(detail, unified ? "inactive_file " : "total_inactive_file ");
    const uint64_t taken = strtoull(used, NULL, 10);
    const uint64_t busy = taken > idle ? taken - idle : 0;
    const uint64_t left = most > busy ? most - busy : 0;

    *room = left < *room ? left : *room;
    return false;
}

uint64_t cargo_room(const char *root)
{
    char folder[PATH_MAX];
    char text[4096];
    uint64_t room = UINT64_MAX;

    snprintf(folder, sizeof(folder), "%s/proc", root);
    read_text(folder, "meminfo", text, sizeof(text));
    if (strstr(text, "MemAvailable:") != NULL)
        room = number_of(text, "MemAvailable:") * 1024;
    cgroup_visit(root, "memory", look_at_group, &room);
    return room;
}
