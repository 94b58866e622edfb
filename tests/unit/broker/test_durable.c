/* Durable tasks in the pure core. Names of tests follow the promises of PROTOCOL.md sections 6 and 10. */
#include "keeper.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(durable, is_accepted_and_runs_only_when_it_is_in_the_journal)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    pass(&w, 2000);
    cr_assert_eq(records(&w, RECORD_TASK, 0), 1);
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(agent->task_count, 0);
    confirm(&w);
    assert_told(client, 1, 1, WIRE_OK);
    cr_assert_eq(agent->task_count, 1);
    finish(&w);
}

Test(durable, outcome_is_told_only_when_it_is_in_the_journal)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    ask_for(&w, client, WAIT, 2, 77);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(records(&w, RECORD_DONE, 0), 1);
    cr_assert_eq(client->result_count, 1, "of the submit alone");
    confirm(&w);
    assert_told(client, 2, 2, WIRE_OK);
    ask_for(&w, client, WAIT, 3, 77);
    assert_told(client, 3, 3, WIRE_OK);
    finish(&w);
}

Test(durable, task_outlives_its_client_and_another_one_gets_its_outcome)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    ask_for(&w, client, WAIT, 2, 77);
    send_frame(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    turn(&w);
    cr_assert_eq(agent->revoked_count, 0);
    answer(&w, agent, 1, WIRE_CRASHED);
    answer(&w, agent, 1, WIRE_CRASHED);
    answer(&w, agent, 1, WIRE_CRASHED);
    confirm(&w);
    struct end *other = given_asker(&w);
    ask_for(&w, other, WAIT, 1, 77);
    assert_told(other, 1, 1, WIRE_CRASHED);
    cr_assert_eq(other->results[0].code, 139);
    cr_assert_eq(other->results[0].attempts, 3);
    finish(&w);
}

Test(durable, task_submitted_again_is_the_same_task)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    ask_for(&w, client, SUBMIT, 2, 77);
    confirm(&w);
    cr_assert_eq(client->result_count, 2);
    ask_for(&w, client, SUBMIT, 3, 77);
    assert_told(client, 3, 3, WIRE_OK);
    cr_assert_eq(agent->task_count, 1);
    cr_assert_eq(records(&w, RECORD_TASK, 0), 1);
    finish(&w);
}

Test(durable, task_is_refused_without_a_journal)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    ask_for(&w, client, WAIT, 2, 77);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    finish(&w);
}

Test(durable, task_is_refused_by_a_full_journal_and_never_runs)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    submit(&w, client, 2, 1);
    journal_is(&w, CORE_JOURNAL_FULL, "MISCONF");
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    cr_assert_eq(agent->task_count, 1, "tasks of sessions go on");
    ask_for(&w, client, SUBMIT, 3, 78);
    assert_told(client, 2, 3, WIRE_REFUSED_TASK);
    journal_is(&w, CORE_JOURNAL_UP, "");
    confirm(&w);
    cr_assert_eq(records(&w, RECORD_FORGET, 0), 1);
    cr_assert_eq(agent->task_count, 1);
    ask_for(&w, client, SUBMIT, 4, 77);
    confirm(&w);
    assert_told(client, 3, 4, WIRE_OK);
    cr_assert_eq(agent->task_count, 2);
    finish(&w);
}

Test(durable, task_waits_for_a_journal_that_is_away_and_is_refused_when_that_takes_long)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    journal_is(&w, CORE_JOURNAL_AWAY, "Connection refused");
    ask_for(&w, client, SUBMIT, 1, 77);
    pass(&w, 9000);
    ping(&w, client);
    cr_assert_eq(client->result_count, 0);
    pass(&w, 2000);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    ask_for(&w, client, SUBMIT, 2, 77);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    finish(&w);
}

