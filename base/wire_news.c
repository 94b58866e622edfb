/* The wire codec: what is told of a task while it runs. */
#include "wire.h"

static struct wire_cursor all_of(struct wire_bytes bytes)
{
    return wire_cursor_of(bytes.data, bytes.size);
}

int wire_get_progress(struct wire_bytes bytes, struct wire_progress *out)
{
    struct wire_cursor c = all_of(bytes);

    out->done = wire_get_u64(&c);
    out->total = wire_get_u64(&c);
    return wire_read_ok(&c);
}

int wire_put_progress(struct blob *b, const struct wire_progress *progress)
{
    if (blob_reserve(b, WIRE_PROGRESS_BYTES) != 0)
        return -ENOMEM;
    wire_put_u64(b, progress->done);
    wire_put_u64(b, progress->total);
    return 0;
}

int wire_get_partial(struct wire_bytes bytes, struct wire_partial *out)
{
    struct wire_cursor c = all_of(bytes);

    out->index = wire_get_u32(&c);
    out->bytes = wire_get_bytes(&c, (size_t)(c.end - c.at));
    if (out->bytes.size > WIRE_PARTIAL_MAX)
        c.bad = true;
    return wire_read_ok(&c);
}

int wire_put_partial(struct blob *b, const struct wire_partial *partial)
{
    if (blob_reserve(b, 4 + partial->bytes.size) != 0)
        return -ENOMEM;
    wire_put_u32(b, partial->index);
    wire_put_bytes(b, partial->bytes.data, partial->bytes.size);
    return 0;
}

int wire_get_running_ms(struct wire_bytes bytes, uint32_t *out)
{
    struct wire_cursor c = all_of(bytes);

    *out = wire_get_u32(&c);
    return wire_read_ok(&c);
}

int wire_put_running_ms(struct blob *b, uint32_t ms)
{
    if (blob_reserve(b, 4) != 0)
        return -ENOMEM;
    wire_put_u32(b, ms);
    return 0;
}

int wire_get_running(struct wire_cursor *c, struct wire_running *out)
{
    out->id = wire_get_u64(c);
    out->run_ms = wire_get_u64(c);
    out->progress.done = wire_get_u64(c);
    out->progress.total = wire_get_u64(c);
    out->attempt = wire_get_u16(c);
    const unsigned parked = wire_get_u8(c);
    out->parked = parked == 1;
    out->function = wire_get_text(c);
    out->program = wire_get_text(c);
    out->client = wire_get_text(c);
    out->host = wire_get_text(c);
    if (parked > 1)
        c->bad = true;
    return c->bad ? -EPROTO : 0;
}

static void put_text(struct blob *b, struct wire_bytes text)
{
    const size_t size = text.size < WIRE_TEXT_MAX ? text.size : WIRE_TEXT_MAX;

    wire_put_u16(b, (uint16_t)size);
    wire_put_bytes(b, text.data, size);
}

int wire_put_running(struct blob *b, const struct wire_running *running)
{
    const size_t texts =
        running->function.size + running->program.size + running->client.size + running->host.size;

    if (blob_reserve(b, 4 * 8 + 2 + 1 + 4 * 2 + texts) != 0)
        return -ENOMEM;
    wire_put_u64(b, running->id);
    wire_put_u64(b, running->run_ms);
    wire_put_u64(b, running->progress.done);
    wire_put_u64(b, running->progress.total);
    wire_put_u16(b, running->attempt);
    wire_put_u8(b, running->parked ? 1 : 0);
    put_text(b, running->function);
    put_text(b, running->program);
    put_text(b, running->client);
    put_text(b, running->host);
    return 0;
}
