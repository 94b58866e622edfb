/* Invariants: a tie hangs on its source exactly while it has one; `stuck` counts the list. */
#include "ties.h"

#include "state.h"

#include <utlist.h>

/* ---- the list ---- */

int ties_set(struct core *core, struct durable *d, struct wire_bytes ids)
{
    struct wire_cursor c = wire_cursor_of(ids.data, ids.size);
    const size_t count = ids.size / TIES_ID_BYTES;

    if (count == 0 || count > WIRE_INPUTS_MAX || ids.size % TIES_ID_BYTES != 0)
        return -EPROTO;
    struct ties *ties = calloc(1, sizeof(*ties) + count * sizeof(ties->list[0]));
    if (ties == NULL)
        return -ENOMEM;
    ties->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        ties->list[i] = (struct tie){.taker = d, .id = wire_get_u64(&c)};
    ties_drop(core, d);
    d->ties = ties;
    core->durables.body_bytes += ids.size;
    return 0;
}

size_t ties_bytes(const struct durable *d)
{
    return d->ties != NULL ? d->ties->count * (size_t)TIES_ID_BYTES : 0;
}

static void untie(struct core *core, struct tie *tie)
{
    struct durable *source = tie->source;

    if (source == NULL)
        return;
    DL_DELETE(source->takers, tie);
    tie->source = NULL;
    if (source->takers == NULL && source->unwanted)
        durable_expire(core, source);
}

void ties_drop(struct core *core, struct durable *d)
{
    if (d->ties == NULL)
        return;
    core->durables.body_bytes -= ties_bytes(d);
    for (uint32_t i = 0; i < d->ties->count; i++)
        untie(core, &d->ties->list[i]);
    free(steal(&d->ties));
}

uint64_t ties_missing(const struct durable *d)
{
    for (uint32_t i = 0; d->ties != NULL && i < d->ties->count; i++) {
        if (d->ties->list[i].source == NULL)
            return d->ties->list[i].id;
    }
    return 0;
}

/* ---- one tie ---- */

enum tie_state {
    TIE_OPEN,
    TIE_GOOD,
    TIE_FORGIVEN,
    TIE_FAILED,
};

static enum tie_state state_of(const struct tie *tie, struct wire_attempt *outcome)
{
    const struct durable *source = tie->source;

    if (source == NULL)
        return TIE_FAILED;
    if (source->state != DURABLE_DONE)
        return TIE_OPEN;
    if (record_get_done(source->body, outcome, NULL) == 0 && outcome->outcome == WIRE_OK)
        return TIE_GOOD;
    return source->forgiven ? TIE_FORGIVEN : TIE_FAILED;
}

uint64_t ties_waits_for(const struct durable *d)
{
    struct wire_attempt outcome;
    uint64_t open = 0;

    for (uint32_t i = 0; d->ties != NULL && i < d->ties->count; i++) {
        const enum tie_state state = state_of(&d->ties->list[i], &outcome);

        if (state == TIE_FAILED)
            return d->ties->list[i].id;
        if (state == TIE_OPEN && open == 0)
            open = d->ties->list[i].id;
    }
    return open;
}

/* Its place among the inputs of the taker's task is what its source is. */
static void fill(const struct tie *tie, struct task *task)
{
    const uint32_t index = (uint32_t)(tie - tie->taker->ties->list);
    struct wire_attempt outcome;

    switch (state_of(tie, &outcome)) {
    case TIE_OPEN: inputs_reopen(task, index); return;
    case TIE_GOOD: inputs_fill(task, index, tie->source->body, outcome.bytes); return;
    case TIE_FORGIVEN: inputs_fill(task, index, NULL, (struct wire_bytes){NULL, 0}); return;
    case TIE_FAILED: inputs_fail(task, index); return;
    }
}

int ties_hold(struct core *core, struct durable *d)
{
    struct task *task = d->task;

    if (inputs_hold(core, task, d->ties->count) != 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < d->ties->count; i++)
        fill(&d->ties->list[i], task);
    inputs_changed(core, task);
    return 0;
}

/* ---- what is stuck ---- */

/* What waits for it waits in vain. */
static bool holds_up(const struct durable *source)
{
    struct wire_attempt outcome;

    if (source == NULL || ties_are_stuck(source->ties))
        return true;
    return source->state == DURABLE_DONE && !source->forgiven &&
           (record_get_done(source->body, &outcome, NULL) != 0 || outcome.outcome != WIRE_OK);
}

/* True: that changes what its taker is for others. */
static bool set_stuck(struct tie *tie, bool stuck)
{
    struct ties *all = tie->taker->ties;

    if (tie->stuck == stuck)
        return false;
    tie->stuck = stuck;
    all->stuck += stuck ? 1U : -1U;
    return all->stuck == (stuck ? 1U : 0U);
}

/* From this one on, without recursion: chains may be long. Nothing comes onto the list twice, as all
 * changes are in the same direction. */
static void spread(struct core *core, struct durable *first)
{
    struct durable *work = first;
    struct tie *tie = NULL;

    first->work_next = NULL;
    while (work != NULL) {
        const struct durable *source = work;
        const bool stuck = holds_up(source);

        work = source->work_next;
        DL_FOREACH (source->takers, tie) {
            if (!set_stuck(tie, stuck))
                continue;
            tie->taker->work_next = work;
            work = tie->taker;
            if (stuck)
                durable_tell_stuck(core, work);
        }
    }
}

void ties_up(struct core *core, struct durable *d)
{
    for (uint32_t i = 0; d->ties != NULL && i < d->ties->count; i++) {
        struct tie *tie = &d->ties->list[i];

        /* Itself is none that it could wait for. */
        tie->source = tie->id != d->id ? durable_find(core, tie->id) : NULL;
        if (tie->source != NULL)
            DL_APPEND(tie->source->takers, tie);
        if (set_stuck(tie, holds_up(tie->source)))
            spread(core, d);
    }
}

void ties_cut(struct core *core, struct durable *d)
{
    while (d->takers != NULL) {
        struct tie *tie = d->takers;

        DL_DELETE(d->takers, tie);
        tie->source = NULL;
        if (set_stuck(tie, true))
            spread(core, tie->taker);
    }
}

/* ---- telling ---- */

static bool is_waiting(const struct durable *d)
{
    return d->state == DURABLE_LIVE && d->task != NULL &&
           (d->task->state == TASK_HELD || d->task->state == TASK_BLOCKED);
}

void ties_tell(struct core *core, struct durable *d)
{
    struct tie *tie = NULL;

    spread(core, d);
    DL_FOREACH (d->takers, tie) {
        if (!is_waiting(tie->taker))
            continue;
        fill(tie, tie->taker->task);
        inputs_changed(core, tie->taker->task);
    }
}
