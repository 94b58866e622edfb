/* Tasks that need something of a worker: classes, what is taken and given back, and their turns. */
#include "broker/class.h"
#include "world.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

static void submit_needing(
    struct world *w, struct end *client, uint64_t first_no, uint32_t count, const char *needs)
{
    send_frame(w, client, needing_frame(client, first_no, count, needs));
    turn(w);
}

static void look(struct world *w, struct end *client)
{
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_QUERY, client->link.id, 0);

    deliver(w, client, frame);
}

Test(class, goes_only_to_workers_that_have_what_it_needs)
{
    struct world w = given_world();
    struct end *plain = given_agent(&w, 4);
    struct end *gpu = given_agent_with(&w, 4, "gpu=2,ram=8G,ssd");
    struct end *client = given_client(&w);

    submit_needing(&w, client, 1, 2, "gpu=1,ram=4G,ssd");
    cr_assert_eq(plain->task_count, 0);
    cr_assert_eq(gpu->task_count, 2);
    finish(&w);
}

Test(class, takes_what_it_needs_until_the_task_has_ended)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 8, "gpu=2");
    struct end *client = given_client(&w);

    submit_needing(&w, client, 1, 5, "gpu=1");
    cr_assert_eq(agent->task_count, 2, "two devices, two tasks");
    look(&w, client);
    cr_assert_str_eq(client->resources_seen, "gpu=2");
    cr_assert_str_eq(client->taken_seen, "gpu=2");
    cr_assert_eq(client->classes[0].ready, 3);
    cr_assert_eq(client->classes[0].leased, 2);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(agent->task_count, 2, "one goes, one comes");
    submit(&w, client, 6, 1);
    cr_assert_eq(agent->task_count, 3, "slots are free for what needs nothing");
    finish(&w);
}

Test(class, with_a_bare_tag_is_only_a_condition)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 4, "gpu=1,ssd");
    struct end *client = given_client(&w);

    submit_needing(&w, client, 1, 2, "ssd");
    submit_needing(&w, client, 3, 2, "gpu");
    cr_assert_eq(agent->task_count, 4);
    look(&w, client);
    cr_assert_str_eq(client->taken_seen, "");
    finish(&w);
}

Test(class, that_no_worker_can_serve_waits_and_is_named)
{
    struct world w = given_world();
    struct end *plain = given_agent_with(&w, 4, "gpu=1,ssd");
    struct end *client = given_client(&w);

    submit_needing(&w, client, 1, 3, "gpu=2");
    submit_needing(&w, client, 4, 1, "ssd=1");
    look(&w, client);
    cr_assert_eq(plain->task_count, 0, "a tag is no quantity");
    cr_assert_eq(client->counters.classes, 2);
    cr_assert_str_eq(client->classes[0].needs, "gpu=2");
    cr_assert_eq(client->classes[0].ready, 3);
    cr_assert_eq(client->classes[0].able, 0);
    struct end *gpu = given_agent_with(&w, 4, "gpu=4");
    turn(&w);
    cr_assert_eq(gpu->task_count, 2, "it is served when such a worker comes");
    look(&w, client);
    cr_assert_eq(client->classes[0].able, 1);
    finish(&w);
}

Test(class, that_waits_holds_up_no_other_task)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 4);
    struct end *others[2];

    for (int i = 0; i < 2; i++) {
        others[i] = given_client(&w);
        submit_needing(&w, others[i], 1, 20, "gpu=1");
    }
    submit(&w, others[0], 21, 2);
    cr_assert_eq(agent->task_count, 2);
    finish(&w);
}

/* However a lease ends, what was taken is there again. */
enum ending { ENDS_OK, ENDS_FAILED, ENDS_CRASHED, ENDS_CANCELLED, ENDS_SESSION, ENDS_AGENT };

ParameterizedTestParameters(class, gets_back_what_a_task_took_however_it_ends)
{
    static enum ending rows[] = {ENDS_OK,        ENDS_FAILED,  ENDS_CRASHED,
                                 ENDS_CANCELLED, ENDS_SESSION, ENDS_AGENT};

    return cr_make_param_array(enum ending, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(enum ending *row, class, gets_back_what_a_task_took_however_it_ends)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 2, "gpu=1");
    struct end *client = given_client(&w);
    struct end *other = given_client(&w);

    submit_needing(&w, client, 1, 1, "gpu=1");
    cr_assert_eq(agent->task_count, 1);
    submit_needing(&w, other, 1, 1, "gpu=1");
    cr_assert_eq(agent->task_count, 1);
    if (*row == ENDS_CANCELLED || *row == ENDS_SESSION) {
        const bool cancel = *row == ENDS_CANCELLED;
        struct blob *frame =
            wire_frame_new(cancel ? WIRE_CANCEL : WIRE_BYE, client->link.id, cancel ? 8 : 0);
        if (cancel) {
            wire_put_u64(frame, 1);
            wire_frame_add_count(frame, 1);
        }
        send_frame(&w, client, frame);
        turn(&w);
        cr_assert_eq(agent->task_count, 1, "it is taken until its agent has said so");
        answer(&w, agent, 1, WIRE_CRASHED);
    } else if (*row == ENDS_AGENT) {
        unreachable(&w, agent);
        pass(&w, 400);
        agent = given_agent_with(&w, 2, "gpu=1");
        turn(&w);
    } else {
        answer(&w, agent, 1,
               *row == ENDS_OK       ? WIRE_OK
               : *row == ENDS_FAILED ? WIRE_FAILED
                                     : WIRE_CRASHED);
    }
    cr_assert_eq(agent->task_count, 1, "the next one");
    answer(&w, agent, 1, WIRE_OK);
    if (agent->task_count != 0)
        answer(&w, agent, 1, WIRE_OK);
    look(&w, other);
    cr_assert_str_eq(other->taken_seen, "");
    cr_assert_eq(other->counters.classes, 0, "classes go with their last task");
    cr_assert_eq(core_counters(w.core)->illegal, 0);
    finish(&w);
}

