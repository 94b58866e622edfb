/* The queue of one session's READY tasks: a higher priority goes first, and within one the order of
 * coming. Taking, adding and removing cost no more than the number of priorities in use, which is
 * one for most sessions. Pure; one thread. */
#ifndef BROKER_READY_H
#define BROKER_READY_H

#include "base/err.h"
#include "task.h"

struct ready_level {
    struct task_list tasks;
    int8_t priority;
    struct ready_level *next; /* of the next lower priority */
};

/* Zeroed is empty. Borrows its tasks. */
struct ready_queue {
    struct ready_level *levels; /* highest priority first */
    uint64_t count;             /* of all tasks */
};

/* Make sure that tasks of this priority can be pushed. -ENOMEM: they cannot. */
NODISCARD int ready_admit(struct ready_queue *queue, int8_t priority);

/* The task's priority has been admitted. */
void ready_push_back(struct ready_queue *queue, struct task *task);
void ready_push_front(struct ready_queue *queue, struct task *task);

/* The task that goes next; NULL: the queue is empty. It stays in the queue. */
struct task *ready_first(const struct ready_queue *queue);

void ready_remove(struct ready_queue *queue, struct task *task);

/* Free what the queue owns; tasks that are in it are not touched. */
void ready_fini(struct ready_queue *queue);

#endif
