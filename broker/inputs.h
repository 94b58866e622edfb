/* Results of other tasks that a task waits for, and receives with its argument. Source: docs/PROTOCOL.md
 * section 5, "Inputs".
 *
 * Each input is known by itself, as a place in its task's list: so a completion that comes twice fills
 * one place twice, and opens nothing early. An input that is still to come hangs on its source, the task
 * whose result it is; a source that has ended takes with it all that hung there. Pure; one thread. */
#ifndef BROKER_INPUTS_H
#define BROKER_INPUTS_H

#include "base/blob.h"
#include "base/err.h"
#include "base/wire.h"

#include <stddef.h>
#include <stdint.h>

struct core;
struct session;
struct task;

/* Bytes of results that the broker keeps for the tasks of one session. */
#define INPUTS_KEPT_BYTES ((uint64_t)256 << 20)

enum input_state {
    INPUT_OPEN, /* its source has not ended, or the client was asked for its result */
    INPUT_GOOD,
    INPUT_FAILED,
};

struct input {
    struct task *taker;  /* whose input it is */
    struct task *source; /* while it hangs there; NULL: it does not */
    struct input *prev;  /* of those that hang on the same source */
    struct input *next;
    struct blob *blob; /* GOOD: shared, holds the bytes; NULL: there are none */
    const uint8_t *data;
    uint32_t size;
    uint8_t state; /* enum input_state */
};

struct inputs {
    uint32_t count;
    uint32_t open;   /* of the list */
    uint32_t failed; /* likewise */
    uint64_t bytes;  /* of those that are there */
    struct input list[];
};

/* Give a new READY task the inputs of its run, and put it into HELD, BLOCKED or its queue. `frame` holds
 * the values. -EPROTO: an input that cannot be; -ENOMEM. The task is the session's in any case. */
NODISCARD int
inputs_give(struct core *core, struct task *task, const struct wire_run *run, struct blob *frame);

/* The same in steps, by who knows what the inputs are: a new READY task is HELD, and all of its inputs are
 * open, -ENOMEM; one of them is there (it shares the blob), or will not come, or is open again; and
 * what follows from that for the task: it may have ended then. */
NODISCARD int inputs_hold(struct core *core, struct task *task, uint32_t count);
void inputs_fill(struct task *task, uint32_t index, struct blob *blob, struct wire_bytes bytes);
void inputs_fail(struct task *task, uint32_t index);
void inputs_reopen(struct task *task, uint32_t index);
void inputs_changed(struct core *core, struct task *task);

/* INPUT: the client says what an input is now. -EPROTO, -ENOMEM. */
NODISCARD int inputs_take(struct core *core,
                          struct session *s,
                          const struct wire_header *header,
                          struct wire_cursor *body,
                          struct blob *frame);

/* A task has ended like this: whoever waits for it gets its result, or is BLOCKED. */
void inputs_source_ended(struct core *core, struct task *task, const struct wire_attempt *outcome);

/* A task is forgotten: it leaves its sources, and what hung on it hangs on nothing. */
void inputs_drop(struct task *task);

/* The bundle of a task with inputs: see WIRE_TASK_BUNDLE. Its size; and put it, there is room. */
size_t inputs_bundle_bytes(const struct task *task);
void inputs_put_bundle(struct blob *frame, const struct task *task);

#endif
