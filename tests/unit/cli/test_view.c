#include "cli/view.h"

#include <criterion/criterion.h>
#include <string.h>

static struct scoop_worker workers[2];
static struct scoop_worker older[1];
static struct scoop_cluster now;
static struct scoop_cluster since;
static struct view view;
static char text[2048];

static void prepare(void)
{
    workers[0] = (struct scoop_worker){.host = "w1",
                                       .state = "ready",
                                       .incarnation = 7,
                                       .done = 150,
                                       .failed = 2,
                                       .slots = 4,
                                       .busy = 3,
                                       .silent_ms = 400};
    workers[1] = (struct scoop_worker){
        .host = "longer", .state = "lost", .incarnation = 8, .done = 10, .slots = 64, .busy = 1};
    older[0] = workers[0];
    older[0].done = 100;
    now = (struct scoop_cluster){.version = "1.2",
                                 .uptime_ms = 3723000,
                                 .ready = 5,
                                 .leased = 4,
                                 .done = 160,
                                 .failed = 2,
                                 .requeued = 1,
                                 .sessions = 1,
                                 .alive = 1,
                                 .slots = 4,
                                 .worker_count = 2,
                                 .workers = workers};
    since = (struct scoop_cluster){.done = 100, .failed = 2, .worker_count = 1, .workers = older};
    view = (struct view){.broker = "b:5555", .now = &now, .trouble = "", .line_end = "\n"};
}

TestSuite(view, .init = prepare);

static const char *written(void)
{
    struct blob *out = blob_new(0);

    cr_assert_eq(view_write(&view, out), 0);
    cr_assert_lt(out->size, sizeof(text));
    memcpy(text, out->data, out->size);
    text[out->size] = '\0';
    blob_unref(out);
    return text;
}

Test(view, shows_counters_and_the_slots_of_each_worker_as_a_bar)
{
    cr_assert_str_eq(
        written(),
        "broker   b:5555, up 1:02:03, version 1.2\n"
        "workers  1, busy 4 of 4 slots, 1 session\n"
        "tasks    5 waiting, 4 with workers, 160 done, 2 failed, 1 run again\n"
        "\n"
        "HOST    STATE     SLOTS                 BUSY       DONE   FAILED   DONE/S LAST SEEN\n"
        "w1      ready     ###.                   3/4        150        2        -     0.4 s\n"
        "longer  lost      #...............      1/64         10        0        -     0.0 s");
}

Test(view, has_rates_from_the_difference_to_an_older_state)
{
    view.since = &since;
    view.since_ms = 2000;
    cr_assert_not_null(strstr(written(), "\nrate     30.0/s done, 0.0/s failed\n"));
    cr_assert_not_null(strstr(text, " 150        2     25.0 "), "%s", text);
    cr_assert_not_null(strstr(text, "  10        0        - "), "a worker that was not there");
}

Test(view, has_no_rate_when_a_counter_began_anew)
{
    since.done = 1000;
    view.since = &since;
    view.since_ms = 1000;
    cr_assert_not_null(strstr(written(), "rate     -/s done"));
}

Test(view, is_cut_to_the_screen)
{
    view.columns = 12;
    view.rows = 3;
    cr_assert_str_eq(written(), "broker   b:5\nworkers  1, \ntasks    5 w");
}

Test(view, tells_trouble_beside_the_last_known_state)
{
    view.trouble = "gone";
    cr_assert_not_null(strstr(written(), "\ntrouble  gone\n"));
    cr_assert_not_null(strstr(text, "w1      ready"));
    view.now = NULL;
    cr_assert_str_eq(written(), "broker   b:5555\ntrouble  gone");
}

Test(view, lists_the_slowest_tasks_with_their_progress)
{
    const struct scoop_running_task tasks[] = {
        {.run_ms = 3723000,
         .done = 1,
         .total = 4,
         .attempt = 2,
         .function = "f",
         .program = "p",
         .client = "p",
         .host = "w1"},
        {.run_ms = 12345,
         .done = 7,
         .attempt = 1,
         .waiting = true,
         .function = "command",
         .program = "",
         .client = "scoop map",
         .host = "longer"},
        {.attempt = 1,
         .done = 9,
         .total = 3,
         .function = "f",
         .program = "p",
         .client = "a\033[2J",
         .host = ""},
    };

    now.running = tasks;
    now.running_count = 2;
    const char *list = strstr(written(), "\n\nSLOWEST");
    cr_assert_not_null(list);
    cr_assert_str_eq(
        list, "\n\n"
              "SLOWEST TASKS  CLIENT     HOST    TRY    RUNNING  PROGRESS\n"
              "p:f            p          w1        2    1:02:03  #####...............  25%\n"
              "command        scoop map  longer    1     12.3 s  7 done  waits for its children");
    now.running = tasks + 2;
    now.running_count = 1;
    cr_assert_not_null(strstr(written(), "0.0 s  #################### 100%"), "%s", text);
    cr_assert_not_null(strstr(text, "a?[2J "), "names cannot write to the terminal: %s", text);
}

Test(view, leaves_room_for_tasks_on_a_small_screen)
{
    const struct scoop_running_task task = {
        .attempt = 1, .function = "f", .program = "p", .client = "c", .host = "w1"};

    now.running = &task;
    now.running_count = 1;
    view.rows = 9;
    cr_assert_not_null(strstr(written(), "LAST SEEN\nand 2 more\n\nSLOWEST TASKS"), "%s", text);
    cr_assert_not_null(strstr(text, "\np:f "));
    view.rows = 10;
    cr_assert_not_null(strstr(written(), "\nlonger  lost"), "%s", text);
    cr_assert_not_null(strstr(text, "\np:f "));
}
