/* Clients: libscoop's client.c and base's dialler.c as session_turn.c drives them. */
#include "world.h"

#include "libscoop/after.h"
#include "libscoop/function.h"
#include "libscoop/future.h"
#include "libscoop/options.h"

#include <string.h>

#define UNACKED_MAX 128

/* An errand's job has this many holds, so that nobody destroys it. */
#define HOLDS 1000000

/* In place of libscoop's function.c and future.c: jobs are not futures here. */
struct wire_function function_describe(const struct scoop_function *function,
                                       const struct identity *program)
{
    struct wire_function wire = {
        .number = function->number,
        .argument_bytes = function->argument_bytes,
        .result_bytes = function->result_bytes,
        .name = {(const uint8_t *)function->name, strlen(function->name)},
    };

    if (function->builtin)
        return wire;
    memcpy(wire.sha256, program->sha256, sizeof(wire.sha256));
    wire.program = (struct wire_bytes){(const uint8_t *)program->name, strlen(program->name)};
    return wire;
}

void future_destroy(struct job *job)
{
    (void)job;
}

const struct identity simulated_program = {.name = "program", .sha256 = {1, 2, 3}};

static const struct scoop_function fixed_function = {
    .name = "fixed", .argument_bytes = 16, .result_bytes = 8, .number = 1};
static const struct scoop_function variable_function = {.name = "variable",
                                                        .argument_bytes = SCOOP_VARIABLE,
                                                        .result_bytes = SCOOP_VARIABLE,
                                                        .number = 2};
static const struct scoop_function nesting_function = {
    .name = "nests", .argument_bytes = 16, .result_bytes = 8, .number = 3};

/* ---- errands ---- */

static void write_argument(uint8_t *at, uint64_t key)
{
    const uint64_t words[2] = {key, rng_mix(key)};

    memcpy(at, words, sizeof(words));
}

static void fill_arguments(struct errand *e)
{
    for (uint32_t i = 0; i < e->count; i++) {
        const uint64_t key = call_key(&e->calls[i]);

        if (!e->variable || e->nests) {
            write_argument(e->in + (size_t)i * 16, key);
            continue;
        }
        memset(e->in + (size_t)i * 64, (int)i, 64);
        write_argument(e->in + (size_t)i * 64, key);
        e->in_each[i] = (struct scoop_bytes){e->in + (size_t)i * 64, 16 + rng_mix(key) % 48};
    }
}

static void drop_ties(struct errand *e)
{
    if (e->job.ties == NULL)
        return;
    free(e->job.ties->after);
    free(e->job.ties);
    e->job.ties = NULL;
}

static void drop_results(struct errand *e)
{
    for (uint32_t i = 0; i < e->count; i++) {
        free((void *)(uintptr_t)e->out_each[i].data);
        e->out_each[i] = (struct scoop_bytes){NULL, 0};
    }
}

void errand_fini(struct errand *e)
{
    drop_ties(e);
    drop_results(e);
    job_fini(&e->job);
}

static void tie(struct world *w, struct errand *e)
{
    if (e->input_count == 0)
        return;
    if (ties_make(&e->job) != 0)
        abort();
    e->job.ties->after = calloc(e->input_count, sizeof(struct after));
    if (e->job.ties->after == NULL)
        abort();
    e->job.ties->after_count = e->input_count;
    for (uint32_t i = 0; i < e->input_count; i++) {
        struct job *source = &w->errands[e->inputs[i]].job;

        e->job.ties->after[i] = (struct after){.taker = &e->job, .source = source, .index = i};
        atomic_fetch_add(&source->references, 1);
    }
}

static uint64_t pinned_to(struct world *w)
{
    const uint32_t agent = rng_below(&w->rng, w->agent_count);

    return w->procs[w->client_count + agent].incarnation;
}

/* options_apply() sets the others too. */
static void take_needs(struct errand *e)
{
    const struct scoop_options needs = {.needs = needs_texts[e->needs]};
    const uint32_t limit_ms = e->job.limit_ms;

    if (e->needs != 0 && options_apply(&e->job, &needs) != SCOOP_OK)
        abort();
    e->job.limit_ms = limit_ms;
    e->job.options = e->options;
}

static void make_job(struct world *w, struct errand *e)
{
    job_fini(&e->job);
    drop_results(e);
    memset(e->out, 0, sizeof(e->out));
    e->job = (struct job){
        .function = e->nests      ? &nesting_function
                    : e->variable ? &variable_function
                                  : &fixed_function,
        .count = e->count,
        .limit_ms = e->count == 1 ? e->calls[0].limit_ms : 0,
        .options = e->options,
        .in = e->in,
        .out = e->out,
    };
    if (e->variable && !e->nests) {
        e->job.in_each = e->in_each;
        e->job.out_each = e->out_each;
    }
    take_needs(e);
    if (e->pinned)
        e->job.options.worker = pinned_to(w);
    atomic_init(&e->job.references, HOLDS);
    tie(w, e);
}