Test(class, of_sessions_lets_these_take_turns)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 8, "gpu=2");
    struct end *greedy = given_client(&w);
    submit_needing(&w, greedy, 1, 20, "gpu=1");
    struct end *modest = given_client(&w);
    submit_needing(&w, modest, 1, 1, "gpu=1");

    answer(&w, agent, 2, WIRE_OK);
    answer(&w, agent, 2, WIRE_OK);
    cr_assert_eq(modest->result_count, 1);
    finish(&w);
}

Test(class, that_found_no_room_goes_first_when_there_is_some)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 1, "gpu=1");
    struct end *client = given_client(&w);

    submit(&w, client, 1, 20);
    submit_needing(&w, client, 21, 1, "gpu=1");
    answer(&w, agent, 1, WIRE_OK);
    answer(&w, agent, 1, WIRE_OK);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->results[1].no == 21 || client->results[2].no == 21, 1,
                 "it does not wait for all that needs nothing");
    finish(&w);
}

Test(class, that_needs_much_is_not_starved_by_those_that_need_little)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 8, "ram=4G");
    struct end *client = given_client(&w);

    submit_needing(&w, client, 1, 40, "ram=1G");
    submit_needing(&w, client, 41, 1, "ram=4G");
    for (int i = 0; i < 20 && agent->argument[0] != 41; i++) {
        pass(&w, 100);
        ping(&w, agent);
        answer(&w, agent, 1, WIRE_OK);
    }
    cr_assert_gt(client->result_count, 8, "they are not held up at once");
    cr_assert_eq(agent->task_count, 1, "the others have made room for it");
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->results[client->result_count - 1].no, 41);
    cr_assert_eq(agent->task_count, 4, "and they go on");
    finish(&w);
}

Test(class, of_a_name_that_the_cluster_has_is_bounded_over_all_workers)
{
    struct world w = given_world();
    struct needs all;

    cr_assert_eq(needs_parse("db=2", &all, NULL), 0);
    core_set_resources(w.core, &all);
    struct end *first = given_agent(&w, 2);
    struct end *second = given_agent_with(&w, 2, "gpu=1");
    struct end *client = given_client(&w);
    submit_needing(&w, client, 1, 6, "db=1");
    cr_assert_eq(first->task_count + second->task_count, 2, "two of them, wherever they run");
    answer(&w, first->task_count != 0 ? first : second, 1, WIRE_OK);
    cr_assert_eq(first->task_count + second->task_count, 2);
    finish(&w);
}

Test(class, is_one_of_a_bounded_number)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    char needs[16];

    for (uint32_t i = 1; i <= CLASSES_MAX + 1; i++) {
        snprintf(needs, sizeof(needs), "n%u", i);
        submit_needing(&w, client, i, 1, needs);
    }
    cr_assert_eq(client->result_count, 1, "the session goes on");
    cr_assert_eq(client->results[0].no, CLASSES_MAX + 1);
    cr_assert_eq(client->results[0].outcome, WIRE_REFUSED_TASK);
    cr_assert_not_null(strstr(client->results[0].text, "\"n256\""), "%s", client->results[0].text);
    finish(&w);
}

Test(class, of_children_is_served_as_that_of_clients)
{
    struct world w = given_world();
    struct end *parent = given_agent(&w, 2);
    struct end *gpu = given_agent_with(&w, 2, "gpu=1");

    define(&w, parent);
    submit_needing(&w, parent, 1, 2, "gpu=1");
    cr_assert_eq(parent->task_count, 0);
    cr_assert_eq(gpu->task_count, 1);
    answer(&w, gpu, 1, WIRE_OK);
    answer(&w, gpu, 1, WIRE_OK);
    cr_assert_eq(parent->result_count, 2);
    finish(&w);
}

Test(class, keeps_what_it_took_while_a_task_waits_for_its_children)
{
    struct world w = given_world();
    struct end *agent = given_agent_with(&w, 1, "gpu=1");
    struct end *client = given_client(&w);
    struct blob *frame = wire_frame_new(WIRE_PARKED, agent->link.id, WIRE_PARKED_BYTES);

    submit_needing(&w, client, 1, 2, "gpu=1");
    const struct wire_parked parked = {.id = agent->tasks[0].id, .parked = true};
    cr_assert_eq(wire_put_parked(frame, &parked), 0);
    wire_frame_add_count(frame, 1);
    send_frame(&w, agent, frame);
    turn(&w);
    cr_assert_eq(agent->task_count, 1, "its memory there is still in use");
    submit(&w, client, 3, 1);
    cr_assert_eq(agent->task_count, 2, "but its slot is free");
    finish(&w);
}

Test(class, of_a_worker_whose_resources_do_not_decode_is_refused)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);

    agent->resources = "gpu=,";
    link_init(&agent->link, 77);
    say_hello(&w, agent, 1);
    cr_assert(agent->refused);
    finish(&w);
}
