/* A trace of every task as Chrome trace JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing
 * open: one process a host, one thread an executor, one slice a task, and how long it was queued.
 * Source of the format: "Trace Event Format", events of the phases X and M, as an array.
 *
 * Events are written as they come; the file is valid JSON after trace_close(), and readable by both
 * viewers if the process dies before. One thread at a time. */
#ifndef LIBSCOOP_TRACE_H
#define LIBSCOOP_TRACE_H

#include "base/err.h"
#include "base/wire.h"

#include <stdint.h>

struct trace;

/* Times are microseconds of the wall clock (1970). */
struct trace_span {
    const char *function;
    const char *outcome; /* "ok", "failed", ... */
    struct wire_bytes host;
    uint64_t task;     /* the session's number of it */
    int64_t queued_us; /* when it was submitted; 0: not known */
    int64_t start_us;
    uint32_t run_us;
    uint32_t lane; /* which executor of the host */
    unsigned attempt;
};

/* Create (or replace) the file. -errno of fopen, -ENOMEM. *out is owned by the caller. */
NODISCARD int trace_open(const char *path, struct trace **out);

/* Write one slice, and the names of its host and executor if they are new. */
void trace_write(struct trace *trace, const struct trace_span *span);

/* End the array and close the file. 0, or -errno of the first write that failed. NULL is accepted.
 */
int trace_close(struct trace *trace);

#endif
