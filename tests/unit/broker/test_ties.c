/* Durable tasks that wait for others in the pure core. Names of tests follow PROTOCOL.md section 10, "after". */
#include "keeper.h"

#include <criterion/criterion.h>

#define AFTER(...) ((const uint64_t[]){__VA_ARGS__, 0})

/* The one task that the agent has been sent last, as a number in the order of the argument: these tests use
 * ids as arguments. */
static uint8_t last_argument(const struct end *agent)
{
    return agent->argument[agent->argument_bytes - 1];
}

/* The broker keeps 1 and 2, which the agent holds, and 3, which waits for both. */
static struct world given_fan(struct end **agent, struct end **client)
{
    struct world w = given_durable_world();

    *agent = given_agent(&w, 4);
    *client = given_asker(&w);
    ask_for(&w, *client, SUBMIT, 1, 1);
    ask_for(&w, *client, SUBMIT, 2, 2);
    ask_after(&w, *client, 3, 3, AFTER(1, 2));
    confirm(&w);
    cr_assert_eq((*client)->result_count, 3);
    return w;
}

static void assert_counts(struct world *w, uint64_t held, uint64_t blocked)
{
    cr_assert_eq(core_counters(w->core)->held, held);
    cr_assert_eq(core_counters(w->core)->blocked, blocked);
}

Test(ties, task_waits_for_its_fan_and_gets_the_results_in_its_order)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    cr_assert_eq(agent->task_count, 2, "the third waits");
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    cr_assert_eq(agent->task_count, 1);
    assert_counts(&w, 1, 0);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(agent->task_count, 0, "what it waits for is not in the journal yet");
    confirm(&w);
    cr_assert_eq(agent->task_count, 1);
    cr_assert(agent->tasks[0].flags & WIRE_TASK_BUNDLE);
    cr_assert_eq(agent->argument[3], 2, "two inputs");
    assert_counts(&w, 0, 0);
    ask_for(&w, client, WAIT, 4, 3);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    assert_told(client, 4, 4, WIRE_OK);
    finish(&w);
}

Test(ties, task_that_waits_for_what_has_ended_starts_at_once)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 1);
    confirm(&w);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    ask_after(&w, client, 2, 2, AFTER(1, 1));
    confirm(&w);
    cr_assert_eq(agent->task_count, 1);
    finish(&w);
}

Test(ties, task_that_waits_for_an_unknown_one_is_refused)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    ask_after(&w, client, 1, 7, AFTER(9));
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    cr_assert_str_eq(client->results[0].text,
                     "it waits for durable task 0000000000000009, which is not kept here");
    ask_after(&w, client, 2, 7, AFTER(7));
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    ask_after(&w, client, 3, 7, (const uint64_t[]){0});
    confirm(&w);
    assert_told(client, 3, 3, WIRE_OK);
    finish(&w);
}

Test(ties, task_waits_on_in_the_next_broker)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    seal_all(&w);
    struct world next = given_next_world(&w);
    agent = given_agent(&next, 4);
    turn(&next);
    cr_assert_eq(agent->task_count, 1, "2 alone: 1 has ended, and 3 waits");
    cr_assert_eq(last_argument(agent), 2);
    assert_counts(&next, 1, 0);
    answer(&next, agent, 1, WIRE_OK);
    confirm(&next);
    cr_assert_eq(agent->task_count, 1);
    cr_assert(agent->tasks[0].flags & WIRE_TASK_BUNDLE);
    finish(&next);
    finish(&w);
}

Test(ties, failure_blocks_what_waits_and_says_so_to_those_who_ask)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    ask_after(&w, client, 4, 4, AFTER(3));
    confirm(&w);
    ask_for(&w, client, WAIT, 5, 4);
    ask_for(&w, client, WAIT, 6, 3);
    cr_assert_eq(client->result_count, 4);
    answer(&w, agent, 1, WIRE_FAILED);
    confirm(&w);
    cr_assert_eq(client->result_count, 6);
    cr_assert_eq(client->results[4].outcome, WIRE_BLOCKED);
    cr_assert_eq(client->results[5].outcome, WIRE_BLOCKED);
    cr_assert_str_eq(client->results[5].text,
                     "durable task 0000000000000004 waits for 0000000000000001, which did not end "
                     "well or is not kept: retry or forgive that, or cancel this");
    assert_counts(&w, 1, 1);
    ask_for(&w, client, WAIT, 7, 4);
    assert_told(client, 7, 7, WIRE_BLOCKED);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    cr_assert_eq(agent->task_count, 0);
    assert_counts(&w, 1, 1);
    finish(&w);
}

Test(ties, retry_of_what_failed_releases_what_waits)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    answer(&w, agent, 1, WIRE_FAILED);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    assert_counts(&w, 0, 1);
    ask_for(&w, client, RETRY, 4, 1);
    confirm(&w);
    assert_told(client, 4, 4, WIRE_OK);
    assert_counts(&w, 1, 0);
    ask_for(&w, client, WAIT, 5, 3);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    cr_assert_eq(agent->task_count, 1);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    assert_told(client, 5, 5, WIRE_OK);
    finish(&w);
}

