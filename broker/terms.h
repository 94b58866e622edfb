/* What a client asked for one task beyond the ordinary, and the timers that follow from it. Most
 * tasks have no terms, and cost nothing here.
 *
 * A task has one timer at most: until it is first leased that of its expiry, while LEASED that of its
 * copy, while RESTING that of its next try. Timers lie in a heap: setting and taking one costs the logarithm of their number.
 * Source: docs/PROTOCOL.md section 5, "Options". Pure; one thread. */
#ifndef BROKER_TERMS_H
#define BROKER_TERMS_H

#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct input;
struct inputs;
struct task;

/* The pause between two tries doubles up to this. */
#define TERMS_BACKOFF_MAX_MS 60000

struct terms {
    struct wire_options options;
    uint16_t retries_left;
    uint32_t timer;        /* place in the heap, from 1; 0: no timer */
    int64_t due_ms;        /* of the timer */
    struct inputs *inputs; /* see inputs.h; NULL: none */
    struct input *takers;  /* inputs of other tasks that hang on this one */
    struct task *copy;     /* see copies.h; borrowed; NULL: none */
};

/* NULL: out of memory. Owned by the task that they are for. */
NODISCARD struct terms *terms_new(const struct wire_options *options);

/* Its timer is not set, and inputs_drop() was called. NULL is accepted. */
void terms_free(struct terms *terms);

/* Use up one retry and tell the pause before it: backoff_ms, doubled for each one before. False:
 * none is left, or there are no terms. */
bool terms_take_retry(struct terms *terms, int64_t *pause_ms);

/* ---- timers ---- */

/* Zeroed is empty. Borrows its tasks. */
struct timers {
    struct task *
        *heap; /* heap[0] is unused; a task is due no earlier than the one at half its place */
    uint32_t count;
    uint32_t capacity;
};

/* Set the timer of a task that has terms and no timer. -ENOMEM: not set. */
NODISCARD int timers_set(struct timers *timers, struct task *task, int64_t due_ms);

/* Stop the timer of this task, if it has one. */
void timers_stop(struct timers *timers, struct task *task);

/* The task whose timer is due first; it is not stopped. NULL: there is no timer. */
struct task *timers_first(const struct timers *timers);

void timers_fini(struct timers *timers);

#endif