Test(durable, task_waits_for_a_journal_that_is_still_read)
{
    struct world w = given_unopened_world();
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    ask_for(&w, client, WAIT, 2, 78);
    pass(&w, 1000);
    cr_assert_eq(client->result_count, 0);
    journal_event(&w, CORE_JOURNAL_OPENED, 0);
    journal_is(&w, CORE_JOURNAL_UP, "");
    assert_told(client, 1, 2, WIRE_REFUSED_TASK);
    confirm(&w);
    assert_told(client, 2, 1, WIRE_OK);
    finish(&w);
}

Test(durable, task_that_came_early_is_taken_however_long_the_broker_stood_still)
{
    struct world w = given_unopened_world();
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    w.now_ms += 11000; /* no turn came in that time */
    journal_event(&w, CORE_JOURNAL_OPENED, 0);
    journal_is(&w, CORE_JOURNAL_UP, "");
    cr_assert_eq(client->result_count, 0, "the journal has just been read: it is there");
    confirm(&w);
    assert_told(client, 1, 1, WIRE_OK);
    finish(&w);
}

Test(durable, outcomes_are_kept_for_their_time_and_then_forgotten)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    for (int i = 0; i < KEEP_MS / 1000 - 1; i++) {
        pass(&w, 1000);
        ping(&w, client);
    }
    cr_assert_eq(core_counters(w.core)->durable, 1);
    pass(&w, 1100);
    cr_assert_eq(core_counters(w.core)->durable, 0);
    cr_assert_eq(records(&w, RECORD_FORGET, 0), 1);
    finish(&w);
}

/* Durable tasks that come, end and are forgotten, one after the other; two numbers each. */

/* How many tasks a broker finds that reads the journal from this position on. */

Test(durable, task_that_an_earlier_broker_may_have_leased_is_never_said_to_have_never_run)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    ask_for(&before, client, SUBMIT, 1, 77);
    confirm(&before);
    cr_assert_eq(agent->task_count, 1);
    seal_all(&before);
    struct world w = given_next_world(&before);
    client = given_asker(&w);
    ask_for(&w, client, CANCEL, 1, 77);
    confirm(&w);
    ask_for(&w, client, WAIT, 2, 77);
    assert_told(client, 2, 2, WIRE_CANCELLED);
    cr_assert_eq(client->results[1].code, WIRE_DISCARDED);
    finish(&before);
    finish(&w);
}

Test(durable, task_that_is_cancelled_before_it_ran_never_runs)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    ask_for(&w, client, CANCEL, 2, 77);
    assert_told(client, 1, 2, WIRE_REFUSED_TASK);
    confirm(&w);
    ask_for(&w, client, WAIT, 3, 77);
    ask_for(&w, client, CANCEL, 4, 77);
    assert_told(client, 3, 4, WIRE_OK);
    ask_for(&w, client, CANCEL, 5, 77);
    assert_told(client, 4, 5, WIRE_OK);
    confirm(&w);
    assert_told(client, 5, 3, WIRE_CANCELLED);
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    cr_assert_eq(agent->task_count, 0);
    finish(&w);
}

Test(durable, task_that_failed_is_tried_again_when_that_is_in_the_journal)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    answer(&w, agent, 1, WIRE_FAILED);
    confirm(&w);
    ask_for(&w, client, RETRY, 2, 77);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(agent->task_count, 0);
    confirm(&w);
    assert_told(client, 2, 2, WIRE_OK);
    cr_assert_eq(agent->task_count, 1);
    seal_all(&w);
    struct world after = given_next_world(&w);
    cr_assert_eq(core_counters(after.core)->ready, 1, "a broker that reads it tries it, too");
    finish(&after);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    ask_for(&w, client, RETRY, 3, 77);
    assert_told(client, 3, 3, WIRE_REFUSED_TASK);
    finish(&w);
}

