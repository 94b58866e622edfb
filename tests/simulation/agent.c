/* Agents, as docs/PROTOCOL.md says: what worker/ does, without processes. Their executors begin the tasks
 * that were handed to them in order, also while the agent itself stands still. */
#include "world.h"

#include <stdio.h>
#include <string.h>

/* Tasks that are handed to one executor at a time. */
#define HANDED_PER_SLOT 2

/* How long one that leaves waits for its tasks. */
#define GRACE_MS 1500

/* ---- what it holds ---- */

static struct held *held_find(struct agent_side *a, uint64_t id)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->held[i].id == id)
            return &a->held[i];
    }
    return NULL;
}

static void held_remove(struct agent_side *a, uint32_t at)
{
    a->count--;
    memmove(&a->held[at], &a->held[at + 1], (a->count - at) * sizeof(a->held[0]));
}

static void end_with(struct held *t, enum wire_outcome outcome, uint32_t code)
{
    t->running = false;
    t->ended = true;
    t->outcome = outcome;
    t->code = code;
}

static void abandon_children(struct agent_side *a, uint64_t parent)
{
    for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
        if (a->children[i].used && a->children[i].parent == parent)
            client_abandon(&a->client, &a->children[i].job);
    }
}

/* Everything that it runs is killed: nothing of this link holds any more. */
static void forget_link(struct proc *p)
{
    struct agent_side *a = p->agent;

    world_event(p->world, "forgets", p->index, a->count, 0);
    a->count = 0;
    p->epoch = 0;
    a->echo.id = 0;
    memset(a->told, 0, sizeof(a->told));
    client_fini(&a->client);
    for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
        job_fini(&a->children[i].job);
        a->children[i].used = false;
    }
    client_init(&a->client, &simulated_program);
}

/* ---- frames ---- */

static void take_function(struct proc *p, struct dialler_input *in)
{
    struct world *w = p->world;
    struct wire_function function;

    CHECK(w, wire_get_function(&in->body, &function) == 0 && function.number < 1024,
          "an agent cannot read a function");
    CHECK(w, function.program.size != 0, "a function of the broker's own went to an agent");
    p->agent->told[function.number / 64] |= UINT64_C(1) << function.number % 64;
    p->agent->nesting[function.number] =
        function.name.size == 5 && memcmp(function.name.data, "nests", 5) == 0;
}

/* 0: it is cut off, or damaged. */
static uint64_t key_of(struct wire_bytes argument)
{
    uint64_t words[2] = {0, 0};

    if (argument.data == NULL || argument.size < sizeof(words))
        return 0;
    memcpy(words, argument.data, sizeof(words));
    return words[1] == rng_mix(words[0]) ? words[0] : 0;
}

static uint32_t input_count(struct world *w, const struct call *call)
{
    const struct durable_errand *d = durable_of_call(w, call);

    return d != NULL ? d->after_count : w->errands[call->index / 8].input_count;
}

/* Which call the input at `index` of this one is the result of. */
static void
check_input(struct world *w, const struct call *call, uint32_t index, struct wire_bytes b)
{
    const struct durable_errand *d = durable_of_call(w, call);
    uint64_t value = 0;

    CHECK(w, index < input_count(w, call), "a task got more inputs than it has");
    const struct durable_errand *durable = d != NULL ? &w->durables[d->after[index]] : NULL;
    const struct errand *e =
        d == NULL ? &w->errands[w->errands[call->index / 8].inputs[index]] : NULL;
    if (b.size == 0) {
        CHECK(w, d != NULL ? durable->forgiven : e->forgiven,
              "a task began without an input that was not forgiven");
        return;
    }
    CHECK(w, b.data != NULL && b.size == 8, "an input has the wrong size");
    CHECK(w, durable == NULL || durable->done_written,
          "a task began with the result of a durable one that is not in the journal");
    memcpy(&value, b.data, 8);
    CHECK(w, value == call_value(call_key(d != NULL ? &durable->call : &e->calls[0])),
          "an input is the result of another task");
}

/* Takes the bundle apart. Returns the argument. */
static struct wire_bytes unbundle(struct world *w, struct wire_bytes bytes)
{
    struct wire_cursor c = {.at = bytes.data, .end = bytes.data + bytes.size};
    struct wire_cursor sizes = c;
    const uint32_t count = wire_get_u32(&c);

    wire_get_bytes(&c, (size_t)4 * (count + 1));
    wire_get_u32(&sizes);
    const struct wire_bytes argument = wire_get_bytes(&c, wire_get_u32(&sizes));
    const uint64_t key = key_of(argument);

