/* The wire codec. Invariants: a cursor never moves past its end, and once bad stays bad; a put
 * function reserves the room of its whole record first, so a record is written whole or not at
 * all. */
#include "wire.h"

#include <endian.h>
#include <string.h>

/* Offsets in the frame header. */
enum {
    AT_VERSION = 0,
    AT_TYPE = 1,
    AT_FLAGS = 2,
    AT_COUNT = 4,
    AT_LINK = 8,
    AT_SEQ = 16,
    AT_ACK = 24,
};

static const char *const type_names[WIRE_TYPE_END] = {
    [WIRE_HELLO] = "HELLO",     [WIRE_WELCOME] = "WELCOME",   [WIRE_REFUSED] = "REFUSED",
    [WIRE_GONE] = "GONE",       [WIRE_ACK] = "ACK",           [WIRE_PING] = "PING",
    [WIRE_BYE] = "BYE",         [WIRE_FUNCTION] = "FUNCTION", [WIRE_SUBMIT] = "SUBMIT",
    [WIRE_RESULTS] = "RESULTS", [WIRE_TASKS] = "TASKS",       [WIRE_OUTCOMES] = "OUTCOMES",
    [WIRE_REVOKE] = "REVOKE",   [WIRE_DRAIN] = "DRAIN",       [WIRE_QUERY] = "QUERY",
    [WIRE_STATUS] = "STATUS",
};

static const char *const outcome_names[WIRE_OUTCOME_END] = {
    [WIRE_OK] = "ok",
    [WIRE_FAILED] = "failed",
    [WIRE_CRASHED] = "crashed",
    [WIRE_LOST] = "lost",
    [WIRE_TIMEOUT] = "timeout",
    [WIRE_CANCELLED] = "cancelled",
    [WIRE_REFUSED_TASK] = "refused",
};

static const char *const worker_state_names[WIRE_WORKER_STATE_END] = {
    [WIRE_WORKER_READY] = "ready",       [WIRE_WORKER_SILENT] = "silent",
    [WIRE_WORKER_DRAINING] = "draining", [WIRE_WORKER_LOST] = "lost",
    [WIRE_WORKER_LEFT] = "left",
};

static const char *name_in(const char *const *names, size_t end, unsigned value)
{
    return value < end && names[value] != NULL ? names[value] : "unknown";
}

const char *wire_type_name(enum wire_type type)
{
    return name_in(type_names, WIRE_TYPE_END, type);
}

const char *wire_outcome_name(enum wire_outcome outcome)
{
    return name_in(outcome_names, WIRE_OUTCOME_END, outcome);
}

const char *wire_worker_state_name(enum wire_worker_state state)
{
    return name_in(worker_state_names, WIRE_WORKER_STATE_END, state);
}

/* ---- cursor ---- */

/* The next `size` bytes, or NULL with the cursor bad. */
static const uint8_t *advance(struct wire_cursor *c, size_t size)
{
    if (c->bad || (size_t)(c->end - c->at) < size) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *at = c->at;

    c->at += size;
    return at;
}

static uint16_t load_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return be16toh(value);
}

static uint32_t load_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return be32toh(value);
}

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

static void store_u16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof(value));
}

static void store_u32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static void store_u64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
}

uint8_t wire_get_u8(struct wire_cursor *c)
{
    const uint8_t *at = advance(c, 1);

    return at != NULL ? *at : 0;
}

uint16_t wire_get_u16(struct wire_cursor *c)
{
    const uint8_t *at = advance(c, 2);

    return at != NULL ? load_u16(at) : 0;
}

uint32_t wire_get_u32(struct wire_cursor *c)
{
    const uint8_t *at = advance(c, 4);

    return at != NULL ? load_u32(at) : 0;
}

uint64_t wire_get_u64(struct wire_cursor *c)
{
    const uint8_t *at = advance(c, 8);

    return at != NULL ? load_u64(at) : 0;
}

