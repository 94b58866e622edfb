/* A program for tests of recovery: every execution of a task leaves a line "NUMBER PID" in the file $WITNESS of the
 * worker, and the root prints how each future ended, one line each:
 *
 *   NUMBER STATUS VALUE ATTEMPTS CODE HOST TEXT
 *
 * usage: witness COUNT SLEEP_MS [NUMBER crash|fail]    COUNT tasks, of which one may be bad
 *        witness leave COUNT SLEEP_MS                  exit after the first, which takes 100 ms */
#include <scoop.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum harm { NO_HARM, CRASH, FAIL };

struct work {
    int number;
    int sleep_ms;
    enum harm harm;
};

static void leave_a_line(int number)
{
    const char *const path = getenv("WITNESS");
    char line[64];
    const int length = snprintf(line, sizeof(line), "%d %d\n", number, (int)getpid());
    const int fd = open(path != NULL ? path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT, 0600);

    if (fd < 0 || write(fd, line, (size_t)length) != length)
        scoop_fail(99, "cannot write to $WITNESS");
    close(fd);
}

SCOOP_FUNCTION(long, square, struct work work)
{
    const struct timespec time = {.tv_sec = work.sleep_ms / 1000,
                                  .tv_nsec = work.sleep_ms % 1000 * 1000000L};

    leave_a_line(work.number);
    nanosleep(&time, NULL);
    if (work.harm == CRASH) {
        fprintf(stderr, "number %d is about to crash\n", work.number);
        raise(SIGSEGV);
    }
    if (work.harm == FAIL)
        scoop_fail(7, "number %d is no good", work.number);
    return (long)work.number * work.number;
}

static void print_end(int number, scoop_future *future)
{
    struct scoop_error error = {.host = "", .text = ""};
    long value = -1;
    const enum scoop_status status = scoop_result(future, &value);

    (void)scoop_error(future, &error);
    printf("%d %s %ld %u %u %s %s\n", number, scoop_strerror(status), value, error.attempts, error.code,
           error.host[0] != '\0' ? error.host : "-", error.text);
    fflush(stdout);
    scoop_future_free(future);
}

static enum harm harm_of(const char *word)
{
    return strcmp(word, "crash") == 0 ? CRASH : FAIL;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const int leaves = argc > 1 && strcmp(argv[1], "leave") == 0;
    if (argc < 3 + leaves)
        return 2;
    const int count = (int)strtol(argv[1 + leaves], NULL, 10);
    const int sleep_ms = (int)strtol(argv[2 + leaves], NULL, 10);
    const int bad = argc > 4 ? (int)strtol(argv[3], NULL, 10) : -1;
    scoop_future **const futures = calloc((size_t)count, sizeof(scoop_future *));

    if (futures == NULL)
        return 1;
    for (int i = 0; i < count; i++) {
        const int its_ms = leaves && i == 0 ? 100 : sleep_ms;

        futures[i] = scoop_submit(square, {i, its_ms, i == bad ? harm_of(argv[4]) : NO_HARM});
        if (futures[i] == NULL)
            return scoop_report();
    }
    printf("submitted\n");
    fflush(stdout);
    if (leaves) {
        (void)scoop_wait(futures[0], SCOOP_FOREVER);
        return 0;
    }
    for (int i = 0; i < count; i++)
        print_end(i, futures[i]);
    free(futures);
    return 0;
}
