/* What clients do with durable tasks: submit, wait, perhaps cancel or try again, forget. */
#include "world.h"

#include <string.h>

#define AGAIN_MS 300

static const struct scoop_function functions[STEP_OVER] = {
#define ASK(step, text, place)                                                                     \
    [step] = {.name = (text),                                                                      \
              .argument_bytes = SCOOP_VARIABLE,                                                    \
              .result_bytes = SCOOP_VARIABLE,                                                      \
              .builtin = true,                                                                     \
              .number = (place)}
    ASK(STEP_SUBMIT, "broker.submit", 10), ASK(STEP_CANCEL, "broker.cancel", 11),
    ASK(STEP_WAIT, "broker.wait", 12),     ASK(STEP_RETRY, "broker.retry", 13),
    ASK(STEP_FORGET, "broker.forget", 14), ASK(STEP_FORGIVE, "broker.forgive", 15),
#undef ASK
};

static const struct scoop_function submit_after = {.name = "broker.submit_after",
                                                   .argument_bytes = SCOOP_VARIABLE,
                                                   .result_bytes = SCOOP_VARIABLE,
                                                   .builtin = true,
                                                   .number = 16};

struct durable_errand *durable_of_id(struct world *w, uint64_t id)
{
    for (uint32_t i = 0; i < w->durable_count; i++) {
        if (w->durables[i].id == id)
            return &w->durables[i];
    }
    violated(w, "the journal has a task that nobody submitted: %llx", (unsigned long long)id);
}

static void make_argument(const struct world *w, struct durable_errand *d)
{
    const struct wire_function function = {
        .number = 1,
        .argument_bytes = 16,
        .result_bytes = 8,
        .sha256 = {1, 2, 3},
        .program = {(const uint8_t *)"program", 7},
        .name = {(const uint8_t *)"fixed", 5},
    };
    const uint64_t key = call_key(&d->call);
    const uint64_t words[2] = {key, rng_mix(key)};

    blob_unref(d->argument);
    d->argument = blob_new(128);
    if (d->argument == NULL)
        abort();
    wire_put_u64(d->argument, d->step == STEP_FORGIVE ? w->durables[d->culprit].id : d->id);
    if (d->step == STEP_SUBMIT && d->after_count != 0) {
        wire_put_u32(d->argument, d->after_count);
        for (uint32_t i = 0; i < d->after_count; i++)
            wire_put_u64(d->argument, w->durables[d->after[i]].id);
    }
    if (d->step == STEP_SUBMIT) {
        if (wire_put_function(d->argument, &function) != 0 ||
            blob_reserve(d->argument, sizeof(words)) != 0)
            abort();
        wire_put_bytes(d->argument, words, sizeof(words));
    }
    d->in = (struct scoop_bytes){d->argument->data, d->argument->size};
}

static void ask(struct proc *p, struct durable_errand *d)
{
    job_fini(&d->job);
    free((void *)(uintptr_t)d->out.data);
    d->out = (struct scoop_bytes){NULL, 0};
    make_argument(p->world, d);
    d->job = (struct job){
        .function =
            d->step == STEP_SUBMIT && d->after_count != 0 ? &submit_after : &functions[d->step],
        .count = 1,
        .limit_ms = d->step == STEP_SUBMIT ? d->call.limit_ms : 0,
        .in_each = &d->in,
        .out_each = &d->out,
    };
    if (d->step == STEP_SUBMIT)
        d->job.options = d->options;
    atomic_init(&d->job.references, 1000);
    d->asked = true;
    d->asked_ms = p->world->now_ms;
    d->forgetting |= d->step == STEP_FORGET;
    if (d->step == STEP_FORGIVE)
        p->world->durables[d->culprit].forgiven = true;
    if (d->step == STEP_RETRY) {
        d->told = false; /* what it ends with then is new */
        d->call.never_ran = false;
        d->call.starts = 0;
    }
    world_event(p->world, "asks", p->index, d->step, d->id);
    client_add(&p->client, &d->job);
}

void durables_give(struct proc *p)
{
    struct world *w = p->world;

    for (uint32_t i = 0; i < w->durable_count; i++) {
        struct durable_errand *d = &w->durables[i];

        if (d->client == p->index && !d->asked && d->step != STEP_OVER && w->now_ms >= d->next_ms)
            ask(p, d);
    }
}

