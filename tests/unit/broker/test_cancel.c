/* Cancelling, and what became of the task: PROTOCOL.md section 5, "Cancel". */
#include "world.h"

#include <criterion/criterion.h>

static void cancel(struct world *w, struct end *client, uint64_t no)
{
    struct blob *frame = wire_frame_new(WIRE_CANCEL, client->link.id, 8);

    wire_put_u64(frame, no);
    wire_frame_add_count(frame, 1);
    send_frame(w, client, frame);
    turn(w);
}

/* The agent answers its oldest task: it was revoked. */
static void answer_revoked(struct world *w, struct end *agent, enum wire_cancelled code)
{
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    struct blob *failure CLEANUP(blob_unref_p) = blob_new(64);
    const struct wire_task task = agent->tasks[0];

    cr_assert_eq(wire_put_failure(failure, &(struct wire_failure){.code = code}), 0);
    const struct wire_attempt attempt = {
        .id = task.id,
        .attempt = task.attempt,
        .outcome = WIRE_CANCELLED,
        .bytes = {failure->data, failure->size},
    };
    cr_assert_eq(wire_put_attempt(frame, &attempt), 0);
    wire_frame_add_count(frame, 1);
    agent->task_count = 0;
    send_frame(w, agent, frame);
    turn(w);
}

static void assert_answer(const struct end *client, enum wire_cancelled answer)
{
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].outcome, WIRE_CANCELLED);
    cr_assert_eq(client->results[0].code, answer);
}

Test(cancel, before_it_is_leased_says_never_ran_and_it_never_runs)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    assert_answer(client, WIRE_NEVER_RAN);
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    cr_assert_eq(agent->task_count, 0);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    finish(&w);
}

Test(cancel, while_its_agent_has_not_begun_it_says_never_ran_when_the_agent_does)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    cr_assert_eq(agent->revoked_count, 1);
    cr_assert_eq(client->result_count, 0, "its agent has to say");
    answer_revoked(&w, agent, WIRE_NEVER_RAN);
    assert_answer(client, WIRE_NEVER_RAN);
    finish(&w);
}

Test(cancel, while_it_runs_says_stopped_when_the_agent_has_killed_it)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    answer_revoked(&w, agent, WIRE_STOPPED);
    assert_answer(client, WIRE_STOPPED);
    cr_assert_eq(core_counters(w.core)->leased, 0);
    finish(&w);
}

Test(cancel, of_a_task_that_crashes_meanwhile_says_stopped_and_it_is_not_tried_again)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    answer(&w, agent, 1, WIRE_CRASHED);
    assert_answer(client, WIRE_STOPPED);
    cr_assert_eq(agent->task_count, 0);
    finish(&w);
}

Test(cancel, that_crosses_the_outcome_of_the_attempt_says_discarded)
{
    static const enum wire_outcome outcomes[] = {WIRE_OK, WIRE_FAILED, WIRE_TIMEOUT};

    for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
        struct world w = given_world();
        struct end *agent = given_agent(&w, 1);
        struct end *client = given_client(&w);

        submit_with(&w, client, 1, 1, &(struct wire_options){.retries = 3});
        cancel(&w, client, 1);
        answer(&w, agent, 1, outcomes[i]);
        assert_answer(client, WIRE_DISCARDED);
        cr_assert_eq(core_counters(w.core)->resting, 0);
        finish(&w);
    }
}

Test(cancel, after_the_end_changes_nothing)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    answer(&w, agent, 1, WIRE_OK);
    cancel(&w, client, 1);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].outcome, WIRE_OK);
    cr_assert_not(client->refused);
    finish(&w);
}

Test(cancel, twice_is_answered_once)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    cancel(&w, client, 1);
    cr_assert_eq(agent->revoked_count, 1);
    answer_revoked(&w, agent, WIRE_STOPPED);
    cancel(&w, client, 1);
    assert_answer(client, WIRE_STOPPED);
    cr_assert_eq(core_counters(w.core)->illegal, 0);
    finish(&w);
}

/* A paused agent may still have the task in its hands, and start it when it wakes. */
Test(cancel, of_a_task_requeued_from_a_silent_agent_never_says_never_ran)
{
    struct world w = given_world();
    struct end *silent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cr_assert_eq(silent->task_count, 1);
    pass(&w, CORE_LEASE_MS + 100);
    cr_assert_eq(core_counters(w.core)->ready, 1);
    ping(&w, client);
    cancel(&w, client, 1);
    assert_answer(client, WIRE_DISCARDED);
    answer(&w, silent, 1, WIRE_OK);
    cr_assert(silent->gone);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}

Test(cancel, of_a_second_attempt_that_was_not_begun_does_not_say_never_ran)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    answer(&w, agent, 1, WIRE_CRASHED);
    cancel(&w, client, 1);
    answer_revoked(&w, agent, WIRE_NEVER_RAN);
    assert_answer(client, WIRE_DISCARDED);
    finish(&w);
}

Test(cancel, of_a_task_whose_agent_is_lost_before_it_answers_says_discarded)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    unreachable(&w, agent);
    pass(&w, CORE_UNREACHABLE_MS + 100);
    assert_answer(client, WIRE_DISCARDED);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    finish(&w);
}

Test(cancel, of_a_resting_task_says_discarded)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_with(&w, client, 1, 1, &(struct wire_options){.retries = 1, .backoff_ms = 60000});
    answer(&w, agent, 1, WIRE_FAILED);
    cancel(&w, client, 1);
    assert_answer(client, WIRE_DISCARDED);
    cr_assert_eq(core_due_ms(w.core), INT64_MAX);
    finish(&w);
}

Test(cancel, is_answered_to_nobody_when_the_session_ends_meanwhile)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 1);
    send_frame(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    turn(&w);
    cr_assert_eq(agent->revoked_count, 1);
    answer_revoked(&w, agent, WIRE_STOPPED);
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(core_counters(w.core)->leased, 0);
    finish(&w);
}

Test(cancel, of_a_number_that_was_never_given_is_refused)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cancel(&w, client, 2);
    cr_assert(client->refused);
    finish(&w);
}
