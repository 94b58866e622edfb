/* What follows from a step of a task's state: the one place where a task is delivered, queued
 * again, put to rest or forgotten. */
#include "state.h"

#include <stdio.h>
#include <string.h>

static void forget(struct core *core, struct task *task)
{
    timers_stop(&core->timers, task);
    task_free(&core->slab, task);
}

void settle(struct core *core,
            struct task *task,
            enum task_event event,
            const struct wire_attempt *outcome)
{
    const bool rested = task->state == TASK_RESTING;
    const enum task_action action = task_step(task, event);

    core->counters.resting -= rested && action != TASK_REFUSE;
    switch (action) {
    case TASK_DELIVER:
        session_deliver(core, task, outcome);
        forget(core, task);
        return;
    case TASK_DROP: forget(core, task); return;
    case TASK_QUEUE_BACK: session_queue(core, task, false); return;
    case TASK_QUEUE_FRONT: session_queue(core, task, true); return;
    case TASK_REST: core->counters.resting++; return;
    case TASK_REFUSE:
    case TASK_WAIT:
    case TASK_SEND:
    case TASK_SEND_REVOKE: core->counters.illegal++; return;
    }
}

void settle_failure(struct core *core,
                    struct task *task,
                    enum task_event event,
                    enum wire_outcome outcome,
                    const struct wire_failure *failure)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(256);
    struct wire_attempt attempt = {.outcome = outcome};

    /* Without memory it is delivered without a reason. */
    if (bytes != NULL && wire_put_failure(bytes, failure) == 0)
        attempt.bytes = (struct wire_bytes){bytes->data, bytes->size};
    settle(core, task, event, &attempt);
}

/* It was not started in time. */
static void expire(struct core *core, struct task *task)
{
    const uint32_t expires_ms = task->terms->options.expires_ms;
    char text[64];

    snprintf(text, sizeof(text), "not started within %u ms", expires_ms);
    const struct wire_failure failure = {
        .code = expires_ms,
        .text = {(const uint8_t *)text, strlen(text)},
    };

    session_unqueue(core, task);
    settle_failure(core, task, TASK_EXPIRE, WIRE_EXPIRED, &failure);
}

void settle_due(struct core *core)
{
    struct task *task = NULL;

    while ((task = timers_first(&core->timers)) != NULL && task->terms->due_ms <= core->now_ms) {
        timers_stop(&core->timers, task);
        if (task->state == TASK_RESTING)
            settle(core, task, TASK_DUE, NULL);
        else
            expire(core, task);
    }
}
