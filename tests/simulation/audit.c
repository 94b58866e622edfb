/* What must hold between the core's own tables, at the end of each turn. */
#include "world.h"

#include "core_state.h"

#include <string.h>

struct sums {
    uint64_t tasks;
    uint64_t ready;
    uint64_t leased;
    uint64_t resting;
    uint64_t held;
    uint64_t blocked;
    uint32_t client_turns;
    uint32_t child_turns;
    uint32_t slots;
    uint32_t agents;
};

static void
count_task(struct world *w, const struct session *s, const struct task *t, struct sums *sums)
{
    const bool with_agent =
        t->state == TASK_LEASED || t->state == TASK_STOPPING || t->state == TASK_REVOKED;

    CHECK(w, t->session == s, "a task is not its session's");
    CHECK(w, t->state != TASK_FREE && t->state != TASK_REVOKED,
          "a session has a task that is gone");
    const bool copied = t->terms != NULL && t->terms->copy != NULL;
    CHECK(w, with_agent == (t->agent != NULL) || (copied && t->state == TASK_LEASED),
          "a task in state %u: has it an agent?", t->state);
    CHECK(w, !copied || (t->terms->copy->original == t && t->terms->copy->agent != NULL),
          "a copy does not run, or is another task's");
    CHECK(w, t->state != TASK_RESTING || (t->terms != NULL && t->terms->timer != 0),
          "a task rests for ever");
    sums->tasks++;
    sums->ready += t->state == TASK_READY;
    sums->resting += t->state == TASK_RESTING;
    sums->held += t->state == TASK_HELD;
    sums->blocked += t->state == TASK_BLOCKED;
}

static void audit_session(struct world *w, const struct session *s, struct sums *sums)
{
    const struct session_task *entry = NULL;
    const uint64_t ready = sums->ready;
    const uint64_t tasks = sums->tasks;
    uint64_t bytes = 0;

    for (uint64_t no = 1; (entry = roster_next(&s->tasks, &no)) != NULL; no++) {
        CHECK(w, entry->task->no == no, "a task stands under another number");
        bytes += entry->task->argument_bytes;
        count_task(w, s, entry->task, sums);
    }
    CHECK(w, sums->ready - ready == s->queued, "READY tasks are not in the queue, or others are");
    CHECK(w, sums->tasks - tasks == s->tasks.open, "a session counts its tasks wrongly");
    CHECK(w, bytes == s->bytes, "a session counts the bytes of its tasks wrongly");
    CHECK(w, s->results == NULL && s->needs == NULL, "a result waits for the next turn");
    if (s->ordinary.ready.count == 0)
        return;
    if (s->peer->role == WIRE_AGENT)
        sums->child_turns++;
    else
        sums->client_turns++;
}

/* What is taken of it is the sum over those that were leased of it. */
static void audit_stock(struct world *w, const struct stock *stock)
{
    for (unsigned i = 0; i < stock->total.count; i++)
        CHECK(w,
              stock->taken[i] <= stock->total.items[i].quantity ||
                  stock->total.items[i].quantity == 0,
              "more %s is taken than there is", stock->total.items[i].name);
}

static void audit_agent(struct world *w, const struct agent *a, struct sums *sums)
{
    uint32_t parked = 0;
    uint64_t count = 0;

    for (const struct task *t = a->leases.head; t != NULL; t = t->next) {
        CHECK(w, t->agent == a, "an agent has a task that is not its");
        CHECK(w, t->session != NULL || t->state == TASK_REVOKED || (t->copy && t->original != NULL),
              "a task of nobody is not revoked");
        parked += t->parked;
        sums->tasks += t->session == NULL;
        count++;
    }
    CHECK(w, count == a->leases.count, "an agent counts its tasks wrongly");
    CHECK(w, parked == a->parked, "an agent counts its waiting tasks wrongly");
    CHECK(w, a->tasks == NULL && a->revokes == NULL, "a lease waits for the next turn");
    const enum agent_shelf shelf = a->draining || a->peer.unreachable_ms != 0 ? AGENT_APART
                                   : agent_active(a) < a->slots               ? AGENT_IDLE
                                                                              : AGENT_BUSY;
    CHECK(w, a->shelf == shelf, "an agent stands on the wrong shelf");
    audit_stock(w, &a->stock);
    sums->leased += count;
    sums->slots += a->slots;
    sums->agents++;
}

