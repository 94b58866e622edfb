/* Notes of running tasks on their way through the core. */
#include "world.h"

#include <criterion/criterion.h>

#define LINES (1U << WIRE_NOTE_STDOUT | 1U << WIRE_NOTE_STDERR)

Test(notes, of_a_task_come_to_its_session_before_its_result)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_listener(&w, LINES);

    submit(&w, client, 1, 2);
    answer(&w, agent, 1, WIRE_OK); /* of task 1; a turn follows */
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDOUT, 10);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->note_count, 1);
    cr_assert_eq(client->notes[0].task, 2, "by the number that the client gave it");
    cr_assert_eq(client->notes[0].results_before, 1);
    cr_assert_eq(client->result_count, 2);
    finish(&w);
}

Test(notes, that_a_session_does_not_want_are_not_sent)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, 1U << WIRE_NOTE_STDOUT);

    submit(&w, client, 1, 1);
    cr_assert_eq(agent->tasks[0].flags & WIRE_TASK_SPAN, 0);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDERR, 10);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_SPAN, 10);
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDOUT, 10);
    turn(&w);
    cr_assert_eq(client->note_count, 1);
    cr_assert_eq(client->notes[0].kind, WIRE_NOTE_STDOUT);
    finish(&w);
}

Test(notes, of_an_attempt_that_is_over_are_dropped)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *other = given_agent(&w, 1);
    struct end *client = given_listener(&w, LINES);

    submit(&w, client, 1, 1);
    struct end *holder = agent->task_count == 1 ? agent : other;
    struct end *stranger = holder == agent ? other : agent;
    const struct wire_task task = holder->tasks[0];
    const struct wire_task old = {.id = task.id, .attempt = (uint16_t)(task.attempt + 1)};
    tell(&w, stranger, &task, WIRE_NOTE_STDOUT, 10);
    tell(&w, holder, &old, WIRE_NOTE_STDOUT, 10);
    answer(&w, holder, 1, WIRE_OK);
    tell(&w, holder, &task, WIRE_NOTE_STDOUT, 10);
    turn(&w);
    cr_assert_eq(client->note_count, 0);
    cr_assert_not(holder->refused);
    finish(&w);
}

Test(notes, that_a_slow_reader_does_not_take_are_dropped_and_told)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, LINES);
    const uint32_t fitting = CORE_NOTES_BYTES / WIRE_NOTE_MAX;

    submit(&w, client, 1, 1);
    for (uint32_t i = 0; i < fitting + 100; i++)
        tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDOUT, WIRE_NOTE_MAX - 256);
    turn(&w);
    const uint32_t came = client->note_count;
    cr_assert_geq(came, fitting - 2);
    cr_assert_leq(came, fitting + 2);
    cr_assert_eq(core_counters(w.core)->notes_dropped, fitting + 100 - came);
    ping(&w, client); /* acknowledges what came */
    tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDOUT, 10);
    turn(&w);
    cr_assert_eq(client->note_count, came + 2);
    cr_assert_eq(client->notes[came % TASKS_MAX].kind, WIRE_NOTE_DROPPED);
    cr_assert_eq(client->notes[came % TASKS_MAX].dropped, fitting + 100 - came);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}

Test(notes, that_were_dropped_last_are_told_before_the_result)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_listener(&w, LINES);
    const uint32_t more = CORE_NOTES_BYTES / WIRE_NOTE_MAX + 100;

    submit(&w, client, 1, 1);
    for (uint32_t i = 0; i < more; i++)
        tell(&w, agent, &agent->tasks[0], WIRE_NOTE_STDOUT, WIRE_NOTE_MAX - 256);
    turn(&w);
    const uint32_t came = client->note_count;
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->note_count, came + 1);
    cr_assert_eq(client->notes[came % TASKS_MAX].kind, WIRE_NOTE_DROPPED);
    cr_assert_eq(client->notes[came % TASKS_MAX].task, 1);
    cr_assert_eq(client->notes[came % TASKS_MAX].dropped, more - came);
    cr_assert_eq(client->notes[came % TASKS_MAX].results_before, 0);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}
