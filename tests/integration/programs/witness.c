/* A program for tests of recovery: every execution of a task leaves a line "NUMBER PID" in the
 * file $WITNESS of the worker, and the root prints how each future ended, one line each:
 *
 *   NUMBER STATUS VALUE ATTEMPTS CODE HOST TEXT
 *
 * usage: witness COUNT SLEEP_MS [NUMBER ODDITY]    COUNT tasks, of which one may be odd: see `oddities`
 *        witness leave COUNT SLEEP_MS                  exit after the first, which takes 100 ms */
#include <scoop.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum oddity { PLAIN, CRASH, FAIL, STAY, EXIT, CLOSE, SCRIBBLE };

static const char *const oddities[] = {
    [CRASH] = "crash", [FAIL] = "fail",   [STAY] = "stay",
    [EXIT] = "exit",   [CLOSE] = "close", [SCRIBBLE] = "scribble",
};

/* How long one stays that stays. */
#define STAY_MS 5000

struct work {
    int number;
    int sleep_ms;
    enum oddity oddity;
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

/* Fill all memory that is shared with the agent with nonsense. */
static void scribble(void)
{
    FILE *const maps = fopen("/proc/self/maps", "re");
    char line[512];

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        char *dash = NULL;
        const uintptr_t begin = strtoul(line, &dash, 16);
        const uintptr_t end = strtoul(dash + 1, NULL, 16);

        if (strstr(line, "scoop-ring") != NULL)
            memset((void *)begin, 0xa5, end - begin);
    }
    if (maps != NULL)
        fclose(maps);
}

static void do_harm(struct work work)
{
    switch (work.oddity) {
    case CRASH:
        fprintf(stderr, "number %d is about to crash\n", work.number);
        raise(SIGSEGV);
        return;
    case FAIL: scoop_fail(7, "number %d is no good", work.number); return;
    case EXIT: exit(0);
    case CLOSE:
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
        return;
    case SCRIBBLE: scribble(); return;
    case PLAIN:
    case STAY: return;
    }
}

SCOOP_FUNCTION(long, square, struct work work)
{
    const int sleep_ms = work.oddity == STAY ? STAY_MS : work.sleep_ms;
    const struct timespec time = {.tv_sec = sleep_ms / 1000, .tv_nsec = sleep_ms % 1000 * 1000000L};

    leave_a_line(work.number);
    nanosleep(&time, NULL);
    do_harm(work);
    return (long)work.number * work.number;
}

static void print_end(int number, scoop_future *future)
{
    struct scoop_error error = {.host = "", .text = ""};
    long value = -1;
    const enum scoop_status status = scoop_result(future, &value);

    (void)scoop_error(future, &error);
    printf("%d %s %ld %u %u %s %s\n", number, scoop_strerror(status), value, error.attempts,
           error.code, error.host[0] != '\0' ? error.host : "-", error.text);
    fflush(stdout);
    scoop_future_free(future);
}

static enum oddity oddity_of(const char *word)
{
    for (size_t i = CRASH; i < sizeof(oddities) / sizeof(oddities[0]); i++)
        if (strcmp(word, oddities[i]) == 0)
            return (enum oddity)i;
    fprintf(stderr, "witness: there is no oddity \"%s\"\n", word);
    exit(2);
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const int leaves = argc > 1 && strcmp(argv[1], "leave") == 0;
    if (argc < 3 + leaves)
        return 2;
    const int count = (int)strtol(argv[1 + leaves], NULL, 10);
    const int sleep_ms = (int)strtol(argv[2 + leaves], NULL, 10);
    const int odd = argc > 4 ? (int)strtol(argv[3], NULL, 10) : -1;
    static scoop_future **futures; /* in reach of the leak checker where they are left */

    futures = calloc((size_t)count, sizeof(scoop_future *));

    if (futures == NULL)
        return 1;
    for (int i = 0; i < count; i++) {
        const int its_ms = leaves && i == 0 ? 100 : sleep_ms;

        futures[i] = scoop_submit(square, {i, its_ms, i == odd ? oddity_of(argv[4]) : PLAIN});
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
