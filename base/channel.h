/* What an agent and one of its executors say to each other, through one memory file:
 *
 *   control page | ring of tasks (agent -> executor) | ring of outcomes (executor -> agent)
 *                | ring of results (agent -> executor)
 *
 * Both are processes of one host, and an executor with another CHANNEL_VERSION says so and
 * exits, so records are structs in host byte order. A record is a head of 16 bytes and a body
 * padded to 16, so bodies are aligned to 16. A record larger than the ring passes in pieces.
 *
 * The executor begins tasks in the order in which they were put. Before each one it *claims* it:
 * moves `claim` from n to n + 1, where n is how many it has claimed so far. So whoever outlives the
 * executor knows which task it was running, and the agent can *recall* all tasks that are not
 * claimed yet, exactly: it sets CHANNEL_CLOSED in `claim` and puts CHANNEL_RESUME behind them; the
 * executor skips to it and clears the bit.
 *
 * One task runs at a time. It ends with an outcome, or it is set aside (CHANNEL_PARKED) while it
 * waits for its children, the tasks that it submitted itself (CHANNEL_SUBMIT); then the next one
 * begins, or one that was set aside goes on (CHANNEL_RESUMED). So outcomes come in another order
 * than tasks. How children ended comes through the third ring, past the tasks that wait in the
 * first: sleeping on the first, an executor is rung awake for either (channel_sleep()). */
#ifndef BASE_CHANNEL_H
#define BASE_CHANNEL_H

#include "err.h"
#include "ring.h"
#include "wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room of each ring, unless a test wants less. */
#define CHANNEL_CAPACITY ((size_t)1 << 20)

/* "MEMORY,BELL,VERSION,FILES": descriptors of the memory file, of the eventfd that wakes the agent, and
 * of the socket by which large arguments and results pass (base/fdpass.h), as memory files whose
 * size nobody can change any more, each with the low half of its task's id. A file is sent before its record. */
#define CHANNEL_VARIABLE "SCOOP_EXECUTOR"
#define CHANNEL_VERSION  4

#define CHANNEL_CLOSED ((uint64_t)1 << 63)

/* Exit statuses of an executor that ends between two tasks because a function damaged its process. The
 * agent believes it only when no task had begun. */
enum channel_damage {
    CHANNEL_DAMAGE_FIRST = 112,
    CHANNEL_DAMAGE_DESCRIPTORS = CHANNEL_DAMAGE_FIRST,
    CHANNEL_DAMAGE_FILES,
    CHANNEL_DAMAGE_FOLDER,
    CHANNEL_DAMAGE_SIGNALS,
    CHANNEL_DAMAGE_LOCALE,
    CHANNEL_DAMAGE_LIMITS,
    CHANNEL_DAMAGE_THREADS,
    CHANNEL_DAMAGE_CHILDREN,
    CHANNEL_DAMAGE_END,
};

/* What that status says, for people: "a function left threads running". NULL: it is none of them. */
const char *channel_damage(int status);

struct channel_shared {
    alignas(RING_LINE) _Atomic uint64_t claim; /* tasks claimed, and CHANNEL_CLOSED */
    /* How far the task is that said so last: written by the executor without a system call or a
     * record, however often, and looked at by the agent now and then. */
    struct {
        alignas(RING_LINE) atomic_uint turn; /* odd: it is being written */
        atomic_uint id;                      /* low half of the task's */
        _Atomic uint64_t done;
        _Atomic uint64_t total;
    } progress;
};

struct channel {
    struct channel_shared *shared;
    struct ring tasks;
    struct ring outcomes;
    struct ring results;
};

#define CHANNEL_ALIGNMENT 16

/* Agent -> executor. */
struct channel_task {
    uint32_t bytes;    /* of the body: argument, or the name of a function */
    uint16_t function; /* by order of definition from 0, or one of the values below */
    uint16_t attempt;  /* and the bits below */
    uint64_t id;       /* of the task; CHANNEL_DEFINE: argument bytes << 32 | result bytes */
};

#define CHANNEL_BUNDLE 0x8000 /* the body is a bundle: see WIRE_TASK_BUNDLE */
#define CHANNEL_ANYWAY                                                                             \
    0x4000 /* bit of `attempt`: it begins although another task has to go on in time */
#define CHANNEL_MAPPED        0x2000 /* the argument is a file; there is no body */
#define CHANNEL_MOVES         0x1000 /* the result may be one: CHANNEL_MOVED */
#define CHANNEL_DEFINE        0xffff /* defines the next function; its body is the name */
#define CHANNEL_RESUME        0xfffe /* end of what was recalled */
#define CHANNEL_FUNCTIONS_MAX 0xfff0

/* Executor -> agent. */
struct channel_outcome {
    uint32_t bytes; /* of the body: the result, or a struct wire_failure */
    uint32_t run_us;
    uint32_t id;      /* low half of the task's */
    uint16_t outcome; /* enum wire_outcome: OK, FAILED or REFUSED_TASK, stamped; or a value below */
    uint16_t flags;   /* of outcomes: CHANNEL_FINAL, stamped */
};

/* An outcome is stamped with the time when its task ended, the 23 low bits of clock_now_us(): its flags
 * hold bits 1 to 15, and of `outcome` bit 4 holds bit 0, and bits 5 to 11 those from 16 on. An agent that
 * comes to collect it within 8 s knows the time. In CHANNEL_MOVED there are only the flags, for 65 ms. */
static inline void channel_stamp(struct channel_outcome *head, int64_t end_us)
{
    head->flags = (uint16_t)(end_us & 0xfffe);
    head->outcome = (uint16_t)(head->outcome | (end_us & 1) << 4 | (end_us >> 16 & 0x7f) << 5);
}

