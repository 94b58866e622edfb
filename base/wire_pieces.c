/* The wire codec: records of what travels in pieces. */
#include "wire.h"

#include <string.h>

#define CARGO_BYTES (12 + WIRE_KEY_BYTES + 8)

_Static_assert(WIRE_WANT_BYTES == CARGO_BYTES + 4, "as wire.h says");
_Static_assert(WIRE_PIECE_BYTES == CARGO_BYTES + 8 + 4, "as wire.h says");

bool wire_cargo_equal(const struct wire_cargo *a, const struct wire_cargo *b)
{
    return a->task == b->task && a->attempt == b->attempt && a->what == b->what &&
           a->offset == b->offset && memcmp(a->key, b->key, WIRE_KEY_BYTES) == 0;
}

static bool has_key(enum wire_what what)
{
    return what == WIRE_WHAT_PROGRAM || what == WIRE_WHAT_VALUE;
}

static void get_cargo(struct wire_cursor *c, unsigned flags, struct wire_cargo *out)
{
    static const uint8_t none[WIRE_KEY_BYTES];

    *out = (struct wire_cargo){.task = wire_get_u64(c)};
    out->attempt = wire_get_u16(c);
    const unsigned what = wire_get_u8(c);
    out->what = (enum wire_what)what;
    out->flags = wire_get_u8(c);
    const struct wire_bytes key = wire_get_bytes(c, WIRE_KEY_BYTES);
    if (key.data != NULL)
        memcpy(out->key, key.data, WIRE_KEY_BYTES);
    out->offset = wire_get_u64(c);
    if (what == 0 || what >= WIRE_WHAT_END || (out->flags & ~flags) != 0 ||
        out->offset > WIRE_LARGE_MAX ||
        (!has_key(out->what) && memcmp(out->key, none, WIRE_KEY_BYTES) != 0))
        c->bad = true;
}

/* There is room. */
static void put_cargo(struct blob *b, const struct wire_cargo *cargo)
{
    wire_put_u64(b, cargo->task);
    wire_put_u16(b, cargo->attempt);
    wire_put_u8(b, (uint8_t)cargo->what);
    wire_put_u8(b, cargo->flags);
    wire_put_bytes(b, cargo->key, WIRE_KEY_BYTES);
    wire_put_u64(b, cargo->offset);
}

int wire_get_want(struct wire_cursor *c, struct wire_want *out)
{
    get_cargo(c, 0, &out->cargo);
    out->length = wire_get_u32(c);
    if (out->length > WIRE_PIECE_MAX || (out->length == 0 && out->cargo.what != WIRE_WHAT_RESULT))
        c->bad = true;
    return c->bad ? -EPROTO : 0;
}

int wire_put_want(struct blob *b, const struct wire_want *want)
{
    if (blob_reserve(b, WIRE_WANT_BYTES) != 0)
        return -ENOMEM;
    put_cargo(b, &want->cargo);
    wire_put_u32(b, want->length);
    return 0;
}

int wire_get_piece(struct wire_cursor *c, struct wire_piece *out)
{
    get_cargo(c, WIRE_PIECE_GONE, &out->cargo);
    out->total = wire_get_u64(c);
    const size_t size = wire_get_u32(c);
    out->bytes = wire_get_bytes(c, size);
    if (size > WIRE_PIECE_MAX || out->total > WIRE_LARGE_MAX ||
        ((out->cargo.flags & WIRE_PIECE_GONE) == 0 && out->cargo.offset + size > out->total))
        c->bad = true;
    return c->bad ? -EPROTO : 0;
}

int wire_put_piece_head(struct blob *b, const struct wire_piece *piece)
{
    if (blob_reserve(b, WIRE_PIECE_BYTES + piece->bytes.size) != 0)
        return -ENOMEM;
    put_cargo(b, &piece->cargo);
    wire_put_u64(b, piece->total);
    wire_put_u32(b, (uint32_t)piece->bytes.size);
    return 0;
}

int wire_put_piece(struct blob *b, const struct wire_piece *piece)
{
    if (wire_put_piece_head(b, piece) != 0)
        return -ENOMEM;
    wire_put_bytes(b, piece->bytes.data, piece->bytes.size);
    return 0;
}
