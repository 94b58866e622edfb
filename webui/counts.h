/* What Redis knows of DockerCoins: a thread looks every 100 ms, everybody else reads from memory.
 *
 * While Redis is away the last known numbers stay and are marked stale. Any thread may read. */
#ifndef WEBUI_COUNTS_H
#define WEBUI_COUNTS_H

#include "base/metrics.h"
#include "base/redis.h"

#include <stdbool.h>
#include <stdint.h>

/* Points of the graph, one a second. */
#define COUNTS_HISTORY 250

struct counts;

struct counts_view {
    int64_t coins;
    int64_t hashes;
    double rate;                    /* hashes per second, see rate.h */
    bool stale;                     /* Redis does not answer now, or has never answered */
    size_t count;                   /* of the history, at most COUNTS_HISTORY */
    double history[COUNTS_HISTORY]; /* rates, the oldest first, the last one of this second; NAN:
                                       not known, Redis was away */
};

/* Start to look. *out is owned by the caller. -EINVAL: bad URL; -ENOMEM, -EAGAIN. */
NODISCARD int
counts_start(const struct redis_options *redis, struct metrics *metrics, struct counts **out);

void counts_read(struct counts *counts, struct counts_view *out);

/* End it within 300 ms. A thread that still waits for Redis keeps its memory. NULL is fine. */
void counts_stop(struct counts *counts);

#endif
