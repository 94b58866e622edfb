/* Tasks that this host holds, and queues of them. One thread. */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "base/blob.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct program;
struct cargo;

/* What a FUNCTION record said, and how long its calls take. Owned by its program. */
struct function {
    struct program *program;
    char *name;
    uint32_t argument_bytes; /* or WIRE_VARIABLE */
    uint32_t result_bytes;   /* or WIRE_VARIABLE */
    uint16_t index;          /* in the program */
    bool measured;
    uint64_t mean_ns; /* of the run time, moving; valid once measured */
};

/* What a call costs at the very least, so that a function of 0 us cannot fill a queue without end.
 */
#define FUNCTION_COST_MIN_NS 500

/* Take a measured run time into the mean. */
void function_measured(struct function *function, uint32_t run_us);

/* One leased task. A value: whoever holds it owns the reference to `frame`. */
struct task {
    uint64_t id;
    struct function *function;
    struct blob *frame; /* the message that it came in; `argument` points into it */
    const uint8_t *argument;
    struct cargo *cargo; /* a large argument, owned by `frame`; NULL: none, or it is not here yet */
    uint32_t argument_bytes;
    uint32_t limit_ms; /* 0: none */
    uint32_t session;  /* the same number: the same session */
    uint32_t cost_ns;  /* what it was expected to take when it was fed */
    uint16_t attempt;
    uint16_t lane; /* of the executor that runs it */
    bool traced;   /* its session wants a span of it */
    bool bundle;   /* its argument is one: see WIRE_TASK_BUNDLE */
    bool moves;    /* a large result may be offered in pieces: its submitter is a client */
    uint8_t
        setbacks; /* executors that ended while it waited in them, through no fault of its own */
    bool heavy;   /* it ran where memory was above the limit: the next time it is to blame */
    bool revoked;
    bool told; /* that it runs */
};

/* After so many it is given up. */
#define TASK_SETBACKS_MAX 10

/* A double-ended queue that grows. Zeroed is empty. Owns its tasks. */
struct task_queue {
    struct task *items;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t first;
    uint32_t count;
};

/* -ENOMEM: not added, the caller still owns the task. */
NODISCARD int task_queue_push_back(struct task_queue *queue, const struct task *task);
NODISCARD int task_queue_push_front(struct task_queue *queue, const struct task *task);

/* The task at `index` from the front, index < count. Borrowed until the queue changes. */
static inline struct task *task_queue_at(const struct task_queue *queue, uint32_t index)
{
    return &queue->items[(queue->first + index) & (queue->capacity - 1)];
}

/* Take one out; the queue is not empty. The caller owns it. */
struct task task_queue_pop_front(struct task_queue *queue);
struct task task_queue_pop_back(struct task_queue *queue);

/* Drop all tasks and the memory. */
void task_queue_fini(struct task_queue *queue);

#endif
