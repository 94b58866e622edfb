#include "broker/task.h"

#include <criterion/criterion.h>

static struct task given_task_in(enum task_state state)
{
    struct task task = {.state = TASK_READY};

    if (state == TASK_ASKING)
        task_step(&task, TASK_ASK);
    else if (state == TASK_HELD || state == TASK_BLOCKED)
        task_step(&task, TASK_HOLD);
    else if (state != TASK_READY)
        task_step(&task, TASK_LEASE);
    if (state == TASK_RESTING)
        task_step(&task, TASK_RETRY);
    if (state == TASK_STOPPING)
        task_step(&task, TASK_CANCEL);
    if (state == TASK_REVOKED)
        task_step(&task, TASK_ABANDON);
    if (state == TASK_BLOCKED)
        task_step(&task, TASK_BLOCK);
    cr_assert_eq(task.state, state);
    return task;
}

/* Every cell of PROTOCOL.md section 5. */
Test(task, follows_the_state_table_of_the_protocol)
{
    static const struct {
        enum task_state state;
        enum task_event event;
        enum task_state next;
        enum task_action action;
    } cells[] = {
        {TASK_READY, TASK_LEASE, TASK_LEASED, TASK_SEND},
        {TASK_READY, TASK_OUTCOME, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_CRASH, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_CRASH_LAST, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_LOSS, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_LOSS_LAST, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_RETRY, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_DUE, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_EXPIRE, TASK_FREE, TASK_DELIVER},
        {TASK_READY, TASK_CANCEL, TASK_FREE, TASK_DELIVER},
        {TASK_READY, TASK_ABANDON, TASK_FREE, TASK_DROP},
        {TASK_READY, TASK_HOLD, TASK_HELD, TASK_WAIT},
        {TASK_READY, TASK_RELEASE, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_BLOCK, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_UNBLOCK, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_OVERFLOW, TASK_READY, TASK_REFUSE},
        {TASK_READY, TASK_ASK, TASK_ASKING, TASK_WAIT},
        {TASK_LEASED, TASK_LEASE, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_OUTCOME, TASK_FREE, TASK_DELIVER},
        {TASK_LEASED, TASK_CRASH, TASK_READY, TASK_QUEUE_BACK},
        {TASK_LEASED, TASK_CRASH_LAST, TASK_FREE, TASK_DELIVER},
        {TASK_LEASED, TASK_LOSS, TASK_READY, TASK_QUEUE_FRONT},
        {TASK_LEASED, TASK_LOSS_LAST, TASK_FREE, TASK_DELIVER},
        {TASK_LEASED, TASK_RETRY, TASK_RESTING, TASK_REST},
        {TASK_LEASED, TASK_DUE, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_EXPIRE, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_CANCEL, TASK_STOPPING, TASK_SEND_REVOKE},
        {TASK_LEASED, TASK_ABANDON, TASK_REVOKED, TASK_SEND_REVOKE},
        {TASK_LEASED, TASK_HOLD, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_RELEASE, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_BLOCK, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_UNBLOCK, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_OVERFLOW, TASK_LEASED, TASK_REFUSE},
        {TASK_LEASED, TASK_ASK, TASK_LEASED, TASK_REFUSE},
        {TASK_RESTING, TASK_LEASE, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_OUTCOME, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_CRASH, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_CRASH_LAST, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_LOSS, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_LOSS_LAST, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_RETRY, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_DUE, TASK_READY, TASK_QUEUE_BACK},
        {TASK_RESTING, TASK_EXPIRE, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_CANCEL, TASK_FREE, TASK_DELIVER},
        {TASK_RESTING, TASK_ABANDON, TASK_FREE, TASK_DROP},
        {TASK_RESTING, TASK_HOLD, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_RELEASE, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_BLOCK, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_UNBLOCK, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_OVERFLOW, TASK_RESTING, TASK_REFUSE},
        {TASK_RESTING, TASK_ASK, TASK_RESTING, TASK_REFUSE},
        {TASK_STOPPING, TASK_LEASE, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_OUTCOME, TASK_FREE, TASK_DELIVER},
        {TASK_STOPPING, TASK_CRASH, TASK_FREE, TASK_DELIVER},
        {TASK_STOPPING, TASK_CRASH_LAST, TASK_FREE, TASK_DELIVER},
        {TASK_STOPPING, TASK_LOSS, TASK_FREE, TASK_DELIVER},
        {TASK_STOPPING, TASK_LOSS_LAST, TASK_FREE, TASK_DELIVER},
        {TASK_STOPPING, TASK_RETRY, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_DUE, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_EXPIRE, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_CANCEL, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_ABANDON, TASK_REVOKED, TASK_KEEP},
        {TASK_STOPPING, TASK_HOLD, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_RELEASE, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_BLOCK, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_UNBLOCK, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_OVERFLOW, TASK_STOPPING, TASK_REFUSE},
        {TASK_STOPPING, TASK_ASK, TASK_STOPPING, TASK_REFUSE},
        {TASK_REVOKED, TASK_LEASE, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_OUTCOME, TASK_FREE, TASK_DROP},
        {TASK_REVOKED, TASK_CRASH, TASK_FREE, TASK_DROP},
        {TASK_REVOKED, TASK_CRASH_LAST, TASK_FREE, TASK_DROP},
        {TASK_REVOKED, TASK_LOSS, TASK_FREE, TASK_DROP},
        {TASK_REVOKED, TASK_LOSS_LAST, TASK_FREE, TASK_DROP},
        {TASK_REVOKED, TASK_RETRY, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_DUE, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_EXPIRE, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_CANCEL, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_ABANDON, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_HOLD, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_RELEASE, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_BLOCK, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_UNBLOCK, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_OVERFLOW, TASK_REVOKED, TASK_REFUSE},
        {TASK_REVOKED, TASK_ASK, TASK_REVOKED, TASK_REFUSE},
        {TASK_HELD, TASK_LEASE, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_OUTCOME, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_CRASH, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_CRASH_LAST, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_LOSS, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_LOSS_LAST, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_RETRY, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_DUE, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_EXPIRE, TASK_FREE, TASK_DELIVER},
        {TASK_HELD, TASK_CANCEL, TASK_FREE, TASK_DELIVER},
        {TASK_HELD, TASK_ABANDON, TASK_FREE, TASK_DROP},
        {TASK_HELD, TASK_HOLD, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_RELEASE, TASK_READY, TASK_QUEUE_BACK},
        {TASK_HELD, TASK_BLOCK, TASK_BLOCKED, TASK_WAIT},
        {TASK_HELD, TASK_UNBLOCK, TASK_HELD, TASK_REFUSE},
        {TASK_HELD, TASK_OVERFLOW, TASK_FREE, TASK_DELIVER},
        {TASK_HELD, TASK_ASK, TASK_HELD, TASK_REFUSE},
        {TASK_BLOCKED, TASK_LEASE, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_OUTCOME, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_CRASH, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_CRASH_LAST, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_LOSS, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_LOSS_LAST, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_RETRY, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_DUE, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_EXPIRE, TASK_FREE, TASK_DELIVER},
        {TASK_BLOCKED, TASK_CANCEL, TASK_FREE, TASK_DELIVER},
        {TASK_BLOCKED, TASK_ABANDON, TASK_FREE, TASK_DROP},
        {TASK_BLOCKED, TASK_HOLD, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_RELEASE, TASK_READY, TASK_QUEUE_BACK},
        {TASK_BLOCKED, TASK_BLOCK, TASK_BLOCKED, TASK_REFUSE},
        {TASK_BLOCKED, TASK_UNBLOCK, TASK_HELD, TASK_WAIT},
        {TASK_BLOCKED, TASK_OVERFLOW, TASK_FREE, TASK_DELIVER},
        {TASK_BLOCKED, TASK_ASK, TASK_BLOCKED, TASK_REFUSE},
        {TASK_ASKING, TASK_LEASE, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_OUTCOME, TASK_FREE, TASK_DELIVER},
        {TASK_ASKING, TASK_CRASH, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_CRASH_LAST, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_LOSS, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_LOSS_LAST, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_RETRY, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_DUE, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_EXPIRE, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_CANCEL, TASK_FREE, TASK_DELIVER},
        {TASK_ASKING, TASK_ABANDON, TASK_FREE, TASK_DROP},
        {TASK_ASKING, TASK_HOLD, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_RELEASE, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_BLOCK, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_UNBLOCK, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_OVERFLOW, TASK_ASKING, TASK_REFUSE},
        {TASK_ASKING, TASK_ASK, TASK_ASKING, TASK_REFUSE},
    };

    cr_assert_eq(COUNT_OF(cells), (TASK_STATE_END - 1) * TASK_EVENT_END);
    for (size_t i = 0; i < COUNT_OF(cells); i++) {
        struct task task = given_task_in(cells[i].state);

        cr_assert_eq(task_step(&task, cells[i].event), cells[i].action, "cell %zu", i);
        cr_assert_eq(task.state, cells[i].next, "cell %zu", i);
    }
}

