/* The pure core, driven by hand-made clients and agents. Names of tests follow the promises of
 * PROTOCOL.md. */
#include "world.h"

#include <criterion/criterion.h>

Test(core, gives_each_session_its_results_by_number)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 3);
    cr_assert_eq(agent->task_count, 3);
    answer(&w, agent, 3, WIRE_OK);
    cr_assert_eq(client->result_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(client->results[i].no, i + 1);
        cr_assert_eq(client->results[i].outcome, WIRE_OK);
        cr_assert_eq(client->results[i].attempts, 1);
    }
    cr_assert_eq(core_counters(w.core)->leased, 0);
    finish(&w);
}

Test(core, leases_one_task_per_slot_and_spreads_over_hosts)
{
    struct world w = given_world();
    struct end *one = given_agent(&w, 2);
    struct end *two = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    cr_assert_eq(one->task_count, 1);
    cr_assert_eq(two->task_count, 1);
    submit(&w, client, 3, 8);
    cr_assert_eq(one->task_count, 2);
    cr_assert_eq(two->task_count, 2);
    cr_assert_eq(core_counters(w.core)->ready, 6);
    answer(&w, two, 1, WIRE_OK);
    cr_assert_eq(two->task_count, 2, "the freed slot gets the next task");
    finish(&w);
}

Test(core, leases_short_tasks_ahead_in_one_frame)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);
    struct blob *frame = NULL;
    const uint8_t value = 1;

    submit(&w, client, 1, 40);
    cr_assert_eq(agent->task_count, 1, "nothing is known of the function yet");
    frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    const struct wire_attempt outcome = {
        .id = agent->tasks[0].id,
        .attempt = 1,
        .outcome = WIRE_OK,
        .run_us = 10,
        .bytes = {&value, 1},
    };
    cr_assert_eq(wire_put_attempt(frame, &outcome), 0);
    wire_frame_add_count(frame, 1);
    send_frame(&w, agent, frame);
    turn(&w);
    cr_assert_eq(agent->task_count, 40);
    cr_assert_eq(agent->task_frames, 2);
    finish(&w);
}

Test(core, runs_tasks_elsewhere_when_the_agent_is_silent_for_its_lease)
{
    struct world w = given_world();
    struct end *silent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cr_assert_eq(silent->task_count, 1);
    pass(&w, CORE_LEASE_MS - 100);
    struct end *other = given_agent(&w, 1);
    turn(&w);
    cr_assert_eq(other->task_count, 0, "the lease still holds");
    pass(&w, 200);
    cr_assert_eq(other->task_count, 1);
    cr_assert_eq(other->tasks[0].attempt, 2);

    answer(&w, silent, 1, WIRE_OK);
    cr_assert(silent->gone, "nothing that a silent agent says later is obeyed");
    cr_assert_eq(client->result_count, 0);
    answer(&w, other, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}

Test(core, gives_up_an_agent_whose_connection_closed_within_300_ms)
{
    struct world w = given_world();
    struct end *dead = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    unreachable(&w, dead);
    struct end *other = given_agent(&w, 1);
    pass(&w, 400);
    cr_assert_eq(other->task_count, 1);
    finish(&w);
}

Test(core, keeps_an_agent_that_reconnects_in_time)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    unreachable(&w, agent);
    pass(&w, 200);
    agent->route.bytes[0] = 77; /* a new connection */
    ping(&w, agent);
    pass(&w, 1000);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].attempts, 1);
    finish(&w);
}

Test(core, sends_unacknowledged_frames_again_over_a_new_connection)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);
    const uint8_t old_route = agent->route.bytes[0];

    agent->route.bytes[0] = 78; /* the old connection delivers nothing any more */
    submit(&w, client, 1, 2);
    cr_assert_eq(agent->task_count, 0);
    cr_assert_neq(agent->route.bytes[0], old_route);
    ping(&w, agent);
    cr_assert_eq(agent->task_count, 2);
    ping(&w, agent);
    cr_assert_eq(agent->task_count, 2, "once only");
    finish(&w);
}

