/* Tasks for the broker itself: no agent ever sees them. A task that asks stands in one list until
 * it is answered: `early`, or that of the durable task which it waits for. */
#include "durable.h"

#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NO_JOURNAL "this broker keeps no durable tasks: it was started without --journal"

enum core_ask ask_of_function(const struct wire_function *wire)
{
    static const struct {
        const char *name;
        enum core_ask ask;
    } rows[] = {
        {"broker.submit", ASK_SUBMIT},   {"broker.submit_after", ASK_SUBMIT_AFTER},
        {"broker.forgive", ASK_FORGIVE}, {"broker.wait", ASK_WAIT},
        {"broker.forget", ASK_FORGET},   {"broker.cancel", ASK_CANCEL},
        {"broker.retry", ASK_RETRY},     {"broker.list", ASK_LIST},
        {"broker.set", ASK_SET},         {"broker.get", ASK_GET},
        {"broker.unset", ASK_UNSET},
    };

    for (size_t i = 0; wire->program.size == 0 && i < COUNT_OF(rows); i++) {
        if (wire->name.size == strlen(rows[i].name) &&
            memcmp(wire->name.data, rows[i].name, wire->name.size) == 0)
            return rows[i].ask;
    }
    return ASK_NOTHING;
}

/* ---- answers ---- */

void ask_answer(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    task->asked = NULL;
    settle(core, task, TASK_OUTCOME, outcome);
}

static void answer_well(struct core *core, struct task *task)
{
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}

void ask_refuse(struct core *core, struct task *task, const char *format, ...)
{
    char text[600]; /* room for the name of a constant, and for who set it */
    va_list fields;

    va_start(fields, format);
    vsnprintf(text, sizeof(text), format, fields);
    va_end(fields);
    const struct wire_failure failure = {.text = {(const uint8_t *)text, strlen(text)}};

    task->asked = NULL;
    settle_failure(core, task, TASK_OUTCOME, WIRE_REFUSED_TASK, &failure);
}

void ask_refuse_all(struct core *core, struct task_list *list, const char *text)
{
    while (list->head != NULL) {
        struct task *task = list->head;

        task_list_remove(list, task);
        ask_refuse(core, task, "%s", text);
    }
}

void ask_wait_in(struct task *task, struct task_list *list)
{
    task_list_push_back(list, task);
    task->asked = list;
}

/* ---- the journal's state ---- */

const char *ask_trouble(const struct core *core, char text[300])
{
    const struct durables *all = &core->durables;
    const bool patient = core->now_ms - all->down_ms < DURABLE_PATIENCE_MS;

    if (all->session == NULL)
        return NO_JOURNAL;
    if (all->state == CORE_JOURNAL_UP || (all->state == CORE_JOURNAL_AWAY && patient))
        return NULL;
    snprintf(text, 300, "the journal %s: %s",
             all->state == CORE_JOURNAL_FULL ? "is full" : "does not answer", all->reason);
    return text;
}

/* Those who were not accepted yet never will be; their records may be in the journal. */
static void refuse_unaccepted(struct core *core, const char *why)
{
    struct durable *next = NULL;

    for (struct durable *d = core->durables.unconfirmed; d != NULL && core->durables.accepting > 0;
         d = next) {
        next = d->next;
        if (d->state != DURABLE_ACCEPTING)
            continue;
        ask_refuse_all(core, &d->submitters, why);
        if (d->retried)
            continue; /* it was accepted once: it is tried again, only later */
        ask_refuse_all(core, &d->waiters, why);
        if (d->constant != NULL) {
            constants_withdraw(core, d->constant);
            continue;
        }
        ledger_write_forget(core, d->id);
        durable_forget(core, d);
    }
}

void ask_impatient(struct core *core)
{
    char text[300];
    const char *why = ask_trouble(core, text);

    if (why == NULL)
        return;
    ask_refuse_all(core, &core->durables.early, why);
    refuse_unaccepted(core, why);
}

