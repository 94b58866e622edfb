/* Invariants: a task that has not ended is in its job's unsent part or in the ledger of the executor;
 * `open` counts those of a strand in the ledger. */
#include "nested.h"

#include "error.h"
#include "executor_state.h"
#include "future.h"
#include "news.h"
#include "options.h"
#include "session_state.h"
#include "watch.h"

#include <string.h>

/* ---- sessions ---- */

enum scoop_status nested_session(scoop_session **session)
{
    struct strand *const s = executor.current;

    *session = NULL;
    if (s == NULL)
        return SCOOP_OK;
    if (s->session == NULL)
        s->session = session_new_nested(s);
    if (s->session == NULL)
        return error_set(SCOOP_NO_MEMORY, "out of memory");
    *session = s->session;
    return SCOOP_OK;
}

void nested_forget(scoop_session *session)
{
    constants_clear(&session->constants);
    values_release(session);
}

void nested_close(scoop_session *session)
{
    session_close(session);
}

/* ---- handing over ---- */

/* The number of a function in CHANNEL_SUBMIT. */
static uint16_t name_of(const struct scoop_function *function)
{
    struct executor *const e = &executor;
    const struct channel_outcome head = {
        .bytes = (uint32_t)strlen(function->name),
        .run_us = function->argument_bytes,
        .id = function->result_bytes,
        .outcome = CHANNEL_NAME,
        .flags = function->builtin ? CHANNEL_BUILTIN : 0,
    };

    if (e->names[function->number] == 0) {
        executor_put(&head, NULL, function->name, head.bytes);
        e->names[function->number] = ++e->name_count;
    }
    return (uint16_t)(e->names[function->number] - 1);
}

static void send_child(struct strand *s, struct job *job)
{
    const struct wire_bytes argument = job_argument(job, job->handed);
    const struct ledger_entry entry = {.job = job, .index = job->handed};
    const uint64_t no = ledger_next_no(&executor.children);
    struct channel_child child = {
        .parent = s->id,
        .limit_ms = job->limit_ms,
        .function = name_of(job->function),
        .options = job->options,
    };
    const struct channel_outcome head = {
        .bytes = (uint32_t)(sizeof(child) + argument.size),
        .id = (uint32_t)no,
        .outcome = CHANNEL_SUBMIT,
    };

    memcpy(child.needs, options_needs(job), strlen(options_needs(job)));
    if (ledger_add(&executor.children, &entry) != 0)
        executor_give_up("out of memory for a child");
    if (job->handed++ == 0)
        job->no = no;
    s->open++;
    executor_put(&head, &child, argument.data, argument.size);
}

/* Hand over as many as may be open. */
static void send_some(struct strand *s)
{
    while (s->unsent != NULL && s->open < STRAND_CHILDREN_MAX) {
        struct job *const job = s->unsent;

        send_child(s, job);
        if (job->handed == job->count)
            s->unsent = job->next;
    }
}

void nested_add(struct strand *s, struct job *job)
{
    if (s->unsent == NULL)
        s->unsent_tail = &s->unsent;
    job->strand = s;
    job->handed = 0;
    job->next = NULL;
    *s->unsent_tail = job;
    s->unsent_tail = &job->next;
    send_some(s);
}

/* ---- results ---- */

static void finish_job(struct job *job)
{
    job_tell(job);
    /* From here on the job is the function's, which may free it. */
    atomic_store_explicit(&job->done, true, memory_order_release);
}

/* The full number: what is open spans far less than the half of it that travels. */
static uint64_t full_number(uint32_t low)
{
    const uint64_t next = ledger_next_no(&executor.children);

    return next - (uint32_t)((uint32_t)next - low);
}

/* What is told of a child while it runs is for the holder of a future. */
static void take_news(const struct channel_result *head, const uint8_t *body)
{
    const struct ledger_entry *const entry =
        ledger_find(&executor.children, full_number(head->child));
    const struct wire_note note = {
        .attempt = head->attempts,
        .kind = (enum wire_note_kind)(head->outcome - CHANNEL_NEWS),
        .bytes = {body, head->bytes},
    };

    if (entry != NULL && atomic_load(&entry->job->references) != 0 &&
        news_take(&entry->job->news, 0, &note))
        job_tell_news(entry->job);
}

static void take_result(const struct channel_result *head, const uint8_t *body)
{
    const struct wire_result result = {
        .outcome = (enum wire_outcome)head->outcome,
        .attempts = head->attempts,
        .run_us = head->run_us,
        .bytes = {body, head->bytes},
    };
    struct ledger_entry entry;

    if (ledger_take(&executor.children, full_number(head->child), &entry) != 0)
        return; /* it was dropped */
    struct strand *const s = entry.job->strand;
    s->open--;
    send_some(s);
    if (job_end_task(entry.job, entry.index, &result))
        finish_job(entry.job);
    if (s->wants_room)
        strand_tell(s);
}

