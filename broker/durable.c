/* The life of a durable task. Invariants: it has a task exactly while LIVE (or memory was short);
 * submitters only while ACCEPTING; waiters never once DONE. */
#include "durable.h"

#include "state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* Tasks for which there was no memory, or no class, are looked at again after this. */
#define FEED_MS 100

int durables_init(struct core *core, int64_t keep_ms)
{
    struct durables *all = &core->durables;

    all->peer = calloc(1, sizeof(*all->peer));
    if (all->peer == NULL)
        return -ENOMEM;
    all->peer->role = WIRE_CLIENT;
    if (session_open(core, all->peer) != 0) {
        free(all->peer);
        all->peer = NULL;
        return -ENOMEM;
    }
    core->counters.sessions--; /* it is nobody's */
    all->session = all->peer->session;
    all->keep_ms = keep_ms;
    all->state = CORE_JOURNAL_AWAY;
    all->down_ms = core->now_ms;
    return 0;
}

static void free_durable(struct durable *d)
{
    blob_unref(d->body);
    free(d->ties);
    free(d->needs);
    free(d);
}

void durables_fini(struct core *core)
{
    struct durables *all = &core->durables;
    struct durable *d = NULL;
    struct durable *next = NULL;

    HASH_ITER (hh, all->by_id, d, next) {
        HASH_DEL(all->by_id, d);
        if (d->task != NULL)
            inputs_drop(d->task);
        free_durable(d);
    }
    session_free(core, all->session);
    free(all->peer);
    blob_unref(all->batch);
}

struct durable *durable_find(const struct core *core, uint64_t id)
{
    struct durable *d = NULL;

    HASH_FIND(hh, core->durables.by_id, &id, sizeof(id), d);
    return d;
}

int durable_request(const struct durable *d, struct record_task *out)
{
    struct wire_bytes task = {d->body->data, d->body->size};
    struct wire_attempt outcome;

    if ((d->state == DURABLE_ENDING || d->state == DURABLE_DONE) &&
        record_get_done(d->body, &outcome, &task) != 0)
        return -EPROTO;
    return record_get_task(task, out);
}

static void set_body(struct core *core, struct durable *d, struct blob *body)
{
    if (d->body != NULL)
        core->durables.body_bytes -= d->body->size;
    blob_unref(d->body);
    d->body = body;
    core->durables.body_bytes += body->size;
}

/* ---- telling ---- */

void durable_tell(struct core *core, const struct durable *d, struct task *task)
{
    struct wire_attempt outcome;

    if (record_get_done(d->body, &outcome, NULL) != 0) {
        ask_refuse(core, task, "the outcome of durable task %016llx is damaged",
                   (unsigned long long)d->id);
        return;
    }
    task->attempt = outcome.attempt;
    ask_answer(core, task, &outcome);
}

static struct task *pop(struct task_list *list)
{
    struct task *task = list->head;

    if (task != NULL)
        task_list_remove(list, task);
    return task;
}

/* The first source whose end, or absence, holds it up: down a chain of sources that are stuck. */
static uint64_t culprit_of(const struct durable *d)
{
    uint64_t id = 0;

    while (d != NULL && ties_are_stuck(d->ties)) {
        const struct tie *tie = d->ties->list;

        while (!tie->stuck)
            tie++;
        id = tie->id;
        d = tie->source != NULL && tie->source->state != DURABLE_DONE ? tie->source : NULL;
    }
    return id;
}

void durable_answer_stuck(struct core *core, const struct durable *d, struct task *task)
{
    char text[160];

    snprintf(
        text, sizeof(text),
        "durable task %016llx waits for %016llx, which did not end well or is not kept: retry or "
        "forgive that, or cancel this",
        (unsigned long long)d->id, (unsigned long long)culprit_of(d));
    const struct wire_failure failure = {.text = {(const uint8_t *)text, strlen(text)}};

    task->asked = NULL;
    settle_failure(core, task, TASK_OUTCOME, WIRE_BLOCKED, &failure);
}

void durable_tell_stuck(struct core *core, struct durable *d)
{
    struct task *task = NULL;

    if (d->state != DURABLE_ACCEPTING && d->state != DURABLE_LIVE)
        return;
    while ((task = pop(&d->waiters)) != NULL)
        durable_answer_stuck(core, d, task);
}

static void answer_well(struct core *core, struct task_list *list)
{
    const struct wire_attempt outcome = {.outcome = WIRE_OK};
    struct task *task = NULL;

    while ((task = pop(list)) != NULL)
        ask_answer(core, task, &outcome);
}

static void done(struct core *core, struct durable *d)
{
    struct task *task = NULL;

    d->state = DURABLE_DONE;
    d->ended_ms = core->now_ms;
    DL_APPEND2(core->durables.done, d, done_prev, done_next);
    while ((task = pop(&d->waiters)) != NULL)
        durable_tell(core, d, task);
    answer_well(core, &d->submitters);
    ties_tell(core, d);
}

