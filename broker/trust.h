/* Whom the broker trusts, put together from its settings: key files, admission, self-test,
 * launcher. Endpoints that are ipc:// need none of it: who may open the socket's folder is
 * trusted. Main thread. */
#ifndef BROKER_TRUST_H
#define BROKER_TRUST_H

#include "admit.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "base/wire.h"
#include "launcher.h"
#include "options.h"

#include <stdbool.h>

struct trust;

/* Load the keys and start to admit. Before the sockets are bound. 0, or a negative errno with
 * *problem. `options`, `context` and `metrics` are borrowed while the trust lives; *out is owned
 * by the caller. */
NODISCARD int trust_start(const struct options *options,
                          void *context,
                          struct metrics *metrics,
                          struct trust **out,
                          struct problem *problem);

/* For loop_config.secure; `trust` is a struct trust. */
NODISCARD int trust_secure(void *trust, void *socket, enum wire_role role);

/* Once both sockets are bound: make sure that strangers do not get in, and start to look for
 * workers. 0, or a negative errno with *problem: the broker must not go on. */
NODISCARD int trust_begin(struct trust *trust, struct problem *problem);

/* Is admission at work, where it is needed? For the health check, any thread. */
bool trust_is_alive(const struct trust *trust);

/* End the launcher; before the loop is freed. Agents that it started are revoked. */
void trust_end(struct trust *trust);

/* Free all; after the loop's sockets are closed. NULL is fine. */
void trust_stop(struct trust *trust);

#endif
