/* Stragglers: tasks that run for long are started elsewhere as well. */
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

/* A task that runs on `slow` for longer than its submitter expects, and as a copy on `fast`. */
struct race {
    struct world w;
    struct end *slow;
    struct end *fast;
    struct end *client;
};

static void ping_all(struct race *r)
{
    ping(&r->w, r->slow);
    ping(&r->w, r->fast);
    ping(&r->w, r->client);
}

static struct race given_task_on_slow(const struct wire_options *options)
{
    struct race r = {.w = given_world()};

    r.slow = given_agent(&r.w, 1);
    r.client = given_client(&r.w);
    submit_with(&r.w, r.client, 1, 1, options);
    cr_assert_eq(r.slow->task_count, 1);
    r.fast = given_agent(&r.w, 1);
    turn(&r.w);
    return r;
}

static struct race given_race_with(const struct wire_options *options)
{
    struct race r = given_task_on_slow(options);

    pass(&r.w, 600);
    ping_all(&r);
    cr_assert_eq(r.fast->task_count, 1);
    cr_assert_eq(core_counters(r.w.core)->copied, 1);
    return r;
}

static struct race given_race(void)
{
    return given_race_with(&(struct wire_options){.rerun_ms = 500});
}

/* All is over: nothing is held by anybody. */
static void finish_empty(struct race *r)
{
    turn(&r->w);
    cr_assert_eq(core_counters(r->w.core)->leased, 0);
    cr_assert_eq(core_counters(r->w.core)->ready, 0);
    cr_assert_eq(core_counters(r->w.core)->illegal, 0);
    finish(&r->w);
}

static void cancel(struct race *r)
{
    struct blob *frame = wire_frame_new(WIRE_CANCEL, r->client->link.id, 8);

    wire_put_u64(frame, 1);
    wire_frame_add_count(frame, 1);
    send_frame(&r->w, r->client, frame);
    turn(&r->w);
}

static void lose(struct race *r, struct end *agent)
{
    unreachable(&r->w, agent);
    pass(&r->w, 400);
}

Test(copy, of_a_task_is_started_elsewhere_when_it_runs_for_too_long)
{
    struct race r = given_race();

    cr_assert_neq(r.fast->tasks[0].id, r.slow->tasks[0].id, "tokens differ");
    cr_assert_eq(r.fast->argument[0], 1);
    pass(&r.w, 1000);
    cr_assert_eq(core_counters(r.w.core)->copied, 1, "one is enough");
    finish(&r.w);
}

Test(copy, is_made_of_no_task_that_did_not_ask_for_it)
{
    struct race r = given_task_on_slow(&(struct wire_options){.retries = 1});

    pass(&r.w, 2000);
    cr_assert_eq(r.fast->task_count, 0);
    finish(&r.w);
}

Test(copy, is_not_looked_for_any_more_when_the_task_was_cancelled)
{
    struct race r = given_task_on_slow(&(struct wire_options){.rerun_ms = 500});

    cancel(&r); /* its agent is told, and does not answer yet */
    pass(&r.w, 1000);
    ping_all(&r);
    cr_assert_eq(core_counters(r.w.core)->copied, 0);
    answer(&r.w, r.slow, 1, WIRE_CANCELLED);
    finish_empty(&r);
}

Test(copy, is_made_of_no_task_that_is_at_its_last_try)
{
    struct race r = given_task_on_slow(&(struct wire_options){.rerun_ms = 500});

    for (int i = 0; i < 2; i++)
        answer(&r.w, r.slow->task_count != 0 ? r.slow : r.fast, 1, WIRE_CRASHED);
    pass(&r.w, 1000);
    ping_all(&r);
    cr_assert_eq(core_counters(r.w.core)->copied, 0);
    answer(&r.w, r.slow->task_count != 0 ? r.slow : r.fast, 1, WIRE_CRASHED);
    cr_assert_eq(r.client->result_count, 1);
    cr_assert_eq(r.client->results[0].outcome, WIRE_CRASHED);
    cr_assert_eq(r.client->results[0].code, 139, "with what is known of the last crash");
    finish_empty(&r);
}

Test(copy, takes_no_slot_that_a_waiting_task_can_take)
{
    struct race r = given_task_on_slow(&(struct wire_options){.rerun_ms = 500});

    submit(&r.w, r.client, 2, 2);
    pass(&r.w, 1000);
    ping_all(&r);
    cr_assert_eq(r.fast->tasks[0].attempt, 1);
    cr_assert_eq(r.fast->argument[0], 2);
    answer(&r.w, r.fast, 1, WIRE_OK);
    cr_assert_eq(r.fast->argument[0], 3);
    pass(&r.w, 1000);
    ping_all(&r);
    cr_assert_eq(core_counters(r.w.core)->copied, 0);
    answer(&r.w, r.fast, 1, WIRE_OK);
    pass(&r.w, 100);
    cr_assert_eq(core_counters(r.w.core)->copied, 1);
    finish(&r.w);
}

Test(copy, that_ends_first_gives_the_result_and_the_other_is_revoked)
{
    struct race r = given_race();
    const uint64_t id = r.slow->tasks[0].id;

    answer(&r.w, r.fast, 1, WIRE_OK);
    cr_assert_eq(r.client->result_count, 1);
    cr_assert_eq(r.client->results[0].no, 1);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    cr_assert_eq(r.slow->revoked_count, 1);
    cr_assert_eq(r.slow->revoked[0], id);
    answer(&r.w, r.slow, 1, WIRE_OK);
    cr_assert_eq(r.client->result_count, 1, "only one result");
    finish_empty(&r);
}

