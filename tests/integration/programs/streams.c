/* A program for tests: streams, and sums on the workers, one mode of main() for each promise.
 * `streams MODE [NUMBER]`; what happened goes to stdout, one fact a line. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

SCOOP_FUNCTION(int, sleeps_ms, int ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&time, NULL);
    return ms;
}

SCOOP_FUNCTION(int, fails_on_3, int x)
{
    if (x == 3)
        scoop_fail(7, "bad number %d", x);
    return x * 10;
}

/* ---- streams ---- */

struct numbers {
    int next;
    int count;
    int fails;
    int right;
    int enough; /* stop after this one */
};

static bool give(void *context, struct scoop_bytes *argument)
{
    struct numbers *n = context;
    static int number;

    if (n->next == n->count)
        return false;
    number = n->next++;
    *argument = (struct scoop_bytes){&number, sizeof(number)};
    return true;
}

static bool
take(void *context, uint64_t index, struct scoop_bytes result, const struct scoop_error *error)
{
    struct numbers *n = context;
    int value = 0;

    if (error != NULL) {
        printf("%llu %s\n", (unsigned long long)index, error->text);
        n->fails++;
    } else {
        memcpy(&value, result.data, sizeof(value));
        n->right += value == (int)index * 10 && result.size == sizeof(value);
    }
    return (int)index != n->enough;
}

/* `number` tasks through a window of 10, all in order; then only the first 100 of them. */
static int mode_stream(int number)
{
    struct numbers n = {.count = number, .enough = -1};
    struct scoop_stream stream = {.source = give, .sink = take, .context = &n, .window = 10};

    printf("%s\n", scoop_strerror(scoop_stream(fails_on_3, &stream)));
    printf("%d right, %d failed\n", n.right, n.fails);
    n = (struct numbers){.count = number, .enough = 99};
    printf("%s\n", scoop_strerror(scoop_stream(fails_on_3, &stream)));
    printf("%d right, %d given\n", n.right, n.next);
    return 0;
}

SCOOP_BYTES_FUNCTION(size_of)
{
    scoop_write(out, &size, sizeof(size));
}

#define LARGE ((size_t)8 << 20)

struct larges {
    char *data;
    int begun;
    int taken;
    int count;
    int most; /* begun and not taken */
};

static bool give_large(void *context, struct scoop_bytes *argument)
{
    struct larges *l = context;

    if (l->begun == l->count)
        return false;
    *argument = (struct scoop_bytes){l->data, LARGE};
    l->begun++;
    if (l->begun - l->taken > l->most)
        l->most = l->begun - l->taken;
    return true;
}

static bool take_large(void *context,
                       uint64_t index,
                       struct scoop_bytes result,
                       const struct scoop_error *error)
{
    size_t size = 0;

    (void)index;
    if (error == NULL)
        memcpy(&size, result.data, sizeof(size));
    ((struct larges *)context)->taken += size == LARGE;
    return true;
}

/* Arguments of 8 MiB: only so many are in memory as 64 MiB hold. */
static int mode_large_stream(int number)
{
    struct larges l = {.data = calloc(1, LARGE), .count = number};
    const struct scoop_stream stream = {.source = give_large, .sink = take_large, .context = &l};

    if (l.data == NULL || scoop_stream(size_of, &stream) != SCOOP_OK)
        return scoop_report();
    printf("%d of %d, %d at a time\n", l.taken, l.count, l.most);
    free(l.data);
    return 0;
}

/* A stream that is over its deadline. */
static int mode_late_stream(int number)
{
    const struct scoop_options options = {.deadline_ms = 100};
    struct numbers n = {.next = number, .count = number + 1, .enough = -1};
    const struct scoop_stream stream = {.source = give, .sink = take, .context = &n};

    scoop_stream_with(NULL, &options, SCOOP_HANDLE(sleeps_ms), &stream);
    printf("%s\n", scoop_last_error());
    return 0;
}

/* ---- sums ---- */

/* x -> slope * x + shift: one after the other is associative, not commutative. */
struct line {
    uint64_t slope;
    uint64_t shift;
};

SCOOP_FUNCTION(struct line, line_of, int x)
{
    return (struct line){.slope = 3 * (uint64_t)x + 1, .shift = (uint64_t)x + 1};
}