    CHECK(w, !c.bad && key != 0, "a bundle that cannot be read");
    const struct call *call = call_find(w, key);
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_bytes input = wire_get_bytes(&c, wire_get_u32(&sizes));

        CHECK(w, !c.bad && !sizes.bad, "a bundle that is cut off");
        if (call != NULL)
            check_input(w, call, i, input);
    }
    CHECK(w, call == NULL || count == input_count(w, call), "a task got fewer inputs than it has");
    return argument;
}

static void take_task(struct proc *p, const struct wire_task *task)
{
    struct world *w = p->world;
    struct agent_side *a = p->agent;
    const struct wire_bytes argument =
        (task->flags & WIRE_TASK_BUNDLE) != 0 ? unbundle(w, task->argument) : task->argument;
    const uint64_t key = key_of(argument);

    CHECK(w, key != 0, "an argument came cut off, or damaged");
    const struct call *call = call_find(w, key);
    CHECK(w, (task->flags & WIRE_TASK_BUNDLE) != 0 || call == NULL || input_count(w, call) == 0,
          "a task began without its inputs");
    CHECK(w, (a->told[task->function / 64] >> task->function % 64 & 1) != 0,
          "a task came before its function");
    const struct held *before = held_find(a, task->id);
    CHECK(w, before == NULL || before->ended, "task %llx was leased twice to one agent",
          (unsigned long long)task->id);
    CHECK(w, a->count < HELD_MAX, "an agent holds more tasks than there are");
    a->held[a->count++] = (struct held){
        .id = task->id,
        .key = key,
        .attempt = task->attempt,
        .flags = task->flags,
        .session = task->session,
        .limit_ms = task->limit_ms,
        .nests = a->nesting[task->function],
        .end_ms = INT64_MAX,
    };
}

static void take_tasks(struct proc *p, struct dialler_input *in)
{
    struct wire_task task;

    for (uint32_t i = 0; i < in->header.count; i++) {
        CHECK(p->world, wire_get_task(&in->body, &task) == 0, "an agent cannot read a task");
        world_event(p->world, "gets", p->index, task.id, task.attempt);
        take_task(p, &task);
    }
}

static void take_revokes(struct proc *p, struct dialler_input *in)
{
    struct agent_side *a = p->agent;

    for (uint32_t i = 0; i < in->header.count; i++) {
        struct held *t = held_find(a, wire_get_u64(&in->body));

        if (t == NULL || t->ended)
            continue;
        world_event(p->world, "is revoked", p->index, t->id, t->running);
        abandon_children(a, t->id);
        /* Killed: nobody says that it goes on. */
        t->parked = false;
        t->flags &= 0x7fff;
        end_with(t, WIRE_CANCELLED, t->running ? WIRE_STOPPED : WIRE_NEVER_RAN);
    }
}

static void take_results(struct proc *p, struct dialler_input *in)
{
    CHECK(p->world, client_take_results(&p->agent->client, &in->header, &in->body) == 0,
          "an agent cannot read its children's results");
    CHECK(p->world, p->agent->client.stale == 0, "a child's result came twice");
}

static void take_frame(struct proc *p, struct dialler_input *in)
{
    switch ((int)in->header.type) {
    case WIRE_FUNCTION: take_function(p, in); return;
    case WIRE_TASKS: take_tasks(p, in); return;
    case WIRE_REVOKE: take_revokes(p, in); return;
    case WIRE_RESULTS: take_results(p, in); return;
    default: return;
    }
}

static void take_event(struct proc *p, enum dialler_event event, struct dialler_input *in)
{
    struct world *w = p->world;
    char text[200];

    world_event(w, "event", p->index, event,
                event == DIALLER_FRAME ? (uint64_t)in->header.type : 0);
    switch (event) {
    case DIALLER_OPENED:
        p->epoch = in->welcome.epoch;
        CHECK(w, p->agent->count == 0, "an agent holds tasks of an older link");
        if (client_open(&p->agent->client, in->header.link, in->welcome.credit_tasks,
                        in->welcome.credit_bytes) != 0)
            abort();
        return;
    case DIALLER_FRAME: take_frame(p, in); return;
    case DIALLER_GONE:
    case DIALLER_EXPIRED: forget_link(p); return;
    case DIALLER_REFUSED:
        CHECK(w, world_has(w, KIND_KEY_REVOKED), "agent %u was refused: %s", p->index,
              wire_text_copy(in->refused.text, text, sizeof(text)));
        p->denied = true;
        return;
    case DIALLER_NOTHING: return;
    }
}

/* ---- executors ---- */