Test(task, counts_an_attempt_with_each_lease)
{
    struct task task = given_task_in(TASK_READY);

    task_step(&task, TASK_LEASE);
    task_step(&task, TASK_CRASH);
    task_step(&task, TASK_LEASE);
    cr_assert_eq(task.attempt, 2);
}

Test(task, is_given_up_at_the_third_crash_and_the_tenth_loss)
{
    struct task task = given_task_in(TASK_READY);

    cr_assert_eq(task_count_crash(&task), TASK_CRASH);
    cr_assert_eq(task_count_crash(&task), TASK_CRASH);
    cr_assert_eq(task_count_crash(&task), TASK_CRASH_LAST);
    for (int i = 1; i < 10; i++)
        cr_assert_eq(task_count_loss(&task), TASK_LOSS, "loss %d", i);
    cr_assert_eq(task_count_loss(&task), TASK_LOSS_LAST);
}

Test(task_slab, never_gives_an_id_twice)
{
    struct task_slab slab = {0};
    struct task *task = task_new(&slab);
    const uint64_t old_id = task_id(task);

    cr_assert_eq(task_find(&slab, old_id), task);
    task_step(task, TASK_ABANDON);
    task_free(&slab, task);
    cr_assert_null(task_find(&slab, old_id));

    struct task *again = task_new(&slab);
    cr_assert_eq(again, task, "the place is used again");
    cr_assert_neq(task_id(again), old_id);
    cr_assert_null(task_find(&slab, old_id));
    cr_assert_null(task_find(&slab, UINT64_MAX));
    task_slab_fini(&slab);
}

Test(task_list, keeps_order_through_pushes_and_removals)
{
    struct task tasks[4] = {{.no = 0}, {.no = 1}, {.no = 2}, {.no = 3}};
    struct task_list list = {0};

    task_list_push_back(&list, &tasks[1]);
    task_list_push_back(&list, &tasks[2]);
    task_list_push_front(&list, &tasks[0]);
    task_list_push_back(&list, &tasks[3]);
    task_list_remove(&list, &tasks[1]);
    cr_assert_eq(list.count, 3);
    cr_assert_eq(list.head->no, 0);
    cr_assert_eq(list.head->next->no, 2);
    cr_assert_eq(list.tail->no, 3);
    task_list_remove(&list, &tasks[3]);
    task_list_remove(&list, &tasks[0]);
    task_list_remove(&list, &tasks[2]);
    cr_assert_null(list.head);
    cr_assert_null(list.tail);
}
