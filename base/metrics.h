/* Counters, gauges and latency histograms, and their text for Prometheus (exposition format 0.0.4).
 *
 * The registry owns every metric; a metric lives until metrics_free. Registering takes a lock and
 * is for start-up or the first time a label value is seen. The updates take none: each thread has
 * its own cache line, and rendering sums them up. All functions may be called from any thread. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct metrics;
struct metric;

/* A registry with one gauge in it, scoop_build_info. NULL: out of memory. */
NODISCARD struct metrics *metrics_new(const char *service);
void metrics_free(struct metrics *metrics);

/* Register one metric. `name` and `help` are borrowed for the registry's life; `labels` ("" for
 * none, or `route="/",status="200"`, values already escaped) is copied. A name always has the same
 * kind. NULL when out of memory: the updates below accept it and do nothing, so nobody need check.
 */
struct metric *
metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct metric *
metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);

/* Latencies in seconds, in steps of 1, 2.5 and 5 from 25 us to 10 s. */
struct metric *
metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help);

/* Add to a counter, or to a gauge (where `amount` may be negative). */
void metric_add(struct metric *metric, int64_t amount);

/* Set a gauge. Not together with metric_add on the same gauge. */
void metric_set(struct metric *metric, int64_t value);

/* Record one latency in a histogram. */
void metric_observe_us(struct metric *metric, int64_t latency_us);

/* The sum of a counter or gauge, or how often a histogram was used; 0 for NULL. */
int64_t metric_value(const struct metric *metric);

/* The whole registry as text. Owned by the caller (free); NULL: out of memory. *size excludes the
 * NUL. */
NODISCARD char *metrics_render(struct metrics *metrics, size_t *size);

#endif