/* ---- coming and going ---- */

struct durable *durable_new(struct core *core, uint64_t id, struct blob *body)
{
    struct durable *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        blob_unref(body);
        return NULL;
    }
    d->id = id;
    d->state = DURABLE_ACCEPTING;
    set_body(core, d, body);
    HASH_ADD(hh, core->durables.by_id, id, sizeof(d->id), d);
    core->counters.durable++;
    core->durables.accepting++;
    return d;
}

int durable_need(struct durable *d, struct wire_bytes needs)
{
    char *const text = malloc(needs.size + 1);

    if (text == NULL)
        return -ENOMEM;
    wire_text_copy(needs, text, needs.size + 1);
    free(d->needs);
    d->needs = text;
    return 0;
}

struct durable *
durable_for_constant(struct core *core, struct constant *constant, struct blob *body, bool in)
{
    struct durable *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        blob_unref(body);
        return NULL;
    }
    d->constant = constant;
    d->state = in ? DURABLE_DONE : DURABLE_ACCEPTING;
    core->durables.accepting += !in;
    core->durables.constant_bytes += body->size;
    set_body(core, d, body);
    return d;
}

void durable_free_constant(struct core *core, struct durable *d)
{
    struct durables *all = &core->durables;

    ledger_remove(core, d);
    all->accepting -= d->state == DURABLE_ACCEPTING;
    all->constant_bytes -= d->body->size;
    all->body_bytes -= d->body->size;
    free_durable(d);
}

int durable_restore(struct core *core,
                    struct durable *d,
                    const struct record *record,
                    struct blob *body)
{
    const bool ended = record->type == RECORD_DONE;

    if (body == NULL)
        return -ENOMEM;
    if (d == NULL) {
        d = calloc(1, sizeof(*d));
        if (d == NULL) {
            blob_unref(body);
            return -ENOMEM;
        }
        d->id = record->id;
        d->state = DURABLE_LIVE;
        d->inherited = true;
        HASH_ADD(hh, core->durables.by_id, id, sizeof(d->id), d);
        core->counters.durable++;
    }
    set_body(core, d, body);
    ties_drop(core, d); /* records of what else is known follow */
    d->forgiven = false;
    if (ended && d->state != DURABLE_DONE)
        done(core, d);
    if (!ended && d->state == DURABLE_DONE) {
        DL_DELETE2(core->durables.done, d, done_prev, done_next); /* it was tried again */
        d->state = DURABLE_LIVE;
    }
    return 0;
}

void durable_forget(struct core *core, struct durable *d)
{
    struct durables *all = &core->durables;

    ledger_remove(core, d);
    ties_drop(core, d);
    ties_cut(core, d);
    if (d->state == DURABLE_DONE)
        DL_DELETE2(all->done, d, done_prev, done_next);
    all->accepting -= d->state == DURABLE_ACCEPTING;
    HASH_DEL(all->by_id, d);
    all->body_bytes -= d->body->size;
    core->counters.durable--;
    free_durable(d);
}

/* ---- running ---- */

/* It has ended so. */
static void end_with(struct core *core,
                     struct durable *d,
                     const struct wire_attempt *outcome,
                     uint16_t attempts)
{
    struct blob *body = record_done_body(outcome, attempts, d->body);

    d->task = NULL;
    if (body == NULL) {
        /* An outcome that cannot be kept is none: it runs again. */
        core->durables.starving = true;
        return;
    }
    set_body(core, d, body);
    d->state = DURABLE_ENDING;
    if (outcome->outcome == WIRE_OK)
        ties_drop(core, d); /* else it may be tried again, and needs them */
    ledger_write(core, d);
}

/* It can never run. */
static void refuse(struct core *core, struct durable *d)
{
    static const char text[] = "the broker keeps no more functions";
    const struct wire_failure failure = {.text = {(const uint8_t *)text, sizeof(text) - 1}};
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(64);
    struct wire_attempt outcome = {.outcome = WIRE_REFUSED_TASK};

    if (bytes != NULL && wire_put_failure(bytes, &failure) == 0)
        outcome.bytes = (struct wire_bytes){bytes->data, bytes->size};
    end_with(core, d, &outcome, 0);
}

/* NULL: no memory, or too many different needs of unfinished tasks: later. */
static struct task *task_for(struct core *core,
                             const struct durable *d,
                             const struct record_task *record,
                             const struct function *function)
{
    struct session *s = core->durables.session;
    const struct wire_bytes needs = {(const uint8_t *)d->needs,
                                     d->needs != NULL ? strlen(d->needs) : 0};
    bool bad = false; /* it was read once */
    struct class *class = class_get(core, needs, &bad);
    struct task *task = NULL;

    if (class == NULL)
        return NULL;
    class_ref(class);
    task = session_new_task(core, s, class, &record->options);
    class_unref(core, class);
    if (task == NULL)
        return NULL;
    task->argument = record->argument.data;
    task->argument_bytes = (uint32_t)record->argument.size;
    task->limit_ms = record->limit_ms;
    task->function = function->number;
    s->bytes += record->argument.size;
    return task;
}