Test(ties, forgiving_what_failed_releases_what_waits_when_that_is_in_the_journal)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    answer(&w, agent, 1, WIRE_FAILED);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    ask_for(&w, client, FORGIVE, 4, 1);
    cr_assert_eq(client->result_count, 3);
    assert_counts(&w, 0, 1);
    confirm(&w);
    assert_told(client, 4, 4, WIRE_OK);
    assert_counts(&w, 0, 0);
    cr_assert_eq(agent->task_count, 1);
    cr_assert_eq(agent->argument[11], 0, "the first input has no bytes");
    ask_for(&w, client, FORGIVE, 5, 2);
    assert_told(client, 5, 5, WIRE_REFUSED_TASK);
    ask_for(&w, client, FORGIVE, 6, 3);
    assert_told(client, 6, 6, WIRE_REFUSED_TASK);
    ask_for(&w, client, FORGIVE, 7, 1);
    assert_told(client, 7, 7, WIRE_OK);
    finish(&w);
}

Test(ties, what_is_blocked_and_what_is_forgiven_stays_so_in_the_next_broker)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    answer(&w, agent, 1, WIRE_FAILED);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    seal_all(&w);
    struct world next = given_next_world(&w);
    agent = given_agent(&next, 4);
    client = given_asker(&next);
    cr_assert_eq(agent->task_count, 0);
    assert_counts(&next, 0, 1);
    ask_for(&next, client, WAIT, 1, 3);
    assert_told(client, 1, 1, WIRE_BLOCKED);
    ask_for(&next, client, FORGIVE, 2, 1);
    confirm(&next);
    seal_all(&next);
    struct world third = given_next_world(&next);
    agent = given_agent(&third, 4);
    turn(&third);
    cr_assert_eq(agent->task_count, 1);
    assert_counts(&third, 0, 0);
    finish(&third);
    finish(&next);
    finish(&w);
}

Test(ties, what_others_wait_for_is_forgotten_only_after_them)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    ask_for(&w, client, FORGET, 4, 1);
    assert_told(client, 4, 4, WIRE_OK);
    for (int64_t ms = 0; ms < 2 * KEEP_MS; ms += 1000) {
        pass(&w, 1000);
        ping(&w, client);
        ping(&w, agent);
    }
    cr_assert_eq(core_counters(w.core)->durable, 3);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    cr_assert_eq(agent->task_count, 1, "it has got its inputs");
    answer(&w, agent, 1, WIRE_OK);
    turn(&w);
    cr_assert_eq(core_counters(w.core)->durable, 2);
    cr_assert_eq(records(&w, RECORD_FORGET, 0), 1);
    finish(&w);
}

Test(ties, what_is_cancelled_while_it_waits_never_runs_and_blocks_what_waits_for_it)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    ask_after(&w, client, 4, 4, AFTER(3));
    confirm(&w);
    ask_for(&w, client, CANCEL, 5, 3);
    confirm(&w);
    ask_for(&w, client, WAIT, 6, 3);
    assert_told(client, 6, 6, WIRE_CANCELLED);
    cr_assert_eq(client->results[5].code, WIRE_NEVER_RAN);
    ask_for(&w, client, WAIT, 7, 4);
    assert_told(client, 7, 7, WIRE_BLOCKED);
    answer(&w, agent, 2, WIRE_OK);
    confirm(&w);
    cr_assert_eq(agent->task_count, 0);
    finish(&w);
}

Test(ties, task_that_failed_after_its_fan_gets_the_results_again_when_it_is_tried_again)
{
    struct end *agent = NULL;
    struct end *client = NULL;
    struct world w = given_fan(&agent, &client);

    answer(&w, agent, 2, WIRE_OK);
    confirm(&w);
    ask_for(&w, client, FORGET, 4, 1);
    ask_for(&w, client, FORGET, 5, 2);
    answer(&w, agent, 1, WIRE_FAILED);
    confirm(&w);
    ask_for(&w, client, RETRY, 6, 3);
    confirm(&w);
    cr_assert_eq(agent->task_count, 1);
    cr_assert(agent->tasks[0].flags & WIRE_TASK_BUNDLE);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    cr_assert_eq(core_counters(w.core)->durable, 1);
    finish(&w);
}

Test(ties, long_chain_is_blocked_and_released_without_depth)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_asker(&w);
    const uint64_t length = 40;

    ask_for(&w, client, SUBMIT, 1, 1);
    for (uint64_t id = 2; id <= length; id++)
        ask_after(&w, client, id, id, AFTER(id - 1));
    confirm(&w);
    answer(&w, agent, 1, WIRE_FAILED);
    confirm(&w);
    assert_counts(&w, length - 2, 1);
    ask_for(&w, client, WAIT, length + 1, length);
    assert_told(client, (uint32_t)length + 1, length + 1, WIRE_BLOCKED);
    ask_for(&w, client, RETRY, length + 2, 1);
    ask_for(&w, client, WAIT, length + 3, length);
    confirm(&w);
    for (uint64_t id = 1; id <= length; id++) {
        answer(&w, agent, 1, WIRE_OK);
        confirm(&w);
    }
    assert_told(client, (uint32_t)length + 3, length + 3, WIRE_OK);
    finish(&w);
}
