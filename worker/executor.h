/* The agent's view of one executor: a child process that runs tasks of one program, and the
 * shared memory in which they pass. Start, feed, collect, recall, kill. Source: base/channel.h.
 *
 * Nothing that is read from the shared memory is trusted: the functions that run there can write
 * anywhere in it. What cannot be is -EPROTO, and the caller kills that executor. One thread. */
#ifndef WORKER_EXECUTOR_H
#define WORKER_EXECUTOR_H

#include "base/channel.h"
#include "base/err.h"
#include "bounds.h"
#include "nested.h"
#include "output.h"
#include "program.h"
#include "report.h"
#include "task.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* From exec to the first record. */
#define EXECUTOR_START_MS 10000

/* Work that an executor is fed ahead, so that it never waits for the agent. */
#define EXECUTOR_AHEAD_NS    2000000
#define EXECUTOR_AHEAD_TASKS 4096

/* A task that runs longer than this with others behind it was not as short as its kind: the
 * others are recalled. */
#define EXECUTOR_STUCK_MS 6

/* Why it was killed by us. */
enum executor_blame {
    EXECUTOR_ALIVE,
    EXECUTOR_OVERTIME,  /* a task ran into its limit */
    EXECUTOR_REVOKED,   /* a task is not wanted any more */
    EXECUTOR_MEMORY,    /* a task took more memory than it may */
    EXECUTOR_NONSENSE,  /* it wrote what cannot be */
    EXECUTOR_SILENT,    /* no first record within EXECUTOR_START_MS */
    EXECUTOR_DISMISSED, /* not needed any more */
};

/* What an epoll event belongs to. */
enum executor_end {
    EXECUTOR_BELL,
    EXECUTOR_STDOUT,
    EXECUTOR_STDERR,
    EXECUTOR_ASKS, /* see bounds.h */
};

struct transfers;

struct executor_watch {
    struct executor *executor;
    enum executor_end end;
};

/* Which list of its program it is in. */
enum executor_shelf {
    EXECUTOR_IDLE,    /* it has no task */
    EXECUTOR_WAITING, /* all its tasks wait for their children */
    EXECUTOR_BUSY,
};

/* A task that was set aside at least once. */
struct held {
    uint32_t low; /* half of its id */
    struct task task;
    int64_t start_ms;
    bool timed;        /* it has to go on in time */
    UT_hash_handle hh; /* by low */
};

/* A result that the ring has no room for. */
struct answer {
    struct blob *frame; /* a reference; `bytes` points into it */
    const uint8_t *bytes;
    struct channel_result head;
    struct answer *next;
};

/* What is left to put of a record that is larger than the room in its ring. */
struct rest {
    const uint8_t *at;
    size_t bytes; /* with its padding */
    size_t padding;
};

/* See memory.h. */
struct executor_memory {
    uint64_t limit; /* of a task; 0: none */
    uint64_t bytes; /* at the last look */
    uint64_t task;  /* that ran when it was above the limit first */
    uint64_t answered;
    int64_t looked_ms;
    int64_t next_ms;
};

struct executor {
    struct program *program; /* borrowed */
    struct report *report;   /* for what it prints; borrowed; NULL: nobody is told */
    uint16_t lane; /* which of the host's executors, from 0: the lowest number that was free */
    struct nested *nested;       /* borrowed; NULL: functions cannot submit */
    struct transfers *transfers; /* borrowed; NULL: no result is offered in pieces */
    struct executor *prev;       /* in its program's list */
    struct executor *next;
    struct executor *pool_prev; /* in the list of all */
    struct executor *pool_next;
    enum executor_shelf shelf;
    pid_t pid;          /* also of its process group and session */
    bool ready;         /* its first record came */
    bool stuck;         /* fed nothing until the next outcome */
    bool recalling;     /* CHANNEL_RESUME is on its way */
    bool retiring;      /* it is given no more tasks, and goes when it has none */
    uint32_t tasks_max; /* it retires after so many; 0: never */
    struct executor_memory memory;
    enum executor_blame blame;
    uint64_t blame_id; /* of the task that it was killed for */
    struct channel channel;
    int bell;     /* eventfd */
    int files;    /* our end of the pair of sockets by which memory files pass; -1: none */
    int epoll_fd; /* borrowed; it watches the bell */
    struct executor_watch watches[4];
    const struct bounds *bounds; /* borrowed */
    int asks; /* by which the kernel asks what it may do; until `listens` what that comes through; -1: none */
    bool listens;
    unsigned wants;   /* BOUNDS_...: what its program asked for when it was ready */
    uint32_t refused; /* calls */
    struct output out;
    struct output err;
    bool unread;              /* it printed something: read it when it is known whose it is */
    struct task_queue flying; /* fed and not begun, oldest first; the oldest may be running */
    struct held *held;        /* uthash: set aside; all but `resumed` wait */
    struct held *resumed;     /* the one of them that runs; NULL: none */
    uint32_t limited;         /* of `held`: with a limit, or revoked */
    uint32_t timed;           /* of `held`: while there is one, no other task may begin */
    bool anyway;              /* `flying` was fed although there is one */
    bool victims;             /* its tasks have had setbacks: it is given no others */
    uint64_t begun;           /* tasks ever that are not in `flying` any more */
    uint64_t answered;        /* tasks ever */
    uint64_t cost_ns;         /* expected, of `flying` */
    uint16_t
        *numbers; /* by index of the function: the number it was defined under, + 1; 0: not yet */
    uint32_t number_count; /* room of `numbers` */
    uint16_t defined;
    struct { /* what was told last of how far a task is; see news.h */
        uint64_t task;
        struct channel_progress progress;
    } shown;
    int64_t look_ms;         /* when to look at that again, while a task runs that was told of */
    int64_t since_ms;        /* what runs can have been running since then; idle: since when */
    bool unpublished;        /* something was put and not shown yet */
    struct rest rest;        /* of the newest task's argument */
    struct child *children;  /* uthash; see nested.h */
    struct callee **callees; /* borrowed; by the number that it gave them */
    uint32_t callee_count;
    struct answer *answers; /* owned; oldest first */
    struct answer **answers_tail;
    struct rest answer_rest; /* of the oldest, which has been begun */
    struct blob *large; /* an outcome that does not fit the ring, as far as it came; NULL: none */
    struct channel_outcome large_head;
};

