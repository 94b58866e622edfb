/* One seed from its beginning to its end: whose turn is next. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FRAMES_PER_TURN 64

/* ---- the trace ---- */

void world_hash_bytes(struct world *w, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t hash = w->hash ^ size;

    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word = 0;

        memcpy(&word, at, 8);
        hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
        hash ^= hash >> 32;
    }
    for (; size > 0; size--, at++)
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    w->hash = hash;
}

void world_event(struct world *w, const char *what, uint32_t proc, uint64_t a, uint64_t b)
{
    const uint64_t words[] = {(uint64_t)w->now_ms, proc, a, b, w->rng.state};

    world_hash_bytes(w, words, sizeof(words));
    if (!w->trace)
        return;
    if (proc < w->proc_count)
        printf("%7.3f %s-%u %s %llx %llu\n", (double)w->now_ms / 1000,
               w->procs[proc].role == WIRE_AGENT ? "agent" : "client", proc, what,
               (unsigned long long)a, (unsigned long long)b);
    else
        printf("%7.3f world %s %llx %llu\n", (double)w->now_ms / 1000, what, (unsigned long long)a,
               (unsigned long long)b);
}

void violated(struct world *w, const char *format, ...)
{
    va_list fields;

    fflush(stdout);
    printf("seed %llu at %.3f s: ", (unsigned long long)w->seed, (double)w->now_ms / 1000);
    va_start(fields, format);
    vprintf(format, fields);
    va_end(fields);
    printf("\n");
    fflush(stdout);
    _exit(3);
}

/* ---- processes ---- */

/* Lines, and what is told of a task while it runs. */
#define NOTES_WANTED                                                                               \
    (1U << WIRE_NOTE_STDOUT | 1U << WIRE_NOTE_STDERR | 1U << WIRE_NOTE_RUNNING |                   \
     1U << WIRE_NOTE_PROGRESS | 1U << WIRE_NOTE_PARTIAL)

void proc_receive(struct proc *p,
                  int64_t clock_ms,
                  void (*take)(struct proc *p, enum dialler_event event, struct dialler_input *in))
{
    struct dialler_input in;
    const bool slow = p->world->now_ms < p->slow_ms;

    for (int i = 0; i < (slow ? 1 : FRAMES_PER_TURN); i++) {
        const enum dialler_event event = dialler_receive(p->dialler, clock_ms, &in);

        if (event == DIALLER_NOTHING)
            return;
        take(p, event, &in);
    }
}

void proc_start(struct world *w, struct proc *p)
{
    const struct dialler_config config = {
        .context = p,
        .endpoint = "ipc://world",
        .role = p->role,
        .incarnation = p->incarnation,
        .slots = p->role == WIRE_AGENT ? p->agent->slots : 0,
        .wants = p->role == WIRE_CLIENT && world_has(w, KIND_NOTES) ? NOTES_WANTED : 0,
        .resources = p->role == WIRE_AGENT ? agent_resources(w, p) : NULL,
        .name = "peer",
    };

    p->alive = true;
    p->denied = false;
    p->up_ms = INT64_MAX;
    p->wake_ms = w->now_ms;
    p->paused_ms = 0;
    p->stalled_ms = 0;
    p->slow_ms = 0;
    world_event(w, "starts", p->index, p->incarnation, 0);
    if (dialler_new(&config, &p->dialler) != 0)
        abort();
    if (p->role == WIRE_AGENT)
        agent_begin(p);
    else
        client_begin(p);
}

void proc_stop(struct world *w, struct proc *p)
{
    if (!p->alive)
        return;
    world_event(w, "ends", p->index, p->incarnation, 0);
    p->alive = false;
    p->wake_ms = INT64_MAX;
    if (p->role == WIRE_AGENT)
        agent_finish(p);
    else
        client_finish(p);
    dialler_free(p->dialler);
    p->dialler = NULL;
    inbox_clear(w, &p->inbox);
}

void proc_turn(struct world *w, struct proc *p)
{
    w->events++;
    if (w->now_ms < p->paused_ms) {
        p->wake_ms = p->paused_ms;
        return;
    }
    int64_t next_ms = INT64_MAX;
    if (w->now_ms < p->stalled_ms) {
        next_ms = p->role == WIRE_AGENT ? agent_run_executors(p) : p->stalled_ms;
        next_ms = next_ms < p->stalled_ms ? next_ms : p->stalled_ms;
    } else {
        next_ms = p->role == WIRE_AGENT ? agent_turn(p) : client_turn(p);
    }
    if (!p->alive)
        return;
    if (p->inbox.count > 0 && next_ms > w->now_ms + 20)
        next_ms = w->now_ms + 20;
    p->wake_ms = next_ms > w->now_ms ? next_ms : w->now_ms + 1;
}