Test(copy, is_revoked_when_the_task_ends_first)
{
    struct race r = given_race();

    answer(&r.w, r.slow, 1, WIRE_OK);
    cr_assert_eq(r.client->result_count, 1);
    cr_assert_eq(r.fast->revoked_count, 1);
    answer(&r.w, r.fast, 1, WIRE_CRASHED);
    cr_assert_eq(r.client->result_count, 1);
    finish_empty(&r);
}

Test(copy, that_does_not_end_well_changes_nothing_while_the_task_runs)
{
    struct race r = given_race();

    answer(&r.w, r.fast, 1, WIRE_CRASHED);
    cr_assert_eq(r.client->result_count, 0);
    answer(&r.w, r.slow, 1, WIRE_OK);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    cr_assert_eq(r.client->results[0].attempts, 1);
    finish_empty(&r);
}

Test(copy, goes_on_alone_when_the_task_crashes)
{
    struct race r = given_race();

    answer(&r.w, r.slow, 1, WIRE_CRASHED);
    cr_assert_eq(r.client->result_count, 0);
    cr_assert_eq(r.slow->task_count, 0, "and no third one is started");
    answer(&r.w, r.fast, 1, WIRE_OK);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    finish_empty(&r);
}

Test(copy, that_crashes_as_well_sends_the_task_back_to_its_queue)
{
    struct race r = given_race();

    answer(&r.w, r.slow, 1, WIRE_CRASHED);
    answer(&r.w, r.fast, 1, WIRE_CRASHED);
    struct end *next = r.slow->task_count != 0 ? r.slow : r.fast;
    cr_assert_eq(next->task_count, 1);
    cr_assert_eq(next->tasks[0].attempt, 2);
    answer(&r.w, next, 1, WIRE_CRASHED);
    cr_assert_eq(r.client->results[0].outcome, WIRE_CRASHED, "the third crash");
    finish_empty(&r);
}

Test(copy, that_fails_as_the_task_did_ends_it_so)
{
    struct race r = given_race();

    answer(&r.w, r.slow, 1, WIRE_FAILED);
    cr_assert_eq(r.client->result_count, 0);
    answer(&r.w, r.fast, 1, WIRE_FAILED);
    cr_assert_eq(r.client->results[0].outcome, WIRE_FAILED);
    finish_empty(&r);
}

Test(copy, of_a_task_with_retries_that_fails_too_lets_it_rest)
{
    struct race r = given_race_with(&(struct wire_options){.rerun_ms = 500, .retries = 1});

    answer(&r.w, r.fast, 1, WIRE_FAILED);
    answer(&r.w, r.slow, 1, WIRE_FAILED);
    struct end *next = r.slow->task_count != 0 ? r.slow : r.fast;
    answer(&r.w, next, 1, WIRE_OK);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    finish_empty(&r);
}

Test(copy, goes_on_when_the_agent_of_the_task_is_lost)
{
    struct race r = given_race();

    lose(&r, r.slow);
    cr_assert_eq(core_counters(r.w.core)->requeued_loss, 0);
    answer(&r.w, r.fast, 1, WIRE_OK);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    finish_empty(&r);
}

Test(copy, that_is_lost_with_its_agent_changes_nothing)
{
    struct race r = given_race();

    lose(&r, r.fast);
    ping(&r.w, r.slow);
    answer(&r.w, r.slow, 1, WIRE_OK);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    finish_empty(&r);
}

Test(copy, that_was_alone_and_is_lost_sends_the_task_back_to_its_queue)
{
    struct race r = given_race();

    answer(&r.w, r.slow, 1, WIRE_CRASHED);
    lose(&r, r.fast);
    cr_assert_eq(core_counters(r.w.core)->requeued_loss, 1);
    cr_assert_eq(r.slow->task_count, 1);
    answer(&r.w, r.slow, 1, WIRE_OK);
    cr_assert_eq(r.client->results[0].outcome, WIRE_OK);
    finish_empty(&r);
}

Test(copy, is_stopped_with_the_task_when_that_is_cancelled)
{
    struct race r = given_race();

    cancel(&r);
    cr_assert_eq(r.slow->revoked_count, 1);
    cr_assert_eq(r.fast->revoked_count, 1);
    answer(&r.w, r.slow, 1, WIRE_CRASHED);
    answer(&r.w, r.fast, 1, WIRE_CRASHED);
    cr_assert_eq(r.client->result_count, 1);
    cr_assert_eq(r.client->results[0].outcome, WIRE_CANCELLED);
    finish_empty(&r);
}

Test(copy, that_is_alone_is_stopped_when_the_task_is_cancelled)
{
    struct race r = given_race();

    answer(&r.w, r.slow, 1, WIRE_CRASHED);
    cancel(&r);
    cr_assert_eq(r.client->results[0].outcome, WIRE_CANCELLED);
    cr_assert_eq(r.client->results[0].code, WIRE_DISCARDED);
    cr_assert_eq(r.fast->revoked_count, 1);
    answer(&r.w, r.fast, 1, WIRE_OK);
    cr_assert_eq(r.client->result_count, 1);
    finish_empty(&r);
}

Test(copy, ends_with_the_session)
{
    for (int alone = 0; alone < 2; alone++) {
        struct race r = given_race();

        if (alone)
            answer(&r.w, r.slow, 1, WIRE_CRASHED);
        send_frame(&r.w, r.client, wire_frame_new(WIRE_BYE, r.client->link.id, 0));
        turn(&r.w);
        cr_assert_eq(r.fast->revoked_count, 1);
        answer(&r.w, r.fast, 1, WIRE_OK);
        if (!alone)
            answer(&r.w, r.slow, 1, WIRE_OK);
        finish_empty(&r);
    }
}
