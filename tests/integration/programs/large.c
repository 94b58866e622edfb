/* A program for tests: arguments and results that travel in pieces. `large MODE SIZE [NUMBER]`; what
 * happened goes to stdout, one fact a line. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Bytes that are different everywhere, and from one seed to the next. */
static uint64_t word_at(uint64_t seed, size_t i)
{
    uint64_t x = (seed << 40) + i + 1;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static void fill(uint8_t *data, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        const uint64_t word = word_at(seed, i);

        memcpy(data + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
    }
}

static bool is_filled(const uint8_t *data, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        const uint64_t word = word_at(seed, i);

        if (memcmp(data + i, &word, size - i < sizeof(word) ? size - i : sizeof(word)) != 0)
            return false;
    }
    return true;
}

static uint8_t *filled(size_t size, uint64_t seed)
{
    uint8_t *data = malloc(size);

    if (data == NULL) {
        fprintf(stderr, "large: no memory\n");
        exit(1);
    }
    fill(data, size, seed);
    return data;
}

SCOOP_BYTES_FUNCTION(echoes)
{
    scoop_write(out, data, size);
}

/* The same, later. */
SCOOP_BYTES_FUNCTION(naps)
{
    const struct timespec time = {.tv_nsec = 300000000};

    nanosleep(&time, NULL);
    scoop_write(out, data, size);
}

/* Only the length comes back, and whether the bytes are those of seed 1. */
SCOOP_BYTES_FUNCTION(looks)
{
    char text[64];
    const int length =
        snprintf(text, sizeof(text), "%zu %s", size, is_filled(data, size, 1) ? "right" : "wrong");

    scoop_write(out, text, (size_t)length);
}

SCOOP_BYTES_FUNCTION(makes)
{
    uint64_t wanted = 0;

    memcpy(&wanted, data, size < sizeof(wanted) ? size : sizeof(wanted));
    void *room = scoop_extend(out, wanted);
    if (room != NULL)
        fill(room, wanted, 1);
}

/* A child process that has the result mapped lives on. */
SCOOP_BYTES_FUNCTION(leaves)
{
    makes(data, size, out);
    if (fork() == 0) {
        pause();
        _exit(0);
    }
}

/* Of a large input only its size comes back. */
SCOOP_BYTES_FUNCTION(measures)
{
    struct scoop_bytes input;
    char text[64];
    const int length =
        snprintf(text, sizeof(text), "%zu bytes", scoop_input_bytes(0, &input) ? input.size : 0);

    scoop_write(out, text, (size_t)length);
}

static struct scoop_bytes length_of(uint64_t *size)
{
    return (struct scoop_bytes){size, sizeof(*size)};
}

