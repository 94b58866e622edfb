/* The broker's metrics: the core's counters under their public names. Source of the names:
 * Prometheus' conventions. */
#ifndef BROKER_METER_H
#define BROKER_METER_H

#include "base/metrics.h"
#include "core.h"

struct meter;

/* Register all in `metrics`, which outlives the meter. Owned by the caller (meter_free). NULL:
 * out of memory. */
NODISCARD struct meter *meter_new(struct metrics *metrics);
void meter_free(struct meter *meter);

/* Count one message that came through the socket of this role, whatever becomes of it. One thread. */
void meter_message(struct meter *meter, enum wire_role role);

/* Show these values from now on. One thread. */
void meter_show(struct meter *meter, const struct core_counters *counters);

#endif
