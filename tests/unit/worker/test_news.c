/* What an agent tells of a task that runs in an executor, which this test plays. */
#include "worker/news.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define NOTES_MAX 8

struct stage {
    void *context;
    struct report report;
    struct executor executor;
    struct wire_note notes[NOTES_MAX]; /* told since it was asked last */
    uint32_t count;
};

/* Task 7 has just begun. */
static void given_a_task(struct stage *s)
{
    const struct task task = {.id = 7, .attempt = 2, .function = NULL};
    const struct dialler_config config = {
        .endpoint = "ipc:///nonexistent/test", .role = WIRE_AGENT, .name = "test"};
    struct dialler_config used = config;
    int fd = -1;

    *s = (struct stage){.context = zmq_ctx_new()};
    used.context = s->context;
    cr_assert_eq(dialler_new(&used, &s->report.dialler), 0);
    s->report.host = "h";
    s->executor = (struct executor){.report = &s->report, .ready = true, .since_ms = 1000};
    cr_assert_eq(channel_file(65536, &fd), 0);
    cr_assert_eq(channel_map(&s->executor.channel, fd), 0);
    close(fd);
    cr_assert_eq(task_queue_push_back(&s->executor.flying, &task), 0);
}

static void after(struct stage *s)
{
    report_fini(&s->report);
    (void)task_queue_pop_front(&s->executor.flying);
    task_queue_fini(&s->executor.flying);
    channel_unmap(&s->executor.channel);
    dialler_free(s->report.dialler);
    zmq_ctx_term(s->context);
}

/* What has been told so far; the frame stays. */
static void read_notes(struct stage *s)
{
    struct wire_header header;
    struct wire_cursor body;

    s->count = 0;
    if (s->report.notes == NULL)
        return;
    wire_frame_stamp(s->report.notes, 1, 0);
    memset(s->report.notes->data + 8, 1, 8); /* without a broker the link has no number */
    cr_assert_eq(wire_frame_read(s->report.notes->data, s->report.notes->size, &header, &body), 0);
    cr_assert_leq(header.count, NOTES_MAX);
    for (; s->count < header.count; s->count++)
        cr_assert_eq(wire_get_note(&body, &s->notes[s->count]), 0);
}

static void say(struct stage *s, uint64_t done)
{
    channel_say_progress(&s->executor.channel, 7, (struct channel_progress){done, 4});
}

static uint64_t done_of(const struct wire_note *note)
{
    struct wire_progress progress = {.done = 0};

    cr_assert_eq(note->kind, WIRE_NOTE_PROGRESS);
    cr_assert_eq(wire_get_progress(note->bytes, &progress), 0);
    return progress.done;
}

Test(news, of_a_short_task_is_none)
{
    struct stage s;

    given_a_task(&s);
    say(&s, 1);
    cr_assert_eq(news_check(&s.executor, 1000), 1000 + NEWS_FIRST_MS);
    cr_assert_eq(news_check(&s.executor, 1000 + NEWS_FIRST_MS - 1), 1000 + NEWS_FIRST_MS);
    read_notes(&s);
    cr_assert_eq(s.count, 0);
    after(&s);
}

Test(news, tell_once_that_a_task_runs_and_for_how_long)
{
    struct stage s;
    uint32_t run_ms = 0;

    given_a_task(&s);
    cr_assert_eq(news_check(&s.executor, 1060), 1060 + NEWS_EVERY_MS);
    cr_assert_eq(news_check(&s.executor, 1060 + NEWS_EVERY_MS), 1060 + 2 * NEWS_EVERY_MS);
    read_notes(&s);
    cr_assert_eq(s.count, 1);
    cr_assert(s.notes[0].kind == WIRE_NOTE_RUNNING && s.notes[0].task == 7 &&
              s.notes[0].attempt == 2);
    cr_assert_eq(wire_get_running_ms(s.notes[0].bytes, &run_ms), 0);
    cr_assert_eq(run_ms, 60);
    after(&s);
}

Test(news, tell_progress_at_a_bounded_rate_and_only_when_there_is_some)
{
    struct stage s;
    int64_t now_ms = 1050;

    given_a_task(&s);
    for (uint64_t done = 1; done <= 1000; done++) {
        say(&s, done);
        (void)news_check(&s.executor, now_ms + (int64_t)done / 10);
    }
    read_notes(&s);
    cr_assert_eq(s.count, 3, "it runs, and two looks in 100 ms");
    cr_assert_eq(done_of(&s.notes[1]), 1);
    cr_assert_eq(done_of(&s.notes[2]), 1000);
    (void)news_check(&s.executor, now_ms + 1000);
    read_notes(&s);
    cr_assert_eq(s.count, 3, "nothing is new");
    after(&s);
}

Test(news, tell_the_last_progress_at_the_end_unless_it_is_known)
{
    struct stage s;

    given_a_task(&s);
    news_take_progress(&s.executor, (struct channel_progress){4, 4});
    news_take_progress(&s.executor, (struct channel_progress){4, 4});
    read_notes(&s);
    cr_assert_eq(s.count, 1);
    cr_assert_eq(done_of(&s.notes[0]), 4);
    after(&s);
}

Test(news, hand_on_a_piece_with_its_index)
{
    struct stage s;
    struct wire_partial partial;
    const struct channel_outcome head = {.bytes = 3, .run_us = 5, .id = 7};

    given_a_task(&s);
    news_take_partial(&s.executor, &head, (const uint8_t *)"abc");
    read_notes(&s);
    cr_assert_eq(s.count, 1);
    cr_assert_eq(s.notes[0].kind, WIRE_NOTE_PARTIAL);
    cr_assert_eq(wire_get_partial(s.notes[0].bytes, &partial), 0);
    cr_assert_eq(partial.index, 5);
    cr_assert_eq(partial.bytes.size, 3);
    cr_assert_arr_eq(partial.bytes.data, "abc", 3);
    after(&s);
}
