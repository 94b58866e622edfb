#include "channel.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

const char *channel_damage(int status)
{
    static const char *const texts[] = {
        "a function closed or replaced a descriptor that is not its own",
        "functions left more than half of the possible files open",
        "a function changed the working directory, which cannot be set back",
        "a function changed signals, which cannot be set back",
        "a function changed the locale, which cannot be set back",
        "a function lowered a limit or the priority, which cannot be set back",
        "a function left threads running",
        "a function left processes running",
    };

    _Static_assert(COUNT_OF(texts) == CHANNEL_DAMAGE_END - CHANNEL_DAMAGE_FIRST, "one text each");
    return status >= CHANNEL_DAMAGE_FIRST && status < CHANNEL_DAMAGE_END
               ? texts[status - CHANNEL_DAMAGE_FIRST]
               : NULL;
}

int channel_file(size_t capacity, int *fd)
{
    return ring_file(page_bytes() + 3 * ring_bytes(capacity), fd);
}

static int map_rings(struct channel *channel, int fd, size_t capacity)
{
    const size_t first = page_bytes();
    const size_t each = ring_bytes(capacity);
    int result = ring_map(&channel->tasks, fd, first, capacity);

    if (result == 0)
        result = ring_map(&channel->outcomes, fd, first + each, capacity);
    if (result == 0)
        result = ring_map(&channel->results, fd, first + 2 * each, capacity);
    return result;
}

int channel_map(struct channel *channel, int fd)
{
    const size_t page = page_bytes();
    struct stat file;

    if (fstat(fd, &file) != 0)
        return -errno;
    if ((size_t)file.st_size < 7 * page)
        return -EINVAL;
    *channel = (struct channel){0};
    void *const control = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        return -errno;
    channel->shared = control;
    const int result = map_rings(channel, fd, ((size_t)file.st_size - 4 * page) / 3);
    if (result != 0)
        channel_unmap(channel);
    return result;
}

void channel_unmap(struct channel *channel)
{
    ring_unmap(&channel->tasks);
    ring_unmap(&channel->outcomes);
    ring_unmap(&channel->results);
    if (channel->shared != NULL)
        munmap(channel->shared, page_bytes());
    *channel = (struct channel){0};
}

/* It sleeps on the flag of the ring of tasks, which goes up before that of the results: so whoever
 * publishes a result and sees the latter finds the former up as well, or down for another reason. */
void channel_sleep(struct channel *channel, bool tasks, bool results, int timeout_ms)
{
    atomic_uint *const flag = &channel->tasks.shared->reader_parked;

    if (!ring_park_reader(&channel->tasks)) {
        if (tasks)
            return;
        atomic_store(flag, 1);
    }
    if (!results || ring_park_reader(&channel->results))
        ring_sleep(flag, timeout_ms);
    ring_unpark_reader(&channel->tasks);
    if (results)
        ring_unpark_reader(&channel->results);
}

void channel_publish_tasks(struct channel *channel)
{
    if (ring_publish(&channel->tasks))
        ring_wake(&channel->tasks.shared->reader_parked);
}

void channel_publish_results(struct channel *channel)
{
    if (!ring_publish(&channel->results))
        return;
    ring_unpark_reader(&channel->tasks);
    ring_wake(&channel->tasks.shared->reader_parked);
}

void channel_say_progress(struct channel *channel, uint32_t id, struct channel_progress progress)
{
    struct channel_shared *const shared = channel->shared;
    const unsigned turn = atomic_load_explicit(&shared->progress.turn, memory_order_relaxed) | 1;

    atomic_store_explicit(&shared->progress.turn, turn, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&shared->progress.id, id, memory_order_relaxed);
    atomic_store_explicit(&shared->progress.done, progress.done, memory_order_relaxed);
    atomic_store_explicit(&shared->progress.total, progress.total, memory_order_relaxed);
    atomic_store_explicit(&shared->progress.turn, turn + 1, memory_order_release);
}

bool channel_see_progress(const struct channel *channel, uint32_t id, struct channel_progress *out)
{
    struct channel_shared *const shared = channel->shared;
    const unsigned turn = atomic_load_explicit(&shared->progress.turn, memory_order_acquire);
    const uint32_t whose = atomic_load_explicit(&shared->progress.id, memory_order_relaxed);

    /* In the beginning nobody has said anything. */
    if (turn == 0 || turn % 2 != 0 || whose != id)
        return false;
    out->done = atomic_load_explicit(&shared->progress.done, memory_order_relaxed);
    out->total = atomic_load_explicit(&shared->progress.total, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&shared->progress.turn, memory_order_relaxed) == turn;
}
