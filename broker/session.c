/* Sessions of clients and of agents: what they defined, what they submitted, what they get back.
 * Invariant: a task is in its session's roster from its SUBMIT until its outcome is delivered. */
#include "state.h"

#include <stdio.h>
#include <string.h>

int session_open(struct core *core, struct peer *peer)
{
    if (peer->session != NULL)
        return 0;
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->peer = peer;
    s->ordinary.session = s;
    s->ordinary.class = &core->ordinary;
    /* An agent hands on what its tasks' children print, and their news. */
    if (peer->role == WIRE_AGENT)
        s->wants = 1U << WIRE_NOTE_STDOUT | 1U << WIRE_NOTE_STDERR | 1U << WIRE_NOTE_RUNNING |
                   1U << WIRE_NOTE_PROGRESS | 1U << WIRE_NOTE_PARTIAL;
    roster_init(&s->tasks, sizeof(struct session_task));
    peer->session = s;
    core->counters.sessions += peer->role == WIRE_CLIENT;
    return 0;
}

void session_free(struct core *core, struct session *session)
{
    if (session == NULL)
        return;
    blob_unref(session->results);
    blob_unref(session->needs);
    lanes_fini(core, session);
    roster_fini(&session->tasks);
    blob_unref(session->notes);
    free(session);
}

/* ---- the queue ---- */

/* A task for one worker stands in no queue: it is leased to that one at once, or ends. */
static void send_to_worker(struct core *core, struct task *task)
{
    static const char text[] = "the worker that it was for has left";
    const struct wire_failure failure = {.text = {(const uint8_t *)text, sizeof(text) - 1}};
    struct agent *agent = agent_find(core, task->terms->options.worker);

    if (agent != NULL)
        agent_lease(core, agent, task);
    else
        settle_failure(core, task, TASK_EXPIRE, WIRE_LOST, &failure);
}

void session_queue(struct core *core, struct task *task, bool front)
{
    struct session *s = task->session;

    if (task->terms != NULL && task->terms->options.worker != 0) {
        send_to_worker(core, task);
        return;
    }
    lane_push(core, task, front);
    s->queued++;
    core->counters.ready++;
    core->clients_queued += s->peer->role == WIRE_CLIENT;
}

void session_unqueue(struct core *core, struct task *task)
{
    struct session *s = task->session;

    lane_remove(core, task);
    s->queued--;
    core->counters.ready--;
    core->clients_queued -= s->peer->role == WIRE_CLIENT;
}

/* ---- frames ---- */

int session_define(struct core *core, struct session *s, struct wire_cursor *body)
{
    struct wire_function wire = {0};

    if (wire_get_function(body, &wire) != 0 || wire_read_ok(body) != 0 ||
        wire.number >= WIRE_FUNCTIONS_MAX || s->functions[wire.number] != NULL)
        return -EPROTO;
    s->functions[wire.number] = functions_define(core, &wire);
    return s->functions[wire.number] != NULL ? 0 : -EDQUOT;
}

/* What has to be remembered, or watched, of a task with options. -ENOMEM. */
static int apply_options(struct core *core, struct task *task, const struct wire_options *options)
{
    task->priority = options->priority;
    task->traced = options->traced;
    task->batch = options->batch;
    if (!wire_options_need_terms(options))
        return 0;
    task->terms = terms_new(options);
    if (task->terms == NULL)
        return -ENOMEM;
    if (options->expires_ms == 0)
        return 0;
    return timers_set(&core->timers, task, core->now_ms + options->expires_ms);
}

struct task *session_new_task(struct core *core,
                              struct session *s,
                              struct class *class,
                              const struct wire_options *options)
{
    struct lane *lane = lane_get(s, class, options->priority);
    const struct session_task entry = {.task = lane != NULL ? task_new(&core->slab) : NULL};

    if (entry.task == NULL)
        return NULL;
    entry.task->no = s->tasks.next_no;
    entry.task->session = s;
    if (apply_options(core, entry.task, options) == 0 && roster_add(&s->tasks, &entry) == 0) {
        entry.task->class = class;
        class_ref(class);
        lane->tasks++;
        return entry.task;
    }
    timers_stop(&core->timers, entry.task);
    task_step(entry.task, TASK_ABANDON);
    task_free(&core->slab, entry.task);
    return NULL;
}