Test(core, delivers_a_crashing_task_as_crashed_after_three_tries)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    answer(&w, agent, 1, WIRE_CRASHED); /* task 1; it goes to the back of the queue */
    answer(&w, agent, 1, WIRE_OK);      /* task 2 */
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].no, 2);
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(client->result_count, 2);
    cr_assert_eq(client->results[1].no, 1);
    cr_assert_eq(client->results[1].outcome, WIRE_CRASHED);
    cr_assert_eq(client->results[1].attempts, 3);
    cr_assert_eq(client->results[1].code, 139);
    finish(&w);
}

Test(core, does_not_try_again_what_the_function_refused)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(client->results[0].outcome, WIRE_FAILED);
    cr_assert_eq(client->results[0].attempts, 1);
    finish(&w);
}

Test(core, gives_a_task_up_as_lost_after_ten_hosts)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct end *agent = given_agent(&w, 1);

    submit(&w, client, 1, 1);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(client->result_count, 0);
        cr_assert_eq(agent->task_count, 1);
        agent->task_count = 0;
        unreachable(&w, agent);
        pass(&w, 400);
        ping(&w, client);
        /* The same process comes back under a new link. */
        link_fini(&agent->link);
        link_init(&agent->link, 5000 + i);
        say_hello(&w, agent, 1);
        turn(&w);
    }
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].outcome, WIRE_LOST);
    finish(&w);
}

Test(core, drops_outcomes_with_an_old_token)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    const struct wire_task first = agent->tasks[0];
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(agent->task_count, 1);

    struct blob *late = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    put_outcome(late, &first, WIRE_OK);
    send_frame(&w, agent, late);
    turn(&w);
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(core_counters(w.core)->stale, 1);
    finish(&w);
}

/* Of one session tasks are leased ahead, of the others not: these keep their turns while no slot is free. */
Test(core, passes_over_no_session_that_finds_no_free_slot)
{
    struct world w = given_world();
    struct end *first = given_client(&w);
    struct end *second = given_client(&w);
    struct end *quick = given_client(&w);
    struct end *agent = given_agent(&w, 1);

    submit(&w, first, 1, 9);
    submit(&w, second, 1, 9);
    submit_with(&w, quick, 1, 9, &(struct wire_options){.batch = 2});
    for (int i = 0; i < 6; i++)
        answer(&w, agent, agent->task_count, WIRE_OK);
    cr_assert_geq(first->result_count, 2);
    cr_assert_geq(second->result_count, 2);
    cr_assert_geq(quick->result_count, 2);
    finish(&w);
}

Test(core, lets_sessions_take_turns)
{
    struct world w = given_world();
    struct end *many = given_client(&w);
    struct end *one = given_client(&w);

    submit(&w, many, 1, 50);
    submit(&w, one, 1, 1);
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    for (int i = 0; i < 2; i++)
        answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(one->result_count, 1, "served within two tasks");
    finish(&w);
}

/* The agent answers its oldest task with a result of so many bytes. */
static void answer_largely(struct world *w, struct end *agent, size_t bytes)
{
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, bytes + 64);
    uint8_t *value = calloc(1, bytes);
    const struct wire_attempt outcome = {
        .id = agent->tasks[0].id,
        .attempt = 1,
        .outcome = WIRE_OK,
        .run_us = 1000000,
        .bytes = {value, bytes},
    };

    cr_assert_geq(agent->task_count, 1);
    cr_assert_eq(wire_put_attempt(frame, &outcome), 0);
    wire_frame_add_count(frame, 1);
    agent->task_count--;
    memmove(agent->tasks, agent->tasks + 1, agent->task_count * sizeof(agent->tasks[0]));
    send_frame(w, agent, frame);
    turn(w);
    free(value);
}

