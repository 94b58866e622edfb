#include "values.h"

#include "state.h"

#include <string.h>

static uint8_t *key_at(const struct known_values *known, uint32_t index)
{
    return known->keys + (size_t)index * WIRE_KEY_BYTES;
}

/* Its place; `count`: it is not there. */
static uint32_t find(const struct known_values *known, const uint8_t *key)
{
    uint32_t i = 0;

    while (i < known->count && memcmp(key_at(known, i), key, WIRE_KEY_BYTES) != 0)
        i++;
    return i;
}

void values_note(struct session *session, const uint8_t *key)
{
    struct known_values *known = &session->values;

    if (find(known, key) < known->count || known->count == VALUES_KNOWN_MAX)
        return;
    uint8_t *const keys = realloc(known->keys, (size_t)(known->count + 1) * WIRE_KEY_BYTES);
    if (keys == NULL)
        return;
    known->keys = keys;
    memcpy(key_at(known, known->count++), key, WIRE_KEY_BYTES);
}

/* Without memory an agent is not told: it lets them go by itself. */
static void tell(struct core *core, struct peer *peer, const uint8_t *keys, uint32_t count)
{
    const size_t bytes = (size_t)count * WIRE_KEY_BYTES;
    struct blob *frame = wire_frame_new(WIRE_FORGET, peer->link.id, bytes);

    if (frame == NULL)
        return;
    wire_put_bytes(frame, keys, bytes);
    wire_frame_add_count(frame, count);
    peer_send(core, peer, frame);
}

static void tell_all(struct core *core, const uint8_t *keys, uint32_t count)
{
    for (struct peer *peer = core->peers; peer != NULL; peer = peer->hh.next) {
        if (peer->role == WIRE_AGENT && !peer->ended)
            tell(core, peer, keys, count);
    }
}

int values_forget(struct core *core,
                  struct session *session,
                  const struct wire_header *header,
                  struct wire_cursor *body)
{
    struct known_values *known = &session->values;

    for (uint32_t i = 0; i < header->count; i++) {
        const struct wire_bytes key = wire_get_bytes(body, WIRE_KEY_BYTES);

        if (body->bad)
            return -EPROTO;
        const uint32_t place = find(known, key.data);
        if (place == known->count)
            continue;
        memmove(key_at(known, place), key_at(known, --known->count), WIRE_KEY_BYTES);
        tell_all(core, key.data, 1);
    }
    return wire_read_ok(body);
}

void values_drop(struct core *core, struct session *session)
{
    if (session->values.count != 0)
        tell_all(core, session->values.keys, session->values.count);
    free(session->values.keys);
    session->values = (struct known_values){NULL, 0};
}