int64_t durables_next_ms(const struct world *w, uint32_t client)
{
    int64_t next_ms = INT64_MAX;

    for (uint32_t i = 0; i < w->durable_count; i++) {
        const struct durable_errand *d = &w->durables[i];

        if (d->client == client && !d->asked && d->step != STEP_OVER && d->next_ms < next_ms)
            next_ms = d->next_ms;
    }
    return next_ms;
}

bool durables_are_over(const struct world *w)
{
    for (uint32_t i = 0; i < w->durable_count; i++) {
        if (w->durables[i].step != STEP_OVER)
            return false;
    }
    return true;
}

/* The client is gone: another one goes on. */
void durables_client_lost(struct proc *p)
{
    struct world *w = p->world;

    for (uint32_t i = 0; i < w->durable_count; i++) {
        struct durable_errand *d = &w->durables[i];

        if (d->client != p->index || d->step == STEP_OVER)
            continue;
        d->asked = false;
        d->next_ms = w->now_ms + AGAIN_MS;
        if (!w->closing)
            d->client = rng_below(&w->rng, w->client_count);
    }
}

/* ---- answers ---- */

static void go_on(struct world *w, struct durable_errand *d, enum durable_step step)
{
    d->step = step;
    d->next_ms = w->now_ms + rng_between(&w->rng, 0, 500);
}

static void check_outcome(struct world *w, const struct durable_errand *d, enum scoop_status status)
{
    const struct call *call = &d->call;
    uint64_t value = 0;
    bool fits = false;

    switch ((int)status) {
    case SCOOP_OK:
        if (d->out.size == 8)
            memcpy(&value, d->out.data, 8);
        CHECK(w, value == call_value(call_key(call)),
              "durable task %llx: the value belongs to another task", (unsigned long long)d->id);
        fits = call->bad != BAD_ALWAYS && call->behaviour != BEHAVES_HANG;
        break;
    case SCOOP_FAILED:
        fits = call->behaviour == BEHAVES_BADLY || call->behaviour == BEHAVES_FINALLY;
        break;
    case SCOOP_CRASHED: fits = call->behaviour == BEHAVES_CRASH && call->bad == BAD_ALWAYS; break;
    case SCOOP_OVERTIME: fits = call->behaviour == BEHAVES_HANG; break;
    case SCOOP_CANCELLED: fits = d->cancel; break;
    case SCOOP_EXPIRED: fits = d->options.expires_ms != 0; break;
    case SCOOP_LOST: fits = true; break;
    default: break;
    }
    CHECK(w, fits, "durable task %llx ended with status %d, which it cannot",
          (unsigned long long)d->id, (int)status);
}

static void take_outcome(struct world *w, struct durable_errand *d, enum scoop_status status)
{
    CHECK(w, d->done_written, "an outcome was told before it was in the journal");
    check_outcome(w, d, status);
    if (status == SCOOP_CANCELLED && d->job.failure->code == WIRE_NEVER_RAN) {
        CHECK(w, d->call.starts == 0 || w->excused,
              "durable task %llx never ran, its client was told; it did",
              (unsigned long long)d->id);
        d->call.never_ran = true;
    }
    CHECK(w, !d->told || d->told_status == status || w->excused,
          "the outcome of durable task %llx has changed: %d, was %d", (unsigned long long)d->id,
          (int)status, (int)d->told_status);
    d->told = true;
    d->told_status = status;
    if (rng_chance(&w->rng, 200)) {
        go_on(w, d, STEP_WAIT); /* ask once more */
    } else if (d->retry && status != SCOOP_OK) {
        d->retry = false;
        go_on(w, d, STEP_RETRY);
    } else {
        go_on(w, d, STEP_FORGET);
    }
}

/* Some of what it waits for had not ended well when this was asked. */
static bool may_be_blocked(const struct world *w, const struct durable_errand *d)
{
    for (uint32_t i = 0; i < d->after_count; i++) {
        const int64_t well_ms = w->durables[d->after[i]].well_ms;

        if (well_ms == 0 || well_ms >= d->asked_ms)
            return true;
    }
    return false;
}

/* It waits for one that did not end well: what is done about that. Cancelled, at the latest when it has been
 * told so often. */
static void take_blocked(struct world *w, struct durable_errand *d)
{
    CHECK(w, d->after_count != 0, "durable task %llx is blocked, and waits for none",
          (unsigned long long)d->id);
    CHECK(w, may_be_blocked(w, d) || w->excused,
          "durable task %llx is blocked, and all that it waits for has ended well",
          (unsigned long long)d->id);
    d->culprit = d->after[rng_below(&w->rng, d->after_count)];
    if (rng_chance(&w->rng, 300) || ++d->blocked_count > 8) {
        d->cancel = true;
        go_on(w, d, STEP_CANCEL);
    } else if (rng_chance(&w->rng, 700)) {
        go_on(w, d, STEP_FORGIVE);
    } else {
        go_on(w, d, STEP_WAIT);
    }
    d->next_ms += AGAIN_MS;
}