/* No memory for what its new task waits for: later. */
static void give_up(struct core *core, struct durable *d)
{
    struct session *s = core->durables.session;
    struct task *task = steal(&d->task);

    roster_remove(&s->tasks, task->no);
    s->bytes -= task->argument_bytes;
    core->counters.accepted--;
    settle(core, task, TASK_ABANDON, NULL);
    core->durables.starving = true;
}

void durable_start(struct core *core, struct durable *d)
{
    struct record_task record;
    struct function *function = NULL;

    d->state = DURABLE_LIVE;
    if (durable_request(d, &record) == 0)
        function = functions_define(core, &record.function);
    if (function == NULL) {
        refuse(core, d);
        return;
    }
    d->task = task_for(core, d, &record, function);
    if (d->task == NULL) {
        core->durables.starving = true;
        return;
    }
    d->task->durable = d;
    d->task->inherited = d->inherited;
    d->task->frame = blob_ref(d->body);
    core->counters.accepted++;
    if (d->ties == NULL)
        session_queue(core, d->task, false);
    else if (ties_hold(core, d) != 0)
        give_up(core, d);
}

void durable_end(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    end_with(core, task->durable, outcome, task->attempt);
}

int durable_retry(struct core *core, struct durable *d)
{
    struct wire_attempt outcome;
    struct wire_bytes task = {NULL, 0};

    if (record_get_done(d->body, &outcome, &task) != 0)
        return -EPROTO;
    struct blob *body = blob_new(task.size);
    if (body == NULL)
        return -ENOMEM;
    wire_put_bytes(body, task.data, task.size);
    DL_DELETE2(core->durables.done, d, done_prev, done_next);
    set_body(core, d, body);
    d->state = DURABLE_ACCEPTING;
    d->retried = true;
    d->forgiven = false;
    d->unwanted = false;
    d->inherited = false; /* what it asks for now is new */
    core->durables.accepting++;
    ledger_write(core, d);
    ties_tell(core, d);
    return 0;
}

void durable_forgive(struct core *core, struct durable *d)
{
    if (d->state == DURABLE_DONE)
        DL_DELETE2(core->durables.done, d, done_prev, done_next);
    d->forgiven = true;
    d->state = DURABLE_ENDING;
    ledger_write(core, d);
}

void durable_expire(struct core *core, struct durable *d)
{
    struct durables *all = &core->durables;

    if (d->state != DURABLE_DONE)
        return;
    DL_DELETE2(all->done, d, done_prev, done_next);
    d->ended_ms = core->now_ms - all->keep_ms;
    DL_PREPEND2(all->done, d, done_prev, done_next);
}

/* ---- in the journal ---- */

static void accepted(struct core *core, struct durable *d)
{
    core->durables.accepting--;
    if (d->constant != NULL)
        d->state = DURABLE_DONE; /* it may be read now */
    answer_well(core, &d->submitters);
    if (d->constant == NULL)
        durable_start(core, d);
}

void durable_confirm(struct core *core, struct durable *d)
{
    if (d->state == DURABLE_ACCEPTING)
        accepted(core, d);
    else if (d->state == DURABLE_ENDING)
        done(core, d);
}

/* ---- time ---- */

static void feed(struct core *core)
{
    struct durable *next = NULL;

    core->durables.starving = false;
    core->durables.fed_ms = core->now_ms;
    for (struct durable *d = core->durables.oldest; d != NULL; d = next) {
        next = d->next;
        if (d->state == DURABLE_LIVE && d->task == NULL)
            durable_start(core, d);
    }
}

/* It would be forgotten now, but others wait for it. */
static void put_off(struct core *core, struct durable *d)
{
    struct durables *all = &core->durables;

    d->unwanted = true;
    d->ended_ms = core->now_ms + 1; /* later than now: the loop ends */
    DL_DELETE2(all->done, d, done_prev, done_next);
    DL_APPEND2(all->done, d, done_prev, done_next);
}

void durables_turn(struct core *core)
{
    struct durables *all = &core->durables;

    if (!all->open)
        return;
    if (all->starving && core->now_ms - all->fed_ms >= FEED_MS)
        feed(core);
    while (all->done != NULL && core->now_ms - all->done->ended_ms >= all->keep_ms) {
        if (all->done->takers != NULL) {
            put_off(core, all->done);
            continue;
        }
        ledger_write_forget(core, all->done->id);
        durable_forget(core, all->done);
    }
}
