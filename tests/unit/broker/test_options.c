/* What clients ask for their tasks, beyond the ordinary: PROTOCOL.md section 5, "Options". */
#include "world.h"

#include <criterion/criterion.h>

Test(options, try_a_failed_task_again_after_a_pause_that_doubles)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.retries = 2, .backoff_ms = 200});
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(agent->task_count, 0, "it rests");
    cr_assert_eq(core_counters(w.core)->resting, 1);
    cr_assert_eq(core_due_ms(w.core), w.now_ms + 200);
    pass(&w, 200);
    cr_assert_eq(agent->task_count, 1);
    cr_assert_eq(core_counters(w.core)->resting, 0);
    answer(&w, agent, 1, WIRE_FAILED);
    pass(&w, 300);
    cr_assert_eq(agent->task_count, 0, "the second pause is twice as long");
    pass(&w, 100);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].outcome, WIRE_FAILED);
    cr_assert_eq(client->results[0].attempts, 3);
    cr_assert_eq(core_counters(w.core)->retried, 2);
    finish(&w);
}

Test(options, try_again_without_backoff_in_the_same_turn)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.retries = 1});
    answer(&w, agent, 1, WIRE_FAILED);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->results[0].outcome, WIRE_OK);
    cr_assert_eq(client->results[0].attempts, 2);
    finish(&w);
}

Test(options, do_not_try_again_what_the_function_calls_final)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    struct blob *failure CLEANUP(blob_unref_p) = blob_new(64);

    submit_with(&w, client, 1, 1, &(struct wire_options){.retries = 5});
    cr_assert_eq(wire_put_failure(failure, &(struct wire_failure){.code = 3}), 0);
    const struct wire_attempt outcome = {
        .id = agent->tasks[0].id,
        .attempt = 1,
        .outcome = WIRE_FAILED,
        .flags = WIRE_ATTEMPT_FINAL,
        .bytes = {failure->data, failure->size},
    };
    cr_assert_eq(wire_put_attempt(frame, &outcome), 0);
    wire_frame_add_count(frame, 1);
    send_frame(&w, agent, frame);
    turn(&w);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].code, 3);
    finish(&w);
}

Test(options, count_crashes_apart_from_retries)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.retries = 1});
    answer(&w, agent, 1, WIRE_CRASHED);
    answer(&w, agent, 1, WIRE_FAILED);
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(client->result_count, 0);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(client->results[0].outcome, WIRE_FAILED);
    cr_assert_eq(client->results[0].attempts, 4);
    finish(&w);
}

Test(options, start_a_higher_priority_first_among_the_sessions_own_tasks)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.priority = -1});
    submit_with(&w, client, 2, 1, &(struct wire_options){.priority = 0});
    submit_with(&w, client, 3, 1, &(struct wire_options){.priority = 100});
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    for (int i = 0; i < 3; i++)
        answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->results[0].no, 3);
    cr_assert_eq(client->results[1].no, 2);
    cr_assert_eq(client->results[2].no, 1);
    finish(&w);
}

Test(options, give_a_priority_no_advantage_over_other_sessions)
{
    struct world w = given_world();
    struct end *greedy = given_client(&w);
    struct end *modest = given_client(&w);

    submit_with(&w, greedy, 1, 20, &(struct wire_options){.priority = 100});
    submit(&w, modest, 1, 1);
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    for (int i = 0; i < 2; i++)
        answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(modest->result_count, 1);
    finish(&w);
}

Test(options, expire_a_task_that_was_not_started_in_time)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.expires_ms = 500});
    pass(&w, 400);
    cr_assert_eq(client->result_count, 0);
    pass(&w, 100);
    cr_assert_eq(client->results[0].outcome, WIRE_EXPIRED);
    cr_assert_eq(client->results[0].code, 500);
    cr_assert_eq(client->results[0].attempts, 0);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    cr_assert_eq(core_due_ms(w.core), INT64_MAX);
    finish(&w);
}

Test(options, do_not_expire_a_task_that_was_started)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.expires_ms = 500});
    answer(&w, agent, 1, WIRE_CRASHED);
    pass(&w, 1000);
    cr_assert_eq(client->result_count, 0);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->results[0].outcome, WIRE_OK);
    finish(&w);
}

