/* The wire codec: records. Invariant: a put function reserves the room of its whole record first,
 * so a record is written whole or not at all. */
#include "wire.h"

#include <string.h>

/* ---- what records consist of ---- */

/* Bytes with a 32-bit length, at most WIRE_PAYLOAD_MAX. */
static struct wire_bytes get_payload(struct wire_cursor *c)
{
    const size_t size = wire_get_u32(c);

    if (size > WIRE_PAYLOAD_MAX)
        c->bad = true;
    return wire_get_bytes(c, size);
}

/* A size in place of the bytes, which travel in pieces. */
static struct wire_bytes get_large(struct wire_cursor *c)
{
    const size_t size = wire_get_u32(c);

    if (size > WIRE_LARGE_MAX)
        c->bad = true;
    return (struct wire_bytes){NULL, size};
}

/* One byte that must be below `end`. */
static unsigned get_enum(struct wire_cursor *c, unsigned end)
{
    const unsigned value = wire_get_u8(c);

    if (value >= end)
        c->bad = true;
    return value;
}

static int record_ok(const struct wire_cursor *c)
{
    return c->bad ? -EPROTO : 0;
}

static size_t text_size(size_t size)
{
    return size < WIRE_TEXT_MAX ? size : WIRE_TEXT_MAX;
}

static void put_text(struct blob *b, struct wire_bytes text)
{
    const size_t size = text_size(text.size);

    wire_put_u16(b, (uint16_t)size);
    wire_put_bytes(b, text.data, size);
}

void wire_put_text(struct blob *b, const char *text)
{
    put_text(b, (struct wire_bytes){(const uint8_t *)text, strlen(text)});
}

static void put_payload(struct blob *b, struct wire_bytes bytes)
{
    wire_put_u32(b, (uint32_t)bytes.size);
    wire_put_bytes(b, bytes.data, bytes.size);
}

/* ---- records ---- */

int wire_get_hello(struct wire_cursor *c, struct wire_hello *out)
{
    out->role = (enum wire_role)wire_get_u8(c);
    out->pid = wire_get_u32(c);
    out->incarnation = wire_get_u64(c);
    out->slots = wire_get_u32(c);
    out->wants = wire_get_u32(c);
    out->host = wire_get_text(c);
    out->name = wire_get_text(c);
    out->version = wire_get_text(c);
    out->resources = wire_get_text(c);
    if (out->role == WIRE_CLIENT ? out->slots != 0 : out->slots == 0 || out->slots > WIRE_SLOTS_MAX)
        c->bad = true;
    if ((out->role != WIRE_CLIENT && out->role != WIRE_AGENT) || out->wants >> WIRE_NOTE_END != 0 ||
        (out->role == WIRE_AGENT ? out->wants != 0 : out->resources.size != 0))
        c->bad = true;
    return record_ok(c);
}

int wire_put_hello(struct blob *b, const struct wire_hello *hello)
{
    const size_t texts = hello->host.size + hello->name.size + hello->version.size;

    if (blob_reserve(b, 21 + 4 * 2 + texts + hello->resources.size) != 0)
        return -ENOMEM;
    wire_put_u8(b, (uint8_t)hello->role);
    wire_put_u32(b, hello->pid);
    wire_put_u64(b, hello->incarnation);
    wire_put_u32(b, hello->slots);
    wire_put_u32(b, hello->wants);
    put_text(b, hello->host);
    put_text(b, hello->name);
    put_text(b, hello->version);
    put_text(b, hello->resources);
    return 0;
}

int wire_get_welcome(struct wire_cursor *c, struct wire_welcome *out)
{
    out->epoch = wire_get_u64(c);
    out->lease_ms = wire_get_u32(c);
    out->ping_ms = wire_get_u32(c);
    out->credit_tasks = wire_get_u32(c);
    out->credit_bytes = wire_get_u64(c);
    out->flags = wire_get_u32(c);
    out->version = wire_get_text(c);
    return record_ok(c);
}

