/* From a seed to a world: who is there, what they want, and what may go wrong. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static struct rng *dice(struct world *w)
{
    return &w->rng;
}

/* ---- calls ---- */

uint64_t call_key(const struct call *call)
{
    return (uint64_t)call->submission << 16 | (call->index + 1);
}

#define DURABLE_INDEX 1000

struct call *call_find(struct world *w, uint64_t key)
{
    const uint32_t index = (uint32_t)(key & 0xffff) - 1;
    struct call *call = NULL;

    if ((key & CHILD_KEY) != 0)
        return NULL;
    if (index >= DURABLE_INDEX && index < DURABLE_INDEX + w->durable_count)
        call = &w->durables[index - DURABLE_INDEX].call;
    else if (index / 8 < w->errand_count && index % 8 < w->errands[index / 8].count)
        call = &w->errands[index / 8].calls[index % 8];
    CHECK(w, call != NULL, "an agent got an argument that nobody submitted: %llx",
          (unsigned long long)key);
    return call_key(call) == key ? call : NULL;
}

static void choose_bad(struct world *w, struct call *call, uint32_t most)
{
    call->bad = 1 + rng_below(dice(w), most);
    if (rng_chance(dice(w), 400))
        call->bad = BAD_ALWAYS;
}

static void choose_behaviour(struct world *w, struct call *call, bool nests, bool may_hang)
{
    const uint32_t die = rng_below(dice(w), 100);

    call->run_ms = rng_chance(dice(w), 700) ? rng_below(dice(w), 30) : rng_below(dice(w), 900);
    if (nests) {
        call->behaviour = BEHAVES_PARENT;
        call->bad = 1 + rng_below(dice(w), 8);
    } else if (die < 15 && world_has(w, KIND_FAILURES)) {
        call->behaviour = BEHAVES_BADLY;
        choose_bad(w, call, 3);
    } else if (die < 20 && world_has(w, KIND_FAILURES)) {
        call->behaviour = BEHAVES_FINALLY;
        call->bad = BAD_ALWAYS;
    } else if (die < 35 && world_has(w, KIND_CRASHES)) {
        call->behaviour = BEHAVES_CRASH;
        choose_bad(w, call, 2);
    } else if (die < 45 && may_hang && world_has(w, KIND_HANGS)) {
        call->behaviour = BEHAVES_HANG;
        call->limit_ms = (uint32_t)rng_between(dice(w), 100, 1500);
    }
}

struct durable_errand *durable_of_call(struct world *w, const struct call *call)
{
    const uint32_t index = call->index - DURABLE_INDEX;

    return call->index >= DURABLE_INDEX ? &w->durables[index] : NULL;
}

/* Some spell the same need in two ways: that makes two classes. */
const char *const needs_texts[NEEDS_COUNT] = {"",         "gpu", "gpu=2", "ssd", "gpu=1,licence=1",
                                              "licence=2"};

/* The first agent has all that is needed. */
const char *agent_resources(const struct world *w, const struct proc *p)
{
    static const char *const texts[] = {"gpu=2,ssd", "", "gpu=1", "ssd", "gpu=4,ram=1G"};
    const uint64_t which =
        p->index == w->client_count ? 0 : rng_mix(w->seed + p->index) % COUNT_OF(texts);

    return world_has(w, KIND_NEEDS) ? texts[which] : "";
}

static void choose_options(struct world *w, struct wire_options *options)
{
    if (world_has(w, KIND_RETRIES) && rng_chance(dice(w), 400)) {
        options->retries = (uint16_t)rng_between(dice(w), 1, 3);
        options->backoff_ms = (uint32_t)rng_between(dice(w), 0, 400);
    }
    if (world_has(w, KIND_PRIORITY) && rng_chance(dice(w), 400))
        options->priority = (int8_t)rng_between(dice(w), -2, 2);
    if (world_has(w, KIND_EXPIRY) && rng_chance(dice(w), 200))
        options->expires_ms = (uint32_t)rng_between(dice(w), 20, 2000);
    if (world_has(w, KIND_NOTES) && rng_chance(dice(w), 300))
        options->traced = true;
}

static void choose_inputs(struct world *w, struct errand *e, uint32_t self)
{
    for (uint32_t i = 0; i < self && e->input_count < INPUTS_MAX; i++) {
        const struct errand *other = &w->errands[i];

        if (other->client == e->client && other->request == REQUEST_CALLS && other->count == 1 &&
            rng_chance(dice(w), 150))
            e->inputs[e->input_count++] = i;
    }
}

static void plan_errand(struct world *w, uint32_t at)
{
    struct errand *e = &w->errands[at];
    const int64_t most_ms = w->calm_ms * 3 / 4;

    e->client = rng_below(dice(w), w->client_count);
    e->submit_ms = rng_chance(dice(w), 300) ? 0 : rng_between(dice(w), 0, most_ms);
    e->cancel_ms = INT64_MAX;
    e->count = rng_chance(dice(w), 600) ? 1 : 1 + rng_below(dice(w), 8);
    e->variable = rng_chance(dice(w), 400);
    e->nests = world_has(w, KIND_NESTED) && rng_chance(dice(w), 200);
    e->pinned = world_has(w, KIND_PINNED) && rng_chance(dice(w), 150);
    choose_options(w, &e->options);
    if (world_has(w, KIND_NEEDS) && !e->pinned && rng_chance(dice(w), 400))
        e->needs = rng_below(dice(w), NEEDS_COUNT);
    if (world_has(w, KIND_COPIES) && !e->pinned && rng_chance(dice(w), 400))
        e->options.rerun_ms = (uint32_t)rng_between(dice(w), 1, 700);
    if (rng_chance(dice(w), 100))
        e->options.batch = (uint16_t)rng_between(dice(w), 1, 4);
    if (e->count == 1 && !e->nests && world_has(w, KIND_INPUTS) && rng_chance(dice(w), 400))
        choose_inputs(w, e, at);
    for (uint32_t i = 0; i < e->count; i++) {
        e->calls[i].index = at * 8 + i;
        choose_behaviour(w, &e->calls[i], e->nests, e->count == 1);
    }
    if (e->count == 1 && world_has(w, KIND_CANCEL) && rng_chance(dice(w), 350))
        e->cancel_ms = e->submit_ms + rng_between(dice(w), 0, 4000);
    if (e->cancel_ms != INT64_MAX && e->calls[0].behaviour == BEHAVES_HANG &&
        rng_chance(dice(w), 500))
        e->calls[0].limit_ms = 0;
}

