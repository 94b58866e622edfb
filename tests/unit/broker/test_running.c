/* Tasks that have run for a while: what STATUS lists, and what their sessions are told. */
#include "world.h"

#include <criterion/criterion.h>

#define NEWS (1U << WIRE_NOTE_RUNNING | 1U << WIRE_NOTE_PROGRESS | 1U << WIRE_NOTE_PARTIAL)

static void park(struct world *w, struct end *agent, const struct wire_task *task, bool parked)
{
    struct blob *frame = wire_frame_new(WIRE_PARKED, agent->link.id, WIRE_PARKED_BYTES);

    cr_assert_eq(wire_put_parked(frame, &(struct wire_parked){task->id, parked}), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, agent, frame);
    turn(w);
}

Test(running, a_task_is_listed_from_when_its_agent_says_so_until_it_ends)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, NEWS);

    submit(&w, client, 1, 1);
    query(&w, client);
    cr_assert_eq(client->running_count, 0, "what has just begun is nobody's concern");
    tell_running(&w, agent, &agent->tasks[0], 50);
    pass(&w, 200);
    tell_progress(&w, agent, &agent->tasks[0], 3);
    query(&w, client);
    cr_assert_eq(client->running_count, 1);
    cr_assert_eq(client->running[0].id, agent->tasks[0].id);
    cr_assert_eq(client->running[0].run_ms, 250);
    cr_assert_eq(client->running[0].attempt, 1);
    cr_assert(client->running[0].progress.done == 3 && client->running[0].progress.total == 4);
    answer(&w, agent, 1, WIRE_OK);
    query(&w, client);
    cr_assert_eq(client->running_count, 0);
    finish(&w);
}

Test(running, a_session_is_told_before_the_result)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, NEWS);

    submit(&w, client, 1, 1);
    tell_running(&w, agent, &agent->tasks[0], 50);
    tell_progress(&w, agent, &agent->tasks[0], 3);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_PARTIAL, 10);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->note_count, 3);
    cr_assert(client->notes[0].kind == WIRE_NOTE_RUNNING && client->notes[0].run_ms == 50);
    cr_assert(client->notes[1].kind == WIRE_NOTE_PROGRESS && client->notes[1].done == 3);
    cr_assert_eq(client->notes[2].kind, WIRE_NOTE_PARTIAL);
    cr_assert_eq(client->notes[2].results_before, 0);
    finish(&w);
}

Test(running, a_session_that_wants_no_news_gets_none)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, 1U << WIRE_NOTE_STDOUT);

    submit(&w, client, 1, 1);
    tell_running(&w, agent, &agent->tasks[0], 50);
    tell_progress(&w, agent, &agent->tasks[0], 3);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_PARTIAL, 10);
    turn(&w);
    cr_assert_eq(client->note_count, 0);
    query(&w, client);
    cr_assert_eq(client->running_count, 1, "it is listed all the same");
    finish(&w);
}

Test(running, a_task_that_is_lost_runs_no_more_and_begins_anew)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, NEWS);

    submit(&w, client, 1, 1);
    tell_running(&w, agent, &agent->tasks[0], 50);
    tell_progress(&w, agent, &agent->tasks[0], 3);
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(client->note_count, 3);
    cr_assert_eq(client->notes[2].run_ms, WIRE_NOT_RUNNING);
    cr_assert_eq(agent->tasks[0].attempt, 2);
    query(&w, client);
    cr_assert_eq(client->running_count, 0, "it has only just begun again");
    tell_running(&w, agent, &agent->tasks[0], 50);
    query(&w, client);
    cr_assert_eq(client->running_count, 1);
    cr_assert_eq(client->running[0].attempt, 2);
    cr_assert_eq(client->running[0].progress.done, 0);
    finish(&w);
}

Test(running, the_longest_are_listed_and_no_more_than_fit)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, WIRE_RUNNING_MAX + 8);
    struct end *client = given_listener(&w, NEWS);

    submit(&w, client, 1, WIRE_RUNNING_MAX + 8);
    cr_assert_eq(agent->task_count, WIRE_RUNNING_MAX + 8);
    for (uint32_t i = 0; i < agent->task_count; i++) {
        tell_running(&w, agent, &agent->tasks[i], 50);
        pass(&w, 10);
    }
    query(&w, client);
    cr_assert_eq(client->running_count, WIRE_RUNNING_MAX);
    for (uint32_t i = 0; i < WIRE_RUNNING_MAX; i++)
        cr_assert_eq(client->running[i].id, agent->tasks[i].id);
    finish(&w);
}

Test(running, a_client_s_task_that_waits_for_its_children_is_listed_as_waiting)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, NEWS);

    submit(&w, client, 1, 1);
    park(&w, agent, &agent->tasks[0], true);
    query(&w, client);
    cr_assert_eq(client->running_count, 1);
    cr_assert(client->running[0].parked);
    cr_assert_eq(client->notes[0].kind, WIRE_NOTE_RUNNING);
    park(&w, agent, &agent->tasks[0], false);
    query(&w, client);
    cr_assert_not(client->running[0].parked);
    answer(&w, agent, 1, WIRE_OK);
    query(&w, client);
    cr_assert_eq(client->running_count, 0);
    finish(&w);
}

Test(running, a_slow_reader_gets_the_last_progress_with_the_result_and_pieces_are_dropped)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, NEWS | 1U << WIRE_NOTE_STDOUT);

    submit(&w, client, 1, 1);
    for (uint32_t i = 0; i < 2 * CORE_NOTES_BYTES / WIRE_PARTIAL_MAX; i++)
        tell(&w, agent, &agent->tasks[0], WIRE_NOTE_PARTIAL, WIRE_PARTIAL_MAX);
    turn(&w);
    const uint32_t pieces = client->note_count;
    cr_assert_leq(pieces, CORE_NOTES_BYTES / 2 / WIRE_PARTIAL_MAX + 1);
    cr_assert_gt(core_counters(w.core)->notes_dropped, 0);
    for (uint32_t i = 0; i < CORE_NOTES_BYTES / WIRE_NOTE_MAX; i++)
        tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDOUT, WIRE_NOTE_MAX - 256);
    turn(&w);
    const uint32_t before = client->note_count;
    cr_assert_gt(before, pieces, "lines have room that pieces have not");
    for (uint64_t done = 1; done < 2000; done++)
        tell_progress(&w, agent, &agent->tasks[0], done);
    answer(&w, agent, 1, WIRE_OK);
    const uint32_t last = client->note_count - 2; /* then it is told how many lines were dropped */
    cr_assert_eq(client->notes[last % TASKS_MAX].kind, WIRE_NOTE_PROGRESS);
    cr_assert_eq(client->notes[last % TASKS_MAX].done, 1999);
    cr_assert_eq(client->notes[last % TASKS_MAX].results_before, 0);
    cr_assert_eq(client->notes[(last + 1) % TASKS_MAX].kind, WIRE_NOTE_DROPPED);
    cr_assert_lt(client->note_count, before + 2000, "not all of them went");
    finish(&w);
}

Test(running, what_cannot_be_is_ignored)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, NEWS);

    submit(&w, client, 1, 1);
    tell_running(&w, agent, &agent->tasks[0], WIRE_NOT_RUNNING);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_RUNNING, 3);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_PROGRESS, 15);
    turn(&w);
    query(&w, client);
    cr_assert_eq(client->running_count, 0);
    cr_assert_eq(client->note_count, 0);
    cr_assert_not(agent->refused);
    finish(&w);
}