/* The outcome without its stamp, or one of the values below. */
static inline uint16_t channel_kind(const struct channel_outcome *head)
{
    return head->outcome < 0x1000 ? head->outcome & 0xf : head->outcome;
}

/* When the task ended: the last time up to now that has these bits. */
static inline int64_t channel_ended_us(const struct channel_outcome *head, int64_t now_us)
{
    const bool whole = head->outcome < 0x1000;
    const uint32_t more =
        whole ? (head->outcome >> 4 & 1U) | (uint32_t)head->outcome >> 5 << 16 : 0;
    const uint32_t bits = more | (head->flags & 0xfffeU);

    return now_us - (((uint32_t)now_us - bits) & (whole ? 0x7fffff : 0xffff));
}

#define CHANNEL_FINAL   1U /* a failure that trying again cannot mend */
#define CHANNEL_TIMED   4U /* PARKED: it has to go on in time, so no other task may begin meanwhile */
#define CHANNEL_BUILTIN 2U /* CHANNEL_NAME: a function of scoop-worker itself */

/* The first record: main() reached scoop_init(); `run_us` is what functions need, CHANNEL_WANTS_... */
#define CHANNEL_READY         0xffff
#define CHANNEL_WANTS_EXEC    1U
#define CHANNEL_WANTS_SOCKETS 2U
#define CHANNEL_PARKED        0xfffe /* task `id` was set aside: it waits for its children */
#define CHANNEL_RESUMED       0xfffd /* it goes on */
/* Defines the next function that children call, by order from 0; its body is the name; `run_us` and
 * `id` are the sizes of argument and result. */
#define CHANNEL_NAME    0xfffc
#define CHANNEL_SUBMIT  0xfffb /* a begun task's child number `id`: a channel_child, an argument */
#define CHANNEL_ABANDON 0xfffa /* nobody waits for child `id` any more */
#define CHANNEL_CANCEL  0xfff9 /* child `id` shall end */

#define CHANNEL_MOVED 0xfff8 /* outcome of task `id`: ok, and its result is a file */

/* How far task `id` was when it ended or was set aside, if it has said so: a struct channel_progress. */
#define CHANNEL_PROGRESS 0xfff7
/* A part of the running task's result; its body are the bytes, `run_us` is its index. */
#define CHANNEL_PARTIAL 0xfff6

/* A child of this builtin is answered by the agent itself: with a value that was scattered, as a memory
 * file whose number is that of the child with the bit CHANNEL_VALUE. Its argument is the value's key and
 * size (64 bits). */
#define CHANNEL_VALUE_FUNCTION "agent.value"
#define CHANNEL_VALUE_BYTES    (WIRE_KEY_BYTES + 8)
#define CHANNEL_VALUE          ((uint64_t)1 << 63)

/* Functions that one executor's tasks may call. */
#define CHANNEL_NAMES_MAX 1024

struct channel_progress {
    uint64_t done;
    uint64_t total;
};

struct channel_child {
    alignas(CHANNEL_ALIGNMENT) uint32_t parent; /* low half of that task's id */
    uint32_t limit_ms;
    uint16_t function;
    struct wire_options options;
    char needs[WIRE_NEEDS_MAX + 1]; /* a text, "": nothing */
};

/* Agent -> executor: how a child ended, or what is told of it while it runs. */
struct channel_result {
    uint32_t bytes; /* of the body: the result, or a struct wire_failure; the note's bytes */
    uint32_t child;
    uint32_t run_us;
    uint16_t outcome; /* enum wire_outcome; or CHANNEL_NEWS and a kind of notes */
    uint16_t attempts;
};

#define CHANNEL_NEWS 0x100

_Static_assert(sizeof(struct channel_progress) == CHANNEL_ALIGNMENT, "a record has no padding");
_Static_assert(sizeof(struct channel_task) == CHANNEL_ALIGNMENT, "heads keep bodies aligned");
_Static_assert(sizeof(struct channel_child) % CHANNEL_ALIGNMENT == 0, "arguments are aligned, too");
_Static_assert(sizeof(struct channel_result) == CHANNEL_ALIGNMENT, "heads keep bodies aligned");
_Static_assert(sizeof(struct channel_outcome) == CHANNEL_ALIGNMENT, "heads keep bodies aligned");

/* Bytes that a record with a body of `bytes` takes in the ring. */
static inline size_t channel_record_bytes(size_t bytes)
{
    return CHANNEL_ALIGNMENT + ((bytes + CHANNEL_ALIGNMENT - 1) & ~(size_t)(CHANNEL_ALIGNMENT - 1));
}

/* A memory file for rings of `capacity` (a power of two, at least a page); *fd is owned by the
 * caller. */
NODISCARD int channel_file(size_t capacity, int *fd);

/* Map all rings. Negative errno of fstat or mmap; -EINVAL: not a channel_file(). */
NODISCARD int channel_map(struct channel *channel, int fd);

/* Executor: sleep, at most `timeout_ms` (negative: for ever), until something comes: of the tasks, of
 * the results, or of both. */
void channel_sleep(struct channel *channel, bool tasks, bool results, int timeout_ms);

/* Agent: show the executor what was put into the ring of tasks, or of results; wake it. */
void channel_publish_tasks(struct channel *channel);
void channel_publish_results(struct channel *channel);

/* Executor: say how far task `id` is. Agent: look; false: task `id` has not said so, or is just saying it. */
void channel_say_progress(struct channel *channel, uint32_t id, struct channel_progress progress);
bool channel_see_progress(const struct channel *channel, uint32_t id, struct channel_progress *out);

/* Zeroed channels are accepted. */
void channel_unmap(struct channel *channel);

#endif
