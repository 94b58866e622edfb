/* What goes wrong, and when. */
#include "world.h"

static struct proc *any(struct world *w, enum wire_role role)
{
    const uint32_t first = role == WIRE_CLIENT ? 0 : w->client_count;
    const uint32_t count = role == WIRE_CLIENT ? w->client_count : w->agent_count;

    return &w->procs[first + rng_below(&w->rng, count)];
}

static struct proc *anyone(struct world *w)
{
    return &w->procs[rng_below(&w->rng, w->proc_count)];
}

static int64_t until(struct world *w, int64_t most_ms)
{
    return w->now_ms + rng_between(&w->rng, 50, most_ms);
}

static void crash(struct world *w, struct proc *p)
{
    if (!p->alive)
        return;
    proc_stop(w, p);
    /* A host that is gone does not close its connections. */
    p->up_ms = until(w, 3000);
    p->incarnation = rng_next(&w->rng) | 1;
}

static void pause(struct world *w, struct proc *p)
{
    p->paused_ms = until(w, 7000);
}

static void stall(struct world *w, struct proc *p)
{
    p->stalled_ms = until(w, 7000);
}

static void slow_down(struct world *w, struct proc *p)
{
    p->slow_ms = until(w, 4000);
}

static void crash_broker(struct world *w)
{
    w->host.crash_ms = w->now_ms;
    w->host.crash_after = rng_below(&w->rng, 4);
}

static void cut_one_way(struct world *w, struct proc *p)
{
    if (rng_chance(&w->rng, 500))
        p->cut_in_ms = until(w, 6000);
    else
        p->cut_out_ms = until(w, 6000);
}

/* Some lines are clogged one after the other, and free again in another order. */
static void clog_some(struct world *w)
{
    for (uint32_t i = 0; i < w->proc_count; i++) {
        if (rng_chance(&w->rng, 500))
            w->procs[i].clog_ms = until(w, 4500);
    }
}

static void reset(struct world *w, struct proc *p)
{
    const bool tell = rng_chance(&w->rng, 800);
    const int64_t delay_ms =
        rng_chance(&w->rng, 700) ? rng_between(&w->rng, 0, 250) : rng_between(&w->rng, 0, 4000);

    network_reset(w, p, delay_ms, tell);
}

static void lose_redis(struct world *w, bool full)
{
    w->redis.away_ms = until(w, 3000);
    w->redis.full = full;
    if (w->redis.due_ms == INT64_MAX && w->host.core != NULL)
        w->redis.due_ms = w->now_ms;
}

static void revoke_key(struct world *w, struct proc *p)
{
    if (w->host.core == NULL || !p->alive)
        return;
    world_event(w, "key revoked", p->index, 0, 0);
    p->key_revoked = true;
    host_event(w, &(struct core_event){
                      .type = CORE_KEY_REVOKED,
                      .role = WIRE_AGENT,
                      .now_ms = w->now_ms,
                      .key = p->key,
                  });
}

/* Returns whether this kind is something that happens at a moment. */
static bool strike(struct world *w, enum kind kind)
{
    switch ((int)kind) {
    case KIND_DELAY: w->spike_ms = until(w, 2000); return true;
    case KIND_ONE_WAY: cut_one_way(w, anyone(w)); return true;
    case KIND_CLOG: clog_some(w); return true;
    case KIND_RESET: reset(w, anyone(w)); return true;
    case KIND_AGENT_CRASH: crash(w, any(w, WIRE_AGENT)); return true;
    case KIND_AGENT_PAUSE: pause(w, any(w, WIRE_AGENT)); return true;
    case KIND_AGENT_STALL: stall(w, any(w, WIRE_AGENT)); return true;
    case KIND_BROKER_CRASH: crash_broker(w); return true;
    case KIND_BROKER_PAUSE: w->host.paused_ms = until(w, 5000); return true;
    case KIND_REDIS_AWAY: lose_redis(w, false); return true;
    case KIND_REDIS_FULL: lose_redis(w, true); return true;
    case KIND_REDIS_LOSS: redis_forget(w, 1 + rng_below(&w->rng, 20)); return true;
    case KIND_SLOW_READER: slow_down(w, anyone(w)); return true;
    case KIND_CLIENT_CRASH: crash(w, any(w, WIRE_CLIENT)); return true;
    case KIND_KEY_REVOKED: revoke_key(w, any(w, WIRE_AGENT)); return true;
    case KIND_LEAVE: any(w, WIRE_AGENT)->agent->retires = true; return true;
    default: return false;
    }
}

void faults_end(struct world *w)
{
    w->fault_ms = INT64_MAX;
    w->drop_rate = 0;
    w->duplicate_rate = 0;
    w->reorder_rate = 0;
    w->forge_rate = 0;
    w->spike_ms = 0;
    w->redis.away_ms = 0;
    w->host.paused_ms = 0;
    w->host.crash_ms = INT64_MAX;
    for (uint32_t i = 0; i < w->proc_count; i++) {
        struct proc *p = &w->procs[i];

        p->paused_ms = 0;
        p->stalled_ms = 0;
        p->cut_in_ms = 0;
        p->cut_out_ms = 0;
        p->clog_ms = 0;
        p->slow_ms = 0;
        if (p->alive)
            p->wake_ms = w->now_ms;
        /* One identity each, from now on. */
        if (world_has(w, KIND_IDENTITY) && i == w->proc_count - 1 && w->agent_count > 1 &&
            p->incarnation == w->procs[i - 1].incarnation) {
            proc_stop(w, p);
            p->incarnation = rng_next(&w->rng) | 1;
            p->up_ms = w->now_ms + 1;
        }
    }
    world_event(w, "calm", PROCS_MAX, 0, 0);
}

void faults_strike(struct world *w)
{
    enum kind kinds[KIND_END];
    uint32_t count = 0;

    if (w->now_ms >= w->calm_ms) {
        faults_end(w);
        return;
    }
    for (int kind = 0; kind < KIND_END; kind++) {
        if (world_has(w, (enum kind)kind))
            kinds[count++] = (enum kind)kind;
    }
    for (int tries = 0; count > 0 && tries < 10; tries++) {
        const enum kind kind = kinds[rng_below(&w->rng, count)];

        if (!strike(w, kind))
            continue;
        world_event(w, kind_names[kind], PROCS_MAX, 0, 0);
        break;
    }
    w->fault_ms = w->now_ms + rng_between(&w->rng, 20, 2000);
    if (w->fault_ms > w->calm_ms)
        w->fault_ms = w->calm_ms;
}
