/* Who may connect: the ZAP handler of the broker's two CURVE sockets.
 *
 * Clients are admitted by the keys of an allow list, agents by the keys that the launcher brings
 * in over ssh and takes away again. A refused peer gets nothing through, not even a frame of
 * ours. Admitted peers carry their key as "User-Id" of each message, which is how the loop knows
 * whose link it is. Fails closed: the handler's socket stays bound while its thread is dead, so
 * that handshakes wait until they time out, and admit_is_alive() tells the health check. Source:
 * ZeroMQ RFC 27 (ZAP), PROTOCOL.md section 2. Functions may be called from any thread unless said
 * otherwise. */
#ifndef BROKER_ADMIT_H
#define BROKER_ADMIT_H

#include "base/curve.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More keys of workers are refused (-ENOSPC). */
#define ADMIT_WORKERS_MAX 4096

struct admit;

struct admit_config {
    void *context;                   /* ZeroMQ, borrowed while the handler lives */
    const struct curve_pair *server; /* the broker's pair; copied */
    const struct curve_key *clients; /* the allow list; copied */
    size_t client_count;
    struct metrics *metrics; /* gets the counters of handshakes; borrowed like the context */
};

/* Bind the handler and start its thread; before any other socket of the context is bound.
 * -EADDRINUSE: there is a handler already; -ENOMEM, -EAGAIN (no thread), ... *out is owned by
 * the caller. */
NODISCARD int admit_start(const struct admit_config *config, struct admit **out);

/* End the thread, wipe the keys. All secured sockets are closed before. NULL is fine. */
void admit_stop(struct admit *admit);

/* Make a socket demand CURVE and ask this handler. Before its zmq_bind(), in the socket's
 * thread; shaped for loop_config.secure, `admit` is a struct admit. 0 or a negative errno. */
NODISCARD int admit_secure(void *admit, void *socket, enum wire_role role);

/* Admit an agent's key from now on; a key that is admitted already is fine. -ENOSPC. */
NODISCARD int admit_allow_worker(struct admit *admit, const struct curve_key *key);

/* Admit it no more. A connection that is open already stays: whoever revokes tells the loop
 * (LOOP_REVOKE_ENDPOINT). */
void admit_revoke_worker(struct admit *admit, const struct curve_key *key);

/* Is the handler at work? Its thread shows itself once a second. */
bool admit_is_alive(const struct admit *admit);

/* Knock at a bound socket without a key and with a random one, and make sure that both are
 * refused. `listen` is what it was bound to, a wildcard included. 0, or with *problem: -EACCES:
 * it let one in, -ETIMEDOUT: no refusal came, -EINVAL: not of that form. The broker must not go
 * on after any of them. */
NODISCARD int admit_self_test(struct admit *admit, const char *listen, struct problem *problem);

#endif
