/* A client of scale.py, and its function: a task of 64 bytes that counts the tasks of its process.
 *
 *   load queue COUNT           submit COUNT tasks at once; then, when a line comes, wait for their results
 *   load stream WINDOW COUNT   keep WINDOW tasks unfinished until COUNT have ended (0: until SIGTERM)
 *   load lone COUNT            one after the other; half as many more before, that are not counted
 *
 * Prints lines "NAME VALUE". */
#include <scoop.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PART_OF_ALL 10 /* what the first and the last tenth of all submits took */

struct cargo {
    uint64_t number;
    uint8_t rest[56];
};

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

SCOOP_FUNCTION(uint64_t, count_tasks, struct cargo cargo)
{
    static uint64_t count;

    (void)cargo;
    return count++;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The times become sorted. */
static void print_times(const char *name, int64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare);
    printf("%s_p50_us %.1f\n%s_p99_us %.1f\n", name, (double)times[count / 2] / 1e3, name,
           (double)times[count - 1 - count / 100] / 1e3);
    fflush(stdout);
}

static scoop_future *submit(uint64_t number)
{
    scoop_future *const future = scoop_submit(count_tasks, {.number = number});

    if (future == NULL)
        exit(scoop_report());
    return future;
}

static uint64_t result_of(scoop_future *future)
{
    uint64_t result = 0;

    if (scoop_result(future, &result) != SCOOP_OK)
        exit(scoop_report());
    scoop_future_free(future);
    return result;
}

/* How many results are not in the order of submission; one executor runs them all. */
static int queue(size_t count)
{
    scoop_future **const futures = calloc(count, sizeof(scoop_future *));
    int64_t *const times = calloc(count, sizeof(*times));
    size_t out_of_order = 0;

    if (futures == NULL || times == NULL)
        return 1;
    for (size_t i = 0; i < count; i++) {
        const int64_t begin_ns = now_ns();

        futures[i] = submit(i);
        times[i] = now_ns() - begin_ns;
    }
    print_times("first", times, count / PART_OF_ALL);
    print_times("last", times + count - count / PART_OF_ALL, count / PART_OF_ALL);
    printf("queued %zu\n", count);
    fflush(stdout);
    (void)getchar();
    for (size_t i = 0; i < count; i++)
        out_of_order += result_of(futures[i]) != i;
    printf("out_of_order %zu\n", out_of_order);
    free(times);
    free(futures);
    return 0;
}

static int stream(size_t window, uint64_t count)
{
    scoop_future **const futures = calloc(window, sizeof(scoop_future *));
    uint64_t next = 0;
    int64_t told_ns = now_ns();

    if (futures == NULL)
        return 1;
    for (uint64_t ended = 0; !stopping && (count == 0 || ended < count); ended++) {
        for (; next - ended < window; next++)
            futures[next % window] = submit(next);
        (void)result_of(futures[ended % window]);
        if (ended % 1024 != 0 || now_ns() - told_ns < 200000000)
            continue;
        told_ns = now_ns();
        printf("done %llu\n", (unsigned long long)ended);
        fflush(stdout);
    }
    printf("ended %llu\n", (unsigned long long)count);
    fflush(stdout);
    scoop_fini();
    free(futures);
    return 0;
}

static int lone(size_t count)
{
    int64_t *const times = calloc(count, sizeof(*times));
    const size_t warm_up = count / 2;

    if (times == NULL)
        return 1;
    for (size_t i = 0; i < count + warm_up; i++) {
        const int64_t begin_ns = now_ns();

        (void)result_of(submit(i));
        if (i >= warm_up)
            times[i - warm_up] = now_ns() - begin_ns;
    }
    print_times("lone", times, count);
    free(times);
    return 0;
}

int main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = stop};

    if (scoop_init(&argc, &argv) != SCOOP_OK)
        return scoop_report();
    (void)sigaction(SIGTERM, &action, NULL);
    if (argc == 3 && strcmp(argv[1], "queue") == 0)
        return queue(strtoull(argv[2], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "stream") == 0)
        return stream(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "lone") == 0)
        return lone(strtoull(argv[2], NULL, 10));
    fprintf(stderr, "usage: load queue COUNT | stream WINDOW COUNT | lone COUNT\n");
    return 2;
}