void ask_journal_changed(struct core *core, enum core_journal state, const char *reason)
{
    struct durables *all = &core->durables;

    if (state != CORE_JOURNAL_UP && all->state == CORE_JOURNAL_UP)
        all->down_ms = core->now_ms;
    all->state = state;
    snprintf(all->reason, sizeof(all->reason), "%s", reason);
}

/* ---- requests ---- */

/* Is this id too much? Then the task is refused. */
static bool is_over_limit(struct core *core, struct task *task)
{
    const struct durables *all = &core->durables;

    if (core->counters.durable < DURABLE_TASKS_MAX &&
        all->body_bytes - all->constant_bytes + task->argument_bytes <= DURABLE_BYTES_MAX)
        return false;
    ask_refuse(core, task,
               "the broker keeps %llu durable tasks with %llu MiB already: wait for results, "
               "and forget them",
               (unsigned long long)core->counters.durable,
               (unsigned long long)((all->body_bytes - all->constant_bytes) >> 20));
    return true;
}

/* It is new, and waits for these: tie it up, or forget it. */
static bool tie(struct core *core, struct task *task, struct durable *d, struct wire_bytes after)
{
    const int result = ties_set(core, d, after);

    if (result == 0)
        ties_up(core, d);
    if (result == 0 && ties_missing(d) == 0)
        return true;
    if (result == -EPROTO)
        ask_refuse(core, task, "a durable task waits for 1 to %u others", WIRE_INPUTS_MAX);
    else if (result != 0)
        ask_refuse(core, task, "the broker is out of memory");
    else
        ask_refuse(core, task, "it waits for durable task %016llx, which is not kept here",
                   (unsigned long long)ties_missing(d));
    durable_forget(core, d);
    return false;
}

/* `after`: ids of others that it waits for. */
static void submit_new(struct core *core,
                       struct task *task,
                       uint64_t id,
                       struct wire_bytes after,
                       struct wire_cursor *c)
{
    const struct wire_bytes request = wire_get_bytes(c, (size_t)(c->end - c->at));
    const struct wire_options none = {.retries = 0};
    struct record_task record;

    if (is_over_limit(core, task))
        return;
    struct blob *body = record_task_body(
        task->limit_ms, task->terms != NULL ? &task->terms->options : &none, request);
    if (body != NULL &&
        (record_get_task((struct wire_bytes){body->data, body->size}, &record) != 0 ||
         ask_of_function(&record.function) != ASK_NOTHING)) {
        blob_unref(body);
        ask_refuse(core, task, "a durable task that does not decode");
        return;
    }
    struct durable *d = body != NULL ? durable_new(core, id, body) : NULL;
    if (d == NULL) {
        ask_refuse(core, task, "the broker is out of memory");
        return;
    }
    if (task->class != &core->ordinary) {
        const char *const needs = task->class->text;

        if (durable_need(d, (struct wire_bytes){(const uint8_t *)needs, strlen(needs)}) != 0) {
            ask_refuse(core, task, "the broker is out of memory");
            durable_forget(core, d);
            return;
        }
    }
    if (after.size != 0 && !tie(core, task, d, after))
        return;
    ledger_write(core, d);
    ask_wait_in(task, &d->submitters);
}

/* The ids of what it waits for: a count of 32 bits, and so many. */
static struct wire_bytes read_after(struct wire_cursor *c)
{
    const uint32_t count = wire_get_u32(c);

    return wire_get_bytes(c, count * (size_t)TIES_ID_BYTES);
}

/* It is kept: it is the same task. */
static void take_again(struct core *core, struct task *task, struct durable *d)
{
    d->unwanted = false;
    answer_well(core, task);
}

static void take_submit(
    struct core *core, struct task *task, enum core_ask what, uint64_t id, struct wire_cursor *c)
{
    const struct wire_bytes after =
        what == ASK_SUBMIT_AFTER ? read_after(c) : (struct wire_bytes){NULL, 0};
    struct durable *d = durable_find(core, id);
    char text[300];
    const char *why = ask_trouble(core, text);