static void plan_durable(struct world *w, uint32_t at)
{
    struct durable_errand *d = &w->durables[at];

    d->id = rng_next(dice(w)) | 1;
    d->client = rng_below(dice(w), w->client_count);
    d->call.index = DURABLE_INDEX + at;
    d->next_ms = rng_between(dice(w), 0, w->calm_ms * 3 / 4);
    d->cancel = world_has(w, KIND_CANCEL) && rng_chance(dice(w), 250);
    d->retry = rng_chance(dice(w), 500);
    choose_behaviour(w, &d->call, false, true);
    choose_options(w, &d->options);
    for (uint32_t i = 0; world_has(w, KIND_AFTER) && i < at && d->after_count < INPUTS_MAX; i++) {
        if (rng_chance(dice(w), 350))
            d->after[d->after_count++] = i;
    }
    d->options.traced = false;
}

/* ---- processes ---- */

static void plan_clock(struct world *w, struct proc *p)
{
    p->clock_start_ms = rng_between(dice(w), 1, 100000);
    p->clock_rate = 1000;
    if (world_has(w, KIND_DRIFT) && rng_chance(dice(w), 600))
        p->clock_rate = (int32_t)rng_between(dice(w), 800, 1200);
}

static void plan_proc(struct world *w, enum wire_role role)
{
    struct proc *p = &w->procs[w->proc_count];

    *p = (struct proc){
        .world = w,
        .index = w->proc_count++,
        .role = role,
        .wake_ms = INT64_MAX,
        .connect_ms = INT64_MAX,
    };
    p->up_ms = rng_chance(dice(w), 700) ? 0 : rng_between(dice(w), 0, 2000);
    p->incarnation = rng_next(dice(w)) | 1;
    plan_clock(w, p);
    snprintf(p->key.text, sizeof(p->key.text), "key-%u", p->index);
    if (role == WIRE_CLIENT)
        return;
    p->agent = calloc(1, sizeof(*p->agent));
    if (p->agent == NULL)
        abort();
    p->agent->slots = 1 + rng_below(dice(w), 3);
}

/* Each kind is in about every third world; one world in ten has none of the faults. */
static uint64_t choose_kinds(struct world *w)
{
    uint64_t kinds = 0;
    const uint32_t share = (uint32_t)rng_between(dice(w), 100, 600);

    for (int kind = 0; kind < KIND_END; kind++) {
        const bool fault = kind < KIND_FAILURES;

        if (rng_chance(dice(w), fault ? share : 500))
            kinds |= UINT64_C(1) << kind;
    }
    return rng_chance(dice(w), 100) ? kinds & ~((UINT64_C(1) << KIND_FAILURES) - 1) : kinds;
}

static int32_t choose_rate(struct world *w, enum kind kind, int32_t most)
{
    const int32_t rate = (int32_t)rng_between(dice(w), 5, most);

    return world_has(w, kind) ? rate : 0;
}

void plan_make(struct world *w, uint64_t kinds)
{
    w->kinds = choose_kinds(w) & kinds;
    w->calm_ms = rng_between(dice(w), 2000, 12000);
    w->end_ms = w->calm_ms + 120000;
    w->client_count = 1 + rng_below(dice(w), CLIENTS_MAX);
    w->agent_count = 1 + rng_below(dice(w), AGENTS_MAX);
    w->latency_ms = rng_chance(dice(w), 800) ? 2 : 60;
    w->drop_rate = choose_rate(w, KIND_DROP, 200);
    w->duplicate_rate = choose_rate(w, KIND_DUPLICATE, 200);
    w->reorder_rate = choose_rate(w, KIND_REORDER, 300);
    w->forge_rate = choose_rate(w, KIND_IDENTITY, 100);
    w->fault_ms = rng_between(dice(w), 0, 1000);
    for (uint32_t i = 0; i < w->client_count; i++)
        plan_proc(w, WIRE_CLIENT);
    for (uint32_t i = 0; i < w->agent_count; i++)
        plan_proc(w, WIRE_AGENT);
    if (world_has(w, KIND_IDENTITY) && w->agent_count > 1)
        w->procs[w->proc_count - 1].incarnation = w->procs[w->proc_count - 2].incarnation;
    const uint32_t errands = 3 + rng_below(dice(w), CALLS_MAX - 12);
    for (w->errand_count = 0; w->errand_count < errands; w->errand_count++)
        plan_errand(w, w->errand_count);
    if (!world_has(w, KIND_DURABLE))
        return;
    const uint32_t durables = 1 + rng_below(dice(w), DURABLES_MAX);
    for (w->durable_count = 0; w->durable_count < durables; w->durable_count++)
        plan_durable(w, w->durable_count);
}
