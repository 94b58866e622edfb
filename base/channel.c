#include "channel.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int channel_file(size_t capacity, int *fd)
{
    return ring_file(page_bytes() + 2 * ring_bytes(capacity), fd);
}

static int map_rings(struct channel *channel, int fd, size_t capacity)
{
    const size_t first = page_bytes();
    const int result = ring_map(&channel->tasks, fd, first, capacity);

    if (result != 0)
        return result;
    return ring_map(&channel->outcomes, fd, first + ring_bytes(capacity), capacity);
}

int channel_map(struct channel *channel, int fd)
{
    const size_t page = page_bytes();
    struct stat file;

    if (fstat(fd, &file) != 0)
        return -errno;
    if ((size_t)file.st_size < 5 * page)
        return -EINVAL;
    *channel = (struct channel){0};
    void *const control = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        return -errno;
    channel->shared = control;
    const int result = map_rings(channel, fd, ((size_t)file.st_size - 3 * page) / 2);
    if (result != 0)
        channel_unmap(channel);
    return result;
}

void channel_unmap(struct channel *channel)
{
    ring_unmap(&channel->tasks);
    ring_unmap(&channel->outcomes);
    if (channel->shared != NULL)
        munmap(channel->shared, page_bytes());
    *channel = (struct channel){0};
}
