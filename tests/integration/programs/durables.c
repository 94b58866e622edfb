/* A program for tests of durable tasks; the task with NUMBER has the id NUMBER + 1. Every execution
 * leaves a line "NUMBER PID" in the file $WITNESS of the worker. Prints a line for each task:
 *
 *   durables submit FIRST COUNT SLEEP_MS    NUMBER STATUS TEXT            once it is accepted, or not
 *   durables wait FIRST COUNT               NUMBER STATUS VALUE ATTEMPTS TEXT
 *   durables forget FIRST COUNT             NUMBER STATUS */
#include <scoop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct work {
    int number;
    int sleep_ms;
};

SCOOP_FUNCTION(long, durable_square, struct work work)
{
    const struct timespec time = {.tv_sec = work.sleep_ms / 1000,
                                  .tv_nsec = work.sleep_ms % 1000 * 1000000L};
    const char *const path = getenv("WITNESS");
    char line[64];
    const int length = snprintf(line, sizeof(line), "%d %d\n", work.number, (int)getpid());
    const int fd = open(path != NULL ? path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT, 0600);

    if (fd < 0 || write(fd, line, (size_t)length) != length)
        scoop_fail(99, "cannot write to $WITNESS");
    close(fd);
    scoop_progress(1, 4);
    nanosleep(&time, NULL);
    return (long)work.number * work.number;
}

static scoop_future *ask(const char *verb, int number, int sleep_ms)
{
    const struct work work = {number, sleep_ms};
    uint64_t id = (uint64_t)number + 1;

    if (strcmp(verb, "submit") == 0)
        return scoop_submit_durable(NULL, NULL, SCOOP_HANDLE(durable_square), &work, sizeof(work),
                                    &id);
    return scoop_attach(NULL, id);
}

static void print_end(const char *verb, int number, scoop_future *future)
{
    struct scoop_error error = {.text = ""};
    struct scoop_bytes bytes;
    long value = -1;
    const enum scoop_status status = scoop_result_bytes(future, &bytes);

    (void)scoop_error(future, &error);
    if (status == SCOOP_OK && bytes.size == sizeof(value))
        memcpy(&value, bytes.data, sizeof(value));
    if (strcmp(verb, "submit") == 0)
        printf("%d %s %s\n", number, scoop_strerror(status), error.text);
    else
        printf("%d %s %ld %u %s\n", number, scoop_strerror(status), value, error.attempts,
               error.text);
    fflush(stdout);
    scoop_future_free(future);
}

static int forget(int first, int count)
{
    for (int number = first; number < first + count; number++)
        printf("%d %s\n", number,
               scoop_strerror(scoop_durable_forget(NULL, (uint64_t)number + 1, SCOOP_FOREVER)));
    return 0;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    if (argc < 4)
        return 2;
    const int first = (int)strtol(argv[2], NULL, 10);
    const int count = (int)strtol(argv[3], NULL, 10);
    const int sleep_ms = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0;
    if (strcmp(argv[1], "forget") == 0)
        return forget(first, count);
    static scoop_future **futures; /* in reach of the leak checker where they are left */

    futures = calloc((size_t)count, sizeof(scoop_future *));
    if (futures == NULL)
        return 1;
    for (int i = 0; i < count; i++) {
        futures[i] = ask(argv[1], first + i, sleep_ms);
        if (futures[i] == NULL)
            return scoop_report();
    }
    for (int i = 0; i < count; i++)
        print_end(argv[1], first + i, futures[i]);
    free(futures);
    return 0;
}
