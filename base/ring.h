/* A byte stream through shared memory: one writer, one reader, each usually a process of its own.
 *
 * The bytes lie in a memory file whose data is mapped twice, back to back, so that whatever lies
 * in the ring is contiguous for both ends. Positions count bytes since the start and only grow;
 * each end keeps its own in private memory and publishes it. An end that finds nothing to do may
 * *park*: it raises a flag, looks once more, and sleeps; the other end sees the flag when it
 * publishes and rings it awake. How to ring is the caller's: ring_sleep()/ring_wake() are a
 * futex; an event loop uses an eventfd.
 *
 * An end that does not trust the other checks every -EPROTO: the other end can write anything
 * into the shared memory at any time, so copy bytes before judging them. Nothing here reads
 * outside the mapping, whatever stands in there.
 *
 * Thread: one at each end. A forked child must not use its parent's end. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include "err.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_LINE 64 /* bytes of a cache line: what two ends write must not share one */

/* The control page of a ring, in shared memory. */
struct ring_shared {
    alignas(RING_LINE) _Atomic uint64_t written;  /* by the writer: bytes ever written */
    alignas(RING_LINE) _Atomic uint64_t read;     /* by the reader: bytes ever read */
    alignas(RING_LINE) atomic_uint reader_parked; /* 1: ring the reader after writing */
    alignas(RING_LINE) atomic_uint writer_parked; /* 1: ring the writer after reading */
};

/* One end. Embed by value. */
struct ring {
    struct ring_shared *shared;
    uint8_t *data;   /* data[0 ... 2 * capacity), the second half is the first */
    size_t capacity; /* a power of two, a multiple of the page size */
    uint64_t own;    /* this end's position; never read back from shared memory */
    uint64_t other;  /* the other end's, as last seen and found possible */
};

/* Bytes of the memory file that a ring with this capacity takes: its control page and its data. */
size_t ring_bytes(size_t capacity);

/* A memory file of `size` zero bytes that nobody can shrink or grow, close-on-exec. *fd is owned
 * by the caller. Negative errno of memfd_create, ftruncate or fcntl. */
NODISCARD int ring_file(size_t size, int *fd);

/* Map one end of the ring that lies at `offset` (a multiple of the page size) of a ring_file().
 * The descriptor may be closed afterwards. -EINVAL: capacity or offset is not as above; else a
 * negative errno of mmap. */
NODISCARD int ring_map(struct ring *ring, int fd, size_t offset, size_t capacity);

/* NULL pointers inside (never mapped, or unmapped) are accepted. */
void ring_unmap(struct ring *ring);

/* Sleep while `flag` is 1, at most `timeout_ms` (negative: for ever); may wake early. */
void ring_sleep(atomic_uint *flag, int timeout_ms);

/* Wake whoever sleeps on `flag`. */
void ring_wake(atomic_uint *flag);

/* ---- writer ---- */

/* *room = bytes that can be put now. -EPROTO: the reader's position is impossible. */
NODISCARD static inline int ring_room(struct ring *ring, size_t *room)
{
    const uint64_t other = atomic_load_explicit(&ring->shared->read, memory_order_acquire);

    if (ring->own - other > ring->capacity)
        return -EPROTO;
    ring->other = other;
    *room = ring->capacity - (size_t)(ring->own - other);
    return 0;
}

/* Where the next byte goes; as many as ring_room() said may be written there. */
static inline uint8_t *ring_put_at(const struct ring *ring)
{
    return ring->data + (ring->own & (ring->capacity - 1));
}

/* The next `size` bytes are written. The reader sees them after ring_publish(). */
static inline void ring_put(struct ring *ring, size_t size)
{
    ring->own += size;
}

/* Show the reader all that was put. True: it parked and must be rung; once for each time it parks.
 */
NODISCARD static inline bool ring_publish(struct ring *ring)
{
    atomic_store(&ring->shared->written, ring->own);
    return atomic_load(&ring->shared->reader_parked) != 0 &&
           atomic_exchange(&ring->shared->reader_parked, 0) != 0;
}

/* ---- reader ---- */

/* *size = bytes that can be taken now. -EPROTO: the writer's position is impossible. */
NODISCARD static inline int ring_ready(struct ring *ring, size_t *size)
{
    const uint64_t other = atomic_load_explicit(&ring->shared->written, memory_order_acquire);

    if (other - ring->own > ring->capacity)
        return -EPROTO;
    ring->other = other;
    *size = (size_t)(other - ring->own);
    return 0;
}

/* Where the next byte is; as many as ring_ready() said may be read there. */
static inline const uint8_t *ring_take_at(const struct ring *ring)
{
    return ring->data + (ring->own & (ring->capacity - 1));
}

/* The next `size` bytes are done with. The writer gets their room back with ring_release(). */
static inline void ring_take(struct ring *ring, size_t size)
{
    ring->own += size;
}

/* Give the writer the room of all that was taken. True: it parked and must be rung. */
NODISCARD static inline bool ring_release(struct ring *ring)
{
    atomic_store(&ring->shared->read, ring->own);
    return atomic_load(&ring->shared->writer_parked) != 0 &&
           atomic_exchange(&ring->shared->writer_parked, 0) != 0;
}

/* ---- parking ---- */

/* Raise this end's flag. True: nothing has come since `own` and `other` were looked at, sleep
 * now. False: there is something to do, the flag is down again. */
bool ring_park_reader(struct ring *ring);
bool ring_park_writer(struct ring *ring);

/* Lower the flag after waking for another reason. */
static inline void ring_unpark_reader(struct ring *ring)
{
    atomic_store(&ring->shared->reader_parked, 0);
}

#endif