static void take_proc(struct world *w, struct proc *p)
{
    if (!p->alive && w->now_ms >= p->up_ms)
        proc_start(w, p);
    if (p->alive && !p->connected && w->now_ms >= p->connect_ms)
        network_connect(w, p);
    if (p->alive && w->now_ms >= p->wake_ms)
        proc_turn(w, p);
}

/* ---- time ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_ms(const struct world *w)
{
    int64_t next = least(network_next_ms(w), host_next_ms(w));

    next = least(next, w->fault_ms);
    next = least(next, w->redis.due_ms);
    for (uint32_t i = 0; i < w->proc_count; i++) {
        const struct proc *p = &w->procs[i];

        next = least(next, p->alive ? p->wake_ms : p->up_ms);
        if (p->alive && !p->connected)
            next = least(next, p->connect_ms);
    }
    return next > w->now_ms ? next : w->now_ms + 1;
}

static bool is_done(const struct world *w)
{
    for (uint32_t i = 0; i < w->errand_count; i++) {
        if (!w->errands[i].done)
            return false;
    }
    return durables_are_over(w);
}

/* The work is done: all leave, and nothing may be left. */
static bool is_over(struct world *w)
{
    if (!w->closing) {
        if (w->now_ms < w->calm_ms || !is_done(w))
            return false;
        w->closing = true;
        world_event(w, "closing", PROCS_MAX, 0, 0);
        for (uint32_t i = 0; i < w->proc_count; i++) {
            if (w->procs[i].alive)
                w->procs[i].wake_ms = w->now_ms;
        }
        return false;
    }
    for (uint32_t i = 0; i < w->proc_count; i++) {
        if (w->procs[i].alive)
            return false;
    }
    /* In one world of four until the broker has given up those who left without a word. */
    return w->redis.written == w->redis.appended && w->redis.confirmed == w->redis.written &&
           (w->seed % 4 != 0 || broker_is_alone(w));
}

static void explain_stuck(struct world *w)
{
    for (uint32_t i = 0; i < w->errand_count; i++) {
        const struct errand *e = &w->errands[i];

        CHECK(w, e->done,
              "lost: job %u of client %u has not ended %lld s after the last fault (%u of %u tasks "
              "have)",
              i, e->client, (long long)(w->end_ms - w->calm_ms) / 1000, e->job.ended, e->count);
    }
    for (uint32_t i = 0; i < w->durable_count; i++)
        CHECK(
            w, w->durables[i].step == STEP_OVER, "lost: durable task %llx is at step %d, asked %d",
            (unsigned long long)w->durables[i].id, (int)w->durables[i].step, w->durables[i].asked);
    for (uint32_t i = 0; i < w->proc_count; i++)
        CHECK(w, !w->procs[i].alive, "process %u cannot leave: frames are not acknowledged", i);
    violated(w, "the journal was not written: %llu of %llu", (unsigned long long)w->redis.written,
             (unsigned long long)w->redis.appended);
}

void world_run(struct world *w, uint64_t seed, uint64_t kinds, bool trace)
{
    w->seed = seed;
    w->rng.state = rng_mix(seed ^ UINT64_C(0x73696d756c617465));
    w->trace = trace;
    plan_make(w, kinds);
    host_start(w);
    for (;;) {
        w->now_ms = next_ms(w);
        if (w->now_ms > w->end_ms)
            explain_stuck(w);
        network_deliver(w);
        if (w->now_ms >= w->fault_ms)
            faults_strike(w);
        for (uint32_t i = 0; i < w->proc_count; i++)
            take_proc(w, &w->procs[i]);
        if (w->now_ms >= w->redis.due_ms)
            redis_exchange(w);
        host_turn(w);
        if (is_over(w))
            break;
    }
    checker_at_end(w);
}

void world_fini(struct world *w)
{
    for (uint32_t i = 0; i < w->proc_count; i++) {
        proc_stop(w, &w->procs[i]);
        free(w->procs[i].agent);
    }
    for (uint32_t i = 0; i < w->errand_count; i++)
        errand_fini(&w->errands[i]);
    for (uint32_t i = 0; i < w->durable_count; i++) {
        job_fini(&w->durables[i].job);
        blob_unref(w->durables[i].argument);
        free((void *)(uintptr_t)w->durables[i].out.data);
    }
    host_fini(w);
    network_fini(w);
}
