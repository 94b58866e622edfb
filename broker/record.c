#include "record.h"

#include "base/crc32c.h"

#include <endian.h>
#include <string.h>

/* Offset of what the checksum covers. */
#define COVERED_AT 4

static const char *const type_names[RECORD_TYPE_END] = {
    [RECORD_OPEN] = "OPEN",         [RECORD_TASK] = "TASK",   [RECORD_DONE] = "DONE",
    [RECORD_FORGET] = "FORGET",     [RECORD_AFTER] = "AFTER", [RECORD_FORGIVEN] = "FORGIVEN",
    [RECORD_CONSTANT] = "CONSTANT", [RECORD_UNSET] = "UNSET", [RECORD_NEEDS] = "NEEDS",
};

const char *record_type_name(enum record_type type)
{
    return type < RECORD_TYPE_END && type_names[type] != NULL ? type_names[type] : "unknown";
}

int record_begin(struct blob *batch, enum record_type type, uint64_t id, size_t body_bytes)
{
    if (blob_reserve(batch, RECORD_HEAD_BYTES + body_bytes) != 0)
        return -ENOMEM;
    wire_put_u32(batch, 0);
    wire_put_u8(batch, (uint8_t)type);
    wire_put_u8(batch, RECORD_VERSION);
    wire_put_u16(batch, 0);
    wire_put_u32(batch, (uint32_t)body_bytes);
    wire_put_u64(batch, id);
    return 0;
}

/* The head at the cursor, which moves behind it. Returns the bytes of the body. */
static uint32_t get_head(struct wire_cursor *c, uint32_t *crc, uint8_t *version, struct record *out)
{
    *crc = wire_get_u32(c);
    out->type = (enum record_type)wire_get_u8(c);
    *version = wire_get_u8(c);
    wire_get_u16(c);
    const uint32_t body_bytes = wire_get_u32(c);
    out->id = wire_get_u64(c);
    return body_bytes;
}

void record_seal(struct blob *batch)
{
    struct wire_cursor c = wire_cursor_of(batch->data, batch->size);
    struct record record;
    uint32_t crc = 0;
    uint8_t version = 0;

    while (c.at < c.end) {
        uint8_t *head = batch->data + (c.at - batch->data);
        const uint32_t body_bytes = get_head(&c, &crc, &version, &record);

        wire_get_bytes(&c, body_bytes);
        if (c.bad)
            return;
        crc = htobe32(crc32c(head + COVERED_AT, RECORD_HEAD_BYTES - COVERED_AT + body_bytes));
        memcpy(head, &crc, sizeof(crc));
    }
}

int record_get(struct wire_cursor *c, struct record *out, uint8_t *version)
{
    const uint8_t *head = c->at;
    uint32_t crc = 0;
    const uint32_t body_bytes = get_head(c, &crc, version, out);

    if (body_bytes > RECORD_BODY_MAX)
        c->bad = true;
    out->body = wire_get_bytes(c, body_bytes);
    if (c->bad)
        return -EPROTO;
    if (crc != crc32c(head + COVERED_AT, RECORD_HEAD_BYTES - COVERED_AT + body_bytes))
        return -EBADMSG;
    if (*version != RECORD_VERSION || out->type == 0 || out->type >= RECORD_TYPE_END)
        return -ENOTSUP;
    return 0;
}

/* ---- bodies ---- */

#define TASK_FIXED_BYTES 15
#define DONE_FIXED_BYTES 11

struct blob *
record_task_body(uint32_t limit_ms, const struct wire_options *options, struct wire_bytes request)
{
    struct blob *body = blob_new(TASK_FIXED_BYTES + request.size);

    if (body == NULL)
        return NULL;
    wire_put_u32(body, limit_ms);
    wire_put_u16(body, options->retries);
    wire_put_u32(body, options->backoff_ms);
    wire_put_u8(body, (uint8_t)(options->priority + 128));
    wire_put_u32(body, options->expires_ms);
    wire_put_bytes(body, request.data, request.size);
    return body;
}

int record_get_task(struct wire_bytes body, struct record_task *out)
{
    struct wire_cursor c = wire_cursor_of(body.data, body.size);

    out->limit_ms = wire_get_u32(&c);
    out->options = (struct wire_options){.retries = wire_get_u16(&c)};
    out->options.backoff_ms = wire_get_u32(&c);
    out->options.priority = (int8_t)(wire_get_u8(&c) - 128);
    out->options.expires_ms = wire_get_u32(&c);
    if (wire_get_function(&c, &out->function) != 0)
        return -EPROTO;
    out->argument = wire_get_bytes(&c, (size_t)(c.end - c.at));
    return wire_read_ok(&c);
}

struct blob *
record_done_body(const struct wire_attempt *outcome, uint16_t attempts, const struct blob *task)
{
    const struct wire_bytes whole = {task->data, task->size};
    size_t kept = task->size;
    struct record_task record;

    if (outcome->outcome == WIRE_OK && record_get_task(whole, &record) == 0)
        kept -= record.argument.size;
    struct blob *body = blob_new(DONE_FIXED_BYTES + outcome->bytes.size + kept);

    if (body == NULL)
        return NULL;
    wire_put_u8(body, (uint8_t)outcome->outcome);
    wire_put_u16(body, attempts);
    wire_put_u32(body, outcome->run_us);
    wire_put_u32(body, (uint32_t)outcome->bytes.size);
    wire_put_bytes(body, outcome->bytes.data, outcome->bytes.size);
    wire_put_bytes(body, task->data, kept);
    return body;
}

int record_get_done(const struct blob *body, struct wire_attempt *out, struct wire_bytes *task)
{
    struct wire_cursor c = wire_cursor_of(body->data, body->size);

    *out = (struct wire_attempt){.outcome = (enum wire_outcome)wire_get_u8(&c)};
    out->attempt = wire_get_u16(&c);
    out->run_us = wire_get_u32(&c);
    const uint32_t bytes = wire_get_u32(&c);
    out->bytes = wire_get_bytes(&c, bytes);
    const struct wire_bytes rest = wire_get_bytes(&c, (size_t)(c.end - c.at));
    if (task != NULL)
        *task = rest;
    return out->outcome < WIRE_OUTCOME_END ? wire_read_ok(&c) : -EPROTO;
}

static void put_text(struct blob *body, struct wire_bytes text)
{
    wire_put_u16(body, (uint16_t)text.size);
    wire_put_bytes(body, text.data, text.size);
}

struct blob *record_constant_body(const struct record_constant *constant)
{
    struct blob *body = blob_new(sizeof(uint64_t) + 2 + constant->setter.size + 2 +
                                 constant->name.size + constant->value.size);

    if (body == NULL)
        return NULL;
    wire_put_u64(body, constant->incarnation);
    put_text(body, constant->setter);
    put_text(body, constant->name);
    wire_put_bytes(body, constant->value.data, constant->value.size);
    return body;
}

int record_get_constant(struct wire_bytes body, struct record_constant *out)
{
    struct wire_cursor c = wire_cursor_of(body.data, body.size);

    out->incarnation = wire_get_u64(&c);
    out->setter = wire_get_text(&c);
    out->name = wire_get_text(&c);
    out->value = wire_get_bytes(&c, (size_t)(c.end - c.at));
    return wire_read_ok(&c);
}