static void choose_end(struct proc *p, struct held *t)
{
    struct world *w = p->world;
    const struct call *call = call_find(w, t->key);
    const bool child = (t->key & CHILD_KEY) != 0;
    const uint32_t die = (uint32_t)(rng_mix(t->key + 1) % 100);
    int64_t run_ms = call != NULL ? call->run_ms : (int64_t)(rng_mix(t->key) % 20);

    t->value = call_value(t->key);
    t->outcome = WIRE_OK;
    if (child && die < 10) {
        t->outcome = WIRE_FAILED;
        t->code = 7;
    }
    if (call != NULL && call->behaviour == BEHAVES_BADLY && t->attempt <= call->bad) {
        t->outcome = WIRE_FAILED;
        t->code = 7;
    } else if (call != NULL && call->behaviour == BEHAVES_FINALLY) {
        t->outcome = WIRE_FAILED;
        t->code = 7;
        t->final = true;
    } else if (call != NULL && call->behaviour == BEHAVES_CRASH && t->attempt <= call->bad) {
        t->outcome = WIRE_CRASHED;
        t->code = 139;
    } else if (call != NULL && call->behaviour == BEHAVES_HANG) {
        run_ms = 1000000;
    }
    if (t->limit_ms != 0 && run_ms > t->limit_ms) {
        run_ms = t->limit_ms;
        t->outcome = WIRE_TIMEOUT;
        t->code = t->limit_ms;
    }
    t->end_ms = w->now_ms + run_ms;
    t->run_us = (uint32_t)run_ms * 1000;
}

/* A parent submits its children and waits. */
static void submit_children(struct proc *p, struct held *t)
{
    static const struct scoop_function function = {
        .name = "child", .argument_bytes = 16, .result_bytes = 8, .number = 1};
    struct agent_side *a = p->agent;
    const struct call *call = call_find(p->world, t->key);
    const uint32_t count = call != NULL ? call->bad : 1;

    for (uint32_t i = 0; i < CHILDREN_MAX && t->children < count; i++) {
        struct child *child = &a->children[i];

        if (child->used)
            continue;
        child->used = true;
        child->parent = t->id;
        child->argument[0] =
            CHILD_KEY | (t->key << 24 & ~CHILD_KEY) | t->children << 16 | t->attempt;
        child->argument[1] = rng_mix(child->argument[0]);
        child->out = 0;
        job_fini(&child->job);
        child->job = (struct job){
            .function = &function,
            .count = 1,
            .in = (const uint8_t *)child->argument,
            .out = (uint8_t *)&child->out,
        };
        atomic_init(&child->job.references, 1000);
        t->children++;
        client_add(&a->client, &child->job);
    }
    t->parked = t->children > 0;
}

static void start(struct proc *p, struct held *t)
{
    t->running = true;
    t->started_ms = p->world->now_ms;
    world_event(p->world, "starts task", p->index, t->id, t->attempt);
    checker_task_starts(p->world, p, t);
    choose_end(p, t);
    if (t->nests)
        submit_children(p, t);
}

int64_t agent_run_executors(struct proc *p)
{
    struct agent_side *a = p->agent;
    int64_t next_ms = INT64_MAX;
    uint32_t busy = 0;

    for (uint32_t i = 0; i < a->count; i++) {
        struct held *t = &a->held[i];

        if (!t->running || t->parked)
            continue;
        if (p->world->now_ms >= t->end_ms)
            end_with(t, t->outcome, t->code);
        else
            busy++;
    }
    for (uint32_t i = 0; i < a->count && busy < a->slots; i++) {
        struct held *t = &a->held[i];

        if (!t->handed || t->running || t->ended)
            continue;
        start(p, t);
        busy += !t->parked;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->held[i].running && !a->held[i].parked && a->held[i].end_ms < next_ms)
            next_ms = a->held[i].end_ms;
    }
    return next_ms;
}

static void hand_over(struct agent_side *a)
{
    uint32_t handed = 0;

    for (uint32_t i = 0; i < a->count; i++)
        handed += a->held[i].handed && !a->held[i].ended && !a->held[i].parked;
    for (uint32_t i = 0; i < a->count && handed < a->slots * HANDED_PER_SLOT; i++) {
        if (a->held[i].handed || a->held[i].ended)
            continue;
        a->held[i].handed = true;
        handed++;
    }
}

/* ---- what it tells ---- */