/* The body of a result that does not fit the ring, with its padding. The caller frees it. */
static uint8_t *gather(size_t size)
{
    struct ring *const ring = &executor.channel.results;
    uint8_t *const body = aligned_alloc(CHANNEL_ALIGNMENT, size);

    if (body == NULL)
        executor_give_up("out of memory for a result");
    for (size_t got = 0; got < size;) {
        size_t piece = executor_results_ready();

        if (piece == 0) {
            channel_sleep(&executor.channel, false, true, -1);
        }
        piece = piece < size - got ? piece : size - got;
        memcpy(body + got, ring_take_at(ring), piece);
        ring_take(ring, piece);
        executor_release_results();
        got += piece;
    }
    return body;
}

static void take_record(const struct channel_result *head, const uint8_t *body)
{
    if (head->outcome >= CHANNEL_NEWS)
        take_news(head, body);
    else
        take_result(head, body);
}

static bool collect_one(void)
{
    struct ring *const ring = &executor.channel.results;
    const size_t ready = executor_results_ready();
    struct channel_result head;

    if (ready < sizeof(head))
        return false;
    memcpy(&head, ring_take_at(ring), sizeof(head));
    const size_t total = channel_record_bytes(head.bytes);
    if (total > ring->capacity) {
        ring_take(ring, sizeof(head));
        uint8_t *body CLEANUP(free_p) = gather(total - sizeof(head));

        take_record(&head, body);
        return true;
    }
    if (ready < total)
        return false;
    take_record(&head, ring_take_at(ring) + sizeof(head));
    ring_take(ring, total);
    return true;
}

bool nested_collect(void)
{
    bool any = false;

    while (collect_one())
        any = true;
    if (any)
        executor_release_results();
    return any;
}

/* ---- waiting ---- */

void nested_look(void)
{
    (void)nested_collect();
}

bool nested_wait_for_room(struct strand *s, int64_t deadline)
{
    bool in_time = true;

    if (s->open < STRAND_CHILDREN_MAX)
        return true;
    (void)nested_collect();
    s->wants_room = true;
    while (s->open >= STRAND_CHILDREN_MAX && in_time)
        in_time = strand_park(deadline);
    s->wants_room = false;
    return s->open < STRAND_CHILDREN_MAX;
}

/* ---- leaving ---- */

static void abandon(struct strand *s, uint64_t no)
{
    const struct channel_outcome head = {.id = (uint32_t)no, .outcome = CHANNEL_ABANDON};

    s->open--;
    executor_put(&head, NULL, NULL, 0);
}

static void leave_unsent(struct strand *s, const struct job *job)
{
    struct job **place = &s->unsent;

    while (*place != NULL && *place != job)
        place = &(*place)->next;
    if (*place == NULL)
        return;
    *place = job->next;
    if (job->next == NULL)
        s->unsent_tail = place;
}

void nested_cancel_job(struct strand *s, struct job *job)
{
    const struct channel_outcome head = {.id = (uint32_t)job->no, .outcome = CHANNEL_CANCEL};

    if (job->cancelled || job->ended == job->count)
        return;
    job->cancelled = true;
    if (job->handed != 0) {
        executor_put(&head, NULL, NULL, 0);
        return;
    }
    leave_unsent(s, job);
    if (job_cancel_task(job, 0, WIRE_NEVER_RAN))
        finish_job(job);
}

void nested_drop(struct strand *s, struct job *job, void (*release)(struct job *))
{
    uint64_t no = job->no;
    const struct ledger_entry *found = NULL;
    struct ledger_entry entry;

    leave_unsent(s, job);
    for (; job->handed != 0 && (found = ledger_next(&executor.children, &no)) != NULL; no++) {
        if (found->job == job && ledger_take(&executor.children, no, &entry) == 0)
            abandon(s, no);
    }
    send_some(s);
    release(job);
}

void nested_leave(struct strand *s)
{
    const struct ledger_entry *found = NULL;

    /* Only futures outlive the call that made their job. */
    while (s->unsent != NULL)
        scoop_future_free((scoop_future *)s->unsent);
    for (uint64_t no = 1; s->open != 0 && (found = ledger_next(&executor.children, &no)) != NULL;) {
        if (found->job->strand == s)
            scoop_future_free((scoop_future *)found->job);
        else
            no++;
    }
    session_clear_desk(s->session);
}
