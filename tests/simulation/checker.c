/* The history: what went into the core and came out of it, what agents began and clients were told. It
 * believes nothing that the core counts; that a link has ended is all that it reads there. */
#include "world.h"

#include "core_state.h"

#include <string.h>

/* So often others may be served while a session with ready tasks waits for a free slot. */
#define PASSED_OVER_MAX 48

static const struct peer *peer_of(const struct world *w, uint64_t link)
{
    struct peer *peer = NULL;

    HASH_FIND(hh, w->host.core->peers, &link, sizeof(link), peer);
    return peer;
}

/* HELLO and its answer have another number than the link. */
static uint64_t number_of(const struct world *w, const struct wire_header *header)
{
    return header->type == WIRE_HELLO || header->type == WIRE_WELCOME
               ? link_number(header->link, w->host.epoch)
               : header->link;
}

/* Also of an older submission; NULL: a child, or a durable task. */
static const struct errand *errand_of_key(struct world *w, uint64_t key)
{
    const uint32_t index = ((uint32_t)(key & 0xffff) - 1) / 8;

    return (key & CHILD_KEY) == 0 && index < w->errand_count ? &w->errands[index] : NULL;
}

static const struct wire_options *options_of_key(struct world *w, uint64_t key)
{
    const struct call *call = call_find(w, key);

    if (call == NULL)
        return NULL;
    if (call->index / 8 < w->errand_count)
        return &w->errands[call->index / 8].options;
    for (uint32_t i = 0; i < w->durable_count; i++) {
        if (&w->durables[i].call == call)
            return &w->durables[i].options;
    }
    return NULL;
}

void checker_new_broker(struct world *w)
{
    memset(w->checker.leases, 0, w->checker.top * sizeof(w->checker.leases[0]));
    memset(w->checker.takers, 0, sizeof(w->checker.takers));
    w->checker.top = 0;
    for (uint32_t i = 0; i < w->proc_count; i++)
        memset(w->procs[i].views, 0, sizeof(w->procs[i].views));
    for (uint32_t i = 0; i < w->proc_count; i++)
        w->procs[i].key_revoked = false;
}

/* ---- leases ---- */

static struct lease *lease_of(struct world *w, uint64_t id)
{
    const uint32_t index = (uint32_t)id;

    CHECK(w, index < LEASES_MAX, "the broker's table of tasks grows without end");
    if (index >= w->checker.top)
        w->checker.top = index + 1;
    return &w->checker.leases[index];
}

static uint32_t leases_of_link(const struct world *w, uint64_t link)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < w->checker.top; i++)
        count += w->checker.leases[i].held && w->checker.leases[i].link == link;
    return count;
}

/* It has left whoever had it, if that is so. */
static void release(struct world *w, struct lease *lease, uint64_t id)
{
    if (!lease->held)
        return;
    CHECK(w, peer_of(w, lease->link) == NULL,
          "task %llx is leased to agent %u, while %llx, in its place, is still agent %u's",
          (unsigned long long)id, lease->proc, (unsigned long long)lease->id, lease->proc);
    lease->held = false;
    lease->losses++;
}

static void check_again(struct world *w, const struct lease *lease, uint64_t key)
{
    const struct wire_options *options = options_of_key(w, key);

    CHECK(w, lease->crashes < 3, "task %llx is tried again after its third crash",
          (unsigned long long)lease->id);
    CHECK(w, lease->losses < 10, "task %llx is tried again after its tenth loss",
          (unsigned long long)lease->id);
    /* A failure beside a copy counts for nothing, and the copy's for the task. */
    const struct errand *e = errand_of_key(w, key);
    if (e != NULL && e->options.rerun_ms != 0)
        return;
    CHECK(w, !lease->final, "a failure that no retry mends is tried again");
    if (options == NULL)
        return;
    CHECK(w, lease->failures <= options->retries, "a task failed %u times and is tried again",
          lease->failures);
    CHECK(w,
          lease->failures == 0 || w->now_ms >= lease->failed_ms + ((int64_t)options->backoff_ms
                                                                   << (lease->failures - 1)),
          "a task is tried again before its rest is over");
}

