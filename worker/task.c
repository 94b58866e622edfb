#include "task.h"

/* The mean moves by 1/8 of each new value. */
#define MEAN_SHIFT 3

void function_measured(struct function *function, uint32_t run_us)
{
    const uint64_t run_ns = (uint64_t)run_us * 1000;

    if (!function->measured) {
        function->measured = true;
        function->mean_ns = run_ns;
        return;
    }
    function->mean_ns += (run_ns >> MEAN_SHIFT);
    function->mean_ns -= (function->mean_ns >> MEAN_SHIFT);
}

static int make_room(struct task_queue *queue)
{
    if (queue->count < queue->capacity)
        return 0;
    const uint32_t capacity = queue->capacity != 0 ? queue->capacity * 2 : 16;
    struct task *const items = calloc(capacity, sizeof(*items));

    if (items == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < queue->count; i++)
        items[i] = *task_queue_at(queue, i);
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->first = 0;
    return 0;
}

int task_queue_push_back(struct task_queue *queue, const struct task *task)
{
    if (make_room(queue) != 0)
        return -ENOMEM;
    *task_queue_at(queue, queue->count++) = *task;
    return 0;
}

int task_queue_push_front(struct task_queue *queue, const struct task *task)
{
    if (make_room(queue) != 0)
        return -ENOMEM;
    queue->first = (queue->first - 1) & (queue->capacity - 1);
    queue->count++;
    *task_queue_at(queue, 0) = *task;
    return 0;
}

struct task task_queue_pop_front(struct task_queue *queue)
{
    const struct task task = *task_queue_at(queue, 0);

    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->count--;
    return task;
}

struct task task_queue_pop_back(struct task_queue *queue)
{
    return *task_queue_at(queue, --queue->count);
}

void task_queue_fini(struct task_queue *queue)
{
    while (queue->count != 0)
        blob_unref(task_queue_pop_back(queue).frame);
    free(queue->items);
    *queue = (struct task_queue){0};
}