Test(core, leases_nothing_of_a_client_that_takes_no_results_and_goes_on_when_it_does)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *slow = given_client(&w);
    const size_t bytes = CORE_RESULTS_BYTES / 4;

    submit(&w, slow, 1, 20);
    for (int i = 0; i < 4; i++)
        answer_largely(&w, agent, bytes);
    cr_assert_eq(slow->result_count, 4);
    cr_assert_eq(agent->task_count, 1, "it was leased before the last result came");
    answer_largely(&w, agent, bytes);
    cr_assert_eq(agent->task_count, 0,
                 "what it has not acknowledged is more than the broker keeps");

    struct end *other = given_client(&w);
    submit(&w, other, 1, 2);
    answer(&w, agent, 1, WIRE_OK);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(other->result_count, 2, "the slot is free for others");

    struct blob *ack = link_ack(&slow->link, false);
    deliver(&w, slow, ack);
    blob_unref(ack);
    turn(&w);
    cr_assert_eq(agent->task_count, 1, "it has acknowledged them");
    for (int i = 0; i < 15; i++)
        answer_largely(&w, agent, 1);
    cr_assert_eq(slow->result_count, 20);
    finish(&w);
}

Test(core, leaves_nothing_of_a_paused_session_that_ends)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *slow = given_client(&w);

    submit(&w, slow, 1, 20);
    for (int i = 0; i < 2; i++)
        answer_largely(&w, agent, CORE_RESULTS_BYTES);
    cr_assert_eq(agent->task_count, 0);
    cr_assert_eq(core_counters(w.core)->ready, 18);
    send_frame(&w, slow, wire_frame_new(WIRE_BYE, slow->link.id, 0));
    turn(&w);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

Test(core, leaves_nothing_of_a_session_that_ends)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 5);
    send_frame(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    turn(&w);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    cr_assert_eq(agent->revoked_count, 1);
    cr_assert_eq(agent->revoked[0], agent->tasks[0].id);
    answer(&w, agent, 1, WIRE_CANCELLED);
    cr_assert_eq(core_counters(w.core)->leased, 0);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

Test(core, answers_gone_to_a_link_it_does_not_know)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    link_fini(&client->link);
    link_init(&client->link, 4242);
    ping(&w, client);
    cr_assert(client->gone);
    finish(&w);
}

Test(core, answers_gone_to_a_link_that_acknowledges_what_was_never_sent)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    client->link.received = 5;
    ping(&w, client);
    cr_assert(client->gone);
    cr_assert_not(client->refused);
    turn(&w);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

/* All that is said here was said to an earlier broker, whose ids may be those of this one. */
Test(core, obeys_no_outcome_of_an_earlier_epoch_even_when_its_hello_came_here_too)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cr_assert_eq(agent->task_count, 1);
    struct blob *late CLEANUP(blob_unref_p) =
        wire_frame_new(WIRE_OUTCOMES, link_number(agent->hello, EPOCH - 1), 64);
    put_outcome(late, &agent->tasks[0], WIRE_OK);
    wire_frame_stamp(late, 1, 0);
    deliver(&w, agent, late);
    turn(&w);
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(core_counters(w.core)->leased, 1);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(client->results[0].outcome, WIRE_FAILED);
    finish(&w);
}

Test(core, does_not_open_the_link_of_a_lost_agent_again_for_a_hello_that_comes_late)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);

    unreachable(&w, agent);
    pass(&w, CORE_UNREACHABLE_MS + 100);
    cr_assert_eq(core_counters(w.core)->agents, 0);
    say_hello(&w, agent, 1);
    cr_assert(agent->gone);
    cr_assert_eq(core_counters(w.core)->agents, 0);
    finish(&w);
}

Test(core, does_not_obey_somebody_elses_link_number)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct end *thief = given_client(&w);
    struct end *agent = given_agent(&w, 1);

    submit(&w, client, 1, 1);
    link_fini(&thief->link);
    link_init(&thief->link, client->link.id);
    struct blob *stolen CLEANUP(blob_unref_p) = submit_frame(thief, 2, 1);
    deliver(&w, thief, stolen);
    ping(&w, thief);
    turn(&w);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1, "results stay with the owner of the key");
    cr_assert_eq(thief->result_count, 0);
    finish(&w);
}

Test(core, refuses_frames_of_the_other_role_and_ends_the_link)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    send_frame(&w, client, wire_frame_new(WIRE_DRAIN, client->link.id, 0));
    cr_assert(client->refused);
    cr_assert_eq(core_counters(w.core)->malformed, 1);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

