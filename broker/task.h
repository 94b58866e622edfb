/* Tasks as the broker holds them: the slab they live in, the lists they stand in, and the one
 * table that says which state follows which event. Source: docs/PROTOCOL.md section 5.
 *
 * Pure: no sockets, no clock. One thread. */
#ifndef BROKER_TASK_H
#define BROKER_TASK_H

#include "base/blob.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct session;
struct agent;
struct class;
struct durable;
struct task_list;
struct terms;

/* Tries before a task is given up. */
#define TASK_CRASHES_MAX 3
#define TASK_LOSSES_MAX  10

enum task_state {
    TASK_FREE, /* not a task: on the slab's free list */
    TASK_READY,
    TASK_LEASED,
    TASK_RESTING,  /* failed, and waits to be tried again */
    TASK_STOPPING, /* cancelled while LEASED: its agent says what became of it */
    TASK_REVOKED,  /* the same, but nobody waits for the answer */
    TASK_HELD,     /* waits for tasks that have not ended: see inputs.h */
    TASK_BLOCKED,  /* one of these did not end well */
    TASK_ASKING,   /* for the broker itself: see ask.c */
    TASK_STATE_END,
};

enum task_event {
    TASK_LEASE,
    TASK_OUTCOME,
    TASK_CRASH,
    TASK_CRASH_LAST,
    TASK_LOSS,
    TASK_LOSS_LAST,
    TASK_RETRY,    /* an outcome that is not the last one: see terms.h */
    TASK_DUE,      /* its rest is over */
    TASK_EXPIRE,   /* it was not started in time */
    TASK_CANCEL,   /* its client wants it no more, and to know what became of it */
    TASK_ABANDON,  /* its session has ended */
    TASK_HOLD,     /* it has inputs */
    TASK_RELEASE,  /* all of them are there */
    TASK_BLOCK,    /* one of them will not come */
    TASK_UNBLOCK,  /* it may come after all */
    TASK_OVERFLOW, /* they are more than the broker keeps */
    TASK_ASK,      /* its function is the broker's own */
    TASK_EVENT_END,
};

/* What the caller has to do after a step. */
enum task_action {
    TASK_REFUSE,      /* the event cannot come in this state: nothing changed; count it */
    TASK_SEND,        /* put it into a TASKS frame */
    TASK_DELIVER,     /* hand the outcome to the session, then task_free() */
    TASK_DROP,        /* task_free() */
    TASK_QUEUE_BACK,  /* to the back of its session's queue */
    TASK_QUEUE_FRONT, /* to the front */
    TASK_WAIT,        /* it stands in no queue until somebody else's event */
    TASK_KEEP,        /* nothing */
    TASK_REST,        /* it stands in no list until its timer is due */
    TASK_SEND_REVOKE, /* tell the agent */
};

struct task {
    struct task *next; /* in a task_list, or the free list */
    struct task *prev;
    struct session *session; /* borrowed; NULL once revoked */
    struct agent *agent;     /* borrowed; NULL while no agent holds it */
    struct class *class;     /* what it needs; borrowed, see class.h */
    struct terms *terms;     /* owned; NULL: nothing out of the ordinary was asked for */
    union {
        struct durable *durable; /* borrowed: what it computes; NULL: a session's own task */
        struct task_list *asked; /* while ASKING: the list that it stands in; NULL: none */
        struct task *original;   /* borrowed: whose copy it is; NULL: it counts no more */
    };
    struct blob *frame;      /* shared: the SUBMIT frame that holds the argument */
    const uint8_t *argument; /* inside it */
    uint64_t no;             /* the session's number of it */
    uint32_t argument_bytes;
    uint32_t limit_ms;
    uint32_t index;      /* place in the slab: low half of the id */
    uint32_t generation; /* grows each time the place is used: high half of the id */
    uint16_t function;   /* number in the broker's table */
    uint16_t attempt;    /* 0: never leased */
    uint8_t state;       /* enum task_state; written by task_step() alone */
    uint8_t crashes : 4;
    uint8_t losses : 4;
    uint16_t batch;  /* tasks per slot that its agent may hold; 0: as schedule.c thinks */
    int8_t priority; /* among its session's tasks */
    bool copy;       /* see copies.h */
    bool copied;     /* there is a copy of it, or was once */
    bool parked;     /* it waits for its children, as its agent says */
    bool traced;     /* its submitter wants to know when it ran */
    bool large;      /* its submitter keeps the argument; only the size is known here */
    bool running;    /* it is in the table of running.h */
    bool offered;    /* its agent has a result that travels in pieces; see relay.h */
    bool taken;      /* its submitter has all of them */
    bool inherited;  /* an earlier broker had it, and may have leased it */
};

/* The id that agents see; never 0. */
static inline uint64_t task_id(const struct task *task)
{
    return (uint64_t)task->generation << 32 | task->index;
}

/* The only writer of task->state. Counts the attempt on TASK_LEASE. */
enum task_action task_step(struct task *task, enum task_event event);

/* TASK_CRASH or TASK_CRASH_LAST (likewise TASK_LOSS...), after counting this one. */
enum task_event task_count_crash(struct task *task);
enum task_event task_count_loss(struct task *task);

/* ---- lists: a task stands in one at most ---- */

struct task_list {
    struct task *head;
    struct task *tail;
    uint64_t count;
};

void task_list_push_back(struct task_list *list, struct task *task);
void task_list_push_front(struct task_list *list, struct task *task);
void task_list_remove(struct task_list *list, struct task *task);

/* ---- slab ---- */

struct task_slab {
    struct task **chunks;
    uint32_t chunk_count;
    struct task *free;
    uint64_t used;
};

/* Free all chunks. Frames and terms that tasks still hold are released. */
void task_slab_fini(struct task_slab *slab);

/* A READY task with a fresh id and all else zero. NULL: out of memory. */
NODISCARD struct task *task_new(struct task_slab *slab);

/* Forget a task that stands in no list and has no timer; releases its frame and its terms. */
void task_free(struct task_slab *slab, struct task *task);

/* The task with this id, or NULL when there is none (any more). */
struct task *task_find(const struct task_slab *slab, uint64_t id);

#endif
