/* Functions that submit and wait themselves, for test_nested.py: `nested MODE [NUMBER]`. */
#include <scoop.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(int ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&time, NULL);
}

/* A line "WORD PID" in the file that NESTED_WITNESS names. */
static void witness(const char *word)
{
    const char *const path = getenv("NESTED_WITNESS");
    char line[64];

    if (path == NULL)
        return;
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const int size = snprintf(line, sizeof(line), "%s %d\n", word, (int)getpid());
    if (fd >= 0 && write(fd, line, (size_t)size) != size)
        perror(path);
    if (fd >= 0)
        close(fd);
}

/* Wait for the result of a future and free it. */
static int result_of(scoop_future *future)
{
    int result = -1;

    if (future == NULL || scoop_result(future, &result) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    scoop_future_free(future);
    return result;
}

/* Print what a future of the root gives. */
static int print_result(scoop_future *future)
{
    struct scoop_error error;
    int result = -1;

    if (future == NULL)
        return scoop_report();
    const enum scoop_status status = scoop_result(future, &result);
    if (!scoop_error(future, &error))
        return 1;
    printf("%s %d attempts=%u %s\n", scoop_strerror(status), result, error.attempts, error.text);
    scoop_future_free(future);
    return 0;
}

/* ---- chains, crowds, sizes ---- */

SCOOP_FUNCTION(int, plus_one, int x)
{
    return x + 1;
}

SCOOP_FUNCTION(int, chain, int depth)
{
    return depth == 0 ? 0 : 1 + result_of(scoop_submit(chain, depth - 1));
}

static int mode_chain(int number)
{
    return print_result(scoop_submit(chain, number));
}

/* Chains beside each other: every slot waits, and more of them than there are slots. */
static int mode_chains(int number)
{
    int in[20];
    int out[20];
    int sum = 0;

    for (int i = 0; i < 20; i++)
        in[i] = number;
    if (scoop_map(chain, in, out, 20) != SCOOP_OK)
        return scoop_report();
    for (int i = 0; i < 20; i++)
        sum += out[i];
    printf("%d\n", sum);
    return 0;
}

SCOOP_FUNCTION(int, maps, int n)
{
    int *const in = calloc((size_t)n, sizeof(*in));
    int *const out = calloc((size_t)n, sizeof(*out));
    int right = 0;

    for (int i = 0; i < n; i++)
        in[i] = i;
    if (scoop_map(plus_one, in, out, (size_t)n) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    for (int i = 0; i < n; i++)
        right += out[i] == i + 1;
    free(in);
    free(out);
    return right;
}

static int mode_map(int number)
{
    return print_result(scoop_submit(maps, number));
}

SCOOP_FUNCTION(int, submits_many, int n)
{
    scoop_future **const all = calloc((size_t)n, sizeof(scoop_future *));
    int right = 0;

    for (int i = 0; i < n; i++)
        all[i] = scoop_submit(plus_one, i);
    for (int i = 0; i < n; i++)
        right += result_of(all[i]) == i + 1;
    free(all);
    return right;
}

static int mode_futures(int number)
{
    return print_result(scoop_submit(submits_many, number));
}

SCOOP_BYTES_FUNCTION(echoes)
{
    scoop_write(out, data, size);
}

/* Its argument is still the same after it has waited for a child with the same. */
SCOOP_BYTES_FUNCTION(echoes_twice)
{
    struct scoop_bytes bytes = {NULL, 0};
    scoop_future *const future = scoop_submit_with(NULL, NULL, SCOOP_HANDLE(echoes), data, size);

    if (future == NULL || scoop_result_bytes(future, &bytes) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    else if (bytes.size != size || memcmp(bytes.data, data, size) != 0)
        scoop_fail(2, "it came back different");
    scoop_write(out, data, size);
    scoop_future_free(future);
}

static int mode_bytes(int number)
{
    const size_t size = (size_t)number;
    char *const data = malloc(size + 1);
    struct scoop_bytes in[4];
    struct scoop_bytes out[4];
    int right = 0;

    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7);
    for (int i = 0; i < 4; i++)
        in[i] = (struct scoop_bytes){data, size};
    if (scoop_map_bytes(NULL, NULL, SCOOP_HANDLE(echoes_twice), in, out, 4) != SCOOP_OK)
        return scoop_report();
    for (int i = 0; i < 4; i++)
        right += out[i].size == size && memcmp(out[i].data, data, size) == 0;
    scoop_bytes_free(out, 4);
    free(data);
    printf("%d of 4\n", right);
    return 0;
}

/* ---- ends ---- */

SCOOP_FUNCTION(int, crashes, int x)
{
    witness("child");
    raise(SIGKILL);
    return x;
}

/* How its child ended: status * 100 + attempts. */
SCOOP_FUNCTION(int, sees_a_crash, int x)
{
    struct scoop_error error = {.status = SCOOP_OK};
    int result = 0;
    scoop_future *const future = scoop_submit(crashes, x);

    witness("parent");
    if (scoop_result(future, &result) == SCOOP_OK || !scoop_error(future, &error))
        scoop_fail(1, "it did not crash");
    scoop_future_free(future);
    return (int)error.status * 100 + (int)error.attempts;
}

static int mode_crash(int number)
{
    return print_result(scoop_submit(sees_a_crash, number));
}

SCOOP_FUNCTION(int, sleeps, int ms)
{
    witness("child");
    sleep_ms(ms);
    return ms;
}

SCOOP_FUNCTION(int, waits_for_sleep, int ms)
{
    witness("parent");
    return result_of(scoop_submit(sleeps, ms));
}

static int mode_sleep(int number)
{
    return print_result(scoop_submit(waits_for_sleep, number));
}

/* A parent that has 300 ms. */
static int mode_limit(int number)
{
    const struct scoop_options options = {.limit_ms = 300};

    return print_result(scoop_submit_on(NULL, &options, waits_for_sleep, number));
}

/* Waits for one child no longer than 50 ms, then for another without end, then for the first. */
SCOOP_FUNCTION(int, looks_at_the_clock, int ms)
{
    scoop_future *const slow = scoop_submit(sleeps, ms);
    const enum scoop_status early = scoop_wait(slow, 50);
    const int quick = result_of(scoop_submit(plus_one, 1));

    if (early != SCOOP_TIMEOUT)
        scoop_fail(1, "the deadline was not kept");
    return quick + result_of(slow);
}

static int mode_deadline(int number)
{
    return print_result(scoop_submit(looks_at_the_clock, number));
}

/* A child that runs elsewhere: the parent only waits with a deadline, which keeps its process. */
SCOOP_FUNCTION(int, waits_apart, int ms)
{
    scoop_future *const future = scoop_submit(sleeps, ms);

    witness("parent");
    (void)scoop_wait(future, 60000);
    return result_of(future);
}

/* Many that wait with a deadline, each of which keeps its process. */
static int mode_crowd(int number)
{
    int in[200];
    int out[200];
    int sum = 0;

    for (int i = 0; i < 200; i++)
        in[i] = number;
    if (scoop_map(waits_apart, in, out, 200) != SCOOP_OK)
        return scoop_report();
    for (int i = 0; i < 200; i++)
        sum += out[i] == number;
    printf("%d of 200\n", sum);
    return 0;
}

static int mode_pair(int number)
{
    return print_result(scoop_submit(waits_apart, number));
}

/* 20 sleep, on few slots: how many of them were stopped, and how many never ran, as two digits each. */
SCOOP_FUNCTION(int, cancels, int ms)
{
    scoop_future *all[20];
    int counts[5] = {0};

    for (int i = 0; i < 20; i++)
        all[i] = scoop_submit(sleeps, ms);
    (void)scoop_wait(all[0], 500);
    for (int i = 0; i < 20; i++)
        counts[scoop_cancel(all[i], 5000)]++;
    for (int i = 0; i < 20; i++)
        scoop_future_free(all[i]);
    return counts[SCOOP_STOPPED] * 100 + counts[SCOOP_NEVER_RAN];
}

static int mode_cancel(int number)
{
    return print_result(scoop_submit(cancels, number));
}

SCOOP_FUNCTION(int, leaves_children, int n)
{
    for (int i = 0; i < n; i++)
        (void)scoop_submit(sleeps, 60000);
    return n;
}

static int mode_leave(int number)
{
    return print_result(scoop_submit(leaves_children, number));
}

/* The number of the first of its children that ended, and the sum of all as they end. */
SCOOP_FUNCTION(int, takes_them_as_they_end, int n)
{
    scoop_future *all[3] = {
        scoop_submit(sleeps, n * 8),
        scoop_submit(sleeps, n),
        scoop_submit(sleeps, n * 8),
    };
    size_t first = 0;
    int sum = 0;

    if (scoop_wait_any(all, 3, SCOOP_FOREVER, &first) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    for (int i = 0; i < 3; i++)
        sum += result_of(all[i]);
    return (int)first * 10000 + sum;
}

static int mode_any(int number)
{
    return print_result(scoop_submit(takes_them_as_they_end, number));
}

/* Each fails with its own number, after it has waited beside the others. */
SCOOP_FUNCTION(int, fails_after_waiting, int x)
{
    scoop_future *const future = scoop_submit(plus_one, x);

    scoop_fail(x, "this is %d", x);
    (void)scoop_wait(future, SCOOP_FOREVER);
    scoop_future_free(future);
    return 0;
}

static int mode_fail(int number)
{
    scoop_future *all[10];
    struct scoop_error error;
    char text[32];
    int right = 0;

    for (int i = 0; i < 10; i++)
        all[i] = scoop_submit(fails_after_waiting, number + i);
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "this is %d", number + i);
        if (scoop_wait(all[i], SCOOP_FOREVER) == SCOOP_OK && scoop_error(all[i], &error))
            right += error.status == SCOOP_FAILED && strcmp(error.text, text) == 0;
        scoop_future_free(all[i]);
    }
    printf("%d of 10\n", right);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int number);
} modes[] = {
    {"chain", mode_chain},     {"chains", mode_chains}, {"map", mode_map},
    {"futures", mode_futures}, {"bytes", mode_bytes},   {"crash", mode_crash},
    {"sleep", mode_sleep},     {"limit", mode_limit},   {"deadline", mode_deadline},
    {"leave", mode_leave},     {"any", mode_any},       {"pair", mode_pair},
    {"crowd", mode_crowd},     {"cancel", mode_cancel}, {"fail", mode_fail},
};

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run(argc > 2 ? atoi(argv[2]) : 0);
    fprintf(stderr, "usage: nested MODE [NUMBER]\n");
    return 2;
}