SCOOP_REDUCER(struct line, after, struct line a, struct line b)
{
    return (struct line){.slope = b.slope * a.slope, .shift = b.slope * a.shift + b.shift};
}

/* Elements so large that a task takes forty of them. */
struct large {
    int x;
    char room[100000];
};

SCOOP_FUNCTION(struct line, line_of_large, struct large l)
{
    return line_of(l.x);
}

SCOOP_REDUCER(int, add, int a, int b)
{
    return a + b;
}

/* Elements 0 ... number - 1, reduced and scanned, in the right order. */
static int mode_sums(int number)
{
    const size_t n = (size_t)number;
    int *in = calloc(n + 1, sizeof(*in));
    struct line *sums = calloc(n + 1, sizeof(*sums));
    struct line sum = {7, 7};
    struct line expected = {7, 7};
    size_t right = 0;

    for (int i = 0; in != NULL && i < number; i++)
        in[i] = i;
    if (sums == NULL || scoop_map_reduce(line_of, after, in, n, &sum) != SCOOP_OK ||
        scoop_map_scan(line_of, after, in, sums, n) != SCOOP_OK)
        return scoop_report();
    for (int i = 0; i < number; i++) {
        expected = i == 0 ? line_of(i) : after(expected, line_of(i));
        right += memcmp(&expected, &sums[i], sizeof(expected)) == 0;
    }
    printf("%d, %zu of %zu\n", memcmp(&expected, &sum, sizeof(sum)) == 0, right, n);
    free(in);
    free(sums);
    return 0;
}

static int mode_large_sums(int number)
{
    const size_t n = (size_t)number;
    struct large *in = calloc(n, sizeof(*in));
    struct line *sums = calloc(n, sizeof(*sums));
    struct line sum = {7, 7};

    for (int i = 0; in != NULL && i < number; i++)
        in[i].x = i;
    if (sums == NULL || scoop_map_reduce(line_of_large, after, in, n, &sum) != SCOOP_OK ||
        scoop_map_scan(line_of_large, after, in, sums, n) != SCOOP_OK)
        return scoop_report();
    printf("%d\n", memcmp(&sums[n - 1], &sum, sizeof(sum)) == 0);
    free(in);
    free(sums);
    return 0;
}

/* One element of `number` fails. */
static int mode_bad_sums(int number)
{
    int in[1000];
    int out[1000] = {42};

    for (int i = 0; i < number; i++)
        in[i] = i;
    printf("%s", scoop_strerror(scoop_map_reduce(fails_on_3, add, in, (size_t)number, out)));
    printf(" %d: %s\n", out[0], scoop_last_error());
    printf("%s", scoop_strerror(scoop_map_scan(fails_on_3, add, in, out, (size_t)number)));
    printf(" %d: %s\n", out[0], scoop_last_error());
    return 0;
}

struct marked {
    int x;
    int failures; /* of the first tries of element 5 */
    char file[200];
};

SCOOP_FUNCTION(int, marks, struct marked m)
{
    if (m.x == 5) {
        FILE *file = fopen(m.file, "a");

        if (file == NULL || fputc('x', file) == EOF || ftell(file) <= m.failures)
            scoop_fail(3, "once more");
        if (file != NULL)
            fclose(file);
    }
    return m.x;
}

/* Element 5 of 8 fails `number` times, of which two retries may make good; MARKS counts its tries. */
static int mode_retried_sums(int number)
{
    const struct scoop_options options = {.retries = 2};
    const char *file = getenv("MARKS");
    struct marked in[8];
    int sum = -1;

    for (int i = 0; i < 8; i++) {
        in[i] = (struct marked){.x = i, .failures = number};
        snprintf(in[i].file, sizeof(in[i].file), "%s", file != NULL ? file : "");
    }
    printf("%s", scoop_strerror(scoop_map_reduce_on(NULL, &options, marks, add, in, 8, &sum)));
    printf(" %d\n", sum);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int number);
} modes[] = {
    {"stream", mode_stream},
    {"late_stream", mode_late_stream},
    {"large_stream", mode_large_stream},
    {"sums", mode_sums},
    {"large_sums", mode_large_sums},
    {"bad_sums", mode_bad_sums},
    {"retried_sums", mode_retried_sums},
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
