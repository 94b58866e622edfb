/* Futures inside a function: what session.c does differently when the caller is a task on an
 * executor. Its tasks, the *children*, go through the agent to the broker; while the function waits
 * for them, its strand is set aside and another task runs. Source: docs/NESTED.md. */
#ifndef LIBSCOOP_NESTED_H
#define LIBSCOOP_NESTED_H

#include "job.h"

#include <stdbool.h>

struct strand;

/* The session of the task that runs in this thread. SCOOP_OK: *session is it, or NULL: the function
 * is computed serially; SCOOP_NO_MEMORY. Sets the last error. */
enum scoop_status nested_session(scoop_session **session);

/* The task has ended: drop what its calls have borrowed. */
void nested_forget(scoop_session *session);

/* Free what nested_session() made. NULL is accepted. */
void nested_close(scoop_session *session);

/* The calls below are made by the running task, whose strand it is. */

/* Hand over a job; it is ours until done. */
void nested_add(struct strand *strand, struct job *job);

/* Wait until a job that is handed over now would go at once. False: the deadline passed. */
bool nested_wait_for_room(struct strand *strand, int64_t deadline);

/* Take in what has come meanwhile; never waits. */
void nested_look(void);

/* Have the job of one task end soon, cancelled. */
void nested_cancel_job(struct strand *strand, struct job *job);

/* Leave a job that may not be done: its children are not wanted any more. Calls `release`. */
void nested_drop(struct strand *strand, struct job *job, void (*release)(struct job *));

#endif
