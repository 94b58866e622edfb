/* A program for tests: what the holder of a future hears of it while it runs.
 *
 *   news steps COUNT MS      a function that is i/COUNT done after i * MS ms; prints what is heard
 *   news pieces COUNT        a function that gives COUNT numbers ahead; prints what is wrong with them
 *   news short COUNT         as many short functions that say how far they are; prints how many are heard right
 *   news flood COUNT         a function that gives so many large pieces that nobody takes, and others beside it
 *   news again FILE          a function whose first try crashes in the middle (FILE remembers that)
 *   news children            what a function hears of its children
 *   news threads ROUNDS      all calls from many threads */
#include <scoop.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct steps {
    int count;
    int ms;
};

SCOOP_FUNCTION(int, step, struct steps steps)
{
    for (int i = 1; i <= steps.count; i++) {
        usleep((useconds_t)steps.ms * 1000);
        scoop_progress((uint64_t)i, (uint64_t)steps.count);
    }
    /* So that the last of them is seen before the end. */
    usleep((useconds_t)steps.ms * 1000);
    return steps.count;
}

SCOOP_FUNCTION(int, give, int count)
{
    for (int i = 0; i < count; i++)
        scoop_partial(&i, sizeof(i));
    return count;
}

SCOOP_FUNCTION(int, quick, int x)
{
    scoop_progress(1, 1000000);
    scoop_progress((uint64_t)x, 1000000);
    return x;
}

SCOOP_FUNCTION(int, flood, int count)
{
    static char bytes[SCOOP_PARTIAL_MAX];
    int given = 0;

    for (int i = 0; i < count; i++)
        given += scoop_partial(bytes, sizeof(bytes));
    if (scoop_partial(bytes, sizeof(bytes) + 1))
        scoop_fail(1, "a piece that is too large was taken");
    return given;
}

SCOOP_BYTES_FUNCTION(stumble)
{
    char path[512] = "";

    memcpy(path, data, size < sizeof(path) ? size : sizeof(path) - 1);
    const bool first = access(path, F_OK) != 0;
    FILE *file = fopen(path, "we");
    if (file == NULL || fclose(file) != 0)
        scoop_fail(1, "%s: cannot be written", path);
    scoop_progress(first ? 1 : 2, 3);
    scoop_partial(first ? "a" : "A", 1);
    scoop_partial(first ? "b" : "B", 1);
    if (!first)
        return;
    usleep(300000);
    _exit(7);
}

/* What it hears of its children; fails where that is wrong. */
SCOOP_FUNCTION(int, parent, int x)
{
    scoop_future *child = scoop_submit(step, .steps = {.count = 2, .ms = 150});
    scoop_future *giver = scoop_submit(give, 100);
    struct scoop_piece piece;
    uint64_t done = 0;
    uint64_t total = 0;
    unsigned came = 0;

    scoop_progress(1, 2);
    while (scoop_partial_next(giver, SCOOP_FOREVER, &piece) == SCOOP_OK)
        came += 1 + piece.missing;
    while (scoop_wait_news(child, SCOOP_FOREVER) == SCOOP_OK)
        continue;
    if (came != 100 || !scoop_progress_of(child, &done, &total) || done != 2 ||
        scoop_running(child))
        scoop_fail(1, "%u pieces, %u/%u", came, (unsigned)done, (unsigned)total);
    scoop_future_free(giver);
    scoop_future_free(child);
    return x;
}

static void print_end(scoop_future *future)
{
    int result = 0;
    const enum scoop_status status = scoop_result(future, &result);

    printf("%s: %d, running %d\n", scoop_strerror(status), result, scoop_running(future));
    scoop_future_free(future);
}

static void steps(int count, int ms)
{
    scoop_future *future = scoop_submit(step, .steps = {.count = count, .ms = ms});
    uint64_t done = 0;
    uint64_t total = 0;

    while (scoop_wait_news(future, SCOOP_FOREVER) == SCOOP_OK) {
        if (scoop_progress_of(future, &done, &total))
            printf("%u/%u\n", (unsigned)done, (unsigned)total);
        else
            printf("running %d\n", scoop_running(future));
        fflush(stdout);
    }
    print_end(future);
}

static void pieces(int count)
{
    scoop_future *future = scoop_submit(give, count);
    struct scoop_piece piece;
    int next = 0;
    unsigned missing = 0;

    while (scoop_partial_next(future, SCOOP_FOREVER, &piece) == SCOOP_OK) {
        const int *number = piece.data;

        missing += piece.missing;
        if (piece.size != sizeof(next) || *number != next + (int)piece.missing ||
            piece.index != (uint32_t)*number || piece.attempt != 1)
            printf("%d came after %d\n", *number, next);
        next = *number + 1;
    }
    printf("%d came, %u are missing\n", next - (int)missing, missing);
    print_end(future);
}

