/* Classes: tasks that need the same of a worker wait together, so that an agent which cannot serve a class
 * passes over all of them at once. Most tasks need nothing: they are of the *ordinary* class.
 *
 * What a task needs is *taken* from its agent when it is leased, and given back when the lease ends, however
 * that ends; also a task that waits for its children keeps it. A name that the whole cluster has (the
 * broker's --resources) is taken from there, not from agents.
 *
 * Turns. Classes with ready tasks stand in the order in which they were served last, and the first one that
 * can be served is. So one that found no room goes first when there is some. Who needs much would starve
 * all the same beside others that take each bit as it is given back: a class that has waited for
 * CLASS_PATIENCE_MS gets an agent that is *kept* for it (or what the cluster has, when that lacks): others
 * take nothing of what it needs there, and no more tasks than there are slots, until it has been served. Source: docs/PROTOCOL.md section 4, "Turns".
 * Pure; one thread. */
#ifndef BROKER_CLASS_H
#define BROKER_CLASS_H

#include "base/needs.h"
#include "base/wire.h"
#include "ready.h"

struct agent;
struct core;
struct session;
struct task;

/* Classes of unfinished tasks, at most; a task of one more is refused. */
#define CLASSES_MAX WIRE_CLASSES_MAX

#define CLASS_PATIENCE_MS 1000

/* What an agent has, or the whole cluster. Zeroed is empty. */
struct stock {
    struct needs total;
    uint64_t taken[NEEDS_ITEMS_MAX]; /* of each item of `total` */
};

/* One session's READY tasks of one class. */
struct lane {
    struct session *session; /* borrowed */
    struct class *class;     /* borrowed; it outlives its lanes */
    struct ready_queue ready;
    uint64_t tasks; /* that have not ended, ready or not; a lane goes with the last one */
    struct lane *turn_next;
    struct lane *turn_prev;
    struct lane *next; /* of its session */
};

/* Lanes that have ready tasks; they take turns. */
struct turns {
    struct lane *next; /* in a ring; NULL: there is none */
    uint32_t count;
};

struct class
{
    struct needs needs; /* empty: the ordinary class */
    char text[WIRE_NEEDS_MAX + 1];
    uint64_t
        users; /* tasks that name it, and lanes: forgotten with the last one, unless ordinary */
    uint64_t ready;
    uint64_t leased;
    struct turns clients;
    struct turns children;     /* of the sessions of agents */
    int64_t waits_ms;          /* it has ready tasks since then, or was served then */
    uint64_t no_room_in;       /* the schedule in which no agent with a free slot had room for it */
    struct agent *kept;        /* borrowed; NULL: none is kept for it */
    struct class *prev, *next; /* in core->classes */
    struct class *turn_prev, *turn_next; /* in core->waiting, while it has ready tasks */
};

/* The class for these needs, made if new; NULL: too many, or no memory. -EPROTO is told by *bad: it is
 * no text of needs. The caller names it by a task or a lane at once. */
struct class *class_get(struct core *core, struct wire_bytes needs, bool *bad);

/* A task or a lane names it; or does so no more. */
void class_ref(struct class *class);
void class_unref(struct core *core, struct class *class);
void classes_fini(struct core *core);

/* Has this agent got what the class needs, be it taken or not? */
bool class_suits(const struct core *core, const struct class *class, const struct agent *agent);

/* Can a task of the class be leased to this agent now, a slot apart? `ahead`: there is no slot for it. */
bool class_fits(const struct core *core,
                const struct class *class,
                const struct agent *agent,
                bool ahead);

/* Take what a task of the class needs, and give it back. */
void class_take(struct core *core, struct class *class, struct agent *agent);
void class_give(struct core *core, struct class *class, struct agent *agent);

/* A task of it was leased by its turn. */
void class_served(struct core *core, struct class *class);

/* It found no room: has it waited long enough for an agent of its own? */
void class_waits(struct core *core, struct class *class);

/* The agent is kept for nobody any more. */
void class_release(struct core *core, struct agent *agent);

/* ---- lanes ---- */

/* The lane of this session's tasks of a class, able to take such of this priority. NULL: out of memory. */
NODISCARD struct lane *lane_get(struct session *session, struct class *class, int8_t priority);

/* A READY task is put in its lane, or taken out. */
void lane_push(struct core *core, struct task *task, bool front);
void lane_remove(struct core *core, struct task *task);

/* One of its ready tasks is about to be leased: it stands last in its turns. */
void lane_served(struct lane *lane);

/* The task is forgotten, and its session is still there. */
void lane_leave(struct core *core, struct task *task);

/* While a session is paused its lanes have no turns, and their tasks do not count as the classes' ready ones. */
void lanes_pause(struct core *core, struct session *session, bool pause);

/* The session is freed. */
void lanes_fini(struct core *core, struct session *session);

#endif
