/* The broker's one loop: two ROUTER sockets, their monitors, signals and the core between them.
 * now -> poll -> at most N messages per socket -> one CORE_TURN -> effects carried out. Nothing
 * in it blocks. One thread; loop_beat() may be read from any. */
#ifndef BROKER_LOOP_H
#define BROKER_LOOP_H

#include "base/err.h"
#include "base/wire.h"
#include "core.h"

#include <stdint.h>

struct loop;
struct journal;
struct meter;
struct pulse;

/* A thread of the broker that takes back the admission of a worker's key sends its 40 characters
 * as one message from a PUSH socket connected here. */
#define LOOP_REVOKE_ENDPOINT "inproc://broker.revoked-keys"

struct loop_config {
    void *context;             /* ZeroMQ, borrowed while the loop lives */
    const char *client_listen; /* endpoints, borrowed during loop_new() */
    const char *worker_listen;
    /* Called for each socket before it is bound, to demand CURVE; NULL: sockets need no keys. 0
     * or a negative errno, which loop_new() returns. */
    int (*secure)(void *secure_data, void *socket, enum wire_role role);
    void *secure_data;
    struct journal *journal; /* of durable tasks; borrowed while the loop lives; NULL: none */
    int64_t keep_ms;         /* their outcomes */
    bool uploads;            /* agents may have programs of clients: core_allow_uploads() */
    struct needs resources;  /* of the whole cluster: core_set_resources() */
    struct pulse *pulse;     /* beaten each turn; borrowed while the loop lives; NULL: none */
    struct meter *meter; /* shown the core's counters; borrowed while the loop lives; NULL: none */
};

/* Bind and make a core. -EADDRINUSE, -EINVAL (endpoint), -EACCES...: *endpoint names the one
 * that failed. */
NODISCARD int loop_new(const struct loop_config *config, struct loop **out, const char **endpoint);
void loop_free(struct loop *loop);

/* Run until a readable `stop_fd` (signalfd). Returns 0 after flushing, a negative errno when
 * polling fails, or -ESTALE when the journal must not be used any more, which has been logged: see
 * loop_reason(). */
NODISCARD int loop_run(struct loop *loop, int stop_fd);

/* Why loop_run() returned -ESTALE. Borrowed. */
const char *loop_reason(const struct loop *loop);

/* Monotonic time of the last turn, for the health check. */
int64_t loop_beat(const struct loop *loop);

#endif