/* Sessions that wait while this one is served. `plain`: its task may go to every agent, in its turn. */
static void count_turns(struct world *w, uint64_t link, uint32_t session, bool plain)
{
    const struct peer *to = peer_of(w, link);
    const struct agent *agent = (const struct agent *)to;

    /* Not every function may be leased ahead of a free slot. */
    const bool ahead = agent == NULL || leases_of_link(w, link) > agent->slots + agent->parked;
    /* Classes take turns as well, and between two turns of clients come seven of children. */
    const uint32_t most = PASSED_OVER_MAX * (world_has(w, KIND_NEEDS) ? NEEDS_COUNT : 1);

    for (uint32_t i = 0; i < w->client_count; i++) {
        struct turn_taker *taker = &w->checker.takers[i];
        const struct peer *peer = NULL;

        for (uint32_t v = 0; v < VIEWS_MAX && peer == NULL; v++)
            peer = peer_of(w, w->procs[i].views[v].link);
        if (peer == NULL || peer->session == NULL || peer->session->ordinary.ready.count == 0 ||
            (uint32_t)peer->link.id == session || taker->session != (uint32_t)peer->link.id) {
            taker->session = peer != NULL ? (uint32_t)peer->link.id : 0;
            taker->passed_over = 0;
            continue;
        }
        taker->passed_over += plain && !ahead;
        CHECK(w, taker->passed_over <= most,
              "client %u has ready tasks, and others were served %u times before it", i,
              taker->passed_over);
    }
}

/* What goes first in its session has no lower priority than what stays. */
static void check_priority(struct world *w, uint32_t session, uint64_t key)
{
    const struct wire_options *options = options_of_key(w, key);

    for (const struct peer *peer = w->host.core->peers; options != NULL && peer != NULL;
         peer = peer->hh.next) {
        if ((uint32_t)peer->link.id != session || peer->session == NULL)
            continue;
        const struct task *next = ready_first(&peer->session->ordinary.ready);

        CHECK(w, next == NULL || next->priority <= options->priority,
              "a task of priority %d was leased before one of priority %d", options->priority,
              next->priority);
    }
}

/* Is what these leases need of `name` there? */
static void check_name(struct world *w, uint64_t link, const char *name, const struct needs *have)
{
    const struct needs_item *stock = needs_find(have, name);
    uint64_t wanted = 0;
    struct needs needs;

    CHECK(w, stock != NULL, "a task that needs %s was leased to an agent without it", name);
    for (uint32_t i = 0; i < w->checker.top; i++) {
        const struct lease *lease = &w->checker.leases[i];

        if (!lease->held || lease->needs == 0 ||
            (link != 0 ? lease->link != link : peer_of(w, lease->link) == NULL))
            continue;
        if (needs_parse(needs_texts[lease->needs], &needs, NULL) != 0)
            abort();
        const struct needs_item *item = needs_find(&needs, name);
        wanted += item != NULL ? item->quantity : 0;
    }
    CHECK(w, wanted <= stock->quantity, "tasks that need %llu %s were leased where there are %llu",
          (unsigned long long)wanted, name, (unsigned long long)stock->quantity);
}

static void check_needs(struct world *w, const struct proc *p, const struct lease *lease)
{
    struct needs needs;
    struct needs of_agent;
    struct needs of_all;

    if (lease->needs == 0)
        return;
    if (needs_parse(needs_texts[lease->needs], &needs, NULL) != 0 ||
        needs_parse(agent_resources(w, p), &of_agent, NULL) != 0 ||
        needs_parse(CLUSTER_RESOURCES, &of_all, NULL) != 0)
        abort();
    for (unsigned i = 0; i < needs.count; i++) {
        const bool all = needs_find(&of_all, needs.items[i].name) != NULL;

        check_name(w, all ? 0 : lease->link, needs.items[i].name, all ? &of_all : &of_agent);
    }
}