/* Bytes of its argument that are kept here. */
static uint64_t kept_bytes(const struct task *task)
{
    return task->large ? 0 : task->argument_bytes;
}

/* More classes than the broker keeps apart. */
static void refuse_needs(struct core *core, struct task *task, struct wire_bytes needs)
{
    char text[240];

    snprintf(text, sizeof(text),
             "it needs \"%.*s\", and the unfinished tasks of all sessions need %d different things "
             "already: the broker keeps no more apart",
             (int)needs.size, (const char *)needs.data, CLASSES_MAX);
    const struct wire_failure failure = {.text = {(const uint8_t *)text, strlen(text)}};

    settle_failure(core, task, TASK_EXPIRE, WIRE_REFUSED_TASK, &failure);
}

/* Accept one task of a run. -EPROTO, -ENOMEM. */
static int accept_task(struct core *core,
                       struct session *s,
                       struct class *class,
                       const struct wire_run *run,
                       struct wire_cursor *body,
                       struct blob *frame)
{
    const struct wire_bytes argument = wire_get_argument(body, run);

    if (body->bad || (run->large && s->functions[run->function]->ask != ASK_NOTHING))
        return -EPROTO;
    struct task *task =
        session_new_task(core, s, class != NULL ? class : &core->ordinary, &run->options);
    if (task == NULL)
        return -ENOMEM;
    task->frame = run->large ? NULL : blob_ref(frame);
    task->argument = argument.data;
    task->argument_bytes = (uint32_t)argument.size;
    task->large = run->large;
    task->limit_ms = run->limit_ms;
    task->function = s->functions[run->function]->number;
    s->bytes += kept_bytes(task);
    if (s->functions[run->function]->ask != ASK_NOTHING && class != NULL) {
        ask(core, task, run->input_count != 0);
        return 0;
    }
    core->counters.accepted++;
    if (class == NULL) {
        refuse_needs(core, task, run->needs);
        return 0;
    }
    if (run->input_count != 0)
        return inputs_give(core, task, run, frame);
    /* The newest children first: depth first, so that few of their parents wait at a time. */
    session_queue(core, task, s->peer->role == WIRE_AGENT);
    return 0;
}

/* All of a run, and their class stays meanwhile. -EPROTO, -ENOMEM. */
static int accept_run(struct core *core,
                      struct session *s,
                      const struct wire_run *run,
                      struct wire_cursor *body,
                      struct blob *frame)
{
    bool bad = false;
    struct class *class = class_get(core, run->needs, &bad);
    int result = bad ? -EPROTO : 0;

    if (class != NULL)
        class_ref(class);
    for (uint32_t i = 0; i < run->count && result == 0; i++)
        result = accept_task(core, s, class, run, body, frame);
    if (class != NULL)
        class_unref(core, class);
    return result;
}

static bool run_is_known(const struct session *s, const struct wire_run *run)
{
    return run->function < WIRE_FUNCTIONS_MAX && s->functions[run->function] != NULL &&
           s->functions[run->function]->wire.argument_bytes == run->argument_bytes &&
           run->first_no == s->tasks.next_no;
}

int session_submit(struct core *core,
                   struct session *s,
                   const struct wire_header *header,
                   struct wire_cursor *body,
                   struct blob *frame,
                   const char **what)
{
    uint32_t left = header->count;
    struct wire_run run;

    if (s->tasks.open + header->count > CORE_CREDIT_TASKS) {
        *what = "more unfinished tasks than the session's credit";
        return -EDQUOT;
    }
    if (s->bytes + frame->size > CORE_CREDIT_BYTES + WIRE_FRAME_MAX) {
        *what = "more bytes of arguments than the session's credit";
        return -EDQUOT;
    }
    while (left > 0) {
        if (wire_get_run(body, &run) != 0 || run.count > left || !run_is_known(s, &run))
            return -EPROTO;
        left -= run.count;
        const int result = accept_run(core, s, &run, body, frame);
        if (result != 0)
            return result;
    }
    return wire_read_ok(body);
}

/* A task that no agent holds ends: out of whichever list it stands in. */
static void leave_list(struct core *core, struct task *task)
{
    if (task->state == TASK_READY)
        session_unqueue(core, task);
    if (task->state == TASK_ASKING && task->asked != NULL)
        task_list_remove(task->asked, task);
}

