/* What is kept of a task while it runs. */
#include "libscoop/news.h"

#include <criterion/criterion.h>
#include <string.h>

#define LINK 9

static struct news *news;
static struct blob *scratch;

static void prepare(void)
{
    news = NULL;
    scratch = blob_new(WIRE_PARTIAL_MAX + 4);
}

static void clean(void)
{
    news_free(news);
    blob_unref(scratch);
}

TestSuite(news, .init = prepare, .fini = clean);

static bool take(enum wire_note_kind kind, uint16_t attempt)
{
    const struct wire_note note = {
        .attempt = attempt,
        .kind = kind,
        .bytes = {scratch->data, scratch->size},
    };

    return news_take(&news, LINK, &note);
}

static bool runs(uint16_t attempt, uint32_t ms)
{
    scratch->size = 0;
    cr_assert_eq(wire_put_running_ms(scratch, ms), 0);
    return take(WIRE_NOTE_RUNNING, attempt);
}

static bool is_at(uint64_t done)
{
    scratch->size = 0;
    cr_assert_eq(wire_put_progress(scratch, &(struct wire_progress){done, 4}), 0);
    return take(WIRE_NOTE_PROGRESS, 1);
}

static bool gives(uint16_t attempt, uint32_t index, size_t size)
{
    static const uint8_t bytes[WIRE_PARTIAL_MAX];

    scratch->size = 0;
    cr_assert_eq(wire_put_partial(scratch, &(struct wire_partial){index, {bytes, size}}), 0);
    return take(WIRE_NOTE_PARTIAL, attempt);
}

static void expect(unsigned attempt, uint32_t index, uint32_t missing)
{
    struct scoop_piece piece = {0};

    cr_assert(news_take_piece(news, &piece));
    cr_assert(piece.attempt == attempt && piece.index == index && piece.missing == missing,
              "try %u, piece %u after %u", piece.attempt, piece.index, piece.missing);
}

Test(news, are_new_until_they_are_seen_and_when_they_change)
{
    cr_assert_not(news_is_new(news));
    cr_assert(runs(1, 50));
    cr_assert(news_see(news));
    cr_assert_not(news_see(news));
    cr_assert(is_at(1));
    cr_assert(news_is_new(news));
    cr_assert(news_see(news));
    cr_assert_not(is_at(1), "the same");
    cr_assert_not(news_is_new(news));
    cr_assert(runs(1, 500));
    cr_assert(news->has_progress, "it goes on after a wait for its children");
}

Test(news, of_an_execution_that_was_lost_are_forgotten_but_for_its_pieces)
{
    cr_assert(runs(1, 50));
    cr_assert(is_at(3));
    cr_assert(gives(1, 0, 1));
    cr_assert(runs(1, WIRE_NOT_RUNNING));
    cr_assert_not(news->running);
    cr_assert_not(news->has_progress);
    cr_assert(runs(2, 50));
    cr_assert(news->running);
    cr_assert(gives(2, 0, 1));
    expect(1, 0, 0);
    expect(2, 0, 0);
}

Test(news, of_progress_may_come_before_that_it_runs)
{
    cr_assert(is_at(3));
    cr_assert(runs(1, 0));
    cr_assert(news->has_progress);
    cr_assert_eq(news->progress.done, 3);
    cr_assert(runs(2, 0));
    cr_assert_not(news->has_progress, "another attempt");
}

Test(news, count_the_pieces_that_are_missing)
{
    cr_assert(gives(1, 2, 1));
    cr_assert(gives(1, 3, 1));
    cr_assert(gives(1, 6, 1));
    cr_assert(gives(2, 1, 1));
    cr_assert(gives(2, 0, 1)); /* it began anew, under another broker */
    expect(1, 2, 2);
    expect(1, 3, 0);
    expect(1, 6, 2);
    expect(2, 1, 1);
    expect(2, 0, 0);
    cr_assert_not(news_has_piece(news));
}

Test(news, keep_a_bounded_number_of_bytes_and_go_on_when_some_are_taken)
{
    uint32_t kept = 0;

    while (gives(1, kept, WIRE_PARTIAL_MAX))
        kept++;
    cr_assert_leq(kept * WIRE_PARTIAL_MAX, NEWS_BYTES_MAX);
    cr_assert_geq(kept, NEWS_BYTES_MAX / WIRE_PARTIAL_MAX - 1);
    expect(1, 0, 0);
    cr_assert(gives(1, kept + 10, WIRE_PARTIAL_MAX));
    for (uint32_t i = 1; i < kept; i++)
        expect(1, i, 0);
    expect(1, kept + 10, 10);
}

Test(news, of_all_futures_together_are_bounded)
{
    const size_t many = NEWS_ALL_BYTES_MAX / NEWS_BYTES_MAX + 3;
    struct news **all = calloc(many, sizeof(struct news *));
    size_t kept = 0;

    for (size_t i = 0; i < many; i++) {
        while (gives(1, (uint32_t)kept, WIRE_PARTIAL_MAX))
            kept++;
        all[i] = news;
        news = NULL;
    }
    cr_assert_leq(kept * WIRE_PARTIAL_MAX, NEWS_ALL_BYTES_MAX);
    for (size_t i = 0; i < many; i++)
        news_free(all[i]);
    free(all);
    cr_assert(gives(1, 0, WIRE_PARTIAL_MAX), "there is room again");
}

Test(news, that_do_not_decode_are_dropped)
{
    scratch->size = 3;
    cr_assert_not(take(WIRE_NOTE_RUNNING, 1));
    cr_assert_not(take(WIRE_NOTE_PROGRESS, 1));
    cr_assert_not(take(WIRE_NOTE_PARTIAL, 1));
    cr_assert_not(news_is_new(news));
}
