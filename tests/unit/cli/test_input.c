#include "cli/input.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static struct input input;
static int ends[2];

static void prepare(void)
{
    cr_assert_eq(pipe(ends), 0);
    input_of_lines(&input, ends[0]);
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
    const char *text = NULL;

    cr_assert_eq(input_next(&input, 1000, &text), 0);
    cr_assert_str_eq(text, expected);
}

static void assert_error(int error)
{
    const char *text = NULL;

    cr_assert_eq(input_next(&input, 0, &text), error);
    cr_assert_null(text);
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
    const char *text = NULL;

    given("a\0b\n", 4);
    cr_assert_eq(input_next(&input, 0, &text), -EILSEQ);
}

Test(input, of_words_hands_out_each_once)
{
    char *words[] = {"a", "b"};

    input_of_words(&input, words, 2);
    cr_assert_eq(input_total(&input), 2);
    assert_next("a");
    assert_next("b");
    assert_error(-ENODATA);
}
