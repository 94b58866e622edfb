/* Invariants: each task that has not ended is in exactly one place, `pending` or the ledger; a job
 * is in `ended` exactly when job->ended == job->count. */
#include "client_state.h"

#include "after.h"

#include "function.h"
#include "options.h"

#include <string.h>

void client_init(struct client *client, const struct identity *program)
{
    *client = (struct client){.program = *program};
    client->ended_tail = &client->ended;
    ledger_init(&client->ledger);
    pieces_init(&client->pieces);
}

void client_fini(struct client *client)
{
    client_drop_inputs(client);
    pieces_reset(&client->pieces);
    ledger_fini(&client->ledger);
    free(client->pending);
    client->pending = NULL;
}

/* ---- pending spans ---- */

static struct span *span_at(const struct client *client, size_t i)
{
    return &client->pending[(client->pending_head + i) & (client->pending_capacity - 1)];
}

/* Make room for `more` spans. */
static int reserve_spans(struct client *client, size_t more)
{
    size_t capacity = client->pending_capacity != 0 ? client->pending_capacity : 16;

    while (capacity < client->pending_count + more)
        capacity *= 2;
    if (capacity == client->pending_capacity)
        return 0;
    struct span *pending = malloc(capacity * sizeof(*pending));
    if (pending == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < client->pending_count; i++)
        pending[i] = *span_at(client, i);
    free(client->pending);
    client->pending = pending;
    client->pending_capacity = capacity;
    client->pending_head = 0;
    return 0;
}

/* There is room. */
static void push_span(struct client *client, struct span span)
{
    client->pending_count++;
    *span_at(client, client->pending_count - 1) = span;
}

struct span client_pop_span(struct client *client)
{
    const struct span span = *span_at(client, 0);

    client->pending_head = (client->pending_head + 1) & (client->pending_capacity - 1);
    client->pending_count--;
    return span;
}

/* ---- ended jobs ---- */

/* The broker need not be told any more. */
static void forget_cancel(struct client *client, const struct job *job)
{
    struct job **place = &client->cancels;

    while (*place != NULL && *place != job)
        place = &(*place)->next;
    if (*place == job)
        *place = job->next;
}

void client_end_job(struct client *client, struct job *job)
{
    if (job->cancelled)
        forget_cancel(client, job);
    if (job->ties != NULL) {
        after_tell(job, &client->blocked);
        after_end(job);
    }
    client->setting -= job->sets_anew;
    job->next = NULL;
    *client->ended_tail = job;
    client->ended_tail = &job->next;
}

/* A job is never sent twice: what stands in for one that failed is another job. */
static void replace(struct client *client, struct job *job)
{
    struct job *old = steal(&job->ties->retry_of);

    after_replace(old, job);
    after_tell(job, &client->blocked);
    job_unref(old);
}

void client_add(struct client *client, struct job *job)
{
    const int linked = job->ties != NULL ? after_link(job, &client->blocked) : 0;

    if (job->ties != NULL && job->ties->retry_of != NULL)
        replace(client, job);
    if (linked != 0 || reserve_spans(client, 1) != 0) {
        job_refuse(job, SCOOP_NO_MEMORY, "no memory to queue it");
        client_end_job(client, job);
        return;
    }
    push_span(client, (struct span){.job = job, .first = 0, .count = job->count});
}

void client_add_first(struct client *client, struct job *job)
{
    const size_t others = client->pending_count;

    client->setting++;
    client_add(client, job);
    /* Turn the ring once, but for the last span. */
    for (size_t i = 0; i < others && client->pending_count > others; i++)
        push_span(client, client_pop_span(client));
}

struct job *client_take_ended(struct client *client)
{
    struct job *job = client->ended;

    if (job == NULL)
        return NULL;
    client->ended = job->next;
    if (client->ended == NULL)
        client->ended_tail = &client->ended;
    job->next = NULL;
    return job;
}

/* Tasks of an abandoned job that were never sent just end. */
static void drop_abandoned_spans(struct client *client)
{
    while (client->pending_count > 0 && span_at(client, 0)->job->abandoned) {
        const struct span span = client_pop_span(client);

        span.job->ended += span.count;
        if (span.job->ended == span.job->count)
            client_end_job(client, span.job);
    }
}

/* Turn the ring once: spans of this job come to the front and go, the others keep their order.
 * Returns how many tasks went. */
static uint32_t remove_spans(struct client *client, const struct job *job)
{
    uint32_t count = 0;

    for (size_t i = client->pending_count; i > 0; i--) {
        const struct span span = client_pop_span(client);

        if (span.job == job)
            count += span.count;
        else
            push_span(client, span);
    }
    return count;
}

