/* The list of durable tasks, oldest record first, for people. */
#include "durable.h"

#include "state.h"

#include "base/durable_list.h"

static enum durable_listed state_of(const struct durable *d)
{
    if (d->state == DURABLE_ACCEPTING)
        return DURABLE_LISTED_ACCEPTING;
    if (d->state == DURABLE_ENDING || d->state == DURABLE_DONE)
        return DURABLE_LISTED_ENDED;
    if (d->task != NULL && d->task->state == TASK_HELD)
        return DURABLE_LISTED_HELD;
    if (d->task != NULL && d->task->state == TASK_BLOCKED)
        return DURABLE_LISTED_BLOCKED;
    return d->task != NULL && d->task->agent != NULL ? DURABLE_LISTED_RUNNING
                                                     : DURABLE_LISTED_READY;
}

/* How long it runs by now, and how far it is. */
static void
describe_running(const struct core *core, const struct task *task, struct durable_entry *out)
{
    const struct running *running = running_find(&core->running, task);

    if (running == NULL)
        return;
    const int64_t run_ms = core->now_ms - running->since_ms;
    out->run_us = run_ms < UINT32_MAX / 1000 ? (uint32_t)(run_ms * 1000) : UINT32_MAX;
    out->done = running->progress.done;
    out->total = running->progress.total;
}

/* False: not of those that are asked for, or not readable. */
static bool describe(const struct core *core,
                     const struct durable *d,
                     bool failed_only,
                     struct durable_entry *out)
{
    struct record_task request;
    struct wire_attempt outcome = {.outcome = WIRE_OK};

    *out = (struct durable_entry){.id = d->id, .state = state_of(d)};
    if (durable_request(d, &request) != 0)
        return false;
    out->program = request.function.program;
    out->function = request.function.name;
    if (out->state == DURABLE_LISTED_ENDED && record_get_done(d->body, &outcome, NULL) == 0) {
        out->outcome = outcome.outcome;
        out->attempts = outcome.attempt;
        out->run_us = outcome.run_us;
    } else if (d->task != NULL) {
        out->attempts = d->task->attempt;
    }
    if (out->state == DURABLE_LISTED_RUNNING)
        describe_running(core, d->task, out);
    if (out->state == DURABLE_LISTED_HELD || out->state == DURABLE_LISTED_BLOCKED)
        out->waits_for = ties_waits_for(d);
    return !failed_only || outcome.outcome != WIRE_OK;
}

static int put_entries(const struct core *core,
                       const struct durable_query *query,
                       struct blob *answer,
                       uint32_t *count)
{
    struct durable_entry entry;

    for (const struct durable *d = core->durables.oldest; d != NULL && *count < query->most;
         d = d->next) {
        if (d->constant != NULL || !describe(core, d, query->failed_only, &entry))
            continue;
        if (durable_put_entry(answer, &entry) != 0)
            return -ENOMEM;
        ++*count;
    }
    return 0;
}

void list_tell(struct core *core, struct task *task)
{
    struct blob *answer CLEANUP(blob_unref_p) = blob_new(4096);
    struct durable_query query;
    uint32_t count = 0;

    if (durable_get_query((struct wire_bytes){task->argument, task->argument_bytes}, &query) != 0) {
        ask_refuse(core, task, "a question for durable tasks that does not decode");
        return;
    }
    if (answer == NULL || durable_begin_list(answer, core->counters.durable) != 0 ||
        put_entries(core, &query, answer, &count) != 0) {
        ask_refuse(core, task, "the broker is out of memory");
        return;
    }
    ask_answer(core, task,
               &(struct wire_attempt){.outcome = WIRE_OK, .bytes = {answer->data, answer->size}});
}
