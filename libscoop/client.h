/* What a session has to do, without sockets, clock or locks: jobs in, SUBMIT frames out, RESULTS
 * frames in, ended jobs out. Source: docs/PROTOCOL.md sections 3 and 4 ("Credit").
 *
 * Tasks wait in `pending`, as spans of their job, until credit allows to send them; then they stand
 * in the ledger under their number until their outcome comes. A new link makes all of the ledger's
 * tasks pending again, in their old order and under new numbers: so none is lost, and results of an
 * older link can match nothing.
 *
 * Jobs are borrowed from client_add() until client_take_ended() hands them back. One thread. */
#ifndef LIBSCOOP_CLIENT_H
#define LIBSCOOP_CLIENT_H

#include "base/blob.h"
#include "base/err.h"
#include "base/identity.h"
#include "base/wire.h"
#include "client_pieces.h"
#include "job.h"
#include "ledger.h"

/* Consecutive tasks of one job. */
struct span {
    struct job *job;
    uint32_t first;
    uint32_t count;
};

struct client {
    struct ledger ledger;
    struct span *pending; /* ring of pending_capacity, a power of two */
    size_t pending_capacity;
    size_t pending_head;
    size_t pending_count;
    uint64_t link; /* number that frames carry */
    uint32_t credit_tasks;
    uint64_t credit_bytes;
    uint64_t defined[SCOOP_FUNCTIONS_MAX / 64]; /* functions that the broker knows on this link */
    struct identity program;
    struct job *ended; /* all tasks have ended; oldest first */
    struct job **ended_tail;
    uint32_t setting;     /* jobs that set constants anew and have not ended */
    struct job *cancels;  /* to tell the broker of */
    struct job *blocked;  /* jobs that became blocked: client_take_blocked() */
    struct blob **inputs; /* INPUT frames to send, oldest first */
    size_t input_count;
    struct pieces pieces; /* of large arguments and results */
    bool starved;         /* an INPUT frame could not be made: a new link is needed */
    uint64_t stale;       /* results that belonged to no task */
};

void client_init(struct client *client, const struct identity *program);

/* Jobs that are still here are forgotten, not ended: see client_give_up(). */
void client_fini(struct client *client);

/* Take a job with at least one task. Without memory it ends at once, with SCOOP_NO_MEMORY. */
void client_add(struct client *client, struct job *job);

/* The same for one that sets a constant anew: it goes before all others, which are not sent before it
 * has ended. */
void client_add_first(struct client *client, struct job *job);

/* A new link is open: everything unfinished is to be sent again, and all functions too. -ENOMEM:
 * try again. */
NODISCARD int
client_open(struct client *client, uint64_t link, uint32_t credit_tasks, uint64_t credit_bytes);

/* The next frame to send (FUNCTION, SUBMIT, WANT and so on, not numbered yet; pieces come by
 * client_next_piece()); *out is owned by the caller.
 * -EAGAIN: nothing to send, or no credit; -ENOMEM. */
NODISCARD int client_next_frame(struct client *client, struct blob **out);

/* Put what a RESULTS frame brings into its places. -EPROTO: malformed; what was read before that
 * counts. */
NODISCARD int client_take_results(struct client *client,
                                  const struct wire_header *header,
                                  struct wire_cursor *body);

/* Nobody waits for this job any more: its places are not touched from now on, and tasks that were
 * not sent never will be. It comes out of client_take_ended() when what was sent has ended. */
void client_abandon(struct client *client, struct job *job);

/* Nobody wants this job of one task any more. It ends here when it was never sent; else the broker is
 * told, and its answer is the outcome. Nothing happens to one that has ended. */
void client_cancel(struct client *client, struct job *job);

/* The job did not end well: let those that wait for it go on all the same. */
void client_forgive(struct client *client, struct job *job);

/* Answer what a NEED frame asks for. -EPROTO: malformed. */
NODISCARD int client_take_needs(struct client *client,
                                const struct wire_header *header,
                                struct wire_cursor *body);

/* The oldest INPUT frame; there is one. Owned by the caller. */
struct blob *client_next_input(struct client *client);
void client_drop_inputs(struct client *client);

/* A job has got its number: those that wait for it and were sent before it are told. */
void client_tell_takers(struct client *client, const struct job *job);

/* The next job that has become blocked since the last call. NULL: none. */
struct job *client_take_blocked(struct client *client);

/* End every task that has not ended with this reason. */
void client_give_up(struct client *client, enum scoop_status status, const char *text);

/* The next job that has ended. NULL: none. */
struct job *client_take_ended(struct client *client);

/* Tasks that have not ended, sent or not: is there any? */
bool client_is_idle(const struct client *client);

#endif