/* One byte of an ACK is other than it should be. */
static void refuses_changed_byte(size_t at, uint8_t value)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_ACK, client->link.id, 0);

    frame->data[at] = value;
    deliver(&w, client, frame);
    cr_assert(client->refused);
    cr_assert_eq(core_counters(w.core)->malformed, 1);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

Test(core, refuses_another_version_and_ends_the_link)
{
    refuses_changed_byte(0, WIRE_VERSION + 1);
}

Test(core, refuses_an_unknown_type_and_ends_the_link)
{
    refuses_changed_byte(1, WIRE_TYPE_END);
}

Test(core, refuses_unknown_flags_and_ends_the_link)
{
    refuses_changed_byte(3, WIRE_FLAG_RESEND << 1);
}

Test(core, refuses_bytes_behind_a_frame_without_records)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_ACK, client->link.id, 1);

    wire_put_u8(frame, 0);
    deliver(&w, client, frame);
    cr_assert(client->refused);
    cr_assert_eq(core_counters(w.core)->malformed, 1);
    finish(&w);
}

Test(core, refuses_a_submit_with_a_number_out_of_order)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    send_frame(&w, client, submit_frame(client, 2, 1));
    cr_assert(client->refused);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

Test(core, takes_a_repeated_submit_frame_once)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct blob *frame = submit_frame(client, 1, 2);

    cr_assert_eq(link_push(&client->link, frame), 0);
    deliver(&w, client, frame);
    deliver(&w, client, frame);
    cr_assert_eq(core_counters(w.core)->accepted, 2);
    blob_unref(frame);
    finish(&w);
}

Test(core, blames_nobody_for_a_time_in_which_it_was_stopped_itself)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    turn(&w);
    w.now_ms += 10000;
    turn(&w);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}

Test(core, leases_nothing_to_a_draining_agent)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    send_frame(&w, agent, wire_frame_new(WIRE_DRAIN, agent->link.id, 0));
    submit(&w, client, 2, 1);
    cr_assert_eq(agent->task_count, 1);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1, "what it holds still counts");
    cr_assert_eq(agent->task_count, 0);
    finish(&w);
}

Test(core, ends_the_links_of_a_revoked_key_and_bars_their_return)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    const struct core_event revoked = {
        .type = CORE_KEY_REVOKED,
        .role = WIRE_AGENT,
        .now_ms = w.now_ms,
        .key = agent->key,
    };

    core_step(w.core, &revoked, &w.effects);
    carry_out(&w);
    cr_assert(agent->refused);
    cr_assert_eq(core_counters(w.core)->agents, 0);

    agent->refused = false;
    link_fini(&agent->link);
    link_init(&agent->link, 4711);
    say_hello(&w, agent, 1);
    cr_assert(agent->refused, "ZeroMQ keeps its connection open");
    cr_assert_eq(core_counters(w.core)->agents, 0);
    finish(&w);
}

/* The link that it has is left as it is; a new one says HELLO. */
static void open_another(struct world *w, struct end *client, uint64_t number)
{
    link_fini(&client->link);
    link_init(&client->link, number);
    client->refused = false;
    say_hello(w, client, 0);
}

Test(core, opens_only_so_many_sessions_for_one_key)
{
    struct world w = given_world();
    struct end *greedy = given_client(&w);
    struct end *other = given_client(&w);

    for (uint64_t i = 1; i < CORE_KEY_SESSIONS_MAX; i++) {
        open_another(&w, greedy, 10000 + i);
        cr_assert_not(greedy->refused, "session %d", (int)i);
    }
    open_another(&w, greedy, 20000);
    cr_assert(greedy->refused);
    open_another(&w, other, 30000);
    cr_assert_not(other->refused, "another key has a number of its own");

    pass(&w, CORE_SESSION_SILENT_MS + 1000);
    open_another(&w, greedy, 40000);
    cr_assert_not(greedy->refused, "those of before have ended");
    finish(&w);
}
