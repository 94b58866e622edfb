/* Gearman under the load of noop.c: absolute values of numbers, many at once and one by one. Built
 * only where libgearman is installed. Prints one value a line: NAME VALUE.
 *
 * usage: gearman PORT           the client's side, against gearmand on this machine
 *        gearman PORT worker    a worker, for ever */
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"

#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST      "127.0.0.1"
#define MAPS      20 /* one call's time grows faster than its tasks, so: many calls */
#define SMALL_MAP 1000
#define LONE      2000

static gearman_return_t absolute(gearman_job_st *job, void *context)
{
    int32_t x = 0;

    (void)context;
    memcpy(&x, gearman_job_workload(job), sizeof(x));
    x = abs(x);
    return gearman_job_send_data(job, &x, sizeof(x));
}

static int run_worker(in_port_t port)
{
    gearman_worker_st *worker = gearman_worker_create(NULL);

    if (worker == NULL || gearman_worker_add_server(worker, HOST, port) != GEARMAN_SUCCESS ||
        gearman_worker_define_function(worker, "abs", 3, gearman_function_create(absolute), 0,
                                       NULL) != GEARMAN_SUCCESS)
        return 1;
    while (gearman_worker_work(worker) == GEARMAN_SUCCESS)
        continue;
    return 1;
}

static int64_t time_map(gearman_client_st *client)
{
    static int32_t in[SMALL_MAP];
    const int64_t begin_us = clock_now_us();
    gearman_return_t result = GEARMAN_SUCCESS;

    for (size_t i = 0; i < SMALL_MAP; i++) {
        in[i] = -(int32_t)i;
        gearman_client_add_task(client, NULL, NULL, "abs", NULL, &in[i], sizeof(in[i]), &result);
    }
    if (result != GEARMAN_SUCCESS || gearman_client_run_tasks(client) != GEARMAN_SUCCESS)
        exit(1);
    gearman_client_task_free_all(client);
    return clock_now_us() - begin_us;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print_lone(gearman_client_st *client)
{
    static int64_t times[LONE];
    const int32_t x = -1;

    for (size_t i = 0; i < LONE; i++) {
        const int64_t begin_us = clock_now_us();
        gearman_return_t result = GEARMAN_SUCCESS;
        size_t size = 0;

        free(gearman_client_do(client, "abs", NULL, &x, sizeof(x), &size, &result));
        if (result != GEARMAN_SUCCESS)
            exit(1);
        times[i] = clock_now_us() - begin_us;
    }
    qsort(times, LONE, sizeof(times[0]), compare);
    printf("lone_p50_us %lld\nlone_p99_us %lld\n", (long long)times[LONE / 2],
           (long long)times[LONE - 1 - LONE / 100]);
}

int main(int argc, char **argv)
{
    uint64_t port = 0;
    int64_t sum_us = 0;

    if (argc < 2 || parse_u64(argv[1], 1, 65535, &port) != 0) {
        fprintf(stderr, "usage: gearman PORT [worker]\n");
        return 2;
    }
    if (argc > 2)
        return run_worker((in_port_t)port);
    gearman_client_st *client = gearman_client_create(NULL);
    if (client == NULL ||
        gearman_client_add_server(client, HOST, (in_port_t)port) != GEARMAN_SUCCESS)
        return 1;
    time_map(client); /* until the workers are there */
    for (int i = 0; i < MAPS; i++)
        sum_us += time_map(client);
    printf("map_tasks_per_s %.0f\n", MAPS * SMALL_MAP * 1e6 / (double)sum_us);
    printf("map_1000_us %lld\n", (long long)sum_us / MAPS);
    print_lone(client);
    gearman_client_free(client);
    return 0;
}