/* A child with a large argument. */
SCOOP_BYTES_FUNCTION(asks)
{
    uint64_t wanted = 0;

    memcpy(&wanted, data, size < sizeof(wanted) ? size : sizeof(wanted));
    uint8_t *argument = filled(wanted, 1);
    scoop_future *child = scoop_submit_with(NULL, NULL, SCOOP_HANDLE(looks), argument, wanted);
    struct scoop_bytes result;

    free(argument);
    if (child == NULL || scoop_result_bytes(child, &result) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    else
        scoop_write(out, result.data, result.size);
    scoop_future_free(child);
}

static int echo(const struct scoop_function *function, size_t size, size_t count)
{
    struct scoop_bytes *in = calloc(count, sizeof(*in));
    struct scoop_bytes *out = calloc(count, sizeof(*out));
    size_t right = 0;

    for (size_t i = 0; in != NULL && i < count; i++)
        in[i] = (struct scoop_bytes){filled(size, i), size};
    printf("begun\n");
    fflush(stdout);
    if (scoop_map_bytes(NULL, NULL, function, in, out, count) != SCOOP_OK)
        return scoop_report();
    for (size_t i = 0; i < count; i++)
        right += out[i].size == size && is_filled(out[i].data, size, i);
    printf("%zu of %zu\n", right, count);
    scoop_bytes_free(in, count);
    scoop_bytes_free(out, count);
    free(in);
    free(out);
    return 0;
}

static int print_result(scoop_future *future)
{
    struct scoop_bytes result;

    if (future == NULL || scoop_result_bytes(future, &result) != SCOOP_OK) {
        scoop_future_free(future);
        return scoop_report();
    }
    if (result.size > 100)
        printf("%zu %s\n", result.size, is_filled(result.data, result.size, 1) ? "right" : "wrong");
    else
        printf("%.*s\n", (int)result.size, (const char *)result.data);
    scoop_future_free(future);
    return 0;
}

static int call(const struct scoop_function *function, struct scoop_bytes argument)
{
    return print_result(scoop_submit_with(NULL, NULL, function, argument.data, argument.size));
}

static int look(size_t size)
{
    uint8_t *data = size <= SCOOP_LARGE_MAX ? filled(size, 1) : calloc(1, size);
    scoop_future *future = scoop_submit_with(NULL, NULL, SCOOP_HANDLE(looks), data, size);

    free(data); /* it was copied */
    return print_result(future);
}

static int after(uint64_t size)
{
    scoop_future *source = scoop_submit_with(NULL, NULL, SCOOP_HANDLE(makes), &size, sizeof(size));
    const struct scoop_options options = {.after = &source, .after_count = 1};
    scoop_future *taker = scoop_submit_with(NULL, &options, SCOOP_HANDLE(measures), NULL, 0);

    scoop_future_free(source);
    return print_result(taker);
}

/* Cancel when the test says so. */
static int cancel(size_t size)
{
    static const char *const answers[] = {"unanswered", "never ran", "stopped", "discarded",
                                          "too late"};
    uint8_t *data = filled(size, 1);
    scoop_future *future = scoop_submit_with(NULL, NULL, SCOOP_HANDLE(echoes), data, size);

    printf("submitted\n");
    fflush(stdout);
    (void)getchar();
    printf("%s\n", answers[scoop_cancel(future, 10000)]);
    scoop_future_free(future);
    free(data);
    return look(size);
}

/* The call's deadline passes while the bytes travel; what comes afterwards is right. */
static int deadline(size_t size)
{
    struct scoop_bytes in = {filled(size, 0), size};
    struct scoop_bytes out;
    const struct scoop_options options = {.deadline_ms = 20};
    const enum scoop_status status =
        scoop_map_bytes(NULL, &options, SCOOP_HANDLE(naps), &in, &out, 1);

    printf("%s\n", scoop_strerror(status));
    scoop_bytes_free(&in, 1);
    scoop_bytes_free(&out, 1);
    return look(size);
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const char *mode = argc > 1 ? argv[1] : "";
    uint64_t size = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    const size_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;

    if (strcmp(mode, "echo") == 0)
        return echo(SCOOP_HANDLE(echoes), size, count);
    if (strcmp(mode, "nap") == 0)
        return echo(SCOOP_HANDLE(naps), size, count);
    if (strcmp(mode, "look") == 0)
        return look(size);
    if (strcmp(mode, "make") == 0)
        return call(SCOOP_HANDLE(makes), length_of(&size));
    if (strcmp(mode, "leave") == 0)
        return call(SCOOP_HANDLE(leaves), length_of(&size));
    if (strcmp(mode, "ask") == 0)
        return call(SCOOP_HANDLE(asks), length_of(&size));
    if (strcmp(mode, "after") == 0)
        return after(size);
    if (strcmp(mode, "cancel") == 0)
        return cancel(size);
    if (strcmp(mode, "deadline") == 0)
        return deadline(size);
    fprintf(stderr,
            "large: MODE is echo, nap, look, make, leave, ask, after, cancel or deadline\n");
    return 2;
}
