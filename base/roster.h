/* What stands under a number: number -> entry by arithmetic, not by search.
 *
 * Numbers are given out in order, 1, 2, 3, ..., and each is taken out once (PROTOCOL.md section 1,
 * "task"). Entries lie in chunks that are freed when all of theirs are out, so one slow task among
 * millions holds one chunk. An entry is a struct whose first member is a pointer that is not NULL.
 * Pure; one thread. */
#ifndef BASE_ROSTER_H
#define BASE_ROSTER_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct roster {
    size_t entry_bytes;
    struct roster_chunk **chunks; /* ring: chunk number & (capacity - 1) */
    size_t capacity;              /* 0 or a power of two */
    uint64_t first_chunk;         /* lowest number of a chunk that still exists, if any does */
    uint64_t next_no;             /* given out next */
    uint64_t open;                /* entries that have not been taken out */
    struct roster_chunk *spare;   /* one empty chunk, kept */
};

void roster_init(struct roster *roster, size_t entry_bytes);

/* Free everything, and begin with number 1 again. */
void roster_fini(struct roster *roster);

/* Copy an entry in, under the next number. -ENOMEM: no number was given. */
NODISCARD int roster_add(struct roster *roster, const void *entry);

/* The entry with this number; NULL: never given out, or out already. Borrowed until it is taken
 * out. */
void *roster_find(const struct roster *roster, uint64_t no);

/* Take out the entry with this number, which is there. */
void roster_remove(struct roster *roster, uint64_t no);

/* The first entry with a number of at least *no: sets *no to its number. NULL: there is none. */
void *roster_next(const struct roster *roster, uint64_t *no);

#endif
