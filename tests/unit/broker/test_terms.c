/* Timers and queues of tasks, without a core around them. */
#include "broker/ready.h"
#include "broker/terms.h"

#include <criterion/criterion.h>

#define COUNT 1000

static struct task tasks[COUNT];

static void given_terms(void)
{
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = (struct task){.terms = terms_new(&(struct wire_options){.retries = 4})};
        cr_assert_not_null(tasks[i].terms);
    }
}

static void finish(struct timers *timers)
{
    timers_fini(timers);
    for (int i = 0; i < COUNT; i++)
        terms_free(tasks[i].terms);
}

Test(timers, come_in_the_order_of_their_times_whatever_was_stopped)
{
    struct timers timers = {0};
    int64_t before_ms = 0;
    int came = 0;

    given_terms();
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(timers_set(&timers, &tasks[i], i * 7919 % COUNT), 0);
    for (int i = 0; i < COUNT; i += 3)
        timers_stop(&timers, &tasks[i]);
    for (struct task *task; (task = timers_first(&timers)) != NULL; came++) {
        cr_assert_geq(task->terms->due_ms, before_ms);
        cr_assert_neq((task - tasks) % 3, 0, "a stopped timer came");
        before_ms = task->terms->due_ms;
        timers_stop(&timers, task);
        timers_stop(&timers, task);
    }
    cr_assert_eq(came, COUNT - COUNT / 3 - 1);
    finish(&timers);
}

Test(terms, double_the_pause_from_one_retry_to_the_next_up_to_a_minute)
{
    static const int64_t expected[] = {20000, 40000, 60000, 60000};
    struct terms *terms = terms_new(&(struct wire_options){.retries = 4, .backoff_ms = 20000});
    int64_t pause_ms = 0;

    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        cr_assert(terms_take_retry(terms, &pause_ms));
        cr_assert_eq(pause_ms, expected[i]);
    }
    cr_assert_not(terms_take_retry(terms, &pause_ms));
    cr_assert_not(terms_take_retry(NULL, &pause_ms));
    terms_free(terms);
}

Test(ready_queue, gives_the_highest_priority_first_and_keeps_order_within_one)
{
    static const int8_t priorities[] = {0, 5, -100, 5, 0, 100};
    static const int expected[] = {5, 1, 3, 0, 4, 2};
    struct ready_queue queue = {0};

    for (int i = 0; i < (int)COUNT_OF(priorities); i++) {
        tasks[i] = (struct task){.priority = priorities[i]};
        cr_assert_eq(ready_admit(&queue, priorities[i]), 0);
        ready_push_back(&queue, &tasks[i]);
    }
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct task *task = ready_first(&queue);

        cr_assert_eq(task - tasks, expected[i]);
        ready_remove(&queue, task);
    }
    cr_assert_null(ready_first(&queue));
    cr_assert_eq(queue.count, 0);
    ready_fini(&queue);
}
