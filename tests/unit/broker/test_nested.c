/* Tasks that agents submit for the functions they run; driven as test_core.c is. */
#include "world.h"

#include <criterion/criterion.h>

Test(nested, gives_an_agent_the_results_of_its_children)
{
    struct world w = given_world();
    struct end *parents = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cr_assert_eq(parents->task_count, 1);
    struct end *children = given_agent(&w, 2);
    define(&w, parents);
    submit(&w, parents, 1, 2);
    cr_assert_eq(children->task_count, 2);
    answer(&w, children, 2, WIRE_OK);
    cr_assert_eq(parents->result_count, 2);
    cr_assert_eq(parents->results[0].no, 2, "the newest first");
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(core_counters(w.core)->sessions, 1, "only clients count");
    finish(&w);
}

Test(nested, forgets_the_children_of_an_agent_that_is_lost)
{
    struct world w = given_world();
    struct end *parents = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    define(&w, parents);
    submit(&w, parents, 1, 3); /* one runs beside its parent, */
    struct end *other = given_agent(&w, 1);
    turn(&w); /* one elsewhere, one waits */
    cr_assert_eq(parents->task_count, 2);
    cr_assert_eq(other->task_count, 1);
    send_frame(&w, parents, wire_frame_new(WIRE_BYE, parents->link.id, 0));
    turn(&w);
    cr_assert_eq(other->revoked_count, 1);
    cr_assert_eq(core_counters(w.core)->ready, 1, "the parent");
    answer(&w, other, 1, WIRE_CANCELLED);
    cr_assert_eq(other->task_count, 1, "which runs again");
    answer(&w, other, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(core_counters(w.core)->leased, 0);
    finish(&w);
}

/* The agent says that the oldest of its tasks waits for its children, or goes on. */
static void park(struct world *w, struct end *agent, bool parked)
{
    struct blob *frame = wire_frame_new(WIRE_PARKED, agent->link.id, WIRE_PARKED_BYTES);
    const struct wire_parked record = {.id = agent->tasks[0].id, .parked = parked};

    cr_assert_eq(wire_put_parked(frame, &record), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, agent, frame);
    turn(w);
}

Test(nested, lends_the_slot_of_a_task_that_waits)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    cr_assert_eq(agent->task_count, 1);
    park(&w, agent, true);
    cr_assert_eq(agent->task_count, 2);
    park(&w, agent, false);
    answer(&w, agent, 2, WIRE_OK);
    submit(&w, client, 3, 3);
    cr_assert_eq(agent->task_count, 1, "nothing is lent any more");
    finish(&w);
}

Test(nested, lends_no_slot_of_a_task_that_has_ended)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 3);
    park(&w, agent, true);
    answer(&w, agent, 2, WIRE_OK);
    cr_assert_eq(agent->task_count, 1);
    submit(&w, client, 4, 2);
    cr_assert_eq(agent->task_count, 1);
    finish(&w);
}

Test(nested, runs_the_newest_children_before_tasks_of_clients)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 3);
    define(&w, agent);
    submit(&w, agent, 1, 2);
    submit(&w, agent, 3, 1);
    for (int i = 0; i < 4; i++)
        answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(agent->result_count, 3);
    cr_assert_eq(agent->results[0].no, 3);
    finish(&w);
}

Test(nested, leaves_clients_every_eighth_lease)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    define(&w, agent);
    submit(&w, agent, 1, 20);
    for (int i = 0; i < 9; i++)
        answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 2);
    finish(&w);
}

Test(nested, runs_children_on_the_host_of_their_parents_and_spreads_when_it_is_busy)
{
    struct world w = given_world();
    struct end *other = given_agent(&w, 2);
    struct end *home = given_agent(&w, 2);

    define(&w, home);
    submit(&w, home, 1, 3);
    cr_assert_eq(home->task_count, 2);
    cr_assert_eq(other->task_count, 1);
    finish(&w);
}

Test(nested, refuses_an_agent_that_submits_what_it_did_not_define)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);

    send_frame(&w, agent, submit_frame(agent, 1, 1));
    cr_assert(agent->refused);
    cr_assert_eq(core_counters(w.core)->agents, 0);
    finish(&w);
}
