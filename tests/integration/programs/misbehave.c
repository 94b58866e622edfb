/* A program for tests: functions that fail, crash, hang or take their time, and one mode of main()
 * for each promise. `misbehave MODE [NUMBER]`; what happened goes to stdout, one fact a line. */
#include <scoop.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

SCOOP_FUNCTION(int, fails_on_3, int x)
{
    if (x == 3)
        scoop_fail(7, "bad number %d", x);
    return x * 10;
}

SCOOP_FUNCTION(int, crashes_on_3, int x)
{
    if (x == 3)
        abort();
    return x * 10;
}

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

SCOOP_BYTES_FUNCTION(echoes)
{
    scoop_write(out, data, size);
}

#define TASKS 10

static int map_ten(const struct scoop_function *function)
{
    int in[TASKS];
    int out[TASKS];

    for (int i = 0; i < TASKS; i++) {
        in[i] = i;
        out[i] = -1;
    }
    const enum scoop_status status =
        scoop_map_with(NULL, NULL, function, in, sizeof(in[0]), out, sizeof(out[0]), TASKS);
    printf("status: %s\n", scoop_strerror(status));
    for (int i = 0; i < TASKS; i++)
        printf("%d ", out[i]);
    printf("\n");
    return scoop_report();
}

static int mode_fail(int number)
{
    (void)number;
    return map_ten(SCOOP_HANDLE(fails_on_3));
}

static int mode_crash(int number)
{
    (void)number;
    return map_ten(SCOOP_HANDLE(crashes_on_3));
}

/* One future that fails: all that can be known of it. */
static int mode_error(int number)
{
    struct scoop_error error;
    int result = -1;
    scoop_future *future = scoop_submit(fails_on_3, number);

    if (future == NULL)
        return scoop_report();
    const enum scoop_status status = scoop_result(future, &result);
    if (!scoop_error(future, &error))
        return 1;
    printf("status=%s result=%d code=%u attempts=%u function=%s text=%s\n", scoop_strerror(status),
           result, error.code, error.attempts, error.function, error.text);
    printf("host=%s\n", error.host);
    scoop_future_free(future);
    return 0;
}

/* `number` tasks of 20 ms: for tests that disturb them. */
static int mode_slow(int number)
{
    int *in = calloc((size_t)number, sizeof(*in));
    int *out = calloc((size_t)number, sizeof(*out));
    int right = 0;

    if (in == NULL || out == NULL)
        return 1;
    for (int i = 0; i < number; i++)
        in[i] = 20;
    printf("begin\n");
    fflush(stdout);
    const enum scoop_status status = scoop_map(sleeps_ms, in, out, (size_t)number);
    for (int i = 0; i < number; i++)
        right += out[i] == 20;
    printf("%d of %d\n", right, number);
    free(in);
    free(out);
    return status == SCOOP_OK ? 0 : scoop_report();
}

/* A task that is over its own limit, and a call that is over its deadline. */
static int mode_limits(int number)
{
    const struct scoop_options limit = {.limit_ms = 200};
    const struct scoop_options deadline = {.deadline_ms = 200};
    int in[2] = {5, number};
    int out[2] = {-1, -1};

    printf("limit: %s\n", scoop_strerror(scoop_map_on(NULL, &limit, sleeps_ms, in, out, 2)));
    printf("%d %d\n", out[0], out[1]);
    printf("deadline: %s\n", scoop_strerror(scoop_map_on(NULL, &deadline, sleeps_ms, in, out, 2)));
    printf("%s\n", scoop_last_error());
    return 0;
}

/* `number` tasks by one map, checked. */
static int mode_many(int number)
{
    int *in = calloc((size_t)number, sizeof(*in));
    int *out = calloc((size_t)number, sizeof(*out));
    int right = 0;

    if (in == NULL || out == NULL)
        return 1;
    for (int i = 0; i < number; i++)
        in[i] = i;
    if (scoop_map(plus_one, in, out, (size_t)number) != SCOOP_OK)
        return scoop_report();
    for (int i = 0; i < number; i++)
        right += out[i] == i + 1;
    printf("%d of %d\n", right, number);
    free(in);
    free(out);
    return 0;
}

#define THREADS 4

static int per_thread;

/* Submits one by one and waits for all; returns how many were right. */
static void *submit_and_wait(void *argument)
{
    scoop_future **futures = calloc((size_t)per_thread, sizeof(*futures));
    int *right = argument;
    int result = 0;

    for (int i = 0; futures != NULL && i < per_thread; i++)
        futures[i] = scoop_submit(plus_one, i);
    for (int i = 0; futures != NULL && i < per_thread; i++) {
        *right += scoop_result(futures[i], &result) == SCOOP_OK && result == i + 1;
        scoop_future_free(futures[i]);
    }
    free(futures);
    return NULL;
}

static int mode_threads(int number)
{
    pthread_t threads[THREADS];
    int right[THREADS] = {0};
    int sum = 0;

    per_thread = number;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, submit_and_wait, &right[i]) != 0)
            return 1;
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += right[i];
    }
    printf("%d of %d\n", sum, THREADS * number);
    return sum == THREADS * number ? 0 : 1;
}

/* Bytes of sizes from none to `number` and back. */
static int mode_bytes(int number)
{
    char *large = calloc(1, (size_t)number + 1);
    const struct scoop_bytes in[] = {
        {NULL, 0}, {"a", 1}, {large, (size_t)number}, {"", 0}, {"b", 1}};
    struct scoop_bytes out[5];
    int right = 0;

    if (large == NULL)
        return 1;
    memset(large, 'x', (size_t)number);
    const enum scoop_status status = scoop_map_bytes(NULL, NULL, SCOOP_HANDLE(echoes), in, out, 5);
    for (int i = 0; status == SCOOP_OK && i < 5; i++)
        right += out[i].data != NULL && out[i].size == in[i].size &&
                 (in[i].size == 0 || memcmp(out[i].data, in[i].data, in[i].size) == 0);
    printf("%d of 5\n", right);
    scoop_bytes_free(out, 5);
    free(large);
    return status == SCOOP_OK ? 0 : scoop_report();
}

/* Futures that nobody waits for, freed before and after they are done; then the end. */
static int mode_forget(int number)
{
    scoop_future_free(scoop_submit(sleeps_ms, number));
    scoop_future *future = scoop_submit(sleeps_ms, 1);
    printf("wait: %s\n", scoop_strerror(scoop_wait(future, 5000)));
    printf("done: %d\n", scoop_done(future));
    scoop_future_free(future);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int number);
} modes[] = {
    {"fail", mode_fail},       {"crash", mode_crash},   {"error", mode_error},
    {"slow", mode_slow},       {"limits", mode_limits}, {"many", mode_many},
    {"threads", mode_threads}, {"bytes", mode_bytes},   {"forget", mode_forget},
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