void session_cancel_task(struct core *core, struct task *task)
{
    if (copies_stop(core, task, TASK_CANCEL))
        return;
    if (task->agent != NULL) {
        agent_revoke(core, task, TASK_CANCEL);
        return;
    }
    leave_list(core, task);
    settle(core, task, TASK_CANCEL, NULL);
}

int session_cancel(struct core *core,
                   struct session *s,
                   const struct wire_header *header,
                   struct wire_cursor *body)
{
    for (uint32_t i = 0; i < header->count; i++) {
        const uint64_t no = wire_get_u64(body);
        const struct session_task *entry = roster_find(&s->tasks, no);

        if (body->bad || no == 0 || no >= s->tasks.next_no)
            return -EPROTO;
        if (entry != NULL) /* else it has ended: its outcome is the answer */
            session_cancel_task(core, entry->task);
    }
    return wire_read_ok(body);
}

/* ---- results ---- */

/* A client that reads slowly, or not at all, costs no more than this and what its tasks that run now give. */
void session_watch(struct core *core, struct session *s)
{
    const bool pause =
        s->peer->role == WIRE_CLIENT && s->peer->link.kept_results > CORE_RESULTS_BYTES;

    if (pause != s->paused)
        lanes_pause(core, s, pause);
}

void session_flush(struct core *core, struct session *s)
{
    /* First: what was told of a task comes before its result. */
    if (s->results != NULL)
        notes_tell(core, s);
    notes_flush(core, s);
    if (s->results != NULL) {
        peer_send(core, s->peer, steal(&s->results));
        session_watch(core, s);
    }
    /* Behind the results that the client is asked for. */
    if (s->needs != NULL)
        peer_send(core, s->peer, steal(&s->needs));
}

/* What the broker itself was asked for is no task that anybody counts. */
static void
count_outcome(struct core *core, const struct task *task, const struct wire_attempt *outcome)
{
    if (core->function_by_number[task->function]->ask != ASK_NOTHING)
        return;
    if (outcome->outcome == WIRE_OK)
        core->counters.done++;
    else
        core->counters.failed++;
}

void session_deliver(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    struct session *s = task->session;
    const struct wire_result result = {
        .no = task->no,
        .outcome = outcome->outcome,
        .flags = outcome_is_moved(outcome) ? WIRE_RESULT_MOVED : 0,
        .attempts = task->attempt,
        .run_us = outcome->run_us,
        .bytes = outcome->bytes,
    };

    roster_remove(&s->tasks, task->no);
    s->bytes -= kept_bytes(task);
    count_outcome(core, task, outcome);
    if (s == core->durables.session) {
        durable_end(core, task, outcome);
        return;
    }
    if (s->results != NULL &&
        s->results->size + outcome->bytes.size > WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        session_flush(core, s);
    if (s->results == NULL)
        s->results = wire_frame_new(WIRE_RESULTS, s->peer->link.id, WIRE_RESULT_BYTES);
    if (s->results == NULL || wire_put_result(s->results, &result) != 0) {
        /* A result that cannot be kept must not be forgotten: the session starts over. */
        peer_refuse(core, s->peer, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    wire_frame_add_count(s->results, 1);
    peer_touch(core, s->peer);
    inputs_source_ended(core, task, outcome);
}

/* ---- the end ---- */

/* Nobody waits for this task any more. */
static void drop_task(struct core *core, struct task *task)
{
    if (copies_stop(core, task, TASK_ABANDON))
        return;
    if (task->agent != NULL) {
        agent_revoke(core, task, TASK_ABANDON);
        return;
    }
    leave_list(core, task);
    settle(core, task, TASK_ABANDON, NULL);
}

void session_close(struct core *core, struct session *s)
{
    const uint64_t queued = s->queued;
    const uint64_t others = s->tasks.open - queued;
    const struct session_task *entry = NULL;

    for (uint64_t no = 1; (entry = roster_next(&s->tasks, &no)) != NULL; no++)
        drop_task(core, entry->task);
    constants_drop(core, s);
    values_drop(core, s);
    if (s->peer->role == WIRE_AGENT)
        return; /* its end is noted as the agent's */
    core->counters.sessions--;
    core_note(core, LOG_INFO, "session_ended", "peer=%s@%s queued=%llu running=%llu", s->peer->name,
              s->peer->host, (unsigned long long)queued, (unsigned long long)others);
}
