/* Large bytes on this host: a memory file, which executors map. Counts as memory of the agent's control
 * group, so room is asked for first.
 *
 * A cargo is the owner of a blob: it is shared and freed like a frame. One thread. */
#ifndef WORKER_CARGO_H
#define WORKER_CARGO_H

#include "base/blob.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cargo {
    int fd;
    uint64_t size;
    uint64_t *held; /* bytes of all cargos that are counted together; NULL: not counted */
};

/* An empty one of `size` bytes (cargo_put), or around a file that cargo_accept() has found good (taken).
 * Its size is added to *held, which outlives it. NULL: see errno. */
NODISCARD struct blob *cargo_new(uint64_t size, uint64_t *held);
/* The same of one that a program can be started from. */
NODISCARD struct blob *cargo_new_program(uint64_t size, uint64_t *held);
NODISCARD struct blob *cargo_wrap(int fd, uint64_t size, uint64_t *held);

/* Borrowed while the blob is referenced. */
static inline struct cargo *cargo_of(const struct blob *blob)
{
    return blob->owner;
}

/* Write a part; negative errno. */
NODISCARD int
cargo_put(const struct cargo *cargo, uint64_t offset, const uint8_t *data, size_t size);

/* Read a part, all of it; negative errno. */
NODISCARD int cargo_get(const struct cargo *cargo, uint64_t offset, uint8_t *data, size_t size);

/* Nobody can change it any more. */
NODISCARD int cargo_seal(const struct cargo *cargo);

/* A descriptor from an executor: is it a memory file whose size nobody can change any more, and which is
 * 1 to `most`? Then that is *size. False: no; it is closed. */
NODISCARD bool cargo_accept(int fd, uint64_t most, uint64_t *size);

/* How many bytes this host has free, for our control group: with `root` "" that of this process. 0 only
 * when nothing is. */
uint64_t cargo_room(const char *root);

#endif