static bool inputs_are_given(const struct world *w, const struct errand *e)
{
    for (uint32_t i = 0; i < e->input_count; i++) {
        if (!w->errands[e->inputs[i]].given)
            return false;
    }
    return true;
}

static void give(struct proc *p, struct errand *e)
{
    struct world *w = p->world;

    e->given = true;
    for (uint32_t i = 0; i < e->count; i++) {
        e->calls[i].submission++;
        e->calls[i].starts = 0;
        e->calls[i].never_ran = false;
    }
    fill_arguments(e);
    make_job(w, e);
    world_event(w, "submits", p->index, (uint64_t)(e - w->errands), e->count);
    client_add(&p->client, &e->job);
}

static void cancel(struct proc *p, struct errand *e)
{
    world_event(p->world, "cancels", p->index, (uint64_t)(e - p->world->errands), 0);
    e->cancelled = true;
    client_cancel(&p->client, &e->job);
}

/* What is due by now. Returns when the next is. */
static int64_t do_errands(struct proc *p)
{
    struct world *w = p->world;
    int64_t next_ms = durables_next_ms(w, p->index);

    for (uint32_t i = 0; i < w->errand_count; i++) {
        struct errand *e = &w->errands[i];

        if (e->client != p->index || e->done)
            continue;
        if (!e->given && w->now_ms >= e->submit_ms && inputs_are_given(w, e))
            give(p, e);
        if (e->given && !e->cancelled && w->now_ms >= e->cancel_ms)
            cancel(p, e);
        if (!e->given && e->submit_ms > w->now_ms && e->submit_ms < next_ms)
            next_ms = e->submit_ms;
        if (e->given && !e->cancelled && e->cancel_ms < next_ms)
            next_ms = e->cancel_ms;
    }
    return next_ms;
}

/* ---- what has ended ---- */

static struct errand *errand_of(struct world *w, const struct job *job)
{
    for (uint32_t i = 0; i < w->errand_count; i++) {
        if (&w->errands[i].job == job)
            return &w->errands[i];
    }
    violated(w, "a job came back that nobody gave");
}

static void tell_checker(struct proc *p, struct errand *e, uint32_t i)
{
    struct world *w = p->world;
    const struct failure *failure = e->job.failure;
    uint64_t value = 0;

    if (e->job.out_each != NULL && e->out_each[i].data != NULL)
        memcpy(&value, e->out_each[i].data, 8);
    else if (e->job.out_each == NULL)
        memcpy(&value, e->out + (size_t)i * 8, 8);
    if (failure != NULL && failure->index == i)
        checker_call_ended(w, e, i, failure->status, failure->code, value);
    else if (value != 0 || failure == NULL)
        checker_call_ended(w, e, i, SCOOP_OK, 0, value);
}

static void take_ended(struct proc *p)
{
    struct world *w = p->world;
    struct job *job = NULL;

    while ((job = client_take_ended(&p->client)) != NULL) {
        if (durables_took(p, job) || asks_took(p, job))
            continue;
        struct errand *e = errand_of(w, job);

        CHECK(w, e->given && !e->done, "a future completed twice: job %u",
              (uint32_t)(e - w->errands));
        e->done = true;
        world_event(w, "has", p->index, (uint64_t)(e - w->errands), job->failures);
        for (uint32_t i = 0; i < e->count; i++)
            tell_checker(p, e, i);
    }
}

/* It goes on without the inputs that failed. */
static void forgive(struct proc *p, struct errand *e)
{
    for (uint32_t i = 0; i < e->input_count; i++) {
        struct errand *source = &p->world->errands[e->inputs[i]];

        if (source->job.ended != source->job.count || source->job.failures == 0)
            continue;
        world_event(p->world, "forgives", p->index, e->inputs[i], 0);
        source->forgiven = true;
        client_forgive(&p->client, &source->job);
    }
}

/* What becomes blocked is cancelled, or goes on when what it waits for has ended at last. */
static void take_blocked(struct proc *p)
{
    struct world *w = p->world;
    struct job *job = NULL;

    while ((job = client_take_blocked(&p->client)) != NULL) {
        struct errand *e = errand_of(w, job);

        world_event(w, "blocked", p->index, (uint64_t)(e - w->errands), 0);
        if (!e->done && !e->cancelled && job->ended != job->count && rng_chance(&w->rng, 300))
            cancel(p, e);
    }
    for (uint32_t i = 0; i < w->errand_count; i++) {
        struct errand *e = &w->errands[i];

        if (e->input_count != 0 && e->client == p->index && e->given && !e->done &&
            atomic_load(&e->job.blocked))
            forgive(p, e);
    }
}

