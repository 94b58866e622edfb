#include "base/settings.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

struct values {
    const char *listen;
    uint64_t delay_ms;
    bool verbose;
};

static const struct setting rows[] = {
    {
        .flag = "listen",
        .variable = "TEST_LISTEN",
        .type = SETTING_ADDRESS,
        .offset = offsetof(struct values, listen),
        .fallback = "127.0.0.1:80",
        .help = "where to listen",
    },
    {
        .flag = "delay-ms",
        .variable = "TEST_DELAY_MS",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct values, delay_ms),
        .fallback = "0",
        .max = 60000,
        .unit = "ms",
        .help = "wait before each answer",
        .letter = 'd',
    },
    {
        .flag = "verbose",
        .type = SETTING_FLAG,
        .offset = offsetof(struct values, verbose),
        .help = "say more",
        .letter = 'v',
    },
};

static const struct settings table = {
    .program = "thing",
    .about = "A thing.",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static enum settings_outcome read_args(struct values *values, char **argv)
{
    int argc = 0;

    while (argv[argc] != NULL)
        argc++;
    return settings_read(&table, argc, argv, values, NULL);
}

#define ARGS(...) ((char *[]){"thing", __VA_ARGS__, NULL})

static void given_environment(const char *name, const char *value)
{
    cr_assert_eq(setenv(name, value, 1), 0);
}

Test(settings, take_flag_over_variable_over_default)
{
    struct values values = {0};

    given_environment("TEST_DELAY_MS", "7");
    cr_assert_eq(read_args(&values, ARGS("--listen", "[::]:8000")), SETTINGS_RUN);
    cr_assert_str_eq(values.listen, "[::]:8000");
    cr_assert_eq(values.delay_ms, 7);

    cr_assert_eq(read_args(&values, ARGS("--delay-ms=9", "--verbose")), SETTINGS_RUN);
    cr_assert_str_eq(values.listen, "127.0.0.1:80");
    cr_assert_eq(values.delay_ms, 9);
    cr_assert(values.verbose);
}

Test(settings, have_forms_of_one_letter)
{
    struct values values = {0};

    cr_assert_eq(read_args(&values, ARGS("-v", "-d9")), SETTINGS_RUN);
    cr_assert_eq(values.delay_ms, 9);
    cr_assert(values.verbose);
    cr_assert_eq(read_args(&values, ARGS("-d", "10")), SETTINGS_RUN);
    cr_assert_eq(values.delay_ms, 10);
    cr_redirect_stderr();
    cr_assert_eq(read_args(&values, ARGS("-d")), SETTINGS_USAGE);
    cr_assert_eq(read_args(&values, ARGS("-x")), SETTINGS_USAGE);
}

Test(settings, name_setting_value_and_range_of_a_bad_value)
{
    struct values values = {0};

    cr_redirect_stderr();
    given_environment("TEST_DELAY_MS", "-3");
    cr_assert_eq(read_args(&values, ARGS("--verbose")), SETTINGS_USAGE);
    fflush(stderr);
    cr_assert_stderr_eq_str(
        "thing: TEST_DELAY_MS: \"-3\" is not a whole number from 0 to 60000 ms\n");
}

Test(settings, refuse_what_they_do_not_know)
{
    struct values values = {0};

    cr_redirect_stderr();
    cr_assert_eq(read_args(&values, ARGS("--nonsense")), SETTINGS_USAGE);
    cr_assert_eq(read_args(&values, ARGS("--delay-ms")), SETTINGS_USAGE);
    cr_assert_eq(read_args(&values, ARGS("operand")), SETTINGS_USAGE);
}

Test(settings, answer_help_and_version_on_stdout)
{
    struct values values = {0};

    cr_redirect_stdout();
    cr_assert_eq(read_args(&values, ARGS("--version")), SETTINGS_DONE);
    cr_assert_eq(read_args(&values, ARGS("--help")), SETTINGS_DONE);
}
