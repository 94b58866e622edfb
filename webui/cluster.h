/* The page's side of the broker: one session, watched and used by threads of their own.
 *
 * One thread asks for the state of the cluster every second. Another computes what GET /scoop
 * asks for: the same numbers serially and through the broker. HTTP threads never wait here. All
 * functions may be called from any thread. */
#ifndef WEBUI_CLUSTER_H
#define WEBUI_CLUSTER_H

#include "base/metrics.h"

#include <scoop.h>

/* The numbers of one computation: 1000 unless asked for, and at most this many. */
#define CLUSTER_NUMBERS_DEFAULT 1000
#define CLUSTER_NUMBERS_MAX     100000

/* From asking to an answer, whatever happens; computations that wait are done in order. */
#define CLUSTER_COMPUTE_LIMIT_MS 8000
#define CLUSTER_WAITING_MAX      64

struct cluster_options {
    const char *broker; /* as in struct scoop_settings; borrowed for ever */
    const char *client_key_file;
    const char *broker_key_file;
};

/* The outcome of one computation. */
struct cluster_verdict {
    bool computed; /* else `reason` says why not */
    bool equal;
    uint32_t count; /* of numbers */
    int64_t serial_ns;
    int64_t parallel_ns;
    int64_t ended_ms; /* clock_now_ms() */
    char reason[512];
};

/* What is known of the broker. */
struct cluster_view {
    bool up;            /* it answered the last question */
    const char *reason; /* why not; "" before the first question was answered or given up */
    const struct scoop_cluster *known;  /* its last answer; NULL: none yet */
    int64_t answered_ms;                /* when that was */
    const struct cluster_verdict *last; /* computation; NULL: none yet */
};

struct cluster;

/* Start both threads; the broker may come later. *out is owned by the caller. -ENOMEM, -EAGAIN. */
NODISCARD int
cluster_start(const struct cluster_options *options, struct metrics *metrics, struct cluster **out);

/* Show the view to `see`, which borrows it for the call and must be quick. */
void cluster_look(struct cluster *cluster,
                  void (*see)(void *context, const struct cluster_view *view),
                  void *context);

/* Compute abs() of `count` random numbers both ways; `done` is called once, in the thread that
 * computes, with a verdict that is borrowed for the call. -EBUSY: CLUSTER_WAITING_MAX wait already;
 * then `done` is not called. */
NODISCARD int cluster_compute(struct cluster *cluster,
                              uint32_t count,
                              void (*done)(void *context, const struct cluster_verdict *verdict),
                              void *context);

/* End it. What waits is told so. A thread that waits for the broker is left to the end of the
 * process. NULL is fine. */
void cluster_stop(struct cluster *cluster);

#endif
