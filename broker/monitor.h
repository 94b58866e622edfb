/* How the broker is watched: /health and /metrics over HTTP, and --health as a container's
 * health check. Main thread. */
#ifndef BROKER_MONITOR_H
#define BROKER_MONITOR_H

#include "base/err.h"
#include "loop.h"
#include "options.h"
#include "trust.h"

struct monitor;

/* The metrics, not yet served. NULL: out of memory. Owned by the caller. */
NODISCARD struct monitor *monitor_new(void);

/* For loop_config.meter; borrowed while the monitor lives. */
struct meter *monitor_meter(const struct monitor *monitor);

/* For the parts that count by themselves; borrowed likewise. */
struct metrics *monitor_metrics(const struct monitor *monitor);

/* Serve where the options say: LISTEN, else loopback only, else (ipc endpoints: many brokers may
 * share a host) nowhere. `loop` and `trust` are borrowed until monitor_end(). 0 or a negative
 * errno, which has been logged. */
NODISCARD int monitor_begin(struct monitor *monitor,
                            const struct options *options,
                            const struct loop *loop,
                            const struct trust *trust);

/* Stop serving; before the loop is freed. */
void monitor_end(struct monitor *monitor);

/* NULL is fine. */
void monitor_free(struct monitor *monitor);

/* --health: the exit code. */
int monitor_ask(const struct options *options);

#endif