    if (d != NULL && d->state == DURABLE_ACCEPTING)
        ask_wait_in(task, &d->submitters);
    else if (d != NULL)
        take_again(core, task, d);
    else if (c->bad)
        ask_refuse(core, task, "a durable task that does not decode");
    else if (why != NULL)
        ask_refuse(core, task, "%s", why);
    else
        submit_new(core, task, id, after, c);
}

static void refuse_unknown(struct core *core, struct task *task, uint64_t id)
{
    ask_refuse(core, task,
               "no durable task %016llx is kept here: it was not accepted, or has been forgotten",
               (unsigned long long)id);
}

static void take_wait(struct core *core, struct task *task, uint64_t id)
{
    struct durable *d = durable_find(core, id);

    if (d == NULL)
        refuse_unknown(core, task, id);
    else if (d->state == DURABLE_DONE)
        durable_tell(core, d, task);
    else if (d->state != DURABLE_ENDING && ties_are_stuck(d->ties))
        durable_answer_stuck(core, d, task);
    else
        ask_wait_in(task, &d->waiters);
}

/* What is not there is forgotten. */
static void take_forget(struct core *core, struct task *task, uint64_t id)
{
    struct durable *d = durable_find(core, id);

    if (d != NULL && d->state != DURABLE_DONE) {
        ask_refuse(core, task, "durable task %016llx has not ended", (unsigned long long)id);
        return;
    }
    if (d != NULL && d->takers != NULL) {
        d->unwanted = true; /* others need it; then it goes */
    } else if (d != NULL) {
        ledger_write_forget(core, id);
        durable_forget(core, d);
    }
    answer_well(core, task);
}

/* How it has ended; WIRE_OUTCOME_END: it has not. */
static enum wire_outcome outcome_of(const struct durable *d)
{
    struct wire_attempt outcome;
    const bool ended = d->state == DURABLE_ENDING || d->state == DURABLE_DONE;

    return ended && record_get_done(d->body, &outcome, NULL) == 0 ? outcome.outcome
                                                                  : WIRE_OUTCOME_END;
}

static void take_cancel(struct core *core, struct task *task, uint64_t id)
{
    struct durable *d = durable_find(core, id);

    if (d == NULL) {
        refuse_unknown(core, task, id);
        return;
    }
    if (d->state == DURABLE_LIVE && d->task != NULL && d->task->state != TASK_STOPPING)
        session_cancel_task(core, d->task);
    else if (d->state != DURABLE_LIVE && outcome_of(d) != WIRE_CANCELLED) {
        ask_refuse(core, task, "durable task %016llx %s", (unsigned long long)id,
                   d->state == DURABLE_ACCEPTING ? "is not accepted yet" : "has ended");
        return;
    }
    answer_well(core, task);
}

/* The answer comes when it is in the journal, as that of a submit. */
static void take_retry(struct core *core, struct task *task, uint64_t id)
{
    struct durable *d = durable_find(core, id);
    char text[300];
    const char *why = ask_trouble(core, text);

    if (d == NULL) {
        refuse_unknown(core, task, id);
    } else if (d->state == DURABLE_LIVE) {
        answer_well(core, task); /* it is tried already */
    } else if (d->state == DURABLE_ENDING || outcome_of(d) == WIRE_OK) {
        ask_refuse(core, task, "durable task %016llx %s", (unsigned long long)id,
                   d->state == DURABLE_DONE ? "has ended well" : "is just ending");
    } else if (why != NULL) {
        ask_refuse(core, task, "%s", why);
    } else if (d->state == DURABLE_DONE && durable_retry(core, d) != 0) {
        ask_refuse(core, task, "the broker is out of memory");
    } else {
        ask_wait_in(task, &d->submitters);
    }
}

