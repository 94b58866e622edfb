#include "worker/task.h"

#include <criterion/criterion.h>

static struct task task(uint64_t id)
{
    return (struct task){.id = id};
}

static void push(struct task_queue *queue, uint64_t id)
{
    const struct task t = task(id);

    cr_assert_eq(task_queue_push_back(queue, &t), 0);
}

Test(task_queue, gives_back_in_order_while_it_grows_and_wraps)
{
    struct task_queue queue = {0};
    uint64_t in = 0;
    uint64_t out = 0;

    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 7; i++)
            push(&queue, in++);
        for (int i = 0; i < 5; i++)
            cr_assert_eq(task_queue_pop_front(&queue).id, out++);
    }
    while (queue.count != 0)
        cr_assert_eq(task_queue_pop_front(&queue).id, out++);
    cr_assert_eq(in, out);
    task_queue_fini(&queue);
}

Test(task_queue, takes_back_at_its_front_in_reverse)
{
    struct task_queue queue = {0};

    push(&queue, 100);
    for (uint64_t id = 99; id > 50; id--) {
        const struct task t = task(id);
        cr_assert_eq(task_queue_push_front(&queue, &t), 0);
    }
    for (uint32_t i = 0; i < queue.count; i++)
        cr_assert_eq(task_queue_at(&queue, i)->id, 51 + i);
    cr_assert_eq(task_queue_pop_back(&queue).id, 100);
    task_queue_fini(&queue);
}

Test(task_queue, drops_the_frames_of_its_tasks)
{
    struct task_queue queue = {0};
    struct blob *frame = blob_new(1);
    struct task t = {.frame = blob_ref(frame)};

    cr_assert_eq(task_queue_push_back(&queue, &t), 0);
    task_queue_fini(&queue);
    cr_assert_eq(atomic_load(&frame->references), 1);
    blob_unref(frame);
}

Test(function, follows_its_run_time)
{
    struct function f = {0};

    function_measured(&f, 1000);
    cr_assert(f.measured);
    cr_assert_eq(f.mean_ns, 1000000);
    for (int i = 0; i < 50; i++)
        function_measured(&f, 10);
    cr_assert_lt(f.mean_ns, 20000);
    for (int i = 0; i < 50; i++)
        function_measured(&f, 0);
    cr_assert_lt(f.mean_ns, 100);
}