void client_abandon(struct client *client, struct job *job)
{
    job->abandoned = true;
    const uint32_t waiting = remove_spans(client, job);
    job->ended += waiting;
    if (waiting != 0 && job->ended == job->count)
        client_end_job(client, job);
}

/* What was sent to a broker that is gone may have run there. */
static enum wire_cancelled answer_without_broker(const struct job *job)
{
    return job->sent ? WIRE_DISCARDED : WIRE_NEVER_RAN;
}

void client_cancel(struct client *client, struct job *job)
{
    if (job->cancelled || job->ended == job->count)
        return;
    job->cancelled = true;
    if (job->no != 0) {
        job->next = client->cancels;
        client->cancels = job;
    } else if (remove_spans(client, job) != 0) {
        job_cancel_task(job, 0, answer_without_broker(job));
        client_end_job(client, job);
    }
}

bool client_is_idle(const struct client *client)
{
    return client->pending_count == 0 && ledger_open(&client->ledger) == 0;
}

/* ---- a new link ---- */

/* Append an open task to the spans made so far from `old`: to the last one if it is its next. */
static int append_task(struct client *client, const struct ledger_entry *entry)
{
    struct span *last =
        client->pending_count > 0 ? span_at(client, client->pending_count - 1) : NULL;

    if (last != NULL && last->job == entry->job && last->first + last->count == entry->index) {
        last->count++;
        return 0;
    }
    if (reserve_spans(client, 1) != 0)
        return -ENOMEM;
    push_span(client, (struct span){.job = entry->job, .first = entry->index, .count = 1});
    return 0;
}