/* Start a process for `program` (found before: program_look), within `bounds`. Its pipes and bell are added to
 * `epoll_fd` with a struct executor_watch as data. *out is owned by the caller. Negative errno
 * of what failed; a program that cannot be executed is not an error here: the process says why
 * on stderr and exits with 126. */
NODISCARD int executor_start(struct program *program,
                             const struct bounds *bounds,
                             int epoll_fd,
                             int64_t now_ms,
                             struct executor **out);

/* Free it after the process has been reaped; its tasks have been taken out. NULL is accepted. */
void executor_free(struct executor *executor);

/* Can it be given this task now? An idle one always can; else only a task that is short, as far
 * as is known, and while the tasks before it are worth less than EXECUTOR_AHEAD_NS. */
bool executor_takes(struct executor *executor, const struct task *task);

/* Feed it a task that it takes; takes the task over. It sees it after executor_publish().
 * -EPROTO or -ENOMEM: kill it; the caller still owns the task. */
NODISCARD int executor_feed(struct executor *executor, const struct task *task, int64_t now_ms);

/* Show it what was fed, wake it if it sleeps. */
void executor_publish(struct executor *executor);

/* Report all that it answered, and go on with what the ring had no room for. -EPROTO: kill it. */
NODISCARD int executor_collect(struct executor *executor, struct report *report, int64_t now_ms);

/* Take back all fed tasks that it has not begun, to the front of `queue` in their order. Does
 * nothing while an earlier recall is on its way, or a task is not wholly put. -EPROTO, -ENOMEM:
 * kill it. */
NODISCARD int executor_recall(struct executor *executor, struct task_queue *queue);

/* How many tasks wait in it that others may begin as well. */
uint32_t executor_behind(const struct executor *executor);

/* Go on with what the rings had no room for. */
void executor_put_more(struct executor *executor);

/* The task with this low half of its id that runs or waits there. NULL: none. Borrowed until the next
 * collect. */
const struct task *executor_task(struct executor *executor, uint32_t low);

/* Something can be read from this end. What a task printed that goes on after waiting waits for the
 * next collect, which says so. */
void executor_lines(struct executor *executor, enum executor_end end, int64_t now_ms);

/* Has it had its tasks? Then it goes as soon as it is idle. */
bool executor_is_spent(const struct executor *executor);

/* Say that the agent is going to sleep and wants to be rung. False: there is something to collect.
 */
bool executor_park(struct executor *executor);
void executor_unpark(struct executor *executor);

/* SIGKILL for its whole session, because of `task` (NULL: none of them). Its end is seen by
 * waitpid(). The first reason counts. */
void executor_kill(struct executor *executor, enum executor_blame blame, const struct task *task);

/* The task that runs, or will be the next to. Borrowed. NULL: none does. */
static inline struct task *executor_running(struct executor *executor)
{
    if (executor->resumed != NULL)
        return &executor->resumed->task;
    return executor->flying.count != 0 ? task_queue_at(&executor->flying, 0) : NULL;
}

/* The task that it was killed for; else the one that runs. Borrowed. NULL: none. */
struct task *executor_suspect(struct executor *executor);

/* Take this task out, which is one of the above. The caller owns it. */
struct task executor_remove(struct executor *executor, const struct task *task);

/* Take out a task that waits. False: none does. */
bool executor_remove_waiting(struct executor *executor, struct task *out);

/* Has it begun the task that runs? For an executor that is dead, after a last collect. One that
 * never answered anything is taken to have: its program cannot be run at all. */
bool executor_had_begun(const struct executor *executor);

/* Hand it news of a child. Where it takes them slower than they come they are dropped: results come first. */
void executor_tell(struct executor *executor, uint32_t child, const struct wire_note *note);

/* Hand it the result of a child; `bytes` of the result lie in `frame`. -ENOMEM. */
NODISCARD int executor_answer(struct executor *executor,
                              uint32_t child,
                              const struct wire_result *result,
                              struct blob *frame);

#endif
