/* What follows from a step of a task's state: the one place where a task is delivered, queued
 * again, put to rest or forgotten. */
#include "state.h"

#include <stdio.h>
#include <string.h>

static void forget(struct core *core, struct task *task)
{
    if (task->session != NULL)
        lane_leave(core, task);
    class_unref(core, task->class);
    inputs_drop(task);
    timers_stop(&core->timers, task);
    task_free(&core->slab, task);
}

/* What became of a cancelled task. Only what its agent vouches for counts as not begun, and only if
 * that was the first to hold it: of an attempt that was lost nobody knows how far it came, nor of those
 * under an earlier broker. */
static enum wire_cancelled
answer_of(const struct task *task, enum task_event event, const struct wire_attempt *outcome)
{
    struct wire_failure failure;

    if (event == TASK_CANCEL)
        return task->attempt == 0 && !task->inherited ? WIRE_NEVER_RAN : WIRE_DISCARDED;
    if (event == TASK_CRASH || event == TASK_CRASH_LAST)
        return WIRE_STOPPED;
    if (event != TASK_OUTCOME || outcome->outcome != WIRE_CANCELLED ||
        wire_get_failure(outcome->bytes, &failure) != 0)
        return WIRE_DISCARDED;
    if (failure.code == WIRE_NEVER_RAN && task->attempt == 1 && !task->inherited && !task->copied)
        return WIRE_NEVER_RAN;
    return failure.code == WIRE_STOPPED ? WIRE_STOPPED : WIRE_DISCARDED;
}

/* An outcome with a failure; its bytes are those of *bytes, which the caller drops. Without memory
 * it has no reason. */
static struct wire_attempt
outcome_with(enum wire_outcome outcome, const struct wire_failure *failure, struct blob **bytes)
{
    struct wire_attempt attempt = {.outcome = outcome};

    *bytes = blob_new(256);
    if (*bytes != NULL && wire_put_failure(*bytes, failure) == 0)
        attempt.bytes = (struct wire_bytes){(*bytes)->data, (*bytes)->size};
    return attempt;
}

static struct wire_bytes text_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void deliver_cancelled(struct core *core,
                              struct task *task,
                              enum task_event event,
                              const struct wire_attempt *outcome)
{
    const enum wire_cancelled answer = answer_of(task, event, outcome);
    const struct wire_failure failure = {
        .code = answer,
        .text = text_of(wire_cancelled_text(answer)),
    };
    struct blob *bytes CLEANUP(blob_unref_p) = NULL;
    const struct wire_attempt attempt = outcome_with(WIRE_CANCELLED, &failure, &bytes);

    session_deliver(core, task, &attempt);
}

/* How many tasks are in this state; NULL: not counted here. */
static uint64_t *gauge_of(struct core *core, enum task_state state)
{
    if (state == TASK_RESTING)
        return &core->counters.resting;
    if (state == TASK_HELD)
        return &core->counters.held;
    return state == TASK_BLOCKED ? &core->counters.blocked : NULL;
}

/* The task has left this state, and is in its next. */
static void count_states(struct core *core, enum task_state before, enum task_state now)
{
    uint64_t *left = gauge_of(core, before);
    uint64_t *entered = gauge_of(core, now);

    if (left != NULL)
        --*left;
    if (entered != NULL)
        ++*entered;
}

void settle(struct core *core,
            struct task *task,
            enum task_event event,
            const struct wire_attempt *outcome)
{
    const enum task_state before = task->state;
    const enum task_action action = task_step(task, event);

    count_states(core, before, task->state);
    switch (action) {
    case TASK_DELIVER:
        if (before == TASK_STOPPING || event == TASK_CANCEL)
            deliver_cancelled(core, task, event, outcome);
        else
            session_deliver(core, task, outcome);
        forget(core, task);
        return;
    case TASK_DROP: forget(core, task); return;
    case TASK_QUEUE_BACK: session_queue(core, task, false); return;
    case TASK_QUEUE_FRONT: session_queue(core, task, true); return;
    case TASK_REST:
    case TASK_WAIT: return;
    case TASK_REFUSE:
    case TASK_SEND:
    case TASK_KEEP:
    case TASK_SEND_REVOKE: core->counters.illegal++; return;
    }
}

void settle_failure(struct core *core,
                    struct task *task,
                    enum task_event event,
                    enum wire_outcome outcome,
                    const struct wire_failure *failure)
{
    struct blob *bytes CLEANUP(blob_unref_p) = NULL;
    const struct wire_attempt attempt = outcome_with(outcome, failure, &bytes);

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
        .text = text_of(text),
    };

    if (task->state == TASK_READY)
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
        else if (task->state == TASK_LEASED)
            copies_due(core, task);
        else
            expire(core, task);
    }
}
