/* Arguments and results of a client's tasks that travel in pieces. Source: docs/PROTOCOL.md section 4,
 * "Pieces". Part of struct client; see client.h. One thread. */
#ifndef LIBSCOOP_CLIENT_PIECES_H
#define LIBSCOOP_CLIENT_PIECES_H

#include "base/blob.h"
#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct job;

/* Results that come at the same time, and pieces of each that are under way. */
#define PIECES_ARRIVALS_MAX 4
#define PIECES_WINDOW       (4 * WIRE_PIECE_MAX)

struct arrival; /* a result */
struct wanted;  /* a piece that an agent wants */

/* Bytes that agents want besides arguments and results, of tasks that this client has submitted: read at
 * most `size` of them, from the cargo's offset on, into `data`. Returns how many, at least one, and sets
 * *total, the size of the whole; 0: they are not here, as *why says. */
typedef size_t client_lend(void *context,
                           const struct wire_cargo *cargo,
                           uint8_t *data,
                           size_t size,
                           uint64_t *total,
                           const char **why);

struct pieces {
    struct arrival *arrivals; /* owned; utlist DL, as they were offered */
    uint32_t active;          /* of these, that were begun and have not come */
    struct wanted *wanted;    /* owned; oldest first */
    struct wanted **wanted_tail;
    client_lend *lend; /* NULL: nothing is lent */
    void *lend_context;
};

/* Is this argument one that the client keeps, of which the broker gets only the size? */
bool pieces_are_for(const struct job *job, uint32_t index);

void pieces_init(struct pieces *pieces);

/* The link is gone: forget all but who lends. */
void pieces_reset(struct pieces *pieces);

/* WANT and PIECE frames. -EPROTO; -ENOMEM. */
NODISCARD int client_take_wants(struct client *client,
                                const struct wire_header *header,
                                struct wire_cursor *body);
NODISCARD int client_take_pieces(struct client *client,
                                 const struct wire_header *header,
                                 struct wire_cursor *body);

/* The next PIECE to send; *out is owned by the caller. -EAGAIN: none is wanted; -ENOMEM. */
NODISCARD int client_next_piece(struct client *client, struct blob **out);

/* The next WANT to send; likewise. */
NODISCARD int client_next_want(struct client *client, struct blob **out);

/* The task has ended, and so has this attempt's result come, or not. What came of it: *size bytes, owned
 * by the caller; NULL: nothing, or not all. */
NODISCARD uint8_t *
pieces_take_arrival(struct pieces *pieces, const struct wire_result *result, size_t *size);

#endif
