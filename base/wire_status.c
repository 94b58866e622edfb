/* The wire codec: records of STATUS. */
#include "wire.h"

static int record_ok(const struct wire_cursor *c)
{
    return c->bad ? -EPROTO : 0;
}

/* There is room. */
static void put_text(struct blob *b, struct wire_bytes text)
{
    const size_t size = text.size < WIRE_TEXT_MAX ? text.size : WIRE_TEXT_MAX;

    wire_put_u16(b, (uint16_t)size);
    wire_put_bytes(b, text.data, size);
}

int wire_get_counters(struct wire_cursor *c, struct wire_counters *out)
{
    out->epoch = wire_get_u64(c);
    out->uptime_ms = wire_get_u64(c);
    out->ready = wire_get_u64(c);
    out->leased = wire_get_u64(c);
    out->resting = wire_get_u64(c);
    out->held = wire_get_u64(c);
    out->blocked = wire_get_u64(c);
    out->accepted = wire_get_u64(c);
    out->done = wire_get_u64(c);
    out->failed = wire_get_u64(c);
    out->requeued = wire_get_u64(c);
    out->stale = wire_get_u64(c);
    out->sessions = wire_get_u32(c);
    out->classes = wire_get_u16(c);
    out->version = wire_get_text(c);
    return record_ok(c);
}

int wire_put_counters(struct blob *b, const struct wire_counters *counters)
{
    if (blob_reserve(b, 12 * 8 + 4 + 2 + 2 + counters->version.size) != 0)
        return -ENOMEM;
    wire_put_u64(b, counters->epoch);
    wire_put_u64(b, counters->uptime_ms);
    wire_put_u64(b, counters->ready);
    wire_put_u64(b, counters->leased);
    wire_put_u64(b, counters->resting);
    wire_put_u64(b, counters->held);
    wire_put_u64(b, counters->blocked);
    wire_put_u64(b, counters->accepted);
    wire_put_u64(b, counters->done);
    wire_put_u64(b, counters->failed);
    wire_put_u64(b, counters->requeued);
    wire_put_u64(b, counters->stale);
    wire_put_u32(b, counters->sessions);
    wire_put_u16(b, counters->classes);
    put_text(b, counters->version);
    return 0;
}

int wire_get_class(struct wire_cursor *c, struct wire_class *out)
{
    out->needs = wire_get_text(c);
    out->ready = wire_get_u64(c);
    out->leased = wire_get_u64(c);
    out->able = wire_get_u32(c);
    return record_ok(c);
}

int wire_put_class(struct blob *b, const struct wire_class *record)
{
    if (blob_reserve(b, 20 + 2 + record->needs.size) != 0)
        return -ENOMEM;
    put_text(b, record->needs);
    wire_put_u64(b, record->ready);
    wire_put_u64(b, record->leased);
    wire_put_u32(b, record->able);
    return 0;
}

int wire_get_worker(struct wire_cursor *c, struct wire_worker *out)
{
    out->incarnation = wire_get_u64(c);
    const unsigned state = wire_get_u8(c);

    out->state = (enum wire_worker_state)state;
    c->bad = c->bad || state >= WIRE_WORKER_STATE_END;
    out->pid = wire_get_u32(c);
    out->slots = wire_get_u32(c);
    out->busy = wire_get_u32(c);
    out->leased = wire_get_u32(c);
    out->done = wire_get_u64(c);
    out->failed = wire_get_u64(c);
    out->silent_ms = wire_get_u32(c);
    out->host = wire_get_text(c);
    out->version = wire_get_text(c);
    out->resources = wire_get_text(c);
    out->taken = wire_get_text(c);
    return record_ok(c);
}

int wire_put_worker(struct blob *b, const struct wire_worker *worker)
{
    const size_t texts = worker->host.size + worker->version.size + worker->resources.size;

    if (blob_reserve(b, 45 + 4 * 2 + texts + worker->taken.size) != 0)
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
    put_text(b, worker->resources);
    put_text(b, worker->taken);
    return 0;
}
