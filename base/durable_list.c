#include "durable_list.h"

#define QUERY_BYTES 5
#define ENTRY_BYTES 40
#define NAME_MAX    255

int durable_put_query(struct blob *b, const struct durable_query *query)
{
    if (blob_reserve(b, QUERY_BYTES) != 0)
        return -ENOMEM;
    wire_put_u32(b, query->most);
    wire_put_u8(b, query->failed_only);
    return 0;
}

int durable_get_query(struct wire_bytes argument, struct durable_query *out)
{
    struct wire_cursor c = wire_cursor_of(argument.data, argument.size);

    out->most = wire_get_u32(&c);
    const uint8_t failed_only = wire_get_u8(&c);
    out->failed_only = failed_only == 1;
    if (out->most == 0 || out->most > DURABLE_LIST_MAX || failed_only > 1)
        return -EPROTO;
    return wire_read_ok(&c);
}

int durable_begin_list(struct blob *b, uint64_t kept)
{
    if (blob_reserve(b, 8) != 0)
        return -ENOMEM;
    wire_put_u64(b, kept);
    return 0;
}

static void put_name(struct blob *b, struct wire_bytes name)
{
    const size_t size = name.size < NAME_MAX ? name.size : NAME_MAX;

    wire_put_u16(b, (uint16_t)size);
    wire_put_bytes(b, name.data, size);
}

int durable_put_entry(struct blob *b, const struct durable_entry *entry)
{
    if (blob_reserve(b, ENTRY_BYTES + 2 * (2 + NAME_MAX)) != 0)
        return -ENOMEM;
    wire_put_u64(b, entry->id);
    wire_put_u8(b, (uint8_t)entry->state);
    wire_put_u8(b, (uint8_t)entry->outcome);
    wire_put_u16(b, entry->attempts);
    wire_put_u32(b, entry->run_us);
    wire_put_u64(b, entry->waits_for);
    wire_put_u64(b, entry->done);
    wire_put_u64(b, entry->total);
    put_name(b, entry->program);
    put_name(b, entry->function);
    return 0;
}

int durable_get_entry(struct wire_cursor *c, struct durable_entry *out)
{
    out->id = wire_get_u64(c);
    out->state = (enum durable_listed)wire_get_u8(c);
    out->outcome = (enum wire_outcome)wire_get_u8(c);
    out->attempts = wire_get_u16(c);
    out->run_us = wire_get_u32(c);
    out->waits_for = wire_get_u64(c);
    out->done = wire_get_u64(c);
    out->total = wire_get_u64(c);
    out->program = wire_get_text(c);
    out->function = wire_get_text(c);
    if (out->state >= DURABLE_LISTED_END || out->outcome >= WIRE_OUTCOME_END)
        c->bad = true;
    return c->bad ? -EPROTO : 0;
}