/* No other link of its agent is known, and its key is admitted. */
static void audit_identity(struct world *w, const struct peer *peer)
{
    for (const struct peer *other = peer->hh.next; other != NULL; other = other->hh.next)
        CHECK(w, other->role != WIRE_AGENT || other->incarnation != peer->incarnation,
              "an agent has two links");
    for (uint32_t i = 0; i < w->proc_count; i++)
        CHECK(w, !w->procs[i].key_revoked || strcmp(w->procs[i].key.text, peer->key.text) != 0,
              "a link has a key that is admitted no more");
}

static void audit_peer(struct world *w, const struct peer *peer, struct sums *sums)
{
    const int64_t silent_ms = w->now_ms - peer->heard_ms;
    const int64_t limit_ms = peer->role == WIRE_AGENT ? CORE_LEASE_MS : CORE_SESSION_SILENT_MS;

    CHECK(w, silent_ms < limit_ms + 200, "a peer is silent for %lld ms and not given up",
          (long long)silent_ms);
    CHECK(w, !peer->dirty && !peer->ended, "a peer waits for the next turn");
    if (peer->session != NULL)
        audit_session(w, peer->session, sums);
    if (peer->role == WIRE_AGENT)
        audit_identity(w, peer);
    if (peer->role == WIRE_AGENT)
        audit_agent(w, (const struct agent *)peer, sums);
}

/* Does nothing go wrong in this world? */
static bool is_peaceful(const struct world *w)
{
    return (w->kinds & ((UINT64_C(1) << KIND_FAILURES) - 1)) == 0;
}

static void audit_idle(struct world *w)
{
    const struct core *core = w->host.core;

    for (const struct class *class = core->waiting; class != NULL; class = class->turn_next) {
        for (const struct agent *a = core->shelves[AGENT_IDLE]; a != NULL; a = a->next)
            CHECK(w, !class_fits(core, class, a, false), "a slot is idle while a task is ready");
    }
    CHECK(w, core->waiting != NULL || core->counters.ready == 0, "ready tasks are in no class");
}

void audit(struct world *w)
{
    const struct core *core = w->host.core;
    const struct core_counters *c = core_counters(core);
    struct sums sums = {0};

    for (const struct peer *peer = core->peers; peer != NULL; peer = peer->hh.next)
        audit_peer(w, peer, &sums);
    if (core->durables.session != NULL)
        audit_session(w, core->durables.session, &sums);
    CHECK(w, sums.tasks == core->slab.used, "%llu tasks are in no table",
          (unsigned long long)(core->slab.used - sums.tasks));
    CHECK(w,
          sums.ready == c->ready && sums.leased == c->leased && sums.resting == c->resting &&
              sums.held == c->held && sums.blocked == c->blocked,
          "the counters of tasks are wrong");
    CHECK(w, sums.slots == c->slots && sums.agents == c->agents,
          "the counters of agents are wrong");
    CHECK(w,
          sums.client_turns == core->ordinary.clients.count &&
              sums.child_turns == core->ordinary.children.count,
          "a session with ready tasks has no turn, or one without has");
    audit_idle(w);
    audit_stock(w, &core->stock);
    CHECK(w, c->agents_lost == 0 || !is_peaceful(w) || w->closing,
          "an agent was given up, and nothing was wrong");
    CHECK(w, core->durables.batch == NULL, "a record waits for the next turn");
    CHECK(w, core->timers.count == 0 || core->timers.heap[1]->terms->due_ms > w->now_ms,
          "a timer is overdue");
}

bool broker_is_alone(const struct world *w)
{
    return w->host.core == NULL || w->host.core->peers == NULL;
}

/* All have left in order. */
void audit_is_empty(struct world *w)
{
    const struct core *core = w->host.core;

    if (core == NULL || core->peers != NULL)
        return;
    const struct core_counters *c = core_counters(core);
    CHECK(w,
          core->counters.sessions == 0 && core->counters.agents == 0 && core->counters.slots == 0,
          "counters of sessions and agents at the end");
    const uint64_t durable =
        core->durables.session != NULL ? core->durables.session->tasks.open : 0;
    CHECK(w, core->slab.used == durable, "%llu tasks are left when nobody is there",
          (unsigned long long)(core->slab.used - durable));
    CHECK(w, c->constants <= 3, "a constant is left that is not kept"); /* there are three names */
}
