/* What executors may not do, and the evidence when they try.
 *
 * The agent gives up first what neither it nor its children need: tracing is left to the filter below, files of
 * the host's secrets cannot be read any more (base/landlock.h), and what base/fence.h refuses is refused.
 *
 * Each executor has, from before its program is loaded, a filter of system calls whose refusals are the
 * agent's to give: to trace and to look into other processes, to signal the agent, its parent, process 1 or
 * everybody; and until its program has said that its functions need them (scoop_may()), new sockets and
 * starting programs. The kernel asks the agent, which answers EPERM and writes what was tried into the
 * task's stderr. Signals and tracing reach nothing but the executor and its children, where Landlock knows
 * that. Where the kernel knows one of the two not, the rest holds, and a line of the log says so.
 *
 * What main() does before scoop_init() is not a function's: programs may be started there, and sockets
 * opened as far as the agent lets programs at all. One thread. */
#ifndef WORKER_BOUNDS_H
#define WORKER_BOUNDS_H

#include "base/channel.h"
#include "base/err.h"
#include "base/fence.h"
#include "base/problem.h"

#include <stdbool.h>
#include <stdint.h>

/* Bits of what a program may ask for; they travel in CHANNEL_READY. */
#define BOUNDS_EXEC    CHANNEL_WANTS_EXEC
#define BOUNDS_SOCKETS CHANNEL_WANTS_SOCKETS
#define BOUNDS_ALL     (BOUNDS_EXEC | BOUNDS_SOCKETS)

struct executor;

struct bounds {
    unsigned may; /* what programs may ask for at most */
    int scope;    /* ruleset that each executor enters; -1: none */
    struct fence_code
        own; /* for scoop-worker's own functions: they have all that may be asked for */
    struct fence_code asked; /* for programs of others */
    struct fence_code plain; /* where the kernel cannot ask: EPERM without evidence */
    struct seccomp_notif *question;
    struct seccomp_notif_resp *answer;
};

/* Read "exec,sockets" (both, one, or "" for none). -EINVAL with *problem. */
NODISCARD int bounds_parse(const char *text, unsigned *may, struct problem *problem);

/* Is this a list of absolute paths, "PATH[:PATH]", or ""? -EINVAL with *problem. */
NODISCARD int bounds_check_hide(const char *text, struct problem *problem);

/* Give up, for the agent and for all that it starts, and prepare what executors get. `hide` was checked;
 * `hide_too` is one path more, or NULL. Before other threads exist. What this kernel lacks is logged, not an
 * error. -ENOMEM. */
NODISCARD int
bounds_open(struct bounds *bounds, unsigned may, const char *hide, const char *hide_too);
void bounds_close(struct bounds *bounds);

/* In the child, before exec, with only async-signal-safe calls. First, before descriptors are moved: signals
 * and tracing stay in. */
void bounds_confine(const struct bounds *bounds);

/* Last: the filter. The descriptor by which the agent is asked goes through `end`, of a pair of sockets
 * (base/fdpass.h). */
void bounds_enter(const struct bounds *bounds, bool own, int end);

/* The agent's end of that pair, or the descriptor that came through it, has something to read. */
void bounds_event(struct executor *executor, int64_t now_ms);

/* Stop listening: its process has ended, or nobody can ask any more. */
void bounds_leave(struct executor *executor);

#endif