int wire_put_welcome(struct blob *b, const struct wire_welcome *welcome)
{
    if (blob_reserve(b, 32 + 2 + welcome->version.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, welcome->epoch);
    wire_put_u32(b, welcome->lease_ms);
    wire_put_u32(b, welcome->ping_ms);
    wire_put_u32(b, welcome->credit_tasks);
    wire_put_u64(b, welcome->credit_bytes);
    wire_put_u32(b, welcome->flags);
    put_text(b, welcome->version);
    return 0;
}

int wire_get_refused(struct wire_cursor *c, struct wire_refused *out)
{
    out->reason = (enum wire_reason)wire_get_u16(c);
    out->text = wire_get_text(c);
    return record_ok(c);
}

int wire_put_refused(struct blob *b, const struct wire_refused *refused)
{
    if (blob_reserve(b, 2 + 2 + refused->text.size) != 0)
        return -ENOMEM;
    wire_put_u16(b, (uint16_t)refused->reason);
    put_text(b, refused->text);
    return 0;
}

int wire_get_ping(struct wire_cursor *c, struct wire_ping *out)
{
    out->last_seq = wire_get_u64(c);
    out->clock = wire_get_u64(c);
    return record_ok(c);
}

int wire_put_ping(struct blob *b, const struct wire_ping *ping)
{
    if (blob_reserve(b, 16) != 0)
        return -ENOMEM;
    wire_put_u64(b, ping->last_seq);
    wire_put_u64(b, ping->clock);
    return 0;
}

int wire_get_function(struct wire_cursor *c, struct wire_function *out)
{
    out->number = wire_get_u32(c);
    out->argument_bytes = wire_get_u32(c);
    out->result_bytes = wire_get_u32(c);
    const struct wire_bytes sha256 = wire_get_bytes(c, WIRE_SHA256_BYTES);
    if (sha256.data != NULL)
        memcpy(out->sha256, sha256.data, WIRE_SHA256_BYTES);
    out->program = wire_get_text(c);
    out->name = wire_get_text(c);
    if (out->argument_bytes != WIRE_VARIABLE && out->argument_bytes > WIRE_PAYLOAD_MAX)
        c->bad = true;
    if (out->result_bytes != WIRE_VARIABLE && out->result_bytes > WIRE_PAYLOAD_MAX)
        c->bad = true;
    return record_ok(c);
}

int wire_put_function(struct blob *b, const struct wire_function *function)
{
    const size_t texts = function->program.size + function->name.size;

    if (blob_reserve(b, 12 + WIRE_SHA256_BYTES + 2 * 2 + texts) != 0)
        return -ENOMEM;
    wire_put_u32(b, function->number);
    wire_put_u32(b, function->argument_bytes);
    wire_put_u32(b, function->result_bytes);
    wire_put_bytes(b, function->sha256, WIRE_SHA256_BYTES);
    put_text(b, function->program);
    put_text(b, function->name);
    return 0;
}

bool wire_options_equal(const struct wire_options *a, const struct wire_options *b)
{
    return a->retries == b->retries && a->backoff_ms == b->backoff_ms &&
           a->priority == b->priority && a->expires_ms == b->expires_ms && a->worker == b->worker &&
           a->traced == b->traced && a->batch == b->batch && a->rerun_ms == b->rerun_ms;
}

bool wire_options_need_terms(const struct wire_options *options)
{
    return options->retries != 0 || options->expires_ms != 0 || options->worker != 0 ||
           options->rerun_ms != 0;
}

static unsigned flags_of(const struct wire_options *options)
{
    return (options->retries != 0 ? WIRE_RUN_RETRIES : 0) |
           (options->priority != 0 ? WIRE_RUN_PRIORITY : 0) |
           (options->expires_ms != 0 ? WIRE_RUN_EXPIRES : 0) |
           (options->worker != 0 ? WIRE_RUN_WORKER : 0) | (options->traced ? WIRE_RUN_TRACED : 0) |
           (options->batch != 0 ? WIRE_RUN_BATCH : 0) |
           (options->rerun_ms != 0 ? WIRE_RUN_RERUN : 0);
}

static void get_options(struct wire_cursor *c, unsigned flags, struct wire_options *out)
{
    *out = (struct wire_options){0};
    if ((flags & WIRE_RUN_RETRIES) != 0) {
        out->retries = wire_get_u16(c);
        out->backoff_ms = wire_get_u32(c);
    }
    if ((flags & WIRE_RUN_PRIORITY) != 0) {
        const int priority = wire_get_u8(c) - 128;

        c->bad = c->bad || priority < -WIRE_PRIORITY_MAX || priority > WIRE_PRIORITY_MAX;
        out->priority = (int8_t)priority;
    }
    if ((flags & WIRE_RUN_EXPIRES) != 0)
        out->expires_ms = wire_get_u32(c);
    if ((flags & WIRE_RUN_WORKER) != 0)
        out->worker = wire_get_u64(c);
    out->traced = (flags & WIRE_RUN_TRACED) != 0;
    if ((flags & WIRE_RUN_BATCH) != 0)
        out->batch = wire_get_u16(c);
    if ((flags & WIRE_RUN_RERUN) != 0)
        out->rerun_ms = wire_get_u32(c);
    if (out->batch > WIRE_BATCH_MAX || out->retries > WIRE_RETRIES_MAX ||
        out->backoff_ms > WIRE_BACKOFF_MAX)
        c->bad = true;
}

static void put_options(struct blob *b, unsigned flags, const struct wire_options *options)
{
    if ((flags & WIRE_RUN_RETRIES) != 0) {
        wire_put_u16(b, options->retries);
        wire_put_u32(b, options->backoff_ms);
    }
    if ((flags & WIRE_RUN_PRIORITY) != 0)
        wire_put_u8(b, (uint8_t)(options->priority + 128));
    if ((flags & WIRE_RUN_EXPIRES) != 0)
        wire_put_u32(b, options->expires_ms);
    if ((flags & WIRE_RUN_WORKER) != 0)
        wire_put_u64(b, options->worker);
    if ((flags & WIRE_RUN_BATCH) != 0)
        wire_put_u16(b, options->batch);
    if ((flags & WIRE_RUN_RERUN) != 0)
        wire_put_u32(b, options->rerun_ms);
}

int wire_get_input(struct wire_cursor *c, struct wire_input *out)
{
    out->no = wire_get_u64(c);
    out->kind = (enum wire_input_kind)get_enum(c, WIRE_INPUT_KIND_END);
    out->bytes = get_payload(c);
    if (out->kind != WIRE_INPUT_VALUE && out->bytes.size != 0)
        c->bad = true;
    return record_ok(c);
}

int wire_put_input(struct blob *b, const struct wire_input *input)
{
    if (blob_reserve(b, WIRE_INPUT_BYTES + input->bytes.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, input->no);
    wire_put_u8(b, (uint8_t)input->kind);
    put_payload(b, input->bytes);
    return 0;
}

int wire_get_place(struct wire_cursor *c, struct wire_place *out)
{
    out->no = wire_get_u64(c);
    out->index = wire_get_u32(c);
    return record_ok(c);
}

int wire_put_place(struct blob *b, const struct wire_place *place)
{
    if (blob_reserve(b, WIRE_PLACE_BYTES) != 0)
        return -ENOMEM;
    wire_put_u64(b, place->no);
    wire_put_u32(b, place->index);
    return 0;
}

/* Step over the inputs of a run, so that what follows can be read. */
static void get_inputs(struct wire_cursor *c, unsigned flags, struct wire_run *out)
{
    struct wire_input input;

    out->input_count = (flags & WIRE_RUN_INPUTS) != 0 ? wire_get_u32(c) : 0;
    out->inputs = *c;
    if (out->input_count > WIRE_INPUTS_MAX || (out->input_count != 0 && out->count != 1))
        c->bad = true;
    for (uint32_t i = 0; i < out->input_count && !c->bad; i++)
        c->bad = wire_get_input(c, &input) != 0;
}

/* What a task needs: a text of its own limit, and not empty. */
static void get_needs(struct wire_cursor *c, unsigned flags, struct wire_run *out)
{
    out->needs = (struct wire_bytes){.size = 0};
    if ((flags & WIRE_RUN_NEEDS) == 0)
        return;
    out->needs = wire_get_text(c);
    if (out->needs.size == 0 || out->needs.size > WIRE_NEEDS_MAX || out->options.worker != 0)
        c->bad = true;
}

int wire_get_run(struct wire_cursor *c, struct wire_run *out)
{
    out->function = wire_get_u16(c);
    const unsigned flags = wire_get_u16(c);
    out->count = wire_get_u32(c);
    out->argument_bytes = wire_get_u32(c);
    out->limit_ms = wire_get_u32(c);
    out->first_no = wire_get_u64(c);
    get_options(c, flags, &out->options);
    get_needs(c, flags, out);
    get_inputs(c, flags, out);
    out->large = (flags & WIRE_RUN_LARGE) != 0;
    if (out->large && (out->argument_bytes != WIRE_VARIABLE || out->input_count != 0))
        c->bad = true;
    if (out->count == 0 || (flags & ~WIRE_RUN_FLAGS) != 0)
        c->bad = true;
    return record_ok(c);
}

int wire_put_run(struct blob *b, const struct wire_run *run)
{
    const unsigned flags = flags_of(&run->options) | (run->input_count != 0 ? WIRE_RUN_INPUTS : 0) |
                           (run->large ? WIRE_RUN_LARGE : 0) |
                           (run->needs.size != 0 ? WIRE_RUN_NEEDS : 0);

    if (blob_reserve(b, WIRE_RUN_BYTES + WIRE_RUN_OPTIONS_BYTES) != 0)
        return -ENOMEM;
    wire_put_u16(b, run->function);
    wire_put_u16(b, (uint16_t)flags);
    wire_put_u32(b, run->count);
    wire_put_u32(b, run->argument_bytes);
    wire_put_u32(b, run->limit_ms);
    wire_put_u64(b, run->first_no);
    put_options(b, flags, &run->options);
    if (run->needs.size != 0)
        put_text(b, run->needs);
    if (run->input_count != 0)
        wire_put_u32(b, run->input_count);
    return 0;
}

struct wire_bytes wire_get_argument(struct wire_cursor *c, const struct wire_run *run)
{
    if (run->large)
        return get_large(c);
    if (run->argument_bytes == WIRE_VARIABLE)
        return get_payload(c);
    return wire_get_bytes(c, run->argument_bytes);
}

int wire_get_result(struct wire_cursor *c, struct wire_result *out)
{
    out->no = wire_get_u64(c);
    out->outcome = (enum wire_outcome)get_enum(c, WIRE_OUTCOME_END);
    out->flags = wire_get_u8(c);
    out->attempts = wire_get_u16(c);
    out->run_us = wire_get_u32(c);
    out->bytes = get_payload(c);
    return record_ok(c);
}

int wire_put_result(struct blob *b, const struct wire_result *result)
{
    if (blob_reserve(b, WIRE_RESULT_BYTES + result->bytes.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, result->no);
    wire_put_u8(b, (uint8_t)result->outcome);
    wire_put_u8(b, result->flags);
    wire_put_u16(b, result->attempts);
    wire_put_u32(b, result->run_us);
    put_payload(b, result->bytes);
    return 0;
}

int wire_get_task(struct wire_cursor *c, struct wire_task *out)
{
    out->id = wire_get_u64(c);
    out->function = wire_get_u32(c);
    out->limit_ms = wire_get_u32(c);
    out->session = wire_get_u32(c);
    out->attempt = wire_get_u16(c);
    out->flags = wire_get_u16(c);
    out->argument = (out->flags & WIRE_TASK_LARGE) != 0 ? get_large(c) : get_payload(c);
    return record_ok(c);
}

int wire_put_task(struct blob *b, const struct wire_task *task)
{
    const bool large = (task->flags & WIRE_TASK_LARGE) != 0;

    if (blob_reserve(b, WIRE_TASK_BYTES + (large ? 0 : task->argument.size)) != 0)
        return -ENOMEM;
    wire_put_u64(b, task->id);
    wire_put_u32(b, task->function);
    wire_put_u32(b, task->limit_ms);
    wire_put_u32(b, task->session);
    wire_put_u16(b, task->attempt);
    wire_put_u16(b, task->flags);
    if (large)
        wire_put_u32(b, (uint32_t)task->argument.size);
    else
        put_payload(b, task->argument);
    return 0;
}

int wire_get_attempt(struct wire_cursor *c, struct wire_attempt *out)
{
    out->id = wire_get_u64(c);
    out->attempt = wire_get_u16(c);
    out->outcome = (enum wire_outcome)get_enum(c, WIRE_OUTCOME_END);
    out->flags = wire_get_u8(c);
    out->run_us = wire_get_u32(c);
    out->bytes = get_payload(c);
    return record_ok(c);
}

int wire_put_attempt(struct blob *b, const struct wire_attempt *attempt)
{
    if (blob_reserve(b, WIRE_ATTEMPT_BYTES + attempt->bytes.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, attempt->id);
    wire_put_u16(b, attempt->attempt);
    wire_put_u8(b, (uint8_t)attempt->outcome);
    wire_put_u8(b, attempt->flags);
    wire_put_u32(b, attempt->run_us);
    put_payload(b, attempt->bytes);
    return 0;
}

int wire_get_note(struct wire_cursor *c, struct wire_note *out)
{
    out->task = wire_get_u64(c);
    out->attempt = wire_get_u16(c);
    out->kind = (enum wire_note_kind)get_enum(c, WIRE_NOTE_END);
    out->reserved = wire_get_u8(c);
    out->lane = wire_get_u16(c);
    out->host = wire_get_text(c);
    out->bytes = get_payload(c);
    if (out->bytes.size > WIRE_NOTE_MAX)
        c->bad = true;
    return record_ok(c);
}

int wire_put_note(struct blob *b, const struct wire_note *note)
{
    if (blob_reserve(b, WIRE_NOTE_BYTES + text_size(note->host.size) + note->bytes.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, note->task);
    wire_put_u16(b, note->attempt);
    wire_put_u8(b, (uint8_t)note->kind);
    wire_put_u8(b, note->reserved);
    wire_put_u16(b, note->lane);
    put_text(b, note->host);
    put_payload(b, note->bytes);
    return 0;
}

int wire_get_span(struct wire_bytes bytes, struct wire_span *out)
{
    struct wire_cursor c = wire_cursor_of(bytes.data, bytes.size);

    out->start_us = wire_get_u64(&c);
    out->run_us = wire_get_u32(&c);
    out->outcome = (enum wire_outcome)get_enum(&c, WIRE_OUTCOME_END);
    out->function = wire_get_text(&c);
    return wire_read_ok(&c);
}

int wire_put_span(struct blob *b, const struct wire_span *span)
{
    if (blob_reserve(b, 13 + 2 + text_size(span->function.size)) != 0)
        return -ENOMEM;
    wire_put_u64(b, span->start_us);
    wire_put_u32(b, span->run_us);
    wire_put_u8(b, (uint8_t)span->outcome);
    put_text(b, span->function);
    return 0;
}

int wire_get_failure(struct wire_bytes bytes, struct wire_failure *out)
{
    struct wire_cursor c = wire_cursor_of(bytes.data, bytes.size);

    out->code = wire_get_u32(&c);
    out->host = wire_get_text(&c);
    out->text = wire_get_text(&c);
    return wire_read_ok(&c);
}

int wire_put_failure(struct blob *b, const struct wire_failure *failure)
{
    const size_t texts = text_size(failure->host.size) + text_size(failure->text.size);

    if (blob_reserve(b, 4 + 2 * 2 + texts) != 0)
        return -ENOMEM;
    wire_put_u32(b, failure->code);
    put_text(b, failure->host);
    put_text(b, failure->text);
    return 0;
}

int wire_get_parked(struct wire_cursor *c, struct wire_parked *out)
{
    out->id = wire_get_u64(c);
    out->parked = get_enum(c, 2) != 0;
    return record_ok(c);
}

int wire_put_parked(struct blob *b, const struct wire_parked *parked)
{
    if (blob_reserve(b, WIRE_PARKED_BYTES) != 0)
        return -ENOMEM;
    wire_put_u64(b, parked->id);
    wire_put_u8(b, parked->parked ? 1 : 0);
    return 0;
}