struct wire_bytes wire_get_bytes(struct wire_cursor *c, size_t size)
{
    const uint8_t *at = advance(c, size);

    return at != NULL ? (struct wire_bytes){at, size} : (struct wire_bytes){NULL, 0};
}

struct wire_bytes wire_get_text(struct wire_cursor *c)
{
    const size_t size = wire_get_u16(c);
    const struct wire_bytes text = wire_get_bytes(c, size);

    if (size > WIRE_TEXT_MAX || (text.size != 0 && memchr(text.data, '\0', text.size) != NULL)) {
        c->bad = true;
        return (struct wire_bytes){NULL, 0};
    }
    return text;
}

/* Bytes with a 32-bit length, at most WIRE_PAYLOAD_MAX. */
static struct wire_bytes get_payload(struct wire_cursor *c)
{
    const size_t size = wire_get_u32(c);

    if (size > WIRE_PAYLOAD_MAX)
        c->bad = true;
    return wire_get_bytes(c, size);
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

int wire_read_ok(const struct wire_cursor *c)
{
    return c->bad || c->at != c->end ? -EPROTO : 0;
}

const char *wire_text_copy(struct wire_bytes text, char *buffer, size_t size)
{
    const size_t used = text.size < size ? text.size : size - 1;

    if (used != 0)
        memcpy(buffer, text.data, used);
    buffer[used] = '\0';
    return buffer;
}

/* ---- appending ---- */

void wire_put_u8(struct blob *b, uint8_t value)
{
    b->data[b->size++] = value;
}

void wire_put_u16(struct blob *b, uint16_t value)
{
    store_u16(b->data + b->size, value);
    b->size += 2;
}

void wire_put_u32(struct blob *b, uint32_t value)
{
    store_u32(b->data + b->size, value);
    b->size += 4;
}

void wire_put_u64(struct blob *b, uint64_t value)
{
    store_u64(b->data + b->size, value);
    b->size += 8;
}

void wire_put_bytes(struct blob *b, const void *data, size_t size)
{
    if (size != 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
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

/* ---- frames ---- */

struct blob *wire_frame_new(enum wire_type type, uint64_t link, size_t body_bytes)
{
    struct blob *frame = blob_new(WIRE_HEADER_BYTES + body_bytes);

    if (frame == NULL)
        return NULL;
    wire_put_u8(frame, WIRE_VERSION);
    wire_put_u8(frame, (uint8_t)type);
    wire_put_u16(frame, 0);
    wire_put_u32(frame, 0);
    wire_put_u64(frame, link);
    wire_put_u64(frame, 0);
    wire_put_u64(frame, 0);
    return frame;
}

uint32_t wire_frame_count(const struct blob *frame)
{
    return load_u32(frame->data + AT_COUNT);
}

void wire_frame_add_count(struct blob *frame, uint32_t more)
{
    store_u32(frame->data + AT_COUNT, wire_frame_count(frame) + more);
}

void wire_frame_set_flags(struct blob *frame, uint16_t flags)
{
    store_u16(frame->data + AT_FLAGS, flags);
}

void wire_frame_stamp(struct blob *frame, uint64_t seq, uint64_t ack)
{
    store_u64(frame->data + AT_SEQ, seq);
    store_u64(frame->data + AT_ACK, ack);
}

int wire_frame_read(const uint8_t *data,
                    size_t size,
                    struct wire_header *header,
                    struct wire_cursor *body)
{
    if (size < WIRE_HEADER_BYTES || size > WIRE_FRAME_MAX || data[AT_VERSION] != WIRE_VERSION)
        return -EPROTO;
    const unsigned type = data[AT_TYPE];
    const uint64_t link = load_u64(data + AT_LINK);

    if (type == 0 || type >= WIRE_TYPE_END || link == 0)
        return -EPROTO;
    *header = (struct wire_header){
        .type = (enum wire_type)type,
        .flags = load_u16(data + AT_FLAGS),
        .count = load_u32(data + AT_COUNT),
        .link = link,
        .seq = load_u64(data + AT_SEQ),
        .ack = load_u64(data + AT_ACK),
    };
    *body = (struct wire_cursor){.at = data + WIRE_HEADER_BYTES, .end = data + size};
    return 0;
}

/* ---- records ---- */

int wire_get_hello(struct wire_cursor *c, struct wire_hello *out)
{
    out->role = (enum wire_role)wire_get_u8(c);
    out->pid = wire_get_u32(c);
    out->incarnation = wire_get_u64(c);
    out->slots = wire_get_u32(c);
    out->host = wire_get_text(c);
    out->name = wire_get_text(c);
    out->version = wire_get_text(c);
    if (out->role == WIRE_CLIENT ? out->slots != 0 : out->slots == 0 || out->slots > WIRE_SLOTS_MAX)
        c->bad = true;
    if (out->role != WIRE_CLIENT && out->role != WIRE_AGENT)
        c->bad = true;
    return record_ok(c);
}

int wire_put_hello(struct blob *b, const struct wire_hello *hello)
{
    if (blob_reserve(b, 17 + 3 * 2 + hello->host.size + hello->name.size + hello->version.size) !=
        0)
        return -ENOMEM;
    wire_put_u8(b, (uint8_t)hello->role);
    wire_put_u32(b, hello->pid);
    wire_put_u64(b, hello->incarnation);
    wire_put_u32(b, hello->slots);
    put_text(b, hello->host);
    put_text(b, hello->name);
    put_text(b, hello->version);
    return 0;
}

int wire_get_welcome(struct wire_cursor *c, struct wire_welcome *out)
{
    out->epoch = wire_get_u64(c);
    out->lease_ms = wire_get_u32(c);
    out->ping_ms = wire_get_u32(c);
    out->credit_tasks = wire_get_u32(c);
    out->credit_bytes = wire_get_u64(c);
    out->version = wire_get_text(c);
    return record_ok(c);
}

int wire_put_welcome(struct blob *b, const struct wire_welcome *welcome)
{
    if (blob_reserve(b, 28 + 2 + welcome->version.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, welcome->epoch);
    wire_put_u32(b, welcome->lease_ms);
    wire_put_u32(b, welcome->ping_ms);
    wire_put_u32(b, welcome->credit_tasks);
    wire_put_u64(b, welcome->credit_bytes);
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

int wire_get_run(struct wire_cursor *c, struct wire_run *out)
{
    out->function = wire_get_u32(c);
    out->count = wire_get_u32(c);
    out->argument_bytes = wire_get_u32(c);
    out->limit_ms = wire_get_u32(c);
    out->first_no = wire_get_u64(c);
    if (out->count == 0)
        c->bad = true;
    return record_ok(c);
}

int wire_put_run(struct blob *b, const struct wire_run *run)
{
    if (blob_reserve(b, WIRE_RUN_BYTES) != 0)
        return -ENOMEM;
    wire_put_u32(b, run->function);
    wire_put_u32(b, run->count);
    wire_put_u32(b, run->argument_bytes);
    wire_put_u32(b, run->limit_ms);
    wire_put_u64(b, run->first_no);
    return 0;
}

void wire_run_add_count(struct blob *frame, size_t run_at, uint32_t more)
{
    uint8_t *count = frame->data + run_at + 4;

    store_u32(count, load_u32(count) + more);
}

struct wire_bytes wire_get_argument(struct wire_cursor *c, const struct wire_run *run)
{
    if (run->argument_bytes == WIRE_VARIABLE)
        return get_payload(c);
    return wire_get_bytes(c, run->argument_bytes);
}

int wire_get_result(struct wire_cursor *c, struct wire_result *out)
{
    out->no = wire_get_u64(c);
    out->outcome = (enum wire_outcome)get_enum(c, WIRE_OUTCOME_END);
    out->reserved = wire_get_u8(c);
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
    wire_put_u8(b, 0);
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
    out->attempt = wire_get_u16(c);
    out->reserved = wire_get_u16(c);
    out->argument = get_payload(c);
    return record_ok(c);
}

int wire_put_task(struct blob *b, const struct wire_task *task)
{
    if (blob_reserve(b, WIRE_TASK_BYTES + task->argument.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, task->id);
    wire_put_u32(b, task->function);
    wire_put_u32(b, task->limit_ms);
    wire_put_u16(b, task->attempt);
    wire_put_u16(b, 0);
    put_payload(b, task->argument);
    return 0;
}

int wire_get_attempt(struct wire_cursor *c, struct wire_attempt *out)
{
    out->id = wire_get_u64(c);
    out->attempt = wire_get_u16(c);
    out->outcome = (enum wire_outcome)get_enum(c, WIRE_OUTCOME_END);
    out->reserved = wire_get_u8(c);
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
    wire_put_u8(b, 0);
    wire_put_u32(b, attempt->run_us);
    put_payload(b, attempt->bytes);
    return 0;
}

int wire_get_failure(struct wire_bytes bytes, struct wire_failure *out)
{
    struct wire_cursor c = {.at = bytes.data, .end = bytes.data + bytes.size};

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

int wire_get_counters(struct wire_cursor *c, struct wire_counters *out)
{
    out->epoch = wire_get_u64(c);
    out->uptime_ms = wire_get_u64(c);
    out->ready = wire_get_u64(c);
    out->leased = wire_get_u64(c);
    out->accepted = wire_get_u64(c);
    out->done = wire_get_u64(c);
    out->failed = wire_get_u64(c);
    out->requeued = wire_get_u64(c);
    out->stale = wire_get_u64(c);
    out->sessions = wire_get_u32(c);
    out->version = wire_get_text(c);
    return record_ok(c);
}

int wire_put_counters(struct blob *b, const struct wire_counters *counters)
{
    if (blob_reserve(b, 9 * 8 + 4 + 2 + counters->version.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, counters->epoch);
    wire_put_u64(b, counters->uptime_ms);
    wire_put_u64(b, counters->ready);
    wire_put_u64(b, counters->leased);
    wire_put_u64(b, counters->accepted);
    wire_put_u64(b, counters->done);
    wire_put_u64(b, counters->failed);
    wire_put_u64(b, counters->requeued);
    wire_put_u64(b, counters->stale);
    wire_put_u32(b, counters->sessions);
    put_text(b, counters->version);
    return 0;
}

int wire_get_worker(struct wire_cursor *c, struct wire_worker *out)
{
    out->incarnation = wire_get_u64(c);
    out->state = (enum wire_worker_state)get_enum(c, WIRE_WORKER_STATE_END);
    out->pid = wire_get_u32(c);
    out->slots = wire_get_u32(c);
    out->busy = wire_get_u32(c);
    out->leased = wire_get_u32(c);
    out->done = wire_get_u64(c);
    out->failed = wire_get_u64(c);
    out->silent_ms = wire_get_u32(c);
    out->host = wire_get_text(c);
    out->version = wire_get_text(c);
    return record_ok(c);
}

int wire_put_worker(struct blob *b, const struct wire_worker *worker)
{
    if (blob_reserve(b, 45 + 2 * 2 + worker->host.size + worker->version.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, worker->incarnation);
    wire_put_u8(b, (uint8_t)worker->state);
    wire_put_u32(b, worker->pid);
    wire_put_u32(b, worker->slots);
    wire_put_u32(b, worker->busy);
    wire_put_u32(b, worker->leased);
    wire_put_u64(b, worker->done);
    wire_put_u64(b, worker->failed);
    wire_put_u32(b, worker->silent_ms);
    put_text(b, worker->host);
    put_text(b, worker->version);
    return 0;
}