static void hand_back(struct proc *p)
{
    /* A blocked job may have ended, and an ended one blocks others. */
    take_blocked(p);
    take_ended(p);
}

/* ---- frames ---- */

/* What is told of a task comes before its result. */
static void take_notes(struct proc *p, struct dialler_input *in)
{
    struct wire_note note;

    for (uint32_t i = 0; i < in->header.count; i++) {
        CHECK(p->world, wire_get_note(&in->body, &note) == 0, "a note that cannot be read");
        CHECK(p->world, ledger_find(&p->client.ledger, note.task) != NULL,
              "a note came behind the result of its task");
    }
}

static void take_frame(struct proc *p, struct dialler_input *in)
{
    int result = 0;

    if (in->header.type == WIRE_RESULTS)
        result = client_take_results(&p->client, &in->header, &in->body);
    else if (in->header.type == WIRE_NOTES)
        take_notes(p, in);
    else if (in->header.type == WIRE_STATUS)
        asks_take_status(p, in);
    else if (in->header.type == WIRE_NEED)
        result = client_take_needs(&p->client, &in->header, &in->body);
    CHECK(p->world, result == 0, "a client cannot read its %s frame",
          wire_type_name(in->header.type));
    CHECK(p->world, p->client.stale == 0,
          "a result came for a task that has ended, or never was: twice, or of an older epoch");
}

static void take_event(struct proc *p, enum dialler_event event, struct dialler_input *in)
{
    char text[200];

    world_event(p->world, "event", p->index, event,
                event == DIALLER_FRAME ? (uint64_t)in->header.type : 0);
    switch (event) {
    case DIALLER_OPENED:
        p->epoch = in->welcome.epoch;
        if (client_open(&p->client, in->header.link, in->welcome.credit_tasks,
                        in->welcome.credit_bytes) != 0)
            abort();
        return;
    case DIALLER_FRAME: take_frame(p, in); return;
    case DIALLER_GONE: p->epoch = 0; return;
    case DIALLER_REFUSED:
        violated(p->world, "client %u was refused: %s", p->index,
                 wire_text_copy(in->refused.text, text, sizeof(text)));
    case DIALLER_EXPIRED:
    case DIALLER_NOTHING: return;
    }
}

static void send_all(struct proc *p)
{
    struct blob *frame = NULL;

    while (dialler_is_open(p->dialler) && dialler_unacked(p->dialler) < UNACKED_MAX &&
           client_next_frame(&p->client, &frame) == 0) {
        if (dialler_send(p->dialler, frame) != 0)
            abort();
    }
}

/* Says BYE, and goes when the broker has taken note. */
static bool leave(struct proc *p)
{
    if (!dialler_is_open(p->dialler))
        return p->denied;
    if (!p->denied) {
        struct blob *bye = dialler_frame(p->dialler, WIRE_BYE, 0);

        if (bye == NULL || dialler_send(p->dialler, bye) != 0)
            abort();
        p->denied = true; /* said */
    }
    return dialler_unacked(p->dialler) == 0;
}

void client_begin(struct proc *p)
{
    client_init(&p->client, &simulated_program);
}

void client_finish(struct proc *p)
{
    struct world *w = p->world;

    client_fini(&p->client);
    asks_fini(p);
    durables_client_lost(p);
    for (uint32_t i = 0; i < w->errand_count; i++) {
        struct errand *e = &w->errands[i];

        if (e->client != p->index)
            continue;
        drop_ties(e);
        if (!e->done) {
            e->given = false;
            e->cancelled = false;
        }
    }
}

int64_t client_turn(struct proc *p)
{
    struct world *w = p->world;
    const int64_t clock_ms = proc_clock(p, w->now_ms);
    int64_t tick_ms = 0;

    proc_receive(p, clock_ms, take_event);
    int64_t next_ms = do_errands(p);
    durables_give(p);
    const int64_t ask_ms = asks_give(p);
    next_ms = ask_ms < next_ms ? ask_ms : next_ms;
    hand_back(p);
    send_all(p);
    (void)!dialler_tick(p->dialler, clock_ms, &tick_ms);
    hand_back(p);
    if (w->closing && leave(p)) {
        proc_stop(w, p);
        return INT64_MAX;
    }
    const int64_t due_ms = proc_when(p, tick_ms);

    return due_ms < next_ms ? due_ms : next_ms;
}
