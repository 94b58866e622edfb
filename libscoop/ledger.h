/* Which task has which number on the present link: number -> (job, index) by arithmetic, not by
 * search.
 *
 * Numbers are given out in order, 1, 2, 3, ..., as the broker wants them (PROTOCOL.md section 1).
 * Entries lie in chunks that are freed when all their tasks have ended, so one slow task among
 * millions holds one chunk. Pure; one thread. */
#ifndef LIBSCOOP_LEDGER_H
#define LIBSCOOP_LEDGER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;

struct ledger_entry {
    struct job *job; /* NULL: the task has ended */
    uint32_t index;  /* of the task in its job */
    uint32_t bytes;  /* of its argument */
};

struct ledger {
    struct ledger_chunk **chunks; /* ring: chunk number & (capacity - 1) */
    size_t capacity;              /* 0 or a power of two */
    uint64_t first_chunk;         /* lowest number of a chunk that still exists, if any does */
    uint64_t next_no;             /* given out next */
    uint64_t open;                /* tasks that have not ended */
    uint64_t open_bytes;          /* of their arguments */
    struct ledger_chunk *spare;   /* one empty chunk, kept */
};

void ledger_init(struct ledger *ledger);

/* Free everything; the jobs are not touched. */
void ledger_fini(struct ledger *ledger);

/* Give the next number to a task. -ENOMEM: nothing was given. */
NODISCARD int ledger_add(struct ledger *ledger, const struct ledger_entry *entry);

/* Take the task with this number out. -ENOENT: never given out, or it has ended already. */
NODISCARD int ledger_take(struct ledger *ledger, uint64_t no, struct ledger_entry *out);

/* The first open task with a number of at least *no: sets *no to its number and returns its entry
 * (borrowed until the next ledger_take). NULL: there is none. */
const struct ledger_entry *ledger_next(const struct ledger *ledger, uint64_t *no);

#endif
