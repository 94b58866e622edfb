/* What the runtime itself costs, on whatever broker SCOOP_BROKER names: tasks that do nothing worth
 * mentioning (the builtin "absolute"). Prints one value a line: NAME VALUE.
 *
 * usage: noop [TASKS [LONE]]    (default 1000000 and 2000; TASKS for throughput, LONE round trips
 * one by one) */
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MAP 1000
#define REPEATS   5

struct bench {
    scoop_session *session;
    const struct scoop_function *absolute;
    int32_t *in;
    int32_t *out;
    size_t tasks;
    size_t lone;
};

static void must(enum scoop_status status)
{
    if (status != SCOOP_OK)
        exit(scoop_report());
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void map(const struct bench *b, size_t n)
{
    must(scoop_map_with(b->session, NULL, b->absolute, b->in, sizeof(*b->in), b->out,
                        sizeof(*b->out), n));
    for (size_t i = 0; i < n; i++) {
        if (b->out[i] != (int32_t)i) {
            fprintf(stderr, "noop: a result is wrong\n");
            exit(1);
        }
    }
    memset(b->out, 0, n * sizeof(*b->out));
}

/* Median time of `REPEATS` maps of n tasks. */
static int64_t time_map(const struct bench *b, size_t n)
{
    int64_t times[REPEATS];

    for (size_t i = 0; i < REPEATS; i++) {
        const int64_t begin_us = clock_now_us();

        map(b, n);
        times[i] = clock_now_us() - begin_us;
    }
    qsort(times, REPEATS, sizeof(times[0]), compare);
    return times[REPEATS / 2];
}

/* One scoop_submit() for each task, then one scoop_result() for each. */
static int64_t time_submits(const struct bench *b, size_t n)
{
    scoop_future **futures = calloc(n, sizeof(scoop_future *));
    const int64_t begin_us = clock_now_us();
    int32_t result = 0;

    if (futures == NULL)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        futures[i] = scoop_submit_with(b->session, NULL, b->absolute, &b->in[i], sizeof(b->in[i]));
        if (futures[i] == NULL)
            exit(scoop_report());
    }
    for (size_t i = 0; i < n; i++) {
        must(scoop_result(futures[i], &result));
        scoop_future_free(futures[i]);
    }
    free(futures);
    return clock_now_us() - begin_us;
}

/* Round trips one by one; *p50 and *p99 in microseconds. */
static void time_lone(const struct bench *b, size_t n, int64_t *p50, int64_t *p99)
{
    int64_t *times = calloc(n, sizeof(*times));
    int32_t result = 0;

    if (times == NULL)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        const int64_t begin_us = clock_now_us();
        scoop_future *future =
            scoop_submit_with(b->session, NULL, b->absolute, &b->in[1], sizeof(b->in[1]));

        must(future != NULL ? scoop_result(future, &result) : SCOOP_NO_BROKER);
        scoop_future_free(future);
        times[i] = clock_now_us() - begin_us;
    }
    qsort(times, n, sizeof(*times), compare);
    *p50 = times[n / 2];
    *p99 = times[n - 1 - n / 100];
    free(times);
}

static uint64_t number(int argc, char **argv, int index, uint64_t fallback)
{
    uint64_t value = fallback;

    if (index < argc && parse_u64(argv[index], SMALL_MAP, 100000000, &value) != 0) {
        fprintf(stderr, "noop: \"%s\" is not a number from %d to 100000000\n", argv[index],
                SMALL_MAP);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct bench b = {
        .tasks = number(argc, argv, 1, 1000000),
        .lone = number(argc, argv, 2, 2000),
        .session = scoop_open(NULL),
        .absolute = scoop_builtin("absolute", sizeof(int32_t), sizeof(int32_t)),
    };
    int64_t p50 = 0;
    int64_t p99 = 0;

    b.in = calloc(b.tasks, sizeof(*b.in));
    b.out = calloc(b.tasks, sizeof(*b.out));
    if (b.session == NULL || b.absolute == NULL || b.in == NULL || b.out == NULL)
        return scoop_report();
    for (size_t i = 0; i < b.tasks; i++)
        b.in[i] = -(int32_t)i;
    map(&b, SMALL_MAP); /* until a worker is there, and its executors */
    printf("map_tasks_per_s %.0f\n", (double)b.tasks * 1e6 / (double)time_map(&b, b.tasks));
    printf("submit_tasks_per_s %.0f\n", (double)b.tasks * 1e6 / (double)time_submits(&b, b.tasks));
    printf("map_1000_us %lld\n", (long long)time_map(&b, SMALL_MAP));
    time_lone(&b, b.lone, &p50, &p99);
    printf("lone_p50_us %lld\nlone_p99_us %lld\n", (long long)p50, (long long)p99);
    scoop_close(b.session);
    free(b.in);
    free(b.out);
    return 0;
}
