#include "oom.h"

#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORD "oom_kill "

/* Lines of "NAME NUMBER". False: it is not counted there. */
static bool read_count(int fd, uint64_t *count)
{
    char text[512];
    const ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);

    if (bytes <= 0)
        return false;
    text[bytes] = '\0';
    const char *at = strstr(text, WORD);
    if (at == NULL || (at != text && at[-1] != '\n'))
        return false;
    *count = strtoull(at + strlen(WORD), NULL, 10);
    return true;
}

static bool open_first(void *context, const char *folder, bool unified)
{
    struct oom *const oom = context;
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/%s", folder, unified ? "memory.events" : "memory.oom_control");
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (read_count(fd, &oom->seen)) {
        oom->fd = fd;
        return true;
    }
    close(fd);
    return false;
}

void oom_open(struct oom *oom, const char *root)
{
    *oom = (struct oom){.fd = -1};
    cgroup_visit(root, "memory", open_first, oom);
}

bool oom_took_one(struct oom *oom)
{
    uint64_t count = 0;

    if (oom->fd < 0 || !read_count(oom->fd, &count) || count <= oom->seen)
        return false;
    oom->seen++;
    return true;
}

void oom_close(struct oom *oom)
{
    if (oom->fd >= 0)
        close(oom->fd);
    oom->fd = -1;
}