/* The answer comes when it is in the journal. */
static void take_forgive(struct core *core, struct task *task, uint64_t id)
{
    struct durable *d = durable_find(core, id);
    char text[300];
    const char *why = ask_trouble(core, text);

    if (d == NULL) {
        refuse_unknown(core, task, id);
    } else if (outcome_of(d) == WIRE_OUTCOME_END || outcome_of(d) == WIRE_OK) {
        ask_refuse(core, task, "durable task %016llx %s", (unsigned long long)id,
                   outcome_of(d) == WIRE_OK ? "has ended well" : "has not ended");
    } else if (d->state == DURABLE_DONE && d->forgiven) {
        answer_well(core, task);
    } else if (why != NULL) {
        ask_refuse(core, task, "%s", why);
    } else {
        if (!d->forgiven)
            durable_forgive(core, d);
        ask_wait_in(task, &d->submitters);
    }
}

/* A task that asks for something durable, and stands in no list. */
static void take(struct core *core, struct task *task)
{
    struct wire_cursor c = wire_cursor_of(task->argument, task->argument_bytes);
    const enum core_ask what = core->function_by_number[task->function]->ask;

    if (what == ASK_LIST) {
        list_tell(core, task);
        return;
    }
    const uint64_t id = wire_get_u64(&c);

    if (c.bad || id == 0) {
        ask_refuse(core, task, "the id of a durable task has 8 bytes and is not 0");
        return;
    }
    switch (what) {
    case ASK_SUBMIT:
    case ASK_SUBMIT_AFTER: take_submit(core, task, what, id, &c); return;
    case ASK_FORGIVE: take_forgive(core, task, id); return;
    case ASK_WAIT: take_wait(core, task, id); return;
    case ASK_FORGET: take_forget(core, task, id); return;
    case ASK_CANCEL: take_cancel(core, task, id); return;
    case ASK_RETRY: take_retry(core, task, id); return;
    case ASK_LIST:
    case ASK_SET:
    case ASK_GET:
    case ASK_UNSET:
    case ASK_NOTHING: return;
    }
}

bool ask_is_early(struct core *core, struct task *task)
{
    char text[300];
    const char *why = NULL;

    if (core->durables.open || core->durables.session == NULL)
        return false;
    why = ask_trouble(core, text);
    if (why != NULL)
        ask_refuse(core, task, "%s", why);
    else
        ask_wait_in(task, &core->durables.early);
    return true;
}

static void ask_for_durable(struct core *core, struct task *task)
{
    if (core->durables.session == NULL)
        ask_refuse(core, task, "%s", NO_JOURNAL);
    else if (!ask_is_early(core, task))
        take(core, task);
}

/* A task that stands in no list. */
static void answer(struct core *core, struct task *task)
{
    switch (core->function_by_number[task->function]->ask) {
    case ASK_SET: constants_set(core, task); return;
    case ASK_GET: constants_get(core, task); return;
    case ASK_UNSET: constants_unset(core, task); return;
    case ASK_SUBMIT:
    case ASK_SUBMIT_AFTER:
    case ASK_FORGIVE:
    case ASK_WAIT:
    case ASK_FORGET:
    case ASK_CANCEL:
    case ASK_RETRY:
    case ASK_LIST: ask_for_durable(core, task); return;
    case ASK_NOTHING: return;
    }
}

void ask(struct core *core, struct task *task, bool has_inputs)
{
    timers_stop(&core->timers, task);
    task_step(task, TASK_ASK);
    if (has_inputs) {
        ask_refuse(core, task, "what is asked of the broker itself waits for no other task");
        return;
    }
    if (task->terms != NULL && task->terms->options.rerun_ms != 0) {
        ask_refuse(core, task,
                   "durable tasks, and what is asked of the broker itself, have no copies");
        return;
    }
    const enum core_ask what = core->function_by_number[task->function]->ask;
    if (task->class != &core->ordinary && what != ASK_SUBMIT && what != ASK_SUBMIT_AFTER) {
        ask_refuse(core, task, "what is asked of the broker itself has no needs");
        return;
    }
    answer(core, task);
}

void ask_early(struct core *core)
{
    struct task_list early = core->durables.early;

    core->durables.early = (struct task_list){.head = NULL};
    while (early.head != NULL) {
        struct task *task = early.head;

        task_list_remove(&early, task);
        task->asked = NULL;
        answer(core, task);
    }
}
