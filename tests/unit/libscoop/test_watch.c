/* Who is told that a job is done, and in which order. */
#include "libscoop/news.h"
#include "libscoop/watch.h"

#include <criterion/criterion.h>

static int woken;
static struct tray tray;
static struct job jobs[3];
static struct watch watches[3];

static void wake(struct tray *which)
{
    cr_assert_eq(which, &tray);
    woken++;
}

static void prepare(void)
{
    woken = 0;
    tray_init(&tray, wake);
    for (size_t i = 0; i < 3; i++) {
        jobs[i] = (struct job){.count = 1};
        watches[i] = (struct watch){.index = i};
    }
}

TestSuite(watch, .init = prepare);
TestSuite(desk, .init = prepare);

static void given_a_watch_of_each(void)
{
    for (size_t i = 0; i < 3; i++)
        watch_job(&watches[i], &tray, &jobs[i]);
}

static void end(size_t i)
{
    job_tell(&jobs[i]);
    atomic_store(&jobs[i].done, true);
}

static void expect(int index)
{
    const struct watch *watch = tray_take(&tray);

    if (index < 0)
        cr_assert_null(watch);
    else
        cr_assert_eq(watch, &watches[index]);
}

Test(watch, is_taken_in_the_order_of_the_ends)
{
    given_a_watch_of_each();
    expect(-1);
    end(2);
    end(0);
    expect(2);
    end(1);
    expect(0);
    expect(1);
    expect(-1);
}

Test(watch, wakes_once_until_the_tray_is_empty_again)
{
    given_a_watch_of_each();
    end(0);
    end(1);
    cr_assert_eq(woken, 1);
    expect(0);
    expect(1);
    end(2);
    cr_assert_eq(woken, 2);
}

Test(watch, of_a_job_that_is_done_comes_at_once)
{
    end(1);
    given_a_watch_of_each();
    expect(1);
    cr_assert_eq(woken, 1);
}

Test(watch, of_one_job_are_told_in_the_order_in_which_they_came)
{
    for (size_t i = 0; i < 3; i++)
        watch_job(&watches[i], &tray, &jobs[0]);
    end(0);
    expect(0);
    expect(1);
    expect(2);
}

Test(watch, that_left_its_job_is_not_told)
{
    given_a_watch_of_each();
    watch_leave(&watches[1]);
    end(1);
    expect(-1);
}

Test(watch, that_left_the_tray_is_not_taken)
{
    given_a_watch_of_each();
    for (size_t i = 0; i < 3; i++)
        end(i);
    watch_leave(&watches[1]);
    watch_leave(&watches[2]);
    watch_leave(&watches[2]);
    expect(0);
    watch_job(&watches[2], &tray, &jobs[2]);
    expect(2);
    expect(-1);
}

static void given_news(struct job *job, enum wire_note_kind kind)
{
    static const uint8_t bytes[4];
    const struct wire_note note = {.attempt = 1, .kind = kind, .bytes = {bytes, 4}};

    cr_assert(news_take(&job->news, 1, &note));
    job_tell_news(job);
}

Test(watch, of_a_curious_tray_is_told_of_news_and_others_are_not)
{
    struct tray patient;
    struct watch other = {.index = 1};

    tray_init(&patient, wake);
    tray.curiosity = CURIOUS_OF_NEWS;
    watch_job(&watches[0], &tray, &jobs[0]);
    watch_job(&other, &patient, &jobs[0]);
    given_news(&jobs[0], WIRE_NOTE_RUNNING);
    expect(0);
    cr_assert_null(tray_take(&patient));
    watch_job(&watches[1], &tray, &jobs[0]);
    expect(1); /* they were not seen yet */
    cr_assert(news_see(jobs[0].news));
    watch_job(&watches[2], &tray, &jobs[0]);
    expect(-1);
    watch_leave(&watches[2]);
    watch_leave(&other);
    news_free(jobs[0].news);
}

Test(watch, of_a_tray_that_is_curious_of_pieces_is_told_of_nothing_else)
{
    tray.curiosity = CURIOUS_OF_PIECES;
    watch_job(&watches[0], &tray, &jobs[0]);
    given_news(&jobs[0], WIRE_NOTE_RUNNING);
    expect(-1);
    given_news(&jobs[0], WIRE_NOTE_PARTIAL);
    expect(0);
    news_free(jobs[0].news);
}

Test(desk, is_one_for_each_thread_and_goes_when_nothing_hangs_on_it)
{
    struct desk *desks = NULL;
    struct desk *desk = desk_open(&desks);

    cr_assert_not_null(desk);
    cr_assert_eq(desk_open(&desks), desk);
    cr_assert_eq(desk_find(desks), desk);
    desk->watches = 1;
    desk_settle(&desks, desk);
    cr_assert_eq(desks, desk);
    desk->watches = 0;
    desk_settle(&desks, desk);
    cr_assert_null(desks);
    cr_assert_null(desk_find(desks));
}

Test(desk, wakes_its_thread_where_it_waits)
{
    struct desk *desks = NULL;
    struct desk *desk = desk_open(&desks);

    watch_job(&watches[0], &desk->tray, &jobs[0]);
    watch_job(&watches[1], &desk->tray, &jobs[1]);
    end(0);
    cr_assert_eq(woken, 0, "it waits nowhere");
    cr_assert_eq(tray_take(&desk->tray), &watches[0]);
    desk->waiting = &tray;
    end(1);
    cr_assert_eq(woken, 1);
    desk->waiting = NULL;
    desk_settle(&desks, desk);
}
