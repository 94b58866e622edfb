/* Agents as the core sees them: what they hold and where they stand for the scheduler.
 * Invariants: a LEASED or REVOKED task stands in its agent's list of leases; an agent stands on
 * exactly one shelf until it ends. */
#include "state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#define LARGE_US 10000

struct agent *agent_new(uint32_t slots)
{
    struct agent *agent = calloc(1, sizeof(*agent));

    if (agent != NULL)
        agent->slots = slots;
    return agent;
}

void agent_free(struct agent *agent)
{
    blob_unref(agent->tasks);
    blob_unref(agent->revokes);
    free(agent->told);
    free(agent);
}

struct agent *agent_find(const struct core *core, uint64_t incarnation)
{
    for (struct peer *peer = core->peers; peer != NULL; peer = peer->hh.next) {
        if (peer->role == WIRE_AGENT && peer->incarnation == incarnation && !peer->ended &&
            !agent_of(peer)->draining)
            return agent_of(peer);
    }
    return NULL;
}

static enum agent_shelf right_shelf(const struct agent *agent)
{
    if (agent->draining || agent->peer.ended || agent->peer.unreachable_ms != 0)
        return AGENT_APART;
    return agent_active(agent) < agent->slots ? AGENT_IDLE : AGENT_BUSY;
}

void agent_shelve(struct core *core, struct agent *agent, bool room)
{
    const enum agent_shelf shelf = right_shelf(agent);

    if (room && shelf == agent->shelf && (shelf != AGENT_BUSY || core->shelves[shelf] == agent))
        return;
    if (agent->prev != NULL)
        DL_DELETE(core->shelves[agent->shelf], agent);
    agent->shelf = shelf;
    if (room && shelf == AGENT_BUSY)
        DL_PREPEND(core->shelves[shelf], agent);
    else
        DL_APPEND(core->shelves[shelf], agent);
}

/* ---- leasing ---- */

static bool was_told(const struct agent *agent, uint16_t number)
{
    return number / 8U < agent->told_bytes && (agent->told[number / 8] & 1U << number % 8) != 0;
}

static int mark_told(struct agent *agent, uint16_t number)
{
    if (number / 8U >= agent->told_bytes) {
        const uint32_t bytes = number / 8U + 32;
        uint8_t *told = realloc(agent->told, bytes);

        if (told == NULL)
            return -ENOMEM;
        memset(told + agent->told_bytes, 0, bytes - agent->told_bytes);
        agent->told = told;
        agent->told_bytes = bytes;
    }
    agent->told[number / 8] |= (uint8_t)(1U << number % 8);
    return 0;
}

/* FUNCTION goes out before the TASKS frame that is being filled: frames are numbered when they
 * are sent. */
static int tell_function(struct core *core, struct agent *agent, uint16_t number)
{
    if (was_told(agent, number))
        return 0;
    struct blob *frame = wire_frame_new(WIRE_FUNCTION, agent->peer.link.id, 128);

    if (frame == NULL || wire_put_function(frame, &core->function_by_number[number]->wire) != 0 ||
        mark_told(agent, number) != 0) {
        blob_unref(frame);
        return -ENOMEM;
    }
    wire_frame_add_count(frame, 1);
    peer_send(core, &agent->peer, frame);
    return 0;
}

static void flush_tasks(struct core *core, struct agent *agent)
{
    if (agent->tasks != NULL)
        peer_send(core, &agent->peer, steal(&agent->tasks));
}

static bool has_inputs(const struct task *task)
{
    return task->terms != NULL && task->terms->inputs != NULL;
}

/* What goes to the agent as its argument. *bundle is dropped by the caller. -ENOMEM. */
static int argument_of(const struct task *task, struct blob **bundle, struct wire_bytes *out)
{
    *out = (struct wire_bytes){task->argument, task->argument_bytes};
    if (!has_inputs(task))
        return 0;
    *bundle = blob_new(inputs_bundle_bytes(task));
    if (*bundle == NULL)
        return -ENOMEM;
    inputs_put_bundle(*bundle, task);
    *out = (struct wire_bytes){(*bundle)->data, (*bundle)->size};
    return 0;
}

/* Can its submitter be sent the result in pieces? What is durable has to be in the journal. */
static bool result_moves(const struct core *core, const struct task *task)
{
    return task->session->peer->role == WIRE_CLIENT && task->session != core->durables.session;
}