static void shorts(int count)
{
    scoop_future **futures = calloc((size_t)count, sizeof(scoop_future *));
    int right = 0;

    for (int i = 0; i < count; i++)
        futures[i] = scoop_submit(quick, i);
    scoop_wait_all(futures, (size_t)count, SCOOP_FOREVER, NULL);
    for (int i = 0; i < count; i++) {
        uint64_t done = 0;
        uint64_t total = 0;

        right += scoop_progress_of(futures[i], &done, &total) && done == (uint64_t)i;
        scoop_future_free(futures[i]);
    }
    free(futures);
    printf("%d of %d\n", right, count);
}

static void floods(int count)
{
    scoop_future *future = scoop_submit(flood, count);
    struct scoop_piece piece;
    int in[1000] = {0};
    int out[1000];
    unsigned came = 0;
    unsigned missing = 0;

    printf("beside it: %s\n", scoop_strerror(scoop_map(quick, in, out, 1000)));
    scoop_wait(future, SCOOP_FOREVER);
    while (scoop_partial_next(future, 0, &piece) == SCOOP_OK) {
        came++;
        missing += piece.missing;
    }
    printf("ordered: %d, some: %d, bounded: %d\n", came + missing <= (unsigned)count, came > 0,
           came * SCOOP_PARTIAL_MAX <= (size_t)1 << 20);
    print_end(future);
}

static void again(const char *path)
{
    scoop_future *future =
        scoop_submit_with(NULL, NULL, SCOOP_HANDLE(stumble), path, strlen(path) + 1);
    struct scoop_piece piece;
    uint64_t done = 0;
    uint64_t total = 0;

    while (scoop_partial_next(future, SCOOP_FOREVER, &piece) == SCOOP_OK)
        printf("try %u, piece %u: %c\n", piece.attempt, piece.index, *(const char *)piece.data);
    if (scoop_progress_of(future, &done, &total))
        printf("%u/%u\n", (unsigned)done, (unsigned)total);
    scoop_future_free(future);
}

static void children(void)
{
    scoop_future *future = scoop_submit(parent, 1);
    bool half_done = false;
    uint64_t done = 0;
    uint64_t total = 0;

    while (scoop_wait_news(future, SCOOP_FOREVER) == SCOOP_OK)
        half_done = half_done || (scoop_running(future) &&
                                  scoop_progress_of(future, &done, &total) && total == 2);
    printf("it was running and half done: %d\n", half_done);
    print_end(future);
}

/* ---- threads ---- */

static scoop_future *shared; /* all threads look at it */

/* One future each, and the shared one. */
static void *look_on(void *context)
{
    unsigned *right = context;
    scoop_future *own = scoop_submit(give, 50);
    struct scoop_piece piece;
    uint64_t done = 0;
    uint64_t total = 0;
    unsigned came = 0;

    while (scoop_partial_next(own, SCOOP_FOREVER, &piece) == SCOOP_OK) {
        came += 1 + piece.missing;
        (void)scoop_running(shared);
        if (scoop_progress_of(shared, &done, &total) && total != 3)
            came = 0;
    }
    scoop_future_free(own);
    *right = came == 50;
    return NULL;
}

static void threads(int rounds)
{
    unsigned right[4] = {0};
    pthread_t ids[4];
    int well = 0;

    for (int round = 0; round < rounds; round++) {
        shared = scoop_submit(step, .steps = {.count = 3, .ms = 40});
        for (int i = 0; i < 4; i++)
            pthread_create(&ids[i], NULL, look_on, &right[i]);
        while (scoop_wait_news(shared, SCOOP_FOREVER) == SCOOP_OK)
            continue;
        for (int i = 0; i < 4; i++)
            pthread_join(ids[i], NULL);
        well += right[0] + right[1] + right[2] + right[3] == 4;
        scoop_future_free(shared);
    }
    printf("%d of %d\n", well, rounds);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    const int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;

    scoop_init(&argc, &argv);
    if (strcmp(how, "steps") == 0 && argc > 3)
        steps(count, (int)strtol(argv[3], NULL, 10));
    else if (strcmp(how, "pieces") == 0)
        pieces(count);
    else if (strcmp(how, "short") == 0)
        shorts(count);
    else if (strcmp(how, "flood") == 0)
        floods(count);
    else if (strcmp(how, "again") == 0 && argc > 2)
        again(argv[2]);
    else if (strcmp(how, "children") == 0)
        children();
    else
        threads(count);
    return 0;
}