static void take_lease(struct world *w, struct proc *p, uint64_t link, const struct wire_task *task)
{
    struct lease *lease = lease_of(w, task->id);
    const size_t skip = (task->flags & WIRE_TASK_BUNDLE) != 0 ? 4 : 0;
    uint64_t key = 0;

    release(w, lease, task->id);
    if (lease->id != task->id)
        *lease = (struct lease){.id = task->id};
    const uint16_t before = lease->attempt;
    lease->attempt = task->attempt;
    lease->link = link;
    lease->proc = p->index;
    lease->held = true;
    if (skip == 0)
        memcpy(&key, task->argument.data, sizeof(key));
    else
        memcpy(&key, task->argument.data + 4 * (2 + (size_t)task->argument.data[3]), sizeof(key));
    const struct errand *e = errand_of_key(w, key);
    const bool pinned = e != NULL && e->pinned;
    lease->needs = e != NULL ? e->needs : 0;
    check_needs(w, p, lease);
    /* A task for one worker is leased between turns: that one may be gone before it is told. */
    CHECK(w, pinned ? task->attempt > before : task->attempt == before + 1,
          "attempt %u of task %llx follows attempt %u", task->attempt, (unsigned long long)task->id,
          before);
    check_again(w, lease, key);
    /* Copies are out of all order. */
    const bool plain = !pinned && lease->needs == 0 && (e == NULL || e->options.rerun_ms == 0);
    if (plain)
        check_priority(w, task->session, key);
    count_turns(w, link, task->session, plain);
}

/* ---- what the core sends ---- */

/* Is it not sent again? What is said of other links, as GONE is, does not count: whoever is sent much of
 * that has as many links as before. */
static bool is_fresh(const struct world *w, struct proc *p, const struct wire_header *header)
{
    if (header->seq == 0 && header->type != WIRE_WELCOME)
        return false;
    const uint64_t link = number_of(w, header);
    for (uint32_t i = 0; i < VIEWS_MAX; i++) {
        if (p->views[i].link != link)
            continue;
        if (header->seq <= p->views[i].sent)
            return false;
        p->views[i].sent = header->seq;
        return true;
    }
    p->views[p->view_next] = (struct view){.link = link, .sent = header->seq};
    p->view_next = (p->view_next + 1) % VIEWS_MAX;
    return true;
}

void checker_core_sends(struct world *w, struct proc *p, const struct blob *frame)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_task task;

    CHECK(w, wire_frame_read(frame->data, frame->size, &header, &body) == 0,
          "the broker sends what cannot be read");
    if (!is_fresh(w, p, &header) || header.type != WIRE_TASKS)
        return;
    CHECK(w, p->role == WIRE_AGENT, "a client got tasks");
    for (uint32_t i = 0; i < header.count; i++) {
        CHECK(w, wire_get_task(&body, &task) == 0, "the broker sends a task that cannot be read");
        take_lease(w, p, header.link, &task);
    }
}

/* ---- what the core gets ---- */

static void take_attempt(struct world *w, uint64_t link, const struct wire_attempt *attempt)
{
    if ((uint32_t)attempt->id >= LEASES_MAX)
        return;
    struct lease *lease = lease_of(w, attempt->id);

    if (!lease->held || lease->id != attempt->id || lease->attempt != attempt->attempt ||
        lease->link != link)
        return;
    lease->held = false;
    if (attempt->outcome == WIRE_CRASHED)
        lease->crashes++;
    if (attempt->outcome != WIRE_FAILED)
        return;
    lease->failures++;
    lease->failed_ms = w->now_ms;
    lease->final |= (attempt->flags & WIRE_ATTEMPT_FINAL) != 0;
}

/* A HELLO that comes late begins a link again that had ended. */
static void begin_link(struct world *w, uint64_t link)
{
    for (uint32_t i = 0; i < w->checker.top; i++) {
        if (w->checker.leases[i].link == link)
            release(w, &w->checker.leases[i], w->checker.leases[i].id);
    }
}

void checker_core_takes(struct world *w, struct proc *p, const struct blob *frame)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_attempt attempt;

    if (p->role != WIRE_AGENT || wire_frame_read(frame->data, frame->size, &header, &body) != 0)
        return;
    const struct peer *peer = peer_of(w, number_of(w, &header));
    if (header.type == WIRE_HELLO && peer == NULL)
        begin_link(w, number_of(w, &header));
    if (header.type != WIRE_OUTCOMES)
        return;
    if (peer == NULL || header.seq != peer->link.received + 1)
        return;
    for (uint32_t i = 0; i < header.count && wire_get_attempt(&body, &attempt) == 0; i++)
        take_attempt(w, header.link, &attempt);
}

struct bearing checker_bearing(const struct world *w, const struct blob *frame)
{
    struct wire_header header;
    struct wire_cursor body;
    struct bearing bearing = {.known = false};