static uint16_t flags_of(const struct core *core, const struct task *task)
{
    return (uint16_t)((task->traced ? WIRE_TASK_SPAN : 0) |
                      (has_inputs(task) ? WIRE_TASK_BUNDLE : 0) |
                      (task->large ? WIRE_TASK_LARGE : 0) |
                      (result_moves(core, task) ? WIRE_TASK_MOVES : 0));
}

/* A copy's result is known to nobody but the broker, and so are its notes. */
static int append_task(struct core *core, struct agent *agent, const struct task *task)
{
    const struct task *own = task->copy ? task->original : task;
    struct blob *bundle CLEANUP(blob_unref_p) = NULL;
    struct wire_task record = {
        .id = task_id(task),
        .function = task->function,
        .limit_ms = task->limit_ms,
        .session = (uint32_t)own->session->peer->link.id,
        .attempt = task->attempt,
        .flags = task->copy ? (has_inputs(own) ? WIRE_TASK_BUNDLE : 0) : flags_of(core, task),
    };

    if (argument_of(own, &bundle, &record.argument) != 0)
        return -ENOMEM;
    if (agent->tasks != NULL && agent->tasks->size + (task->large ? 0 : record.argument.size) >
                                    WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        flush_tasks(core, agent);
    if (agent->tasks == NULL)
        agent->tasks = wire_frame_new(WIRE_TASKS, agent->peer.link.id, WIRE_TASK_BYTES);
    if (agent->tasks == NULL || wire_put_task(agent->tasks, &record) != 0)
        return -ENOMEM;
    wire_frame_add_count(agent->tasks, 1);
    return 0;
}

void agent_lease(struct core *core, struct agent *agent, struct task *task)
{
    task_step(task, TASK_LEASE);
    timers_stop(&core->timers, task); /* it is started in time */
    copies_watch(core, task);
    task->agent = agent;
    task_list_push_back(&agent->leases, task);
    class_take(core, task->class, agent);
    core->counters.leased++;
    if (tell_function(core, agent, task->function) != 0 || append_task(core, agent, task) != 0) {
        /* It cannot be told of its task: as good as lost, and the task goes elsewhere. */
        peer_refuse(core, &agent->peer, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    agent_shelve(core, agent, false);
    peer_touch(core, &agent->peer);
}

void agent_revoke(struct core *core, struct task *task, enum task_event event)
{
    struct agent *agent = task->agent;
    const enum task_action action = task_step(task, event);

    timers_stop(&core->timers, task); /* it is no straggler any more */
    if (event == TASK_ABANDON)
        task->session = NULL;
    if (action != TASK_SEND_REVOKE)
        return; /* it knows already */
    if (agent->revokes == NULL)
        agent->revokes = wire_frame_new(WIRE_REVOKE, agent->peer.link.id, 8);
    if (agent->revokes == NULL || blob_reserve(agent->revokes, 8) != 0)
        return; /* it runs to its end, and its outcome is dropped */
    wire_put_u64(agent->revokes, task_id(task));
    wire_frame_add_count(agent->revokes, 1);
    peer_touch(core, &agent->peer);
}

void agent_flush(struct core *core, struct agent *agent)
{
    flush_tasks(core, agent);
    if (agent->revokes != NULL)
        peer_send(core, &agent->peer, steal(&agent->revokes));
}

/* ---- outcomes ---- */

void agent_unlease(struct core *core, struct task *task, bool again)
{
    relay_forget(core, task);
    notes_end(core, task, again);
    class_give(core, task->class, task->agent);
    task->agent->parked -= task->parked;
    task->parked = false;
    task_list_remove(&task->agent->leases, task);
    task->agent = NULL;
    core->counters.leased--;
}

/* A failure of the function: is it tried again? Then its timer is set. */
static enum task_event
retry_or_end(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    int64_t pause_ms = 0;

    if (task->state != TASK_LEASED || (outcome->flags & WIRE_ATTEMPT_FINAL) != 0 ||
        !terms_take_retry(task->terms, &pause_ms) ||
        timers_set(&core->timers, task, core->now_ms + pause_ms) != 0)
        return TASK_OUTCOME;
    core->counters.retried++;
    return TASK_RETRY;
}

/* What the run counts for how many of its kind are leased ahead. What travels in pieces is not short,
 * however fast it ran: agents keep it meanwhile. */
static uint32_t weight_of(const struct task *task, const struct wire_attempt *outcome)
{
    const bool large = task->large || outcome_is_moved(outcome);

    return large && outcome->run_us < LARGE_US ? LARGE_US : outcome->run_us;
}

/* There is no other attempt of it under way. */
static void end_attempt(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    enum task_event event = TASK_OUTCOME;

    timers_stop(&core->timers, task);
    if (outcome->outcome == WIRE_FAILED)
        event = retry_or_end(core, task, outcome);
    if (outcome->outcome == WIRE_CRASHED) {
        event = task_count_crash(task);
        core->counters.requeued_crash += event == TASK_CRASH;
    }
    if (task->agent != NULL)
        agent_unlease(core, task, event == TASK_CRASH || event == TASK_RETRY);
    settle(core, task, event, outcome);
}

static void take_outcome(struct core *core,
                         struct agent *agent,
                         struct task *task,
                         const struct wire_attempt *outcome)
{
    if (outcome->outcome == WIRE_OK) {
        function_measure(core->function_by_number[task->function], weight_of(task, outcome));
        agent->done++;
    } else {
        agent->failed++;
    }
    struct task *const ended = copies_ended(core, task, outcome);
    if (ended != NULL)
        end_attempt(core, ended, outcome);
}

/* A result that its submitter is said to have: it was offered, and taken to the end. */
static bool is_possible(const struct task *task, const struct wire_attempt *outcome)
{
    if (task->copy && outcome_is_moved(outcome))
        return false; /* it was not told that it may */
    return !outcome_is_moved(outcome) || task->session == NULL ||
           (outcome->bytes.size == sizeof(uint64_t) && (task->taken || task->state != TASK_LEASED));
}

int agent_outcomes(struct core *core,
                   struct agent *agent,
                   const struct wire_header *header,
                   struct wire_cursor *body)
{
    struct wire_attempt outcome;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_attempt(body, &outcome) != 0)
            return -EPROTO;
        struct task *task = task_find(&core->slab, outcome.id);

        if (task == NULL || task->agent != agent || task->attempt != outcome.attempt)
            core->counters.stale++;
        else if (!is_possible(task, &outcome))
            return -EPROTO;
        else
            take_outcome(core, agent, task, &outcome);
    }
    agent_shelve(core, agent, true);
    return wire_read_ok(body);
}

int agent_parked(struct core *core,
                 struct agent *agent,
                 const struct wire_header *header,
                 struct wire_cursor *body)
{
    struct wire_parked record;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_parked(body, &record) != 0)
            return -EPROTO;
        struct task *task = task_find(&core->slab, record.id);

        if (task == NULL || task->agent != agent || task->parked == record.parked) {
            core->counters.stale++;
            continue;
        }
        task->parked = record.parked;
        agent->parked += record.parked ? 1U : -1U;
        if (record.parked)
            notes_parked(core, task);
        core->function_by_number[task->function]->nests = true;
    }
    agent_shelve(core, agent, true);
    return wire_read_ok(body);
}