/* Behind the pending spans come those of the ledger; then the former are moved to the end. */
static int spans_of_ledger(struct client *client)
{
    const size_t before = client->pending_count;
    const struct ledger_entry *entry = NULL;
    uint64_t no = 1;

    /* A span that may not be continued separates the two. */
    if (reserve_spans(client, 1) != 0)
        return -ENOMEM;
    push_span(client, (struct span){.job = NULL});
    for (; (entry = ledger_next(&client->ledger, &no)) != NULL; no++) {
        if (!entry->job->cancelled && append_task(client, entry) != 0) {
            client->pending_count = before;
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < before; i++) {
        const struct span span = client_pop_span(client);

        push_span(client, span);
    }
    client_pop_span(client);
    return 0;
}

/* No task has a number any more; those that were cancelled end. */
static void forget_numbers(struct client *client)
{
    const struct ledger_entry *entry = NULL;

    for (uint64_t no = 1; (entry = ledger_next(&client->ledger, &no)) != NULL; no++) {
        entry->job->no = 0;
        entry->job->resent = true;
        if (!entry->job->cancelled)
            continue;
        job_cancel_task(entry->job, entry->index, WIRE_DISCARDED);
        client_end_job(client, entry->job);
    }
    ledger_fini(&client->ledger);
}

int client_open(struct client *client, uint64_t link, uint32_t credit_tasks, uint64_t credit_bytes)
{
    if (ledger_open(&client->ledger) > 0 && spans_of_ledger(client) != 0)
        return -ENOMEM;
    forget_numbers(client);
    client_drop_inputs(client);
    pieces_reset(&client->pieces);
    memset(client->defined, 0, sizeof(client->defined));
    client->link = link;
    client->credit_tasks = credit_tasks;
    client->credit_bytes = credit_bytes;
    return 0;
}

/* ---- frames to send ---- */

static bool is_defined(const struct client *client, const struct scoop_function *function)
{
    return (client->defined[function->number / 64] >> (function->number % 64) & 1) != 0;
}

static int define(struct client *client, const struct scoop_function *function, struct blob **out)
{
    const struct wire_function wire = function_describe(function, &client->program);
    struct blob *frame = wire_frame_new(WIRE_FUNCTION, client->link, 0);
    if (frame == NULL || wire_put_function(frame, &wire) != 0) {
        blob_unref(frame);
        return -ENOMEM;
    }
    wire_frame_add_count(frame, 1);
    client->defined[function->number / 64] |= (uint64_t)1 << (function->number % 64);
    *out = frame;
    return 0;
}

/* A SUBMIT frame that is being filled. */
struct filling {
    struct blob *frame;
    size_t run_at;       /* of the run that may still grow; 0: none */
    struct wire_run run; /* its head */
};

static struct wire_bytes needs_of(const struct job *job)
{
    const char *text = options_needs(job);

    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static bool continues_run(const struct filling *f, const struct job *job, bool large)
{
    return f->run_at != 0 && f->run.large == large && after_count(job) == 0 &&
           f->run.function == job->function->number && f->run.limit_ms == job->limit_ms &&
           wire_options_equal(&f->run.options, &job->options) &&
           f->run.needs.data == needs_of(job).data;
}

/* Bytes that one argument takes in a run. */
static size_t record_bytes(const struct job *job, uint32_t index)
{
    const bool variable = job->function->argument_bytes == SCOOP_VARIABLE;

    if (pieces_are_for(job, index))
        return sizeof(uint32_t);
    return job_argument(job, index).size + (variable ? 4 : 0) +
           (job->ties != NULL ? after_record_bytes(job) : 0);
}

/* How many tasks of the span go into this frame, and how many bytes they take. */
static uint32_t count_fitting(const struct client *client,
                              const struct filling *f,
                              const struct span *span,
                              size_t *bytes)
{
    const uint64_t tasks = client->credit_tasks - ledger_open(&client->ledger);
    const bool large = pieces_are_for(span->job, span->first);
    const size_t head =
        continues_run(f, span->job, large) ? 0 : WIRE_RUN_BYTES + WIRE_RUN_OPTIONS_BYTES;
    const size_t used = f->frame->size + head - WIRE_HEADER_BYTES;
    const size_t room = used < WIRE_BATCH_BYTES ? WIRE_BATCH_BYTES - used : 0;
    const uint64_t credit = client->credit_bytes > client->ledger.open_bytes
                                ? client->credit_bytes - client->ledger.open_bytes
                                : 0;
    uint32_t n = 0;

    *bytes = 0;
    while (n < span->count && n < tasks) {
        const size_t next = *bytes + record_bytes(span->job, span->first + n);
        const bool alone = n == 0 && wire_frame_count(f->frame) == 0;
        const bool only = n == 0 && ledger_open(&client->ledger) == 0;

        if ((next > room && !alone) || (next > credit && !only) ||
            pieces_are_for(span->job, span->first + n) != large)
            break;
        *bytes = next;
        n++;
    }
    return n;
}

/* Number the first n tasks of the span. Returns how many could be. */
static uint32_t number_tasks(struct client *client, const struct span *span, uint32_t n)
{
    const size_t value_bytes = span->job->ties != NULL ? after_value_bytes(span->job) : 0;

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t index = span->first + i;
        const struct ledger_entry entry = {
            .job = span->job,
            .index = index,
            .bytes = pieces_are_for(span->job, index)
                         ? 0
                         : (uint32_t)(job_argument(span->job, index).size + value_bytes),
        };

        if (ledger_add(&client->ledger, &entry) != 0)
            return i;
        span->job->sent = true;
        if (span->job->count == 1)
            span->job->no = ledger_next_no(&client->ledger) - 1;
        if (span->job->ties != NULL)
            client_tell_takers(client, span->job);
    }
    return n;
}

static void put_inputs(struct blob *frame, const struct job *job)
{
    int result = 0; /* stays so: there is room */

    for (uint32_t i = 0; i < after_count(job) && result == 0; i++) {
        const struct wire_input input = after_input(&job->ties->after[i]);

        result = wire_put_input(frame, &input);
    }
}

static void put_arguments(struct blob *frame, const struct span *span, uint32_t n)
{
    const struct job *job = span->job;
    const bool large = pieces_are_for(job, span->first);

    put_inputs(frame, job);
    if (job->in_each == NULL) {
        /* They lie side by side in the caller's array: this is the only copy. */
        wire_put_bytes(frame, job_argument(job, span->first).data,
                       (size_t)n * job->function->argument_bytes);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct wire_bytes argument = job_argument(job, span->first + i);

        if (job->function->argument_bytes == SCOOP_VARIABLE)
            wire_put_u32(frame, (uint32_t)argument.size);
        if (!large)
            wire_put_bytes(frame, argument.data, argument.size);
    }
}

/* Begin a run at the frame's end, or let the one there grow. There is room. */
static int put_run(struct filling *f, const struct span *span, uint32_t n, uint64_t first_no)
{
    const struct job *job = span->job;
    const bool large = pieces_are_for(job, span->first);
    const struct wire_run run = {
        .function = (uint16_t)job->function->number,
        .count = n,
        .argument_bytes = job->function->argument_bytes,
        .limit_ms = job->limit_ms,
        .large = large,
        .first_no = first_no,
        .options = job->options,
        .needs = needs_of(job),
        .input_count = after_count(job),
    };

    wire_frame_add_count(f->frame, n);
    if (continues_run(f, job, large)) {
        wire_run_add_count(f->frame, f->run_at, n);
        return 0;
    }
    f->run_at = after_count(job) == 0 ? f->frame->size : 0;
    f->run = run;
    return wire_put_run(f->frame, &run);
}

/* Inputs and argument together are limited; the front job may have more. False: it has ended. */
static bool settle_front(struct client *client)
{
    struct job *job = span_at(client, 0)->job;

    if (after_count(job) == 0 ||
        job_argument(job, 0).size + after_value_bytes(job) + 4 * ((size_t)after_count(job) + 2) <=
            WIRE_PAYLOAD_MAX)
        return true;
    client_pop_span(client);
    job_fail_task(job, 0, SCOOP_TOO_LARGE, AFTER_TOO_LARGE);
    client_end_job(client, job);
    return false;
}

/* Jobs that wait for one which is not sent yet go behind it. */
static void put_back_unsendable(struct client *client)
{
    for (size_t i = client->pending_count; i > 0; i--) {
        if (after_is_sendable(span_at(client, 0)->job))
            return;
        const struct span span = client_pop_span(client);

        push_span(client, span);
    }
}

/* Move tasks from the front span into the frame. -EAGAIN: none fits (any more), or credit is used
 * up. */
static int fill_from_front(struct client *client, struct filling *f)
{
    if (!settle_front(client))
        return 0;
    struct span *span = span_at(client, 0);
    const uint64_t first_no = ledger_next_no(&client->ledger);
    size_t bytes = 0;
    uint32_t n = count_fitting(client, f, span, &bytes);

    if (n == 0)
        return -EAGAIN;
    if (blob_reserve(f->frame, WIRE_RUN_BYTES + WIRE_RUN_OPTIONS_BYTES + bytes) != 0)
        return -ENOMEM;
    n = number_tasks(client, span, n);
    if (n == 0 || put_run(f, span, n, first_no) != 0)
        return -ENOMEM;
    put_arguments(f->frame, span, n);
    span->first += n;
    span->count -= n;
    if (span->count == 0) {
        client_pop_span(client);
        return 0;
    }
    /* The rest waits behind the others, so that one long job does not hold up the short ones. */
    const struct span rest = client_pop_span(client);
    push_span(client, rest);
    return -EAGAIN;
}

/* Does the front span wait until constants are set? There is one. */
static bool is_held_back(const struct client *client)
{
    return client->setting != 0 && !span_at(client, 0)->job->sets_anew;
}

static int submit(struct client *client, struct blob **out)
{
    struct filling f = {.frame = wire_frame_new(WIRE_SUBMIT, client->link, WIRE_BATCH_BYTES)};
    int result = f.frame != NULL ? 0 : -ENOMEM;

    while (result == 0) {
        drop_abandoned_spans(client);
        put_back_unsendable(client);
        if (client->pending_count == 0 || is_held_back(client) ||
            !is_defined(client, span_at(client, 0)->job->function))
            break;
        result = fill_from_front(client, &f);
    }
    if (f.frame != NULL && wire_frame_count(f.frame) > 0) {
        *out = f.frame;
        return 0;
    }
    blob_unref(f.frame);
    return result != 0 ? result : -EAGAIN;
}

/* Tell the broker of all that was cancelled. */
static int cancel(struct client *client, struct blob **out)
{
    struct blob *frame = wire_frame_new(WIRE_CANCEL, client->link, 0);

    for (; client->cancels != NULL; client->cancels = client->cancels->next) {
        if (frame == NULL || blob_reserve(frame, sizeof(uint64_t)) != 0)
            break;
        wire_put_u64(frame, client->cancels->no);
        wire_frame_add_count(frame, 1);
    }
    if (frame == NULL || wire_frame_count(frame) == 0) {
        blob_unref(frame);
        return -ENOMEM;
    }
    *out = frame;
    return 0;
}

int client_next_frame(struct client *client, struct blob **out)
{
    if (client->input_count > 0) {
        *out = client_next_input(client);
        return 0;
    }
    if (client->cancels != NULL)
        return cancel(client, out);
    const int wanted = client_next_want(client, out);
    if (wanted != -EAGAIN)
        return wanted;
    drop_abandoned_spans(client);
    put_back_unsendable(client);
    if (client->pending_count == 0 || is_held_back(client) ||
        ledger_open(&client->ledger) >= client->credit_tasks)
        return -EAGAIN;
    const struct scoop_function *function = span_at(client, 0)->job->function;
    if (!is_defined(client, function))
        return define(client, function, out);
    return submit(client, out);
}
