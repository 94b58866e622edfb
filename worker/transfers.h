/* Large arguments on their way to this host, and large results on their way from it, while their tasks
 * are leased. Source: docs/PROTOCOL.md section 4, "Pieces".
 *
 * A task with a large argument waits here until there is memory for it and all of it has come; then it
 * goes to the pool. A task with a large result stands here from the end of its function until its
 * submitter has all of it; only then is its outcome reported. Its executor is free meanwhile, its slot
 * is not: so no more large results gather than there are slots. One thread. */
#ifndef WORKER_TRANSFERS_H
#define WORKER_TRANSFERS_H

#include "base/channel.h"
#include "base/dialler.h"
#include "base/err.h"
#include "fetch.h"
#include "report.h"
#include "task.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct transfer;

/* Kept free when arguments are taken in. */
#define TRANSFERS_SPARE_BYTES ((uint64_t)64 << 20)

/* Bytes of pieces that are under way in each direction, before anything was seen of the line. */
#define TRANSFERS_WINDOW_FIRST ((uint64_t)256 << 10)

struct lending;

struct transfers {
    struct dialler *dialler; /* borrowed */
    struct report *report;   /* borrowed */
    struct pool *pool;       /* borrowed; tasks whose arguments are here go there */
    struct lending
        *lending; /* for what is wanted besides results; borrowed; NULL: nothing can be */
    struct fetches fetches;
    struct transfer *waiting; /* arguments that were not begun; owned; utlist DL */
    struct transfer *coming;  /* arguments */
    struct transfer *leaving; /* results */
    uint32_t count;           /* of all three */
    uint64_t held;            /* bytes of all files that are here, or were made room for */
    uint64_t window;          /* bytes of pieces under way; 0: TRANSFERS_WINDOW_FIRST */
    uint64_t rounds;          /* PINGs that were echoed when it was looked at last */
    int64_t adapted_ms;       /* when that was */
    uint64_t taken;           /* bytes of pieces since then, in each direction */
    uint64_t sent;
    uint64_t held_before; /* when the first that waits did not fit; 0: not looked at */
    uint64_t (*room)(const char *root); /* cargo_room(), unless a test says else */
    bool out_of_memory;                 /* the agent cannot go on */
};

/* Has the line room for a piece that is sent? PINGs stand behind it. */
bool transfers_may_send(const struct transfers *transfers);

/* How much may be under way from now on, when a PING behind `window` bytes took round_ms and `moved` bytes
 * have passed in the elapsed_ms since the last one: half as much on a line that is too slow for the lease,
 * twice as much where that would pass quickly as well. */
uint64_t transfers_window(uint64_t window, int64_t round_ms, uint64_t moved, int64_t elapsed_ms);

/* Take over a task of whose argument only the size is known. -ENOMEM. */
NODISCARD int transfers_fetch(struct transfers *transfers, const struct task *task);

/* Take over a task that has run, and its result in `file`, a cargo (taken): offer it. */
void transfers_offer(struct transfers *transfers,
                     const struct task *task,
                     uint32_t run_us,
                     struct blob *file);

/* PIECE and WANT; -EPROTO, -ENOMEM. */
NODISCARD int transfers_piece(struct transfers *transfers, struct dialler_input *in);
NODISCARD int transfers_want(struct transfers *transfers, struct dialler_input *in);

/* Once in each turn of the loop: begin what there is room for, send what was wanted. */
void transfers_turn(struct transfers *transfers);

/* Drop these tasks (sorted ascending), and report them. */
void transfers_revoke(struct transfers *transfers, const uint64_t *ids, size_t count);

/* Drop all of them without an outcome. */
void transfers_reset(struct transfers *transfers);

#endif
