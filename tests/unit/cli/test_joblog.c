#include "cli/joblog.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

static char path[] = "/tmp/joblog-XXXXXX";
static struct joblog joblog;
static struct problem problem;

static void prepare(void)
{
    const int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
}

static void finish(void)
{
    joblog_close(&joblog);
    unlink(path);
}

TestSuite(joblog, .init = prepare, .fini = finish);

static void given(const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_file_is(const char *expected)
{
    char text[1024];
    FILE *file = fopen(path, "r");

    cr_assert_not_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    cr_assert_str_eq(text, expected);
}

static void assert_open(enum joblog_mode mode)
{
    cr_assert_eq(joblog_open(&joblog, path, mode, &problem), 0, "%s", problem.text);
}

static struct wire_bytes text(const char *string)
{
    return (struct wire_bytes){(const uint8_t *)string, strlen(string)};
}

static void add(uint64_t number, uint32_t code)
{
    const struct joblog_line line = {
        .number = number,
        .host = text("w1"),
        .start_us = 1700000000123456,
        .run_us = 2000,
        .sent = 5,
        .received = 9,
        .code = code,
        .signal = 0,
        .command = text("echo x"),
    };

    cr_assert_eq(joblog_add(&joblog, &line), 0);
}

Test(joblog, has_the_columns_of_gnu_parallel)
{
    given("something else\n");
    assert_open(JOBLOG_FRESH);
    add(3, 1);
    assert_file_is(HEAD "3\tw1\t1700000000.123\t0.002\t5\t9\t1\t0\techo x\n");
}

Test(joblog, knows_what_was_done_when_it_is_resumed)
{
    assert_open(JOBLOG_FRESH);
    add(1, 0);
    add(100000, 7);
    joblog_close(&joblog);
    assert_open(JOBLOG_RESUME);
    cr_assert(joblog_has(&joblog, 1));
    cr_assert(joblog_has(&joblog, 100000));
    cr_assert_not(joblog_has(&joblog, 0));
    cr_assert_not(joblog_has(&joblog, 2));
    cr_assert_not(joblog_has(&joblog, UINT64_MAX));
}

Test(joblog, counts_a_failed_command_as_done_only_when_its_last_line_says_so)
{
    assert_open(JOBLOG_FRESH);
    add(1, 1);
    add(2, 1);
    add(3, 0);
    add(2, 0);
    add(3, 1);
    joblog_close(&joblog);
    assert_open(JOBLOG_FAILED);
    cr_assert_not(joblog_has(&joblog, 1));
    cr_assert(joblog_has(&joblog, 2));
    cr_assert_not(joblog_has(&joblog, 3));
}

Test(joblog, takes_away_a_line_that_was_cut)
{
    given(HEAD "1\t:\t0\t0\t0\t0\t0\t0\ta\n2\t:\t0");
    assert_open(JOBLOG_RESUME);
    cr_assert(joblog_has(&joblog, 1));
    cr_assert_not(joblog_has(&joblog, 2));
    assert_file_is(HEAD "1\t:\t0\t0\t0\t0\t0\t0\ta\n");
}

Test(joblog, is_made_when_there_is_none)
{
    unlink(path);
    assert_open(JOBLOG_RESUME);
    assert_file_is(HEAD);
}

struct bad {
    char text[80];
};

ParameterizedTestParameters(joblog, refuses_a_file_that_is_something_else)
{
    static struct bad rows[] = {
        {"hello\n"},
        {"x\t:\t0\t0\t0\t0\t0\t0\ta\n"},
        {"0\t:\t0\t0\t0\t0\t0\t0\ta\n"},
        {"1\t:\t0\t0\t0\t0\t0\t0\n"},
        {"99999999999\t:\t0\t0\t0\t0\t0\t0\ta\n"},
    };
    return cr_make_param_array(struct bad, rows, COUNT_OF(rows));
}

ParameterizedTest(struct bad *row, joblog, refuses_a_file_that_is_something_else)
{
    given(row->text);
    cr_assert_eq(joblog_open(&joblog, path, JOBLOG_RESUME, &problem), -EINVAL);
    cr_assert_not_null(strstr(problem.text, "line 1 is not one of a job log"));
    assert_file_is(row->text);
}
