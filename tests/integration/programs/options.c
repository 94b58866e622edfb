/* A program for tests of what can be asked for a task. Every try of a task appends a byte to a file, so that
 * a try knows which one it is, whichever process it is in.
 *
 * usage: options retry FILE FAILURES RETRIES BACKOFF_MS   prints "STATUS VALUE ATTEMPTS CODE TEXT"
 *        options forever FILE RETRIES                     the same for a failure that is final
 *        options expire FILE                              the same for a task behind one of 500 ms that may wait
 *                                                         for 100 ms
 *        options priority FILE                            5 tasks behind one; FILE has their order of starting
 *        options cancel FILE                              a running task, one behind it and one that has ended;
 *                                                         prints their answers
 *        options unique FILE                              a task of a name from 8 threads; its end, what a map and
 *                                                         another function of that name are told, and how often it
 *                                                         ran when it was freed and submitted again */
#include <scoop.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct work {
    char file[200];
    char mark;
    int failures; /* of the first tries; -1: a final one */
    int sleep_ms;
};

/* Append the mark; returns how many there are now. */
static long leave_mark(const struct work *work)
{
    struct stat status = {.st_size = 0};
    const int fd = open(work->file, O_WRONLY | O_APPEND | O_CREAT, 0600);

    if (fd < 0 || write(fd, &work->mark, 1) != 1 || fstat(fd, &status) != 0)
        scoop_fail(99, "cannot write to %s", work->file);
    close(fd);
    return (long)status.st_size;
}

SCOOP_FUNCTION(long, attempt, struct work work)
{
    const struct timespec time = {.tv_sec = work.sleep_ms / 1000,
                                  .tv_nsec = work.sleep_ms % 1000 * 1000000L};
    const long number = leave_mark(&work);

    nanosleep(&time, NULL);
    if (work.failures < 0)
        scoop_fail_forever(4, "no try will help");
    else if (work.failures > 0 && number <= work.failures)
        scoop_fail(3, "try %ld failed", number);
    return number;
}

static struct work work_of(const char *file, char mark)
{
    struct work work = {.mark = mark};

    snprintf(work.file, sizeof(work.file), "%s", file);
    return work;
}

static scoop_future *submit(struct work work, const struct scoop_options *options)
{
    scoop_future *const future =
        scoop_submit_with(NULL, options, SCOOP_HANDLE(attempt), &work, sizeof(work));

    if (future == NULL)
        exit(scoop_report());
    return future;
}

static void print_end(scoop_future *future)
{
    struct scoop_error error = {.text = ""};
    long value = -1;
    const enum scoop_status status = scoop_result(future, &value);

    (void)scoop_error(future, &error);
    printf("%s %ld %u %u %s\n", scoop_strerror(status), value, error.attempts, error.code,
           error.text);
    scoop_future_free(future);
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static void retry(char **words, int failures, int retries, int backoff_ms)
{
    const struct scoop_options options = {.retries = (uint32_t)retries,
                                          .backoff_ms = (uint32_t)backoff_ms};
    struct work work = work_of(words[2], 'x');

    work.failures = failures;
    print_end(submit(work, &options));
}

/* Fill the only slot for a while; returns when it is. */
static scoop_future *occupy(const char *file)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    struct stat status;
    struct work work = work_of(file, '0');

    work.sleep_ms = 500;
    scoop_future *const future = submit(work, NULL);
    for (int i = 0; (stat(file, &status) != 0 || status.st_size == 0) && i < 10000; i++)
        nanosleep(&moment, NULL);
    return future;
}

static void expire(const char *file)
{
    scoop_future *const first = occupy(file);

    print_end(submit(work_of(file, 'x'), &(struct scoop_options){.expires_ms = 100}));
    scoop_future_free(first);
}

static void priority(const char *file)
{
    static const int priorities[] = {-1, 0, 7, 0, 100};
    scoop_future *futures[6] = {occupy(file)};

    for (int i = 0; i < 5; i++)
        futures[i + 1] = submit(work_of(file, (char)('a' + i)),
                                &(struct scoop_options){.priority = priorities[i]});
    for (int i = 0; i < 6; i++) {
        (void)scoop_wait(futures[i], SCOOP_FOREVER);
        scoop_future_free(futures[i]);
    }
}

static void cancel(const char *file)
{
    static const char *const answers[] = {"unanswered", "never ran", "stopped", "discarded",
                                          "too late"};
    scoop_future *const running = occupy(file);
    scoop_future *const waiting = submit(work_of(file, 'x'), NULL);

    printf("%s\n", answers[scoop_cancel(waiting, SCOOP_FOREVER)]);
    printf("%s\n", answers[scoop_cancel(running, SCOOP_FOREVER)]);
    printf("%s\n", answers[scoop_cancel(running, 0)]); /* again: the same answer */
    scoop_future_free(waiting);
    print_end(running);

    scoop_future *const ended = submit(work_of("/dev/null", 'x'), NULL);
    (void)scoop_wait(ended, SCOOP_FOREVER);
    printf("%s\n", answers[scoop_cancel(ended, SCOOP_FOREVER)]);
    print_end(ended);
}

#define USERS 8

SCOOP_FUNCTION(long, other, struct work work)
{
    return leave_mark(&work);
}

static void *submit_named(void *work)
{
    return submit(*(const struct work *)work, &(struct scoop_options){.unique = "name"});
}

static void unique(const char *file)
{
    const struct scoop_options named = {.unique = "name"};
    struct work work = work_of(file, 'u');
    pthread_t threads[USERS];
    void *futures[USERS];
    long value = 0;

    work.sleep_ms = 100;
    for (int i = 0; i < USERS; i++)
        pthread_create(&threads[i], NULL, submit_named, &work);
    for (int i = 0; i < USERS; i++)
        pthread_join(threads[i], &futures[i]);
    for (int i = 1; i < USERS; i++) {
        if (futures[i] != futures[0])
            puts("another future");
        scoop_future_free(futures[i]);
    }
    scoop_future *again = submit(work, &named);
    if (scoop_submit_on(NULL, &named, other, work) == NULL)
        puts(scoop_last_error());
    if (scoop_map_on(NULL, &named, attempt, &work, &value, 1) != SCOOP_OK)
        puts(scoop_last_error());
    print_end(again); /* and frees it */
    print_end(futures[0]);
    print_end(submit(work, &named));
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    if (argc == 6 && strcmp(argv[1], "retry") == 0)
        retry(argv, number(argv[3]), number(argv[4]), number(argv[5]));
    else if (argc == 4 && strcmp(argv[1], "forever") == 0)
        retry(argv, -1, number(argv[3]), 0);
    else if (argc == 3 && strcmp(argv[1], "expire") == 0)
        expire(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "priority") == 0)
        priority(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "cancel") == 0)
        cancel(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "unique") == 0)
        unique(argv[2]);
    else
        return 2;
    return 0;
}
