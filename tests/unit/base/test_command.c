#include "base/command.h"

#include <criterion/criterion.h>
#include <string.h>

static struct blob *given_words(char *const *words, size_t count)
{
    struct blob *b = blob_new(0);

    cr_assert_not_null(b);
    cr_assert_eq(command_put_words(b, words, count), 0);
    return b;
}

Test(command, words_come_back_as_they_were)
{
    char *words[] = {"sh", "-c", "", "echo {}"};
    char **back = NULL;
    struct blob *b = given_words(words, COUNT_OF(words));

    cr_assert_eq(command_get_words(b->data, b->size, &back), 0);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        cr_assert_str_eq(back[i], words[i]);
    cr_assert_null(back[COUNT_OF(words)]);
    free(back);
    blob_unref(b);
}

Test(command, a_truncated_argument_is_refused)
{
    char *words[] = {"echo", "abc"};
    char **back = NULL;
    struct blob *b = given_words(words, COUNT_OF(words));

    for (size_t size = 0; size < b->size; size++)
        cr_assert_eq(command_get_words(b->data, size, &back), -EPROTO, "at %zu", size);
    b->data[8] = '\0';
    cr_assert_eq(command_get_words(b->data, b->size, &back), -EPROTO, "zero byte in a word");
    cr_assert_null(back);
    blob_unref(b);
}

Test(command, an_empty_or_too_large_command_is_refused)
{
    char *word = malloc(WIRE_PAYLOAD_MAX + 1);
    struct blob *b = blob_new(0);

    cr_assert(b != NULL && word != NULL);
    memset(word, 'x', WIRE_PAYLOAD_MAX);
    word[WIRE_PAYLOAD_MAX] = '\0';
    cr_assert_eq(command_put_words(b, &word, 0), -EINVAL);
    cr_assert_eq(command_put_words(b, &word, 1), -E2BIG);
    cr_assert_eq(b->size, 0);
    free(word);
    blob_unref(b);
}

Test(command, a_result_comes_back_and_its_truncations_do_not)
{
    const struct command_result result = {
        .signal = 11,
        .start_us = 1234567890123456,
        .run_us = 7,
        .host = {.data = (const uint8_t *)"w1", .size = 2},
        .out = {.data = (const uint8_t *)"out\n", .size = 4},
        .err = {.data = (const uint8_t *)"!", .size = 1},
    };
    struct command_result back = {.code = 1};
    struct blob *b = blob_new(0);

    cr_assert_not_null(b);
    cr_assert_eq(command_put_result(b, &result), 0);
    for (size_t size = 0; size < b->size; size++)
        cr_assert_eq(command_get_result(b->data, size, &back), -EPROTO);
    cr_assert_eq(command_get_result(b->data, b->size, &back), 0);
    cr_assert_eq(back.code, 0);
    cr_assert_eq(back.signal, 11);
    cr_assert_eq(back.start_us, 1234567890123456);
    cr_assert_eq(back.run_us, 7);
    cr_assert_arr_eq(back.host.data, "w1", back.host.size);
    cr_assert_eq(back.out.size, 4);
    cr_assert_arr_eq(back.out.data, "out\n", 4);
    cr_assert_eq(back.err.size, 1);
    blob_unref(b);
}