Test(options, leave_nothing_of_a_session_that_ends_while_its_tasks_rest_or_may_expire)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 2,
                &(struct wire_options){.retries = 9, .backoff_ms = 50, .expires_ms = 99});
    answer(&w, agent, 1, WIRE_FAILED);
    send_frame(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    pass(&w, 1000);
    cr_assert_eq(core_counters(w.core)->resting, 0);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    cr_assert_eq(core_due_ms(w.core), INT64_MAX);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(core_counters(w.core)->leased, 0);
    cr_assert_eq(core_counters(w.core)->retried, 1);
    finish(&w);
}

Test(options, refuse_a_run_with_a_flag_that_is_not_known)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct blob *frame = submit_frame(client, 1, 1);

    frame->data[WIRE_HEADER_BYTES + 2] = 0x80;
    send_frame(&w, client, frame);
    cr_assert(client->refused);
    finish(&w);
}

Test(options, send_a_task_to_the_worker_that_was_named_however_busy_it_is)
{
    struct world w = given_world();
    struct end *idle = given_agent(&w, 1);
    struct end *named = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 3, &(struct wire_options){.worker = named->incarnation});
    cr_assert_eq(idle->task_count, 0);
    cr_assert_eq(named->task_count, 3, "beyond its one slot");
    cr_assert_eq(core_counters(w.core)->ready, 0);
    answer(&w, named, 3, WIRE_OK);
    cr_assert_eq(client->result_count, 3);
    submit(&w, client, 4, 2);
    cr_assert_eq(idle->task_count + named->task_count, 2, "others are scheduled as before");
    finish(&w);
}

Test(options, end_a_task_whose_worker_is_not_there_as_lost)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.worker = agent->incarnation + 1});
    cr_assert_eq(agent->task_count, 0);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].outcome, WIRE_LOST);
    finish(&w);
}

Test(options, end_a_task_whose_worker_is_lost_and_do_not_run_it_elsewhere)
{
    struct world w = given_world();
    struct end *named = given_agent(&w, 1);
    struct end *other = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 2, &(struct wire_options){.worker = named->incarnation});
    unreachable(&w, named);
    for (int i = 0; i < 10; i++) {
        ping(&w, other);
        ping(&w, client);
        pass(&w, 500);
    }
    cr_assert_eq(client->result_count, 2);
    cr_assert_eq(client->results[0].outcome, WIRE_LOST);
    cr_assert_eq(other->task_count, 0);
    finish(&w);
}

Test(options, try_a_task_again_on_the_worker_that_was_named)
{
    struct world w = given_world();
    struct end *named = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1,
                &(struct wire_options){.worker = named->incarnation, .retries = 1});
    answer(&w, named, 1, WIRE_FAILED);
    cr_assert_eq(named->task_count, 1, "a retry goes there, too");
    answer(&w, named, 1, WIRE_OK);
    cr_assert_eq(client->results[0].outcome, WIRE_OK);
    finish(&w);
}

Test(options, let_an_agent_hold_as_many_tasks_for_each_slot_as_asked)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 20, &(struct wire_options){.batch = 3});
    cr_assert_eq(agent->task_count, 6, "although nothing is known of their run time");
    answer(&w, agent, 6, WIRE_OK);
    cr_assert_eq(agent->task_count, 6);
    finish(&w);
}

Test(options, let_an_agent_hold_one_short_task_for_each_slot)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    const uint8_t value = 1;

    submit_with(&w, client, 1, 20, &(struct wire_options){.batch = 1});
    const struct wire_attempt outcome = {
        .id = agent->tasks[0].id,
        .attempt = 1,
        .run_us = 10,
        .bytes = {&value, 1},
    };
    cr_assert_eq(wire_put_attempt(frame, &outcome), 0);
    wire_frame_add_count(frame, 1);
    send_frame(&w, agent, frame);
    turn(&w);
    cr_assert_eq(agent->task_count, 3, "two at first, and one for the one that has ended");
    finish(&w);
}