/* ---- the end ---- */

/* One task of a lost agent. */
static void lose_task(struct core *core, struct task *held, const char *host)
{
    struct task *const task = copies_ended(core, held, NULL);
    char text[128];

    if (task == NULL)
        return;
    const enum task_event event = task_count_loss(task);
    core->counters.requeued_loss += event == TASK_LOSS;
    timers_stop(&core->timers, task);
    if (task->agent != NULL)
        agent_unlease(core, task, event == TASK_LOSS);
    if (event == TASK_LOSS) {
        settle(core, task, event, NULL);
        return;
    }
    snprintf(text, sizeof(text), "its host was lost %d times, last %s", TASK_LOSSES_MAX, host);
    const struct wire_failure failure = {
        .host = {(const uint8_t *)host, strlen(host)},
        .text = {(const uint8_t *)text, strlen(text)},
    };

    settle_failure(core, task, event, WIRE_LOST, &failure);
}

/* Last leased first, so that pushing to the front restores the order. */
static void lose_tasks(struct core *core, struct agent *agent)
{
    while (agent->leases.tail != NULL)
        lose_task(core, agent->leases.tail, agent->peer.host);
}

void agent_close(struct core *core, struct agent *agent)
{
    const uint64_t held = agent->leases.count;

    DL_DELETE(core->shelves[agent->shelf], agent);
    agent->prev = NULL;
    agent->shelf = AGENT_APART;
    lose_tasks(core, agent);
    class_release(core, agent);
    core->counters.agents--;
    core->counters.slots -= agent->slots;
    core->counters.agents_lost += !agent->left;
    agent->ended_ms = core->now_ms;
    core_note(core, agent->left ? LOG_INFO : LOG_WARN, agent->left ? "agent_left" : "agent_lost",
              "worker=%s slots=%u silent_ms=%lld tasks=%llu", agent->peer.host, agent->slots,
              (long long)(core->now_ms - agent->peer.heard_ms), (unsigned long long)held);
}
