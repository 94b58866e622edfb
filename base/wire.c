/* The wire codec: cursor and frames. Invariant: a cursor never moves past its end, and once bad
 * stays bad. */
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
    [WIRE_STATUS] = "STATUS",   [WIRE_PARKED] = "PARKED",     [WIRE_CANCEL] = "CANCEL",
    [WIRE_NOTES] = "NOTES",     [WIRE_INPUT] = "INPUT",       [WIRE_NEED] = "NEED",
    [WIRE_WANT] = "WANT",       [WIRE_PIECE] = "PIECE",       [WIRE_FORGET] = "FORGET",
};

static const char *const outcome_names[WIRE_OUTCOME_END] = {
    [WIRE_OK] = "ok",
    [WIRE_FAILED] = "failed",
    [WIRE_CRASHED] = "crashed",
    [WIRE_LOST] = "lost",
    [WIRE_TIMEOUT] = "timeout",
    [WIRE_CANCELLED] = "cancelled",
    [WIRE_REFUSED_TASK] = "refused",
    [WIRE_EXPIRED] = "expired",
    [WIRE_BLOCKED] = "blocked",
};

static const char *const cancelled_texts[] = {
    [WIRE_NEVER_RAN] = "cancelled before it ran",
    [WIRE_STOPPED] = "cancelled while it ran, and stopped",
    [WIRE_DISCARDED] = "cancelled after it ran; its result is dropped",
};

static const char *const worker_state_names[WIRE_WORKER_STATE_END] = {
    [WIRE_WORKER_READY] = "ready",       [WIRE_WORKER_SILENT] = "silent",
    [WIRE_WORKER_DRAINING] = "draining", [WIRE_WORKER_LOST] = "lost",
    [WIRE_WORKER_LEFT] = "left",
};

static const char *const what_names[WIRE_WHAT_END] = {
    [WIRE_WHAT_ARGUMENT] = "argument",
    [WIRE_WHAT_RESULT] = "result",
    [WIRE_WHAT_PROGRAM] = "program",
    [WIRE_WHAT_VALUE] = "value",
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

const char *wire_cancelled_text(enum wire_cancelled answer)
{
    return name_in(cancelled_texts, COUNT_OF(cancelled_texts), answer);
}

const char *wire_worker_state_name(enum wire_worker_state state)
{
    return name_in(worker_state_names, WIRE_WORKER_STATE_END, state);
}

const char *wire_what_name(enum wire_what what)
{
    return name_in(what_names, WIRE_WHAT_END, what);
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

void wire_run_add_count(struct blob *frame, size_t run_at, uint32_t more)
{
    uint8_t *count = frame->data + run_at + 4;

    store_u32(count, load_u32(count) + more);
}

int wire_frame_read(const uint8_t *data,
                    size_t size,
                    struct wire_header *header,
                    struct wire_cursor *body)
{
    if (size < WIRE_HEADER_BYTES || size > WIRE_FRAME_MAX || data[AT_VERSION] != WIRE_VERSION)
        return -EPROTO;
    const unsigned type = data[AT_TYPE];
    const unsigned flags = load_u16(data + AT_FLAGS);
    const uint64_t link = load_u64(data + AT_LINK);

    if (type == 0 || type >= WIRE_TYPE_END || link == 0 ||
        (flags & ~(type == WIRE_ACK ? WIRE_FLAG_RESEND : 0)) != 0)
        return -EPROTO;
    *header = (struct wire_header){
        .type = (enum wire_type)type,
        .flags = (uint16_t)flags,
        .count = load_u32(data + AT_COUNT),
        .link = link,
        .seq = load_u64(data + AT_SEQ),
        .ack = load_u64(data + AT_ACK),
    };
    *body = (struct wire_cursor){.at = data + WIRE_HEADER_BYTES, .end = data + size};
    return 0;
}
