/* Invariant: a level that was once made stays until the end, so a task that has been accepted can
 * always come back to its queue. */
#include "ready.h"

/* The place of the level with this priority, or where it would be put. */
static struct ready_level **find_place(struct ready_queue *queue, int8_t priority)
{
    struct ready_level **place = &queue->levels;

    while (*place != NULL && (*place)->priority > priority)
        place = &(*place)->next;
    return place;
}

int ready_admit(struct ready_queue *queue, int8_t priority)
{
    struct ready_level **place = find_place(queue, priority);

    if (*place != NULL && (*place)->priority == priority)
        return 0;
    struct ready_level *level = malloc(sizeof(*level));
    if (level == NULL)
        return -ENOMEM;
    *level = (struct ready_level){.priority = priority, .next = *place};
    *place = level;
    return 0;
}

void ready_push_back(struct ready_queue *queue, struct task *task)
{
    task_list_push_back(&(*find_place(queue, task->priority))->tasks, task);
    queue->count++;
}

void ready_push_front(struct ready_queue *queue, struct task *task)
{
    task_list_push_front(&(*find_place(queue, task->priority))->tasks, task);
    queue->count++;
}

struct task *ready_first(const struct ready_queue *queue)
{
    const struct ready_level *level = queue->levels;

    while (level != NULL && level->tasks.head == NULL)
        level = level->next;
    return level != NULL ? level->tasks.head : NULL;
}

void ready_remove(struct ready_queue *queue, struct task *task)
{
    task_list_remove(&(*find_place(queue, task->priority))->tasks, task);
    queue->count--;
}

void ready_fini(struct ready_queue *queue)
{
    while (queue->levels != NULL) {
        struct ready_level *level = queue->levels;

        queue->levels = level->next;
        free(level);
    }
}
