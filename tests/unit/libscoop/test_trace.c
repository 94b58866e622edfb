#include "libscoop/trace.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct wire_bytes bytes(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void given_path(char path[32])
{
    snprintf(path, 32, "/tmp/scoop-trace-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
}

/* The file as JSON; it is removed. */
static json_t *load(const char *path)
{
    json_error_t error;
    json_t *all = json_load_file(path, 0, &error);

    cr_assert_not_null(all, "%s", error.text);
    unlink(path);
    return all;
}

Test(trace, names_each_host_and_executor_once_and_times_each_task)
{
    char path[32];
    struct trace *trace = NULL;
    struct trace_span span = {
        .function = "f\"\n",
        .outcome = "ok",
        .host = bytes("w1"),
        .queued_us = 1000,
        .start_us = 1500,
        .run_us = 70,
        .lane = 2,
        .attempt = 3,
    };
    const char *name = NULL;
    int start = 0;
    int queued = 0;
    int lane = 0;
    int attempt = 0;

    given_path(path);
    cr_assert_eq(trace_open(path, &trace), 0);
    for (span.task = 1; span.task <= 3; span.task++)
        trace_write(trace, &span);
    span.host = bytes("w2");
    trace_write(trace, &span);
    cr_assert_eq(trace_close(trace), 0);
    json_t *all = load(path);
    cr_assert_eq(json_array_size(all), 2 * 2 + 4);
    cr_assert_eq(json_unpack(json_array_get(all, 2), "{s:s, s:i, s:i, s:{s:i, s:i}}", "name", &name,
                             "ts", &start, "tid", &lane, "args", "queued_us", &queued, "attempt",
                             &attempt),
                 0);
    cr_assert_eq(lane, 2);
    cr_assert_eq(attempt, 3);
    cr_assert_str_eq(name, "f\"\n");
    cr_assert_eq(start, 1500);
    cr_assert_eq(queued, 500);
    json_decref(all);
}

Test(trace, without_tasks_is_an_empty_list)
{
    char path[32];
    struct trace *trace = NULL;

    given_path(path);
    cr_assert_eq(trace_open(path, &trace), 0);
    cr_assert_eq(trace_close(trace), 0);
    json_t *all = load(path);
    cr_assert_eq(json_array_size(all), 0);
    json_decref(all);
}

Test(trace, says_why_it_cannot_be_written)
{
    struct trace *trace = NULL;

    cr_assert_eq(trace_open("/nowhere/at/all", &trace), -ENOENT);
    cr_assert_null(trace);
    cr_assert_eq(trace_open("/dev/full", &trace), 0);
    cr_assert_lt(trace_close(trace), 0);
    cr_assert_eq(trace_close(NULL), 0);
}
