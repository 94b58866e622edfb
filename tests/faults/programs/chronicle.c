/* A program whose clients and functions write down what happened to each task, in one file for all of them, $CHRONICLE: a
 * line for each event, written at once at the end of the file. tests/faults/chronicle.py reads it.
 *
 *   NANOSECONDS EVENT NUMBER WORD VALUE PID
 *
 * Events: submit; ack (a durable task: WORD is the status), start, end, deliver (WORD is the status of the future, in
 * words joined by '-'), cancel (WORD is the answer). Time is monotonic, of this machine.
 *
 * usage: chronicle run COUNT SLEEP_US [EVERY [BATCH]]   tasks of this session; each EVERYth is cancelled, when others came after it
 *        chronicle submit FIRST COUNT SLEEP_US    durable tasks; the one with NUMBER has the id NUMBER + 1
 *        chronicle wait FIRST COUNT               their results */
#include <scoop.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How many tasks are submitted before one of them is cancelled. */
#define CANCEL_BEHIND 10

struct work {
    int number;
    int sleep_us;
};

static void record(const char *event, int number, const char *word, long value)
{
    static int fd = -1;
    const char *const path = getenv("CHRONICLE");
    struct timespec now;
    char line[160];

    if (fd < 0)
        fd = open(path != NULL ? path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                  0666);
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int length = snprintf(line, sizeof(line), "%" PRId64 " %s %d %s %ld %d\n",
                                (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, event, number, word,
                                value, (int)getpid());
    if (fd < 0 || write(fd, line, (size_t)length) != length) {
        fprintf(stderr, "chronicle: cannot write to $CHRONICLE\n");
        _exit(99);
    }
}

SCOOP_FUNCTION(long, chronicle_square, struct work work)
{
    const struct timespec time = {.tv_sec = work.sleep_us / 1000000,
                                  .tv_nsec = work.sleep_us % 1000000 * 1000L};
    const long value = (long)work.number * work.number;

    record("start", work.number, "-", 0);
    if (work.sleep_us > 0)
        nanosleep(&time, NULL);
    record("end", work.number, "-", value);
    return value;
}

/* The status as one word. */
static void record_status(const char *event, int number, enum scoop_status status, long value)
{
    char word[64];

    snprintf(word, sizeof(word), "%s", scoop_strerror(status));
    for (char *c = word; *c != '\0'; c++)
        if (*c == ' ')
            *c = '-';
    record(event, number, word, value);
}

static void record_delivery(int number, scoop_future *future)
{
    struct scoop_bytes bytes = {.data = NULL};
    long value = -1;
    const enum scoop_status status = scoop_result_bytes(future, &bytes);

    if (status == SCOOP_OK && bytes.size == sizeof(value))
        memcpy(&value, bytes.data, sizeof(value));
    record_status("deliver", number, status, value);
}

static void cancel(int number, scoop_future *future)
{
    static const char *const answers[] = {
        [SCOOP_UNANSWERED] = "unanswered", [SCOOP_NEVER_RAN] = "never-ran",
        [SCOOP_STOPPED] = "stopped",       [SCOOP_DISCARDED] = "discarded",
        [SCOOP_TOO_LATE] = "too-late",
    };

    record("cancel", number, answers[scoop_cancel(future, SCOOP_FOREVER)], 0);
}

/* Every delivery is recorded as it comes, so that one that came twice would be seen. */
static int deliver_all(scoop_future *const *futures, int first, int count)
{
    scoop_iterator *const done = scoop_as_completed(futures, (size_t)count);
    size_t index;

    if (done == NULL)
        return scoop_report();
    while (scoop_next(done, SCOOP_FOREVER, &index) == SCOOP_OK)
        record_delivery(first + (int)index, futures[index]);
    scoop_iterator_free(done);
    for (int i = 0; i < count; i++)
        scoop_future_free(futures[i]);
    return 0;
}

static scoop_future *submit(int number, int sleep_us, int batch)
{
    const struct scoop_options options = {.batch = (unsigned)batch};
    const struct work work = {number, sleep_us};

    record("submit", number, "-", 0);
    return scoop_submit_with(NULL, &options, SCOOP_HANDLE(chronicle_square), &work, sizeof(work));
}

static int run(scoop_future **futures, int count, int sleep_us, int every, int batch)
{
    for (int i = 0; i < count + CANCEL_BEHIND; i++) {
        const int behind = i - CANCEL_BEHIND;

        if (i < count) {
            futures[i] = submit(i, sleep_us, batch);
            if (futures[i] == NULL)
                return scoop_report();
        }
        if (every > 0 && behind >= 0 && behind < count && behind % every == 0)
            cancel(behind, futures[behind]);
    }
    return deliver_all(futures, 0, count);
}

static int submit_durable(scoop_future **futures, int first, int count, int sleep_us)
{
    for (int i = 0; i < count; i++) {
        const struct work work = {first + i, sleep_us};
        uint64_t id = (uint64_t)work.number + 1;

        record("submit", work.number, "-", 0);
        futures[i] = scoop_submit_durable(NULL, NULL, SCOOP_HANDLE(chronicle_square), &work,
                                          sizeof(work), &id);
        if (futures[i] == NULL)
            return scoop_report();
    }
    for (int i = 0; i < count; i++) {
        record_status("ack", first + i, scoop_wait(futures[i], SCOOP_FOREVER), 0);
        scoop_future_free(futures[i]);
    }
    return 0;
}

static int wait_durable(scoop_future **futures, int first, int count)
{
    for (int i = 0; i < count; i++) {
        futures[i] = scoop_attach(NULL, (uint64_t)(first + i) + 1);
        if (futures[i] == NULL)
            return scoop_report();
    }
    return deliver_all(futures, first, count);
}

static int number_of(int argc, char **argv, int index)
{
    return index < argc ? (int)strtol(argv[index], NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    static scoop_future **futures; /* in reach of the leak checker where they are left */
    int status = 2;

    scoop_init(&argc, &argv);
    if (argc < 4)
        return 2;
    const int second = number_of(argc, argv, 2);
    const int third = number_of(argc, argv, 3);
    const int fourth = number_of(argc, argv, 4);
    const int count = strcmp(argv[1], "run") == 0 ? second : third;

    futures = calloc((size_t)count, sizeof(scoop_future *));
    if (futures == NULL)
        return 1;
    if (strcmp(argv[1], "run") == 0)
        status = run(futures, second, third, fourth, number_of(argc, argv, 5));
    else if (strcmp(argv[1], "submit") == 0)
        status = submit_durable(futures, second, third, fourth);
    else if (strcmp(argv[1], "wait") == 0)
        status = wait_durable(futures, second, third);
    free(futures);
    return status;
}
