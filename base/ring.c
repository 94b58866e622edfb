/* Mapping, sealing and sleeping; the hot paths are inline in the header. */
#include "ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t ring_bytes(size_t capacity)
{
    return page_bytes() + capacity;
}

int ring_file(size_t size, int *fd)
{
    /* Sealed, or the other process could shrink the file under our feet: SIGBUS. */
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const int file = memfd_create("scoop-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file < 0)
        return -errno;
    if (ftruncate(file, (off_t)size) != 0 || fcntl(file, F_ADD_SEALS, seals) != 0) {
        const int error = errno;

        close(file);
        return -error;
    }
    *fd = file;
    return 0;
}

/* Map the data twice into one reserved range. */
static int map_data(struct ring *ring, int fd, size_t offset, size_t capacity)
{
    uint8_t *const data = mmap(NULL, 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED)
        return -errno;
    for (size_t half = 0; half < 2; half++) {
        if (mmap(data + half * capacity, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 fd, (off_t)offset) == MAP_FAILED) {
            const int error = errno;

            munmap(data, 2 * capacity);
            return -error;
        }
    }
    ring->data = data;
    return 0;
}

int ring_map(struct ring *ring, int fd, size_t offset, size_t capacity)
{
    const size_t page = page_bytes();

    if (capacity < page || (capacity & (capacity - 1)) != 0 || offset % page != 0)
        return -EINVAL;
    *ring = (struct ring){.capacity = capacity};
    void *const control = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (control == MAP_FAILED)
        return -errno;
    ring->shared = control;
    const int result = map_data(ring, fd, offset + page, capacity);
    if (result != 0)
        ring_unmap(ring);
    return result;
}

void ring_unmap(struct ring *ring)
{
    if (ring->data != NULL)
        munmap(ring->data, 2 * ring->capacity);
    if (ring->shared != NULL)
        munmap(ring->shared, page_bytes());
    *ring = (struct ring){0};
}

void ring_sleep(atomic_uint *flag, int timeout_ms)
{
    const struct timespec timeout = {
        .tv_sec = timeout_ms / 1000,
        .tv_nsec = (timeout_ms % 1000) * 1000000L,
    };

    /* Woken, interrupted, too late or no longer 1: the caller looks again in every case. */
    syscall(SYS_futex, flag, FUTEX_WAIT, 1, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

void ring_wake(atomic_uint *flag)
{
    syscall(SYS_futex, flag, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The flag goes up before the last look at the position; the other end looks at the flag after
 * it moved the position. In the one order of these sequentially consistent operations, one of
 * the two sees the other. */
static bool park(atomic_uint *flag, const _Atomic uint64_t *position, uint64_t seen)
{
    atomic_store(flag, 1);
    if (atomic_load(position) == seen)
        return true;
    atomic_store(flag, 0);
    return false;
}

bool ring_park_reader(struct ring *ring)
{
    return park(&ring->shared->reader_parked, &ring->shared->written, ring->other);
}

bool ring_park_writer(struct ring *ring)
{
    return park(&ring->shared->writer_parked, &ring->shared->read, ring->other);
}