static void take_children(struct proc *p)
{
    struct agent_side *a = p->agent;
    struct job *job = NULL;

    while ((job = client_take_ended(&a->client)) != NULL) {
        struct child *child = (struct child *)job;
        struct held *t = held_find(a, child->parent);

        child->used = false;
        if (job->abandoned || t == NULL || !t->running)
            continue;
        CHECK(p->world,
              job->failure != NULL
                  ? job->failure->status == SCOOP_FAILED || job->failure->status == SCOOP_LOST
                  : child->out == call_value(child->argument[0]),
              "a child ended with what is not its own");
        if (--t->children == 0) {
            t->parked = false;
            t->end_ms = p->world->now_ms + 1;
        }
    }
}

static void send(struct proc *p, struct blob *frame)
{
    if (frame == NULL || dialler_send(p->dialler, frame) != 0)
        abort();
}

/* PARKED for each whose state is another than was told (kept in bit 15 of its flags). */
static void report_parked(struct proc *p)
{
    struct agent_side *a = p->agent;
    struct blob *frame = NULL;

    for (uint32_t i = 0; i < a->count; i++) {
        struct held *t = &a->held[i];
        const struct wire_parked record = {.id = t->id, .parked = t->parked};

        if (t->parked == ((t->flags & 0x8000) != 0))
            continue;
        t->flags ^= 0x8000;
        if (frame == NULL)
            frame = dialler_frame(p->dialler, WIRE_PARKED, 64);
        if (frame == NULL || wire_put_parked(frame, &record) != 0)
            abort();
        wire_frame_add_count(frame, 1);
    }
    if (frame != NULL)
        send(p, frame);
}

static void put_note(struct blob *frame, const struct held *t, enum wire_note_kind kind)
{
    struct blob *span CLEANUP(blob_unref_p) = blob_new(64);
    const struct wire_span record = {
        .start_us = 1,
        .run_us = t->run_us,
        .outcome = t->outcome,
        .function = {(const uint8_t *)"f", 1},
    };
    struct wire_note note = {
        .task = t->id,
        .attempt = t->attempt,
        .kind = kind,
        .host = {(const uint8_t *)"h", 1},
        .bytes = {(const uint8_t *)"line", 4},
    };

    const struct wire_progress progress = {.done = 1, .total = 2};
    const struct wire_partial partial = {.index = 0, .bytes = {(const uint8_t *)"part", 4}};

    if (span == NULL || (kind == WIRE_NOTE_SPAN && wire_put_span(span, &record) != 0) ||
        (kind == WIRE_NOTE_PROGRESS && wire_put_progress(span, &progress) != 0) ||
        (kind == WIRE_NOTE_PARTIAL && wire_put_partial(span, &partial) != 0))
        abort();
    if (span->size != 0)
        note.bytes = (struct wire_bytes){span->data, span->size};
    if (wire_put_note(frame, &note) != 0)
        abort();
    wire_frame_add_count(frame, 1);
}

static enum wire_note_kind choose_note(struct world *w, const struct held *t)
{
    static const enum wire_note_kind kinds[] = {WIRE_NOTE_STDOUT, WIRE_NOTE_STDERR,
                                                WIRE_NOTE_PROGRESS, WIRE_NOTE_PARTIAL};

    if ((t->flags & WIRE_TASK_SPAN) != 0)
        return WIRE_NOTE_SPAN;
    return kinds[rng_below(&w->rng, COUNT_OF(kinds))];
}

static void report_notes(struct proc *p)
{
    struct agent_side *a = p->agent;
    struct blob *frame = NULL;

    if (!world_has(p->world, KIND_NOTES))
        return;
    for (uint32_t i = 0; i < a->count; i++) {
        if (!a->held[i].ended)
            continue;
        if (frame == NULL)
            frame = dialler_frame(p->dialler, WIRE_NOTES, 256);
        if (frame == NULL)
            abort();
        put_note(frame, &a->held[i], choose_note(p->world, &a->held[i]));
    }
    if (frame != NULL)
        send(p, frame);
}

static void put_outcome(struct blob *frame, const struct held *t)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(64);
    const struct wire_failure failure = {
        .code = t->code,
        .host = {(const uint8_t *)"host", 4},
        .text = {(const uint8_t *)"text", 4},
    };
    struct wire_attempt attempt = {
        .id = t->id,
        .attempt = t->attempt,
        .outcome = t->outcome,
        .flags = t->final ? WIRE_ATTEMPT_FINAL : 0,
        .run_us = t->run_us,
        .bytes = {(const uint8_t *)&t->value, sizeof(t->value)},
    };

    if (bytes == NULL || wire_put_failure(bytes, &failure) != 0)
        abort();
    if (t->outcome != WIRE_OK)
        attempt.bytes = (struct wire_bytes){bytes->data, bytes->size};
    if (wire_put_attempt(frame, &attempt) != 0)
        abort();
    wire_frame_add_count(frame, 1);
}