Test(durable, task_that_is_tried_again_is_not_forgotten_by_a_full_journal)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    answer(&w, agent, 1, WIRE_FAILED);
    confirm(&w);
    ask_for(&w, client, RETRY, 2, 77);
    journal_is(&w, CORE_JOURNAL_FULL, "MISCONF");
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    journal_is(&w, CORE_JOURNAL_UP, "");
    confirm(&w);
    cr_assert_eq(records(&w, RECORD_FORGET, 0), 0);
    cr_assert_eq(agent->task_count, 1);
    finish(&w);
}

Test(durable, task_that_does_not_decode_is_refused)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    ask_for(&w, client, WAIT, 1, 0);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 64);
    const struct wire_run run = {
        .function = SUBMIT,
        .count = 1,
        .argument_bytes = WIRE_VARIABLE,
        .first_no = 2,
    };
    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(blob_reserve(frame, 16), 0);
    wire_put_u32(frame, 12);
    wire_put_u64(frame, 5);
    wire_put_u32(frame, 0);
    wire_frame_add_count(frame, 1);
    send_frame(&w, client, frame);
    turn(&w);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    cr_assert_eq(w.journal_count, 0);
    finish(&w);
}

Test(durable, task_runs_only_where_what_it_needs_is_and_takes_it)
{
    struct world w = given_durable_world();
    struct end *plain = given_agent(&w, 4);
    struct end *client = given_asker(&w);

    ask_needing(&w, client, 1, request(SUBMIT, 77, 1), SUBMIT, "gpu=1");
    ask_needing(&w, client, 2, request(SUBMIT, 78, 1), SUBMIT, "gpu=1");
    confirm(&w);
    assert_told(client, 2, 2, WIRE_OK);
    struct end *gpu = given_agent_with(&w, 4, "gpu=1");
    turn(&w);
    cr_assert_eq(plain->task_count, 0);
    cr_assert_eq(gpu->task_count, 1);
    answer(&w, gpu, 1, WIRE_OK);
    cr_assert_eq(gpu->task_count, 1, "the other one");
    finish(&w);
}

Test(durable, task_needs_the_same_after_a_start_and_a_retry)
{
    struct world before = given_durable_world();
    struct end *client = given_asker(&before);
    struct end *agent = given_agent_with(&before, 1, "gpu=1");

    ask_needing(&before, client, 1, request(SUBMIT, 77, 1), SUBMIT, "gpu=1");
    ask_needing(&before, client, 2, request(SUBMIT, 78, 1), SUBMIT, "gpu=1");
    confirm(&before);
    answer(&before, agent, 1, WIRE_FAILED);
    confirm(&before);
    seal_all(&before);

    struct world after = given_next_world(&before);
    struct end *plain = given_agent(&after, 4);
    struct end *gpu = given_agent_with(&after, 4, "gpu=4");
    struct end *other = given_asker(&after);
    turn(&after);
    cr_assert_eq(gpu->task_count, 1, "78");
    ask_for(&after, other, RETRY, 1, 77);
    confirm(&after);
    cr_assert_eq(gpu->task_count, 2);
    cr_assert_eq(plain->task_count, 0);
    finish(&before);
    finish(&after);
}

Test(durable, task_with_one_need_too_many_is_refused_and_what_is_asked_otherwise_has_none)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    ask_needing(&w, client, 1, request(WAIT, 77, 1), WAIT, "gpu=1");
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    cr_assert_str_eq(client->results[0].text, "what is asked of the broker itself has no needs");
    for (uint32_t i = 1; i <= WIRE_CLASSES_MAX + 1; i++) {
        char needs[16];

        snprintf(needs, sizeof(needs), "n%u", i);
        client->result_count = 0;
        ask_needing(&w, client, 1 + i, request(SUBMIT, i, 1), SUBMIT, needs);
        confirm(&w);
    }
    cr_assert_eq(client->results[0].outcome, WIRE_REFUSED_TASK);
    cr_assert_not_null(strstr(client->results[0].text, "\"n256\""));
    cr_assert_eq(core_counters(w.core)->durable, WIRE_CLASSES_MAX);
    finish(&w);
}