    if (wire_frame_read(frame->data, frame->size, &header, &body) != 0)
        return bearing;
    const struct peer *peer = peer_of(w, header.link);
    if (peer != NULL)
        bearing = (struct bearing){true, peer->link.received, peer->link.acked, peer->route};
    return bearing;
}

void checker_not_obeyed(struct world *w, const struct blob *frame, const struct bearing *before)
{
    const struct bearing now = checker_bearing(w, frame);

    CHECK(w,
          now.known == before->known && now.received == before->received &&
              now.acked == before->acked &&
              memcmp(&now.route, &before->route, sizeof(now.route)) == 0,
          "a frame of another key's connection was obeyed");
}

void checker_after_step(struct world *w)
{
    const struct core_counters *counters = core_counters(w->host.core);

    CHECK(w, counters->illegal == 0, "an event came that the state of its task does not allow");
    CHECK(w, counters->malformed == 0 || world_has(w, KIND_IDENTITY),
          "the broker could not read a frame");
}

/* ---- agents and clients ---- */

void checker_task_starts(struct world *w, struct proc *p, const struct held *task)
{
    struct call *call = call_find(w, task->key);

    if (call == NULL)
        return;
    /* But for a durable task whose outcome Redis has forgotten. */
    CHECK(w, !call->never_ran || (w->excused && errand_of_key(w, task->key) == NULL),
          "call %u begins on agent %u after its client was told that it never ran, and never will",
          call->index, p->index);
    call->starts++;
}

static bool may_have(const struct world *w,
                     const struct errand *e,
                     const struct call *call,
                     enum scoop_status status)
{
    switch ((int)status) {
    case SCOOP_OK: return call->bad != BAD_ALWAYS && call->behaviour != BEHAVES_HANG;
    case SCOOP_FAILED:
        return call->behaviour == BEHAVES_FINALLY ||
               (call->behaviour == BEHAVES_BADLY &&
                (e->options.retries < call->bad || e->options.rerun_ms != 0));
    case SCOOP_CRASHED:
        /* The first attempt of a copy may be one more that crashes. */
        return call->behaviour == BEHAVES_CRASH &&
               (call->bad == BAD_ALWAYS || e->options.rerun_ms != 0);
    case SCOOP_OVERTIME: return call->behaviour == BEHAVES_HANG && call->limit_ms != 0;
    case SCOOP_CANCELLED: return e->cancelled;
    case SCOOP_EXPIRED: return e->options.expires_ms != 0;
    case SCOOP_LOST: return e->pinned || w->now_ms > 3000 || world_has(w, KIND_IDENTITY);
    default: return false;
    }
}

static void check_attempts(struct world *w, const struct errand *e, enum scoop_status status)
{
    const struct call *call = &e->calls[0];

    if (e->count != 1 || e->options.rerun_ms != 0)
        return;
    if (status == SCOOP_CRASHED)
        CHECK(w, e->job.attempts >= 3, "a task was given up after %u crashes", e->job.attempts);
    if (status == SCOOP_FAILED && call->behaviour == BEHAVES_BADLY)
        CHECK(w, e->job.attempts > e->options.retries, "a task was given up before its last retry");
    if (status == SCOOP_OK)
        CHECK(w, e->job.attempts >= 1, "a task ended well without an attempt");
}

void checker_call_ended(struct world *w,
                        const struct errand *e,
                        uint32_t index,
                        enum scoop_status status,
                        uint32_t code,
                        uint64_t value)
{
    struct call *call = &w->errands[e - w->errands].calls[index];

    call->over = true;
    CHECK(w, may_have(w, e, call, status), "call %u ended with status %d, which it cannot",
          call->index, (int)status);
    if (status == SCOOP_OK) {
        CHECK(w, value == call_value(call_key(call)), "call %u: the value belongs to another task",
              call->index);
        CHECK(w, call->starts > 0, "call %u ended well and never began", call->index);
    }
    check_attempts(w, e, status);
    if (status != SCOOP_CANCELLED || code != WIRE_NEVER_RAN)
        return;
    CHECK(w, call->starts == 0, "call %u never ran, its client was told; it began %u times",
          call->index, call->starts);
    call->never_ran = true;
}

void checker_at_end(struct world *w)
{
    audit_is_empty(w);
}
