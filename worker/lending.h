/* What agents of other hosts want of this one: a child that was submitted here runs there, and its agent has
 * not the child's program, or a value that it reads. Source: docs/PROTOCOL.md section 4, "Pieces".
 *
 * The program is here, as the parent runs it; a value may be. What is not is fetched first, of the parent's
 * submitter. So it goes down the tree of tasks, once to each host. One thread. */
#ifndef WORKER_LENDING_H
#define WORKER_LENDING_H

#include "base/dialler.h"
#include "base/err.h"
#include "base/wire.h"
#include "nested.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>

struct loan;
struct pool;

struct lending {
    struct dialler *dialler; /* borrowed, as the others */
    struct nested *nested;
    struct store *store;
    struct pool *pool;
    struct loan *loans; /* owned; utlist DL, oldest first */
    bool out_of_memory; /* the agent cannot go on */
};

/* A WANT of a PROGRAM or a VALUE. -ENOMEM. */
NODISCARD int lending_want(struct lending *lending, const struct wire_want *want);

/* Once in each turn of the loop: send what was wanted, as far as the link takes it soon. */
void lending_turn(struct lending *lending, int64_t now_ms);

/* Forget all of it; before the store and the children do. */
void lending_reset(struct lending *lending);

#endif