/* An outcome of an attempt that was told before comes again, and says something else. */
static void echo(struct proc *p, struct blob *frame)
{
    struct agent_side *a = p->agent;

    if (a->echo.id == 0 || !rng_chance(&p->world->rng, 300))
        return;
    a->echo_value = ~a->echo_value;
    a->echo.outcome = WIRE_OK;
    a->echo.bytes = (struct wire_bytes){(const uint8_t *)&a->echo_value, sizeof(a->echo_value)};
    if (wire_put_attempt(frame, &a->echo) != 0)
        abort();
    wire_frame_add_count(frame, 1);
}

static void report_outcomes(struct proc *p)
{
    struct agent_side *a = p->agent;
    struct blob *frame = NULL;

    for (uint32_t i = 0; i < a->count;) {
        struct held *t = &a->held[i];

        if (!t->ended) {
            i++;
            continue;
        }
        world_event(p->world, "reports", p->index, t->id, (uint64_t)t->outcome);
        if (frame == NULL)
            frame = dialler_frame(p->dialler, WIRE_OUTCOMES, 256);
        if (frame == NULL)
            abort();
        put_outcome(frame, t);
        if (world_suffers(p->world, KIND_ECHO)) {
            echo(p, frame);
            a->echo = (struct wire_attempt){.id = t->id, .attempt = t->attempt};
            a->echo_value = t->value;
        }
        held_remove(a, i);
    }
    if (frame != NULL)
        send(p, frame);
}

static void send_children(struct proc *p)
{
    struct blob *frame = NULL;

    while (client_next_frame(&p->agent->client, &frame) == 0)
        send(p, frame);
}

/* ---- life ---- */

/* It ends; another one comes in its place. */
static void stop(struct proc *p)
{
    struct world *w = p->world;

    proc_stop(w, p);
    if (w->closing)
        return;
    p->incarnation = rng_next(&w->rng) | 1;
    p->up_ms = w->now_ms + rng_between(&w->rng, 1, 1500);
}

static void leave(struct proc *p)
{
    struct world *w = p->world;
    struct agent_side *a = p->agent;

    if (!dialler_is_open(p->dialler)) {
        if (w->closing || a->leaving)
            stop(p);
        return;
    }
    if (!a->draining) {
        a->draining = true;
        a->grace_ms = w->now_ms + GRACE_MS;
        send(p, dialler_frame(p->dialler, WIRE_DRAIN, 0));
    }
    if ((a->count == 0 || w->now_ms >= a->grace_ms) && !a->leaving) {
        a->leaving = true;
        a->count = 0; /* what still runs is killed */
        send(p, dialler_frame(p->dialler, WIRE_BYE, 0));
    }
    if (!a->leaving || dialler_unacked(p->dialler) != 0)
        return;
    stop(p);
}

void agent_begin(struct proc *p)
{
    struct agent_side *a = p->agent;

    *a = (struct agent_side){.slots = a->slots};
    client_init(&a->client, &simulated_program);
}

void agent_finish(struct proc *p)
{
    client_fini(&p->agent->client);
    for (uint32_t i = 0; i < CHILDREN_MAX; i++)
        job_fini(&p->agent->children[i].job);
}

static void tell(struct proc *p)
{
    if (!dialler_is_open(p->dialler))
        return;
    send_children(p);
    report_notes(p);
    report_parked(p);
    report_outcomes(p);
}

int64_t agent_turn(struct proc *p)
{
    struct world *w = p->world;
    const int64_t clock_ms = proc_clock(p, w->now_ms);
    int64_t tick_ms = 0;

    /* After a pause the executors may go on before the agent does. */
    if (rng_chance(&w->rng, 200))
        (void)agent_run_executors(p);
    proc_receive(p, clock_ms, take_event);
    const enum dialler_event event = dialler_tick(p->dialler, clock_ms, &tick_ms);
    if (event != DIALLER_NOTHING)
        take_event(p, event, NULL);
    if (p->denied) {
        proc_stop(w, p);
        p->up_ms = w->closing ? INT64_MAX : w->now_ms + 500;
        p->incarnation = rng_next(&w->rng) | 1;
        p->key_revoked = false;
        snprintf(p->key.text, sizeof(p->key.text), "key-%u-%u", p->index, ++p->key_number);
        return INT64_MAX;
    }
    take_children(p);
    hand_over(p->agent);
    int64_t next_ms = agent_run_executors(p);
    tell(p);
    if (w->closing || p->agent->retires)
        leave(p);
    const int64_t due_ms = p->alive ? proc_when(p, tick_ms) : INT64_MAX;

    return due_ms < next_ms ? due_ms : next_ms;
}