/* May what it had come to have been forgotten by itself? */
static bool may_have_expired(const struct world *w, const struct durable_errand *d)
{
    return world_has(w, KIND_KEEP) && d->done_written;
}

/* A refusal: is there a reason for it? */
static void take_refusal(struct world *w, struct durable_errand *d)
{
    const bool shaky = world_has(w, KIND_REDIS_AWAY) || world_has(w, KIND_REDIS_FULL) ||
                       world_has(w, KIND_BROKER_CRASH);

    if (shaky && d->step != STEP_SUBMIT && strstr(d->job.failure->text, "the journal ") != NULL) {
        go_on(w, d, d->step); /* the broker has not read it yet, and cannot */
        d->next_ms = w->now_ms + AGAIN_MS;
        return;
    }
    switch (d->step) {
    case STEP_SUBMIT:
        if (strstr(d->job.failure->text, "it waits for durable task") != NULL) {
            d->after_count = 0; /* what it should wait for is not kept */
            go_on(w, d, STEP_SUBMIT);
            return;
        }
        /* fall through */
    case STEP_RETRY:
        CHECK(w, shaky || d->step == STEP_RETRY, "a durable task was refused: %s",
              d->job.failure->text);
        if (d->step == STEP_RETRY && strstr(d->job.failure->text, "no durable task") == NULL) {
            /* An earlier request to retry was carried out, and its answer lost. */
            go_on(w, d, strstr(d->job.failure->text, "ended well") ? STEP_WAIT : STEP_RETRY);
            d->next_ms = w->now_ms + AGAIN_MS;
            return;
        }
        go_on(w, d, STEP_SUBMIT);
        d->next_ms = w->now_ms + AGAIN_MS;
        return;
    case STEP_CANCEL: go_on(w, d, STEP_WAIT); return; /* it has ended, or begins only */
    case STEP_FORGIVE: go_on(w, d, STEP_WAIT); return;
    case STEP_WAIT:
        if (may_have_expired(w, d)) {
            d->step = STEP_OVER;
            return;
        }
        CHECK(w, w->excused || !d->accepted, "lost: durable task %llx was accepted, and: %s",
              (unsigned long long)d->id, d->job.failure->text);
        go_on(w, d, STEP_SUBMIT);
        return;
    case STEP_FORGET:
        /* Its end was not in the journal yet when the broker ended: it runs again. */
        go_on(w, d, STEP_WAIT);
        return;
    case STEP_OVER: return;
    }
}

static void take_answer(struct world *w, struct durable_errand *d)
{
    switch (d->step) {
    case STEP_SUBMIT:
        CHECK(w, d->task_written, "a durable task was accepted before it was in the journal");
        d->accepted = true;
        go_on(w, d, d->cancel ? STEP_CANCEL : STEP_WAIT);
        return;
    case STEP_CANCEL:
    case STEP_FORGIVE:
    case STEP_RETRY: go_on(w, d, STEP_WAIT); return;
    case STEP_FORGET: d->step = STEP_OVER; return;
    case STEP_WAIT:
    case STEP_OVER: return;
    }
}

bool durables_took(struct proc *p, struct job *job)
{
    struct world *w = p->world;

    for (uint32_t i = 0; i < w->durable_count; i++) {
        struct durable_errand *d = &w->durables[i];

        if (&d->job != job)
            continue;
        const enum scoop_status status = job->failure != NULL ? job->failure->status : SCOOP_OK;

        CHECK(w, d->asked, "a durable task's request was answered twice");
        world_event(w, "answered", p->index, d->step, (uint64_t)status);
        d->asked = false;
        if (d->step == STEP_WAIT && status == SCOOP_BLOCKED)
            take_blocked(w, d);
        else if (d->step == STEP_WAIT && status != SCOOP_REFUSED)
            take_outcome(w, d, status);
        else if (status == SCOOP_REFUSED)
            take_refusal(w, d);
        else if (status == SCOOP_OK)
            take_answer(w, d);
        else
            violated(w, "a request about a durable task ended with status %d", (int)status);
        return true;
    }
    return false;
}
