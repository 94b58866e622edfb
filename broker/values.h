/* Scattered values that hosts may keep: the broker remembers which of a client's it has handed on, so that
 * agents can be told when the client has freed one, or is gone. Pure; one thread. Source: docs/PROTOCOL.md
 * section 4, "Values". */
#ifndef BROKER_VALUES_H
#define BROKER_VALUES_H

#include "base/err.h"
#include "base/wire.h"

#include <stdint.h>

struct core;
struct session;

/* Of one session; of more, hosts let go what nobody reads by themselves. */
#define VALUES_KNOWN_MAX 4096

struct known_values {
    uint8_t *keys; /* owned; of WIRE_KEY_BYTES each */
    uint32_t count;
};

/* The beginning of this value of the session's client goes to a host. Without memory it is not
 * remembered. */
void values_note(struct session *session, const uint8_t *key);

/* FORGET of a client: tell all agents, of those that were handed on. -EPROTO. */
NODISCARD int values_forget(struct core *core,
                            struct session *session,
                            const struct wire_header *header,
                            struct wire_cursor *body);

/* The session ends: the same for all of them. */
void values_drop(struct core *core, struct session *session);

#endif
