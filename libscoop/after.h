/* Jobs of one task that wait for others: see scoop_options.after.
 *
 * An `after` ties one taker to one source. It holds the source, whose result has to be sent again when
 * the broker is lost, until the taker has ended well or is freed. Of a source that did not end well, or
 * is blocked itself, the taker is *blocked*.
 *
 * Pure. From client_add() on all of it belongs to who drives the session, but for `references` and
 * `blocked`, which anybody may read. Source: docs/PROTOCOL.md section 5, "Inputs". */
#ifndef LIBSCOOP_AFTER_H
#define LIBSCOOP_AFTER_H

#include "base/blob.h"
#include "base/err.h"
#include "base/wire.h"
#include "job.h"

/* What is said of a job with more than WIRE_PAYLOAD_MAX of argument and results that it waits for. */
#define AFTER_TOO_LARGE                                                                            \
    "its argument and the results that it waits for are more than 16 MiB, which is the limit"

struct after {
    struct job *taker;
    struct job *source; /* held */
    uint32_t index;     /* in the taker's list */
    bool linked;        /* it is in the source's list of takers */
    bool failed;        /* it blocks its taker */
    bool forgiven;      /* it counts as ended well, with no bytes */
    struct after *prev; /* of the source's takers */
    struct after *next;
};

/* What one job has to do with others. Made when it first has; freed with the job. */
struct ties {
    struct after *after; /* what it waits for; NULL: nothing */
    uint32_t after_count;
    uint32_t failed_after;    /* of these */
    struct after *takers;     /* what waits for it */
    struct job *retry_of;     /* held: what waits for that shall wait for this one; NULL: none */
    struct job *next_changed; /* scratch of after_tell() */
    struct job *next_blocked; /* of those that became blocked */
    bool told_blocked;        /* it is in that list */
};

static inline uint32_t after_count(const struct job *job)
{
    return job->ties != NULL ? job->ties->after_count : 0;
}

/* Make sure that it has ties. -ENOMEM. */
NODISCARD int ties_make(struct job *job);

/* Have a new job wait for these, and hold them. -ENOMEM. */
NODISCARD int after_set(struct job *job, scoop_future *const *sources, uint32_t count);

/* Have a new job wait for what `old`, which did not end well, waited for. -ENOMEM. */
NODISCARD int after_copy(struct job *job, const struct job *old);

/* When the new job, which has ties, is added it replaces `old`, and holds it until then. */
void after_stand_in(struct job *job, struct job *old);

/* Drop one hold of a future's job; the last one destroys the future, and drops the holds that it has. */
void job_unref(struct job *job);

/* Hang a job's afters on their sources. If it is blocked it is put in front of *blocked. -ENOMEM: refuse
 * the job. */
NODISCARD int after_link(struct job *job, struct job **blocked);

/* The job has ended: it waits for nothing. Its sources are dropped if it ended well. */
void after_end(struct job *job);

/* The job has ended, or was forgiven or replaced: what does it mean for those that wait for it? Jobs that
 * became blocked are put in front of *blocked. */
void after_tell(struct job *job, struct job **blocked);

/* Have all that wait for `old` wait for `job` instead. */
void after_replace(struct job *old, struct job *job);

/* Are all sources ended, or known to the broker? Then the job can be sent. */
bool after_is_sendable(const struct job *job);

/* Bytes that its inputs take in a frame, and those of their values alone. */
size_t after_record_bytes(const struct job *job);
size_t after_value_bytes(const struct job *job);

/* What the broker is to be told of this input. Views into the source. */
struct wire_input after_input(const struct after *after);

/* What a worker gets as the argument of a job whose sources have ended: WIRE_TASK_BUNDLE. NULL: out of
 * memory. Owned by the caller. */
NODISCARD struct blob *after_bundle(const struct job *job);

#endif
