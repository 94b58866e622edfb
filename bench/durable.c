/* What durable tasks cost, on whatever broker SCOOP_BROKER names: it needs a journal, and no workers.
 * Prints one value a line: NAME VALUE.
 *
 * usage: durable [TASKS [LONE]]    (default 200000 and 500; TASKS accepted for throughput, LONE one
 * by one) */
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

struct bench {
    scoop_session *session;
    const struct scoop_function *absolute;
    scoop_future **futures;
};

static scoop_future *submit(const struct bench *b, size_t i)
{
    const int32_t argument = (int32_t)i;
    uint64_t id = 0;
    scoop_future *future =
        scoop_submit_durable(b->session, NULL, b->absolute, &argument, sizeof(argument), &id);

    if (future == NULL)
        exit(scoop_report());
    return future;
}

static void await(scoop_future *future)
{
    struct scoop_bytes nothing;

    if (scoop_result_bytes(future, &nothing) != SCOOP_OK)
        exit(scoop_report());
    scoop_future_free(future);
}

static int64_t time_many(const struct bench *b, size_t n)
{
    const int64_t start_us = clock_now_us();

    for (size_t i = 0; i < n; i++)
        b->futures[i] = submit(b, i);
    for (size_t i = 0; i < n; i++)
        await(b->futures[i]);
    return clock_now_us() - start_us;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void time_lone(const struct bench *b, size_t n)
{
    int64_t *times = calloc(n, sizeof(*times));

    for (size_t i = 0; times != NULL && i < n; i++) {
        const int64_t start_us = clock_now_us();

        await(submit(b, i));
        times[i] = clock_now_us() - start_us;
    }
    if (times == NULL)
        exit(1);
    qsort(times, n, sizeof(*times), compare);
    printf("lone_p50_us %lld\nlone_p99_us %lld\n", (long long)times[n / 2],
           (long long)times[n * 99 / 100]);
    free(times);
}

int main(int argc, char **argv)
{
    uint64_t tasks = 200000;
    uint64_t lone = 500;
    struct bench b = {.absolute = scoop_builtin("absolute", sizeof(int32_t), sizeof(int32_t))};

    if ((argc > 1 && parse_u64(argv[1], 1, 1000000, &tasks) != 0) ||
        (argc > 2 && parse_u64(argv[2], 1, 1000000, &lone) != 0)) {
        fprintf(stderr, "usage: durable [TASKS [LONE]], each 1 to 1000000\n");
        return 2;
    }
    b.session = scoop_open(NULL);
    b.futures = calloc(tasks, sizeof(scoop_future *));
    if (b.session == NULL || b.futures == NULL || b.absolute == NULL)
        return scoop_report();
    await(submit(&b, 0));
    const int64_t took_us = time_many(&b, tasks);
    printf("accepted_per_s %.0f\n", (double)tasks * 1e6 / (double)took_us);
    time_lone(&b, lone);
    scoop_close(b.session);
    free(b.futures);
    return 0;
}
