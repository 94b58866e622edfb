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
    cr_assert_eq(parents->results[1].no, 2);
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

Test(nested, refuses_an_agent_that_submits_what_it_did_not_define)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);

    send_frame(&w, agent, submit_frame(agent, 1, 1));
    cr_assert(agent->refused);
    cr_assert_eq(core_counters(w.core)->agents, 0);
    finish(&w);
}
