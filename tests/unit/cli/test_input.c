#include "cli/input.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static struct input input;
static int ends[2];

static void prepare(void)
{
    cr_assert_eq(pipe(ends), 0);
    input_of_lines(&input, ends[0], '\n');
}

static void finish(void)
{
    input_fini(&input);
    close(ends[0]);
}

TestSuite(input, .init = prepare, .fini = finish);

static void given(const char *bytes, size_t size)
{
    cr_assert_eq(write(ends[1], bytes, size), (ssize_t)size);
}

static void given_end(void)
{
    close(ends[1]);
}

static void assert_next(const char *expected)
{
    struct input_item item = {.count = 0};
    char joined[256] = "";

    cr_assert_eq(input_next(&input, 1000, &item), 0);
    if (item.count == 1) {
        cr_assert_str_eq(item.values[0], expected);
        return;
    }
    for (size_t i = 0; i < item.count; i++) {
        strcat(joined, i > 0 ? " " : "");
        strcat(joined, item.values[i]);
    }
    cr_assert_str_eq(joined, expected);
}

static void assert_error(int error)
{
    struct input_item item = {.count = 0};

    cr_assert_eq(input_next(&input, 0, &item), error);
    cr_assert_eq(item.count, 0);
}

Test(input, hands_out_lines_also_empty_ones_and_a_last_one_without_newline)
{
    given("one\n\nthree\nfour", 15);
    given_end();
    assert_next("one");
    assert_next("");
    assert_next("three");
    assert_next("four");
    assert_error(-ENODATA);
}

Test(input, waits_for_the_rest_of_a_line)
{
    given("on", 2);
    assert_error(-EAGAIN);
    given("e\nt", 3);
    assert_next("one");
    assert_error(-EAGAIN);
    given("wo\n", 3);
    assert_next("two");
    given_end();
    assert_error(-ENODATA);
}

Test(input, carries_lines_longer_than_its_buffer)
{
    static char line[200001];

    memset(line, 'x', sizeof(line) - 1);
    for (size_t at = 0; at < sizeof(line) - 1; at += 10000) {
        given(line, 10000);
        assert_error(-EAGAIN);
    }
    given("\n", 1);
    assert_next(line);
}

Test(input, refuses_a_zero_byte)
{
    given("a\0b\n", 4);
    assert_error(-EILSEQ);
}

Test(input, of_words_hands_out_each_once)
{
    char *words[] = {"a", "b"};

    cr_assert_eq(input_of_words(&input, words, 2), 0);
    cr_assert_eq(input_total(&input), 2);
    assert_next("a");
    assert_next("b");
    assert_error(-ENODATA);
}

Test(input, of_several_lists_hands_out_each_with_each_the_last_list_fastest)
{
    char *words[] = {"a", "b", ":::", "1", "2", "3"};

    cr_assert_eq(input_of_words(&input, words, COUNT_OF(words)), 0);
    cr_assert_eq(input_total(&input), 6);
    assert_next("a 1");
    assert_next("a 2");
    assert_next("a 3");
    assert_next("b 1");
    assert_next("b 2");
    assert_next("b 3");
    assert_error(-ENODATA);
    assert_error(-ENODATA);
}

Test(input, with_an_empty_list_has_nothing)
{
    char *words[] = {"a", "b", ":::"};

    cr_assert_eq(input_of_words(&input, words, COUNT_OF(words)), 0);
    cr_assert_eq(input_total(&input), 0);
    assert_error(-ENODATA);
    cr_assert_eq(input_of_words(&input, words, 0), 0);
    assert_error(-ENODATA);
}

Test(input, takes_nine_lists_and_no_more)
{
    char *words[2 * INPUT_LISTS_MAX + 1];

    for (size_t i = 0; i < COUNT_OF(words); i++)
        words[i] = i % 2 == 0 ? "x" : ":::";
    cr_assert_eq(input_of_words(&input, words, COUNT_OF(words) - 2), 0);
    assert_next("x x x x x x x x x");
    cr_assert_eq(input_of_words(&input, words, COUNT_OF(words)), -E2BIG);
}

Test(input, of_lines_that_end_in_a_zero_byte_may_hold_newlines)
{
    input_of_lines(&input, ends[0], '\0');
    given("a\nb\0c", 5);
    given_end();
    assert_next("a\nb");
    assert_next("c");
    assert_error(-ENODATA);
}
