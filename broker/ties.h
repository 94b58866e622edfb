/* Durable tasks that wait for others, by their ids. Source: docs/PROTOCOL.md section 10, "after".
 *
 * A tie is one place in the list of a durable task (the taker), and names another one (its source).
 * Both may be anywhere in their lives, and the broker may have been restarted meanwhile: so ties belong to
 * durable tasks, and the inputs of the task that computes one (inputs.h) are filled from them. Ties
 * are kept until the taker has ended well or is forgotten; a source that has some is not forgotten.
 *
 * A tie that holds its taker up for as long as nobody does anything about it is *stuck*: its source did not
 * end well, or is not kept any more, or is itself held up so. Pure; one thread. */
#ifndef BROKER_TIES_H
#define BROKER_TIES_H

#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct core;
struct durable;

struct tie {
    struct durable *taker;
    struct durable *source; /* NULL: none of this id is kept, or they are not tied up yet */
    uint64_t id;
    bool stuck;
    struct tie *prev; /* of those with this source */
    struct tie *next;
};

struct ties {
    uint32_t count;
    uint32_t stuck;
    struct tie list[];
};

#define TIES_ID_BYTES 8

/* Give a durable task its list: ids of 8 bytes each, at most WIRE_INPUTS_MAX. It is not tied up yet.
 * -EPROTO: not a list; -ENOMEM. */
NODISCARD int ties_set(struct core *core, struct durable *d, struct wire_bytes ids);
/* The bytes of that list; 0: it waits for nothing. */
size_t ties_bytes(const struct durable *d);

/* Find the sources. */
void ties_up(struct core *core, struct durable *d);
/* The first source that is not kept; 0: all are. */
uint64_t ties_missing(const struct durable *d);
/* The first source that did not end well, and was not forgiven; or else the first that has not ended.
 * 0: there is none. */
uint64_t ties_waits_for(const struct durable *d);
/* It waits for nothing any more. */
void ties_drop(struct core *core, struct durable *d);
/* It is forgotten all the same: what is tied to it is stuck. */
void ties_cut(struct core *core, struct durable *d);

/* The task that computes it is new and READY: it is HELD now, and may have gone on from there. -ENOMEM:
 * it is READY still. */
NODISCARD int ties_hold(struct core *core, struct durable *d);
/* It has ended, or is tried again: tell those that wait for it. */
void ties_tell(struct core *core, struct durable *d);

/* What it waits for will not come by itself. */
static inline bool ties_are_stuck(const struct ties *ties)
{
    return ties != NULL && ties->stuck > 0;
}

#endif
