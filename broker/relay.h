/* Bytes too large for a record, on their way through the broker in pieces. Source: docs/PROTOCOL.md
 * section 4, "Pieces".
 *
 * Of a task that an agent holds, one end *wants* pieces and the other one has them: the agent wants
 * ARGUMENT, PROGRAM and VALUE of the task's submitter, the submitter wants the RESULT of the agent. The
 * broker hands on both, with the number of the task that the receiver knows. It keeps none of it but
 * what a link keeps until it is acknowledged, and that is bounded whatever the ends do: a WANT goes on
 * only while what its sender has wanted so, and what its link keeps, are within RELAY_BYTES; the others
 * wait, RELAY_WANTS_MAX at most. A PIECE that nobody wants is dropped and counted. When the task leaves
 * its agent, all that was wanted for this attempt is forgotten. Pure; one thread. */
#ifndef BROKER_RELAY_H
#define BROKER_RELAY_H

#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;
struct peer;
struct task;

/* For one peer: pieces that were asked for in its name, or that its link keeps. */
#define RELAY_BYTES     ((size_t)4 << 20)
#define RELAY_WANTS_MAX 1024

/* A piece that a peer wants. */
struct relay_want {
    struct wire_want want; /* with the task's id */
    bool sent;             /* it was handed on */
    struct relay_want *prev;
    struct relay_want *next;
};

struct relay {
    struct relay_want *wants; /* owned; utlist DL, oldest first */
    uint32_t count;
    uint64_t open_bytes; /* of those that were handed on */
};

/* WANT of a peer. -EPROTO: it cannot want that; -EDQUOT: too many at once; -ENOMEM. One of an attempt
 * that is over is passed over, or, of a result, gone. */
NODISCARD int relay_take_wants(struct core *core,
                               struct peer *peer,
                               const struct wire_header *header,
                               struct wire_cursor *body);

/* PIECE of a peer; -EPROTO. */
NODISCARD int relay_take_pieces(struct core *core,
                                struct peer *peer,
                                const struct wire_header *header,
                                struct wire_cursor *body);

/* Hand on what this peer wants, as far as there is room. */
void relay_flush(struct core *core, struct peer *peer);

/* The task leaves its agent, whom it still names. Its submitter, if it wants pieces of the result, is told
 * that they are gone. */
void relay_forget(struct core *core, struct task *task);

/* The peer is gone. */
void relay_fini(struct relay *relay);

#endif
