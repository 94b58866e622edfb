/* Stragglers: a task that runs for longer than its submitter expects (`rerun_ms` of its terms) is given to
 * another agent as well, when that has a free slot which nothing else that is ready can take.
 *
 * The *copy* is a task of its own for its agent, with an id of its own, and belongs to no session. There is at
 * most one for each attempt. Who ends well first gives the result, and the other is revoked; an end
 * that is not well counts for nothing while the other runs, but for its crash or loss. When the task itself
 * has ended so, its copy runs *alone*: it stays LEASED, without an agent, and what becomes of the copy
 * becomes of it. Source: docs/PROTOCOL.md section 5, "Options". Pure; one thread. */
#ifndef BROKER_COPIES_H
#define BROKER_COPIES_H

#include "base/wire.h"
#include "task.h"

#include <stdbool.h>

struct core;

/* A task was leased: when it runs for too long is watched, if that was asked for. */
void copies_watch(struct core *core, struct task *task);

/* That time is over: start a copy, or look again soon. */
void copies_due(struct core *core, struct task *task);

/* An attempt has ended (NULL: its agent is lost). Returns the task for which this is the end of its attempt:
 * mostly the same one, or that whose copy it was; it stands on an agent's list still, or on none. NULL: it
 * goes on, or has ended already. */
struct task *copies_ended(struct core *core, struct task *task, const struct wire_attempt *outcome);

/* Nobody wants a task any more (TASK_CANCEL, TASK_ABANDON): end its copy. True: that ran alone, and the
 * task has ended with it. */
bool copies_stop(struct core *core, struct task *task, enum task_event event);

#endif
