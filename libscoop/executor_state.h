/* The inside of an executor, shared by executor.c (tasks and their outcomes), strand.c (who runs)
 * and nested.c (children). One thread, main's; so there is one executor in a process.
 *
 * A *strand* is a stack that runs tasks, one after the other. The first is the thread's own, and as
 * long as no task waits it is the only one: then nothing is switched. A task that waits for its
 * children sets its strand aside; another strand goes on with the next task, or with a task that
 * has waited. */
#ifndef LIBSCOOP_EXECUTOR_STATE_H
#define LIBSCOOP_EXECUTOR_STATE_H

#include "base/channel.h"
#include "fiber.h"
#include "function.h"
#include "job.h"
#include "ledger.h"
#include "nested.h"

/* Children of one task that were handed to the agent and have not ended. Those of one task, not of
 * one process: so children can always have children, and the smallest end. */
#define STRAND_CHILDREN_MAX 1024

struct strand {
    struct fiber fiber;
    struct strand *next; /* of those that are idle, or ready */
    uint32_t id;         /* of its task, low half */
    int64_t since_us;    /* when it began or went on */
    uint64_t ran_us;     /* before that */
    struct scoop_output output;
    bool has_progress; /* said since it began or went on */
    uint32_t partials; /* pieces of its result that it has given ahead */
    uint8_t *argument; /* of a bytes function; room of argument_capacity */
    size_t argument_capacity;
    /* Of its task's children. */
    scoop_session
        *session;       /* what the task's calls work on; kept for the next task; NULL: none yet */
    struct job *unsent; /* jobs with tasks that were not handed over; oldest first */
    struct job **unsent_tail;
    uint32_t open;   /* handed over and not ended */
    bool wants_room; /* it waits until fewer are open */
    bool parked;
    bool news;            /* what it waits for has come, perhaps: it goes on */
    int64_t deadline;     /* when it goes on in any case; INT64_MAX: never */
    struct strand *timed; /* next of those with a deadline */
};

/* A function as the agent defined it, and as this program has it. */
struct definition {
    const struct scoop_function *function; /* NULL: not in this program */
    uint32_t argument_bytes;
    uint32_t result_bytes;
    char *name;
};

struct executor {
    struct channel channel;
    int bell;
    int files; /* by which large arguments and results pass */
    uint64_t claimed;
    uint64_t released; /* position in the ring of tasks that the agent knows of */
    size_t record;     /* bytes of the record that is run, not taken out of the ring yet */
    int64_t free_us;   /* when the last task ended, if nothing was waited for since; else 0 */
    unsigned spins;    /* 0: never */
    struct definition *definitions;
    uint32_t defined;
    uint8_t *large; /* body of a record that does not fit the ring; room of large_capacity */
    size_t large_capacity;
    struct blob *failure; /* scratch */
    char host[64];

    struct strand own; /* on the thread's own stack */
    struct strand *current;
    struct strand *idle;
    uint32_t idle_count;
    struct strand *ready; /* may go on; the one that became so last goes first */
    uint32_t parked;      /* strands set aside, ready ones not */
    struct strand *timed;
    size_t stack_bytes;

    struct ledger children;
    uint16_t
        names[SCOOP_FUNCTIONS_MAX]; /* by the function's number: CHANNEL_NAME's, + 1; 0: none */
    uint16_t name_count;
};

extern struct executor executor;

_Noreturn void executor_give_up(const char *why);

/* Put a record into the ring of outcomes and show it: head, `child` (NULL: none) and `bytes` bytes;
 * head->bytes is the sum. */
void executor_put(const struct channel_outcome *head,
                  const struct channel_child *child,
                  const void *body,
                  size_t bytes);

/* What a function prints is shown line by line, and belongs to its task: end the line. */
void executor_end_line(void);

/* What the running task has said of its progress must reach the agent before it ends or is set aside:
 * then another one may say so in the same place. */
void executor_put_progress(void);

/* Take the record of the running task out of the ring: it will not be looked at any more. */
void executor_take_record(void);

/* Bytes that can be taken out of the ring of results; give the agent the room of what was taken. */
size_t executor_results_ready(void);
void executor_release_results(void);

/* What every strand does, for ever: run tasks, and let others go on. */
_Noreturn void executor_serve(void);

/* ---- executor_files.c ---- */

/* An argument in a file. */
struct mapping {
    void *at;
    size_t size;
};

/* The file that the agent has passed under this number; those of tasks before it are closed. Owned by the
 * caller. */
int files_take(uint64_t number);

/* Map the file that came for the task with this id. False: there is no room for it, see `text`. */
bool files_map(uint64_t id, struct mapping *out, char *text, size_t size);
void files_unmap(struct mapping *mapping);

/* The result of the current strand's task is a file: it goes first, then this record, which tells of
 * it. */
void files_put_moved(struct channel_outcome *head);

/* ---- strand.c ---- */

/* Read the size of stacks from the environment. */
void strands_init(void);

/* Set the running strand aside until strand_tell() or the deadline. False: the deadline. */
bool strand_park(int64_t deadline);

/* A strand that is parked goes on when its turn comes. */
void strand_tell(struct strand *strand);

/* Take the next strand that may go on. NULL: none. */
struct strand *strand_take_ready(void);

/* Leave the running strand, which is through with its task, for one that goes on. */
void strand_retire(struct strand *next);

/* How long nothing can become ready by itself, in ms; -1: for ever. */
int strands_patience_ms(void);

/* ---- nested.c ---- */

/* Take in what the agent says of children. False: nothing had come. */
bool nested_collect(void);

/* The running task, which had a session, has ended: forget those of its children that have not, and
 * the callbacks of the others. */
void nested_leave(struct strand *strand);

#endif
