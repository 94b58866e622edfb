/* A program for tests of scattered values.
 *
 * usage: scatter sum BYTES TASKS MS      TASKS tasks sum up a value of BYTES, and sleep for MS while they have it;
 *                                        prints "scattered", then how many sums are right
 *        scatter children BYTES TASKS    the same by a child of each task
 *        scatter two BYTES               one task reads two values, and each twice
 *        scatter freed BYTES             a task reads a value that was freed: prints the error
 *        scatter write BYTES             a task writes to a value: prints the error
 *        scatter errors                  prints what is refused */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct question {
    struct scoop_ref value;
    int ms;
};

static uint64_t sum_of(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += bytes[i] * (i % 31 + 1);
    return sum;
}

SCOOP_FUNCTION(uint64_t, sum, struct question q)
{
    const struct timespec time = {.tv_sec = q.ms / 1000, .tv_nsec = q.ms % 1000 * 1000000L};
    struct scoop_bytes bytes;

    if (scoop_scattered(NULL, q.value, &bytes) != SCOOP_OK) {
        scoop_fail(1, "%s", scoop_last_error());
        return 0;
    }
    nanosleep(&time, NULL);
    return sum_of(bytes.data, bytes.size);
}

SCOOP_FUNCTION(uint64_t, sum_by_child, struct question q)
{
    scoop_future *future = scoop_submit(sum, q);
    uint64_t result = 0;

    if (future == NULL || scoop_result(future, &result) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    scoop_future_free(future);
    return result;
}

struct pair {
    struct scoop_ref first, second;
};

SCOOP_FUNCTION(uint64_t, sum_both, struct pair p)
{
    const struct scoop_ref refs[] = {p.first, p.second, p.second, p.first};
    struct scoop_bytes bytes[4];
    uint64_t all = 0;

    for (int i = 0; i < 4; i++) {
        if (scoop_scattered(NULL, refs[i], &bytes[i]) != SCOOP_OK)
            scoop_fail(1, "%s", scoop_last_error());
    }
    for (int i = 0; i < 4; i++)
        all += bytes[i].size == refs[i].size ? sum_of(bytes[i].data, bytes[i].size) : 0;
    if (bytes[0].data != bytes[3].data || bytes[1].data != bytes[2].data)
        scoop_fail(1, "a value is at two places");
    return all;
}

SCOOP_FUNCTION(int, overwrite, struct question q)
{
    struct scoop_bytes bytes;

    if (scoop_scattered(NULL, q.value, &bytes) == SCOOP_OK)
        *(volatile char *)(uintptr_t)bytes.data = 1;
    return 0;
}

SCOOP_FUNCTION(int, scatter_inside, int x)
{
    if (scoop_scatter(NULL, &x, sizeof(x)).size == 0)
        scoop_fail(1, "%s", scoop_last_error());
    return 0;
}

static uint8_t *value_of(size_t size)
{
    uint8_t *bytes = malloc(size);

    for (size_t i = 0; bytes != NULL && i < size; i++)
        bytes[i] = (uint8_t)(i * 2654435761U >> 13);
    return bytes;
}

static int sums(const uint8_t *bytes, size_t size, uint32_t tasks, int ms, int by_child)
{
    const struct scoop_ref value = scoop_scatter(NULL, bytes, size);
    struct question *in = calloc(tasks, sizeof(*in));
    uint64_t *out = calloc(tasks, sizeof(*out));
    enum scoop_status status = SCOOP_NO_MEMORY;
    uint32_t right = 0;

    if (value.size == 0 || in == NULL || out == NULL)
        goto end;
    for (uint32_t i = 0; i < tasks; i++)
        in[i] = (struct question){value, ms};
    puts("scattered");
    fflush(stdout);
    status = by_child ? scoop_map(sum_by_child, in, out, tasks) : scoop_map(sum, in, out, tasks);
    for (uint32_t i = 0; i < tasks; i++)
        right += out[i] == sum_of(bytes, size);
    printf("%u of %u\n", right, tasks);
end:
    free(in);
    free(out);
    return status == SCOOP_OK ? 0 : scoop_report();
}

static int two(const uint8_t *bytes, size_t size)
{
    const struct pair in = {scoop_scatter(NULL, bytes, size),
                            scoop_scatter(NULL, bytes + 1, size - 1)};
    uint64_t out = 0;

    if (scoop_map(sum_both, &in, &out, 1) != SCOOP_OK)
        return scoop_report();
    puts(out == 2 * (sum_of(bytes, size) + sum_of(bytes + 1, size - 1)) ? "right" : "wrong");
    return 0;
}

/* `f` of a value: prints the error. */
static int fails(const uint8_t *bytes, size_t size, int write)
{
    const struct question q = {scoop_scatter(NULL, bytes, size), 0};
    uint64_t out = 0;
    int none = 0;

    if (!write)
        scoop_unscatter(NULL, q.value);
    if (write)
        (void)scoop_map(overwrite, &q, &none, 1);
    else
        (void)scoop_map(sum, &q, &out, 1);
    puts(scoop_last_error());
    return 0;
}

static int errors(void)
{
    const int in[] = {1};
    int out[1];
    struct scoop_bytes bytes;
    size_t count;

    scoop_scatter(NULL, in, 0);
    puts(scoop_last_error());
    scoop_scatter(NULL, in, SCOOP_LARGE_MAX + 1);
    puts(scoop_last_error());
    scoop_unscatter(NULL, (struct scoop_ref){{1, 2}, 3});
    puts(scoop_last_error());
    scoop_scattered(NULL, (struct scoop_ref){{1, 2}, 3}, &bytes);
    puts(scoop_last_error());
    const struct scoop_ref three = scoop_scatter(NULL, "abc", 3);
    if (SCOOP_SCATTERED(int, three, &count) == NULL)
        puts(scoop_last_error());
    if (scoop_map(scatter_inside, in, out, 1) != SCOOP_OK)
        puts(scoop_last_error());
    return 0;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const char *verb = argc > 1 ? argv[1] : "";
    const size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    const uint32_t tasks = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1;
    const int ms = argc > 4 ? atoi(argv[4]) : 0;
    uint8_t *bytes = value_of(size);
    int result = 2;

    if (strcmp(verb, "sum") == 0 || strcmp(verb, "children") == 0)
        result = sums(bytes, size, tasks, ms, verb[0] == 'c');
    else if (strcmp(verb, "two") == 0)
        result = two(bytes, size);
    else if (strcmp(verb, "freed") == 0 || strcmp(verb, "write") == 0)
        result = fails(bytes, size, verb[0] == 'w');
    else if (strcmp(verb, "errors") == 0)
        result = errors();
    free(bytes);
    return result;
}
