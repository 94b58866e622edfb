/* The inside of a future: a job of one task, whose places are in the future itself. Not part of the
 * public header. */
#ifndef LIBSCOOP_FUTURE_H
#define LIBSCOOP_FUTURE_H

#include "job.h"
#include "libscoop/include/scoop.h"

struct callback;

struct scoop_future {
    struct job job;             /* first: a job that is released is its future */
    scoop_session *session;     /* NULL: computed serially, done from the start */
    struct callback *callbacks; /* not called yet; newest first */
    struct scoop_bytes argument;
    struct scoop_bytes result; /* of a function with results of any size */
    unsigned char data[];      /* the argument; behind it the result, when its size is fixed */
};

/* Free a future by its job, which nobody holds. See job_unref(). */
void future_destroy(struct job *job);

static inline bool future_is_done(const scoop_future *future)
{
    return atomic_load_explicit(&future->job.done, memory_order_acquire);
}

/* Can this function be called with that many bytes? Sets the last error. SCOOP_OK, or as
 * scoop_submit_with(). */
enum scoop_status future_check(const struct scoop_function *function, size_t size);

/* As scoop_submit_with() of what was checked, on this session (NULL: serially), until `deadline` of clock_now_ms(). *out
 * is owned by the caller; untouched on error. */
enum scoop_status future_submit(scoop_session *session,
                                const struct scoop_options *options,
                                const struct scoop_function *function,
                                struct scoop_bytes argument,
                                int64_t deadline,
                                scoop_future **out);

#endif
