/* A program for tests: what can be done with many futures, one mode of main() for each promise.
 * `futures MODE [NUMBER]`; what happened goes to stdout, one fact a line. */
#include <scoop.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

SCOOP_FUNCTION(int, sleeps_ms, int ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&time, NULL);
    return ms;
}

SCOOP_FUNCTION(int, plus_one, int x)
{
    return x + 1;
}

SCOOP_FUNCTION(int, fails_on_3, int x)
{
    if (x == 3)
        scoop_fail(7, "bad number %d", x);
    return x * 10;
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void free_all(scoop_future **futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        scoop_future_free(futures[i]);
}

/* The quick one of three ends first, then deadlines pass, then nothing is left. */
static int mode_any(int number)
{
    scoop_future *futures[] = {scoop_submit(sleeps_ms, number), scoop_submit(sleeps_ms, 1),
                               scoop_submit(sleeps_ms, number)};
    size_t index = 9;

    if (scoop_wait_any(futures, 3, SCOOP_FOREVER, &index) != SCOOP_OK)
        return scoop_report();
    printf("first: %zu\n", index);
    scoop_future_free(futures[1]);
    futures[1] = NULL;
    const long begin = now_ms();
    printf("%s\n", scoop_strerror(scoop_wait_any(futures, 3, 100, &index)));
    printf("%s\n", scoop_last_error());
    const long waited = now_ms() - begin;
    printf("kept: %d\n", waited >= 100 && waited < number / 2);
    free_all(futures, 3);
    printf("%s\n", scoop_strerror(scoop_wait_any((scoop_future *[]){NULL}, 1, 0, &index)));
    return 0;
}

/* Waits for all: some end in time, then all. */
static int mode_all(int number)
{
    scoop_future *futures[] = {scoop_submit(sleeps_ms, 1), scoop_submit(sleeps_ms, number), NULL,
                               scoop_submit(sleeps_ms, 1)};
    size_t done = 9;

    scoop_wait(futures[0], SCOOP_FOREVER);
    scoop_wait(futures[3], SCOOP_FOREVER);
    printf("%s\n", scoop_strerror(scoop_wait_all(futures, 4, 50, &done)));
    printf("%s\n", scoop_last_error());
    printf("done: %zu\n", done);
    printf("%s\n", scoop_strerror(scoop_wait_all(futures, 4, SCOOP_FOREVER, &done)));
    printf("done: %zu\n", done);
    free_all(futures, 4);
    return 0;
}

/* A future that failed is done as any other: no wait raises its error. */
static int mode_failed(int number)
{
    scoop_future *futures[] = {scoop_submit(fails_on_3, 3), scoop_submit(fails_on_3, number)};
    int result = 0;
    size_t index = 9;

    printf("all: %s\n", scoop_strerror(scoop_wait_all(futures, 2, SCOOP_FOREVER, NULL)));
    printf("any: %s\n", scoop_strerror(scoop_wait_any(futures, 2, SCOOP_FOREVER, &index)));
    printf("error: %s\n", scoop_last_error());
    printf("0: %s\n", scoop_strerror(scoop_result(futures[0], &result)));
    printf("1: %s", scoop_strerror(scoop_result(futures[1], &result)));
    printf(" %d\n", result);
    free_all(futures, 2);
    return 0;
}

/* Each of `number` futures is handed out once. */
static int mode_completed(int number)
{
    const size_t n = (size_t)number;
    scoop_future **futures = calloc(n, sizeof(scoop_future *));
    bool *seen = calloc(n, sizeof(*seen));
    size_t right = 0;
    size_t i = 0;
    int result = 0;

    if (futures == NULL || seen == NULL)
        return 1;
    for (size_t k = 1; k < n; k++) /* the first stays NULL */
        futures[k] = scoop_submit(plus_one, (int)k);
    scoop_iterator *it = scoop_as_completed(futures, n);
    if (it == NULL)
        return scoop_report();
    enum scoop_status status = SCOOP_OK;
    while ((status = scoop_next(it, SCOOP_FOREVER, &i)) == SCOOP_OK) {
        right += !seen[i] && scoop_done(futures[i]) &&
                 scoop_result(futures[i], &result) == SCOOP_OK && result == (int)i + 1;
        seen[i] = true;
    }
    printf("%s: %zu of %zu\n", scoop_strerror(status), right, n - 1);
    scoop_iterator_free(it);
    free_all(futures, n);
    free(futures);
    free(seen);
    return 0;
}

/* An iterator that gets more while it is used: `number` tasks, four at a time. */
static int mode_added(int number)
{
    scoop_future *futures[4];
    int sum = 0;
    int result = 0;
    int started = 0;
    size_t i = 0;

    for (started = 0; started < 4; started++)
        futures[started] = scoop_submit(plus_one, started);
    scoop_iterator *it = scoop_as_completed(futures, 4);
    if (it == NULL)
        return scoop_report();
    while (scoop_next(it, SCOOP_FOREVER, &i) == SCOOP_OK) {
        scoop_result(futures[i % 4], &result);
        sum += result;
        scoop_future_free(futures[i % 4]);
        futures[i % 4] = NULL;
        /* The next one's index is `started`: its place must be free. */
        while (started < number && futures[started % 4] == NULL) {
            futures[started % 4] = scoop_submit(plus_one, started);
            if (scoop_iterator_add(it, futures[started % 4]) != SCOOP_OK)
                return scoop_report();
            started++;
        }
    }
    printf("sum: %d\n", sum);
    scoop_iterator_free(it);
    return 0;
}

/* What is freed while an iterator has it counts as ended; the iterator may go before its futures. */
static int mode_freed(int number)
{
    scoop_future *futures[] = {scoop_submit(sleeps_ms, number), scoop_submit(sleeps_ms, number)};
    scoop_iterator *it = scoop_as_completed(futures, 2);
    size_t i = 9;

    printf("%s\n", scoop_strerror(scoop_next(it, 50, &i)));
    scoop_future_free(futures[1]);
    printf("%s", scoop_strerror(scoop_next(it, 0, &i)));
    printf(" %zu\n", i);
    scoop_iterator_free(it);
    scoop_future_free(futures[0]);
    return 0;
}

/* A map whose task 3 of `number` fails: every other result is there. */
static int mode_map(int number)
{
    const size_t n = (size_t)number;
    int *in = calloc(n, sizeof(*in));
    int *out = calloc(n, sizeof(*out));
    size_t right = 0;
    size_t i = 0;

    if (in == NULL || out == NULL)
        return 1;
    for (size_t k = 0; k < n; k++)
        in[k] = (int)k;
    scoop_iterator *it = scoop_map_as_completed(fails_on_3, in, out, n);
    if (it == NULL)
        return scoop_report();
    enum scoop_status status = SCOOP_OK;
    while ((status = scoop_next(it, SCOOP_FOREVER, &i)) != SCOOP_END) {
        right += status == SCOOP_OK && out[i] == in[i] * 10;
        if (status != SCOOP_OK)
            printf("%zu %s: %s\n", i, scoop_strerror(status), scoop_last_error());
    }
    printf("%zu of %zu\n", right, n);
    scoop_iterator_free(it);
    free(in);
    free(out);
    return 0;
}

/* An iterator that is freed early leaves nothing behind. */
static int mode_left(int number)
{
    int in[100];
    int out[100];
    size_t i = 0;

    for (int k = 0; k < 100; k++)
        in[k] = k == 0 ? 1 : number;
    scoop_iterator *it = scoop_map_as_completed(sleeps_ms, in, out, 100);
    printf("%s", scoop_strerror(scoop_next(it, SCOOP_FOREVER, &i)));
    printf(" %zu\n", i);
    scoop_iterator_free(it);
    return 0;
}

/* ---- callbacks ---- */

struct label {
    const char *text;
};

static void note(scoop_future *future, void *context)
{
    struct scoop_error error;

    printf("%s", ((const struct label *)context)->text);
    if (scoop_error(future, &error))
        printf(" %s", scoop_strerror(error.status));
    printf("\n");
}

/* Called while this thread waits for another one, in their order; at once when it has ended. */
static int mode_then(int number)
{
    scoop_future *failing = scoop_submit(fails_on_3, 3);
    scoop_future *good = NULL;

    scoop_then(failing, note, &(struct label){"first"});
    scoop_then(failing, note, &(struct label){"second"});
    good = scoop_submit(sleeps_ms, number);
    printf("wait\n");
    scoop_wait(good, SCOOP_FOREVER);
    printf("waited\n");
    scoop_then(good, note, &(struct label){"at once"});
    scoop_then(good, NULL, NULL);
    printf("%s\n", scoop_last_error());
    scoop_future_free(failing);
    scoop_future_free(good);
    return 0;
}

/* A wait for a future that has ended meanwhile calls first. */
static int mode_due(int number)
{
    scoop_future *future = scoop_submit(sleeps_ms, 1);

    scoop_then(future, note, &(struct label){"called"});
    while (!scoop_done(future))
        sleeps_ms(number);
    printf("done\n");
    scoop_wait(future, 0);
    printf("waited\n");
    scoop_future_free(future);
    return 0;
}

struct chain {
    int left;
    int sum;
};

/* Frees its future and starts the next one. */
static void go_on(scoop_future *future, void *context)
{
    struct chain *chain = context;
    int result = 0;

    scoop_result(future, &result);
    scoop_future_free(future);
    chain->sum += result;
    if (--chain->left > 0)
        scoop_then(scoop_submit(plus_one, chain->left), go_on, chain);
}

/* `number` tasks, each started by the callback of the one before. */
static int mode_chain(int number)
{
    struct chain chain = {.left = number};

    scoop_then(scoop_submit(plus_one, number), go_on, &chain);
    for (int i = 0; chain.left > 0 && i < 1000; i++) {
        scoop_future *future = scoop_submit(sleeps_ms, 10);

        scoop_wait(future, SCOOP_FOREVER);
        scoop_future_free(future);
    }
    printf("sum: %d\n", chain.sum);
    return 0;
}

/* A callback of a future that is freed is forgotten; one of a session that is closed is due. */
static int mode_forgotten(int number)
{
    scoop_future *freed = scoop_submit(sleeps_ms, 1);
    scoop_future *open = scoop_submit(sleeps_ms, number);

    scoop_then(freed, note, &(struct label){"freed"});
    scoop_then(open, note, &(struct label){"closed"});
    scoop_future_free(freed);
    printf("%s\n", scoop_strerror(scoop_wait(open, 100)));
    scoop_iterator *it = scoop_as_completed(&open, 1);
    scoop_fini();
    size_t i = 9;
    printf("%s", scoop_strerror(scoop_next(it, SCOOP_FOREVER, &i)));
    printf(" %zu\n", i);
    scoop_iterator_free(it);
    scoop_future_free(open);
    return 0;
}

/* ---- an event loop of one's own ---- */

static void count(scoop_future *future, void *context)
{
    scoop_future_free(future);
    ++*(int *)context;
}

/* Poll for the end of one task, then for one with a callback. */
static int mode_poll(int number)
{
    struct pollfd polled = {.fd = scoop_fd(NULL), .events = POLLIN};
    int called = 0;

    printf("at first: %d\n", poll(&polled, 1, 0));
    scoop_process(NULL);
    printf("processed: %d\n", poll(&polled, 1, 0));
    /* Lone tasks, one after the other: each is seen at once, not by the next timer. */
    const long begin = now_ms();
    int ended = 0;
    for (int i = 0; i < 5; i++) {
        scoop_future *future = scoop_submit(sleeps_ms, number);

        poll(&polled, 1, 5000);
        ended += scoop_done(future);
        scoop_future_free(future);
        scoop_process(NULL);
    }
    printf("ended: %d %d\n", ended, now_ms() - begin < 1000);
    scoop_then(scoop_submit(sleeps_ms, number), count, &called);
    for (int i = 0; called == 0 && i < 3; i++) {
        poll(&polled, 1, 5000);
        scoop_process(NULL);
    }
    printf("called: %d\n", called);
    scoop_process(NULL);
    printf("processed: %d\n", poll(&polled, 1, 0));
    return 0;
}

/* Waits for `number` slots, then for more than there are. */
static int mode_workers(int number)
{
    const long begin = now_ms();

    printf("%s\n", scoop_strerror(scoop_wait_for_workers(NULL, (unsigned)number, 10000)));
    printf("%s\n", scoop_strerror(scoop_wait_for_workers(NULL, (unsigned)number + 1, 100)));
    printf("%s\n", scoop_last_error());
    printf("kept: %d\n", now_ms() - begin < 9000);
    return 0;
}

/* ---- every worker ---- */

SCOOP_FUNCTION(int, parent_of, int x)
{
    return x == 0 ? (int)getppid() : -1;
}

/* Once `number` slots are there: the agent's pid from each worker, and its host. */
static int mode_each(int number)
{
    int pid = 0;

    scoop_wait_for_workers(NULL, (unsigned)number, 10000);
    struct scoop_everywhere *all = scoop_each(parent_of, 0);
    if (all == NULL)
        return scoop_report();
    for (size_t i = 0; i < all->count; i++) {
        if (scoop_result(all->futures[i], &pid) != SCOOP_OK)
            return scoop_report();
        printf("%s %d\n", all->hosts[i], pid);
    }
    scoop_everywhere_free(all);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int number);
} modes[] = {
    {"any", mode_any},     {"all", mode_all},         {"failed", mode_failed},
    {"added", mode_added}, {"freed", mode_freed},     {"completed", mode_completed},
    {"map", mode_map},     {"left", mode_left},       {"then", mode_then},
    {"poll", mode_poll},   {"workers", mode_workers}, {"each", mode_each},
    {"due", mode_due},     {"chain", mode_chain},     {"forgotten", mode_forgotten},
};

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0);
    }
    return 2;
}
