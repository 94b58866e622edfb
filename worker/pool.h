/* All executors of a host and the tasks that wait for them: who gets which task, and what
 * becomes of the tasks of one that ends. Pure of the network: tasks come in by pool_add(),
 * outcomes go out through a struct report.
 *
 * At most `slots` executors are given tasks at the same time. A task that waits for its children
 * takes no slot: its executor is given others. Others stay alive for the next tasks of their
 * program, up to a cap; the one that was idle longest goes first.
 *
 * When an executor ends, the tasks that waited in it run again, although none of them is to blame.
 * From then on they are kept apart: executors have either tasks with such setbacks or others. So a
 * child that crashes every time cannot take its parent with it every time. One thread. */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include "base/err.h"
#include "executor.h"
#include "program.h"
#include "report.h"
#include "task.h"

#include <stdbool.h>
#include <stdint.h>

struct bounds;
struct oom;
struct store;
struct transfers;

struct pool {
    uint32_t slots;
    const char *folders;         /* program path; borrowed */
    const char *host;            /* borrowed */
    int epoll_fd;                /* borrowed; executors add their descriptors */
    struct report *report;       /* borrowed */
    struct nested *nested;       /* borrowed; NULL: functions cannot submit */
    struct transfers *transfers; /* borrowed; NULL: results are not offered in pieces */
    struct store *store;         /* of programs that are sent; borrowed; NULL: none are */
    bool uploads;                /* the broker allows that */
    const struct bounds *bounds; /* borrowed */
    struct oom *oom;             /* borrowed; NULL: what the kernel ends is not told apart */
    uint64_t task_memory;        /* limit in bytes; 0: none */
    uint32_t executor_tasks;     /* an executor is replaced after so many; 0: never */
    struct task_queue waiting;
    uint32_t lacking;         /* tasks that wait for the files of their programs */
    struct program *programs; /* owned; list */
    struct executor *all;     /* owned; utlist DL by pool_prev, pool_next */
    uint32_t executors;
    uint32_t busy;        /* executors that run tasks, those that are being killed included */
    uint32_t parked;      /* executors whose tasks all wait for their children */
    int64_t start_ms;     /* after a failed start: no new one before this */
    uint32_t starts_left; /* in this turn */
};

/* Call once, when slots are known: makes sure that there may be enough open files. */
void pool_prepare(const struct pool *pool);

/* The program of a FUNCTION record, made if new, and its function. NULL: out of memory. Borrowed
 * until pool_reset(). */
NODISCARD struct function *pool_function(struct pool *pool, const struct wire_function *wire);

/* Hold a task; takes it over. When its program is not here it waits until that has been sent, where this is
 * allowed; one whose program cannot run here is answered at once. -ENOMEM. */
NODISCARD int pool_add(struct pool *pool, const struct task *task, int64_t now_ms);

/* The file of the program with this SHA-256 on this host's image, open for reading; owned by the caller.
 * -ENOENT: not as far as is known. */
NODISCARD int pool_open_program(const struct pool *pool, const uint8_t *sha256);

/* Does its program not run here? Then the task has been answered so: for those whose argument is yet to
 * come. */
bool pool_refuses(struct pool *pool, const struct task *task, int64_t now_ms);

/* Give waiting tasks to executors, starting new ones. Every idle executor gets one before any
 * gets a second. True: call it again in the next turn, as many processes have been started in
 * this one. */
bool pool_feed(struct pool *pool, int64_t now_ms);

/* Collect what executors say. */
void pool_collect(struct pool *pool, int64_t now_ms);

/* Enforce limits, take tasks back from executors that are stuck in a long one. Looks at every
 * executor: call it once a millisecond and before sleeping. Returns when to look again
 * (INT64_MAX: when something comes). */
int64_t pool_check(struct pool *pool, int64_t now_ms);

/* Ask all executors with tasks to ring. False: one has something to collect already. */
bool pool_park(struct pool *pool);
void pool_unpark(struct pool *pool);

/* What an epoll event of an executor's descriptor brings. */
void pool_event(const struct executor_watch *watch, int64_t now_ms);

/* After SIGCHLD: take note of all children that ended, and kill what they left behind. */
void pool_reap(struct pool *pool, int64_t now_ms);

/* Drop these tasks (sorted ascending): CANCELLED at once, or when their executor has been killed.
 */
void pool_revoke(struct pool *pool, const uint64_t *ids, size_t count, int64_t now_ms);

/* There is no task. */
bool pool_is_empty(const struct pool *pool);

/* Drop all tasks without an outcome, kill and reap all executors, forget programs and functions.
 * Waits for their ends, a second at most. */
void pool_reset(struct pool *pool);

#endif
