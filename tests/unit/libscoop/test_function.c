#include "libscoop/function.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

static struct scoop_output output;

static void prepare(void)
{
    output_init(&output);
}

static void finish(void)
{
    output_fini(&output);
}

TestSuite(function, .init = prepare, .fini = finish);

SCOOP_FUNCTION(int, absolute, int x)
{
    return x < 0 ? -x : x;
}

SCOOP_FUNCTION(int, fails, int x)
{
    scoop_fail(x, "bad number %d", x);
    scoop_fail(99, "a later failure does not count");
    return x;
}

SCOOP_BYTES_FUNCTION(twice)
{
    if (scoop_write(out, data, size))
        scoop_write(out, data, size);
}

SCOOP_BYTES_FUNCTION(too_large)
{
    if (scoop_extend(out, SCOOP_PAYLOAD_MAX) != NULL)
        scoop_write(out, "x", 1);
}

Test(function, is_found_by_its_whole_name_only)
{
    cr_assert_eq(function_find("absolute", 8), SCOOP_HANDLE(absolute));
    cr_assert_null(function_find("absolu", 6));
    cr_assert_null(function_find("", 0));
}

Test(function, has_the_number_of_its_registration)
{
    cr_assert_eq(function_by_number(SCOOP_HANDLE(twice)->number), SCOOP_HANDLE(twice));
    cr_assert_null(function_by_number(function_count()));
}

Test(function, ends_the_program_when_a_name_is_taken, .exit_code = 2)
{
    static struct scoop_function same = {.name = "absolute"};

    cr_redirect_stderr();
    scoop_register(&same);
}

Test(function, of_the_worker_is_named_once_and_hidden_from_executors)
{
    const struct scoop_function *builtin = scoop_builtin("absolute", 4, 4);

    cr_assert_not_null(builtin);
    cr_assert_eq(scoop_builtin("absolute", 4, 4), builtin);
    cr_assert_neq(scoop_builtin("absolute", 8, 8), builtin);
    cr_assert_not_null(scoop_builtin("command", SCOOP_VARIABLE, SCOOP_VARIABLE));
    cr_assert_null(function_find("command", 7));
}

Test(function, is_refused_when_there_are_too_many)
{
    char name[16];

    for (uint32_t i = function_count(); i < SCOOP_FUNCTIONS_MAX; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        cr_assert_not_null(scoop_builtin(name, 4, 4));
    }
    cr_assert_null(scoop_builtin("one_more", 4, 4));
}

Test(function, computes_from_unaligned_bytes)
{
    unsigned char bytes[1 + sizeof(int)];
    const int argument = -7;
    int result = 0;

    memcpy(bytes + 1, &argument, sizeof(argument));
    cr_assert_eq(function_call(SCOOP_HANDLE(absolute), bytes + 1, sizeof(argument), &output),
                 WIRE_OK);
    cr_assert_eq(output.size, sizeof(result));
    memcpy(&result, output.data, sizeof(result));
    cr_assert_eq(result, 7);
}

Test(function, is_refused_an_argument_of_another_size)
{
    cr_assert_eq(function_call(SCOOP_HANDLE(absolute), "abc", 3, &output), WIRE_REFUSED_TASK);
    cr_assert_str_eq(output.text, "absolute takes 4 bytes, not 3");
}

Test(function, fails_with_its_first_code_and_text)
{
    const int argument = 5;

    cr_assert_eq(function_call(SCOOP_HANDLE(fails), &argument, 4, &output), WIRE_FAILED);
    cr_assert_eq(output.code, 5);
    cr_assert_str_eq(output.text, "bad number 5");
    cr_assert_eq(function_call(SCOOP_HANDLE(absolute), &argument, 4, &output), WIRE_OK,
                 "the next call is not affected");
}

Test(function, of_bytes_writes_what_it_likes)
{
    cr_assert_eq(function_call(SCOOP_HANDLE(twice), "abc", 3, &output), WIRE_OK);
    cr_assert_eq(output.size, 6);
    cr_assert_arr_eq(output.data, "abcabc", 6);
    cr_assert_eq(function_call(SCOOP_HANDLE(twice), "", 0, &output), WIRE_OK);
    cr_assert_eq(output.size, 0);
}

SCOOP_FUNCTION(bool, sees_itself, int x)
{
    (void)x;
    return function_is_running();
}

Test(function, is_running_only_while_it_does)
{
    const int argument = 0;

    cr_assert_not(function_is_running());
    cr_assert_eq(function_call(SCOOP_HANDLE(sees_itself), &argument, 4, &output), WIRE_OK);
    cr_assert_eq(output.data[0], true);
    cr_assert_not(function_is_running());
}

Test(function, fails_when_its_result_is_above_the_limit)
{
    output.limit = SCOOP_PAYLOAD_MAX;
    cr_assert_eq(function_call(SCOOP_HANDLE(too_large), NULL, 0, &output), WIRE_FAILED);
    cr_assert_str_eq(output.text, "a result of 16777217 bytes; the limit is 16777216");
}

Test(function, failure_outside_of_a_task_goes_to_stderr)
{
    cr_redirect_stderr();
    cr_assert_eq(fails(3), 3);
    fflush(stderr);
    cr_assert_stderr_eq_str("bad number 3\na later failure does not count\n");
}
