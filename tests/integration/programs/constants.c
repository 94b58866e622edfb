/* A program for tests of constants.
 *
 * usage: constants read NAME                 a function reads it; prints the value
 *        constants set NAME VALUE [COUNT MS] sets it and prints "set", then runs COUNT tasks of MS each that
 *                                            read it; prints how many read VALUE
 *        constants twice NAME                sets it twice, and once inside a function; prints the errors
 *        constants race NAME                 8 threads set it; prints how many did */
#include <scoop.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT_MAX 1000

struct question {
    char name[64];
    int sleep_ms;
};

struct answer {
    char value[64];
};

SCOOP_FUNCTION(struct answer, read_it, struct question q)
{
    const struct timespec time = {.tv_nsec = q.sleep_ms * 1000000L};
    struct answer answer = {.value = ""};
    struct scoop_bytes bytes;

    nanosleep(&time, NULL);
    if (scoop_constant(NULL, q.name, &bytes) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    else
        snprintf(answer.value, sizeof(answer.value), "%.*s", (int)bytes.size,
                 (const char *)bytes.data);
    return answer;
}

/* A child reads it, too. */
SCOOP_FUNCTION(struct answer, have_it_read, struct question q)
{
    struct answer answer = {.value = ""};
    scoop_future *future = scoop_submit(read_it, q);

    if (future == NULL || scoop_result(future, &answer) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    scoop_future_free(future);
    return answer;
}

SCOOP_FUNCTION(int, set_it, struct question q)
{
    if (scoop_constant_set(NULL, q.name, "f", 1) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    return 0;
}

static struct question question(const char *name, int sleep_ms)
{
    struct question q = {.sleep_ms = sleep_ms};

    snprintf(q.name, sizeof(q.name), "%s", name);
    return q;
}

static int read_one(const char *name)
{
    struct answer answer;
    scoop_future *future = scoop_submit(read_it, question(name, 0));

    if (future != NULL && scoop_result(future, &answer) == SCOOP_OK)
        printf("%s\n", answer.value);
    scoop_future_free(future);
    return scoop_report();
}

static int set_and_read(const char *name, const char *value, size_t count, int sleep_ms)
{
    static struct question in[COUNT_MAX];
    static struct answer out[COUNT_MAX];
    size_t right = 0;

    if (scoop_constant_set(NULL, name, value, strlen(value)) != SCOOP_OK)
        return scoop_report();
    puts("set");
    (void)fflush(stdout);
    for (size_t i = 0; i < count; i++)
        in[i] = question(name, sleep_ms);
    if (scoop_map(read_it, in, out, count) != SCOOP_OK ||
        scoop_map(have_it_read, in, out, count / 2) != SCOOP_OK)
        return scoop_report();
    for (size_t i = 0; i < count; i++)
        right += strcmp(out[i].value, value) == 0;
    printf("%zu of %zu\n", right, count);
    return 0;
}

static int set_twice(const char *name)
{
    struct scoop_bytes bytes;
    int nothing = 0;

    if (scoop_constant_set(NULL, name, "a", 1) != SCOOP_OK)
        return scoop_report();
    if (scoop_constant_set(NULL, name, "a", 1) != SCOOP_OK)
        printf("%s\n", scoop_last_error());
    scoop_future *future = scoop_submit(set_it, question(name, 0));
    if (future != NULL && scoop_result(future, &nothing) != SCOOP_OK)
        printf("%s\n", scoop_last_error());
    scoop_future_free(future);
    if (scoop_constant(NULL, name, &bytes) != SCOOP_OK)
        return scoop_report();
    printf("%.*s\n", (int)bytes.size, (const char *)bytes.data);
    return 0;
}

static atomic_int winners;

static void *set_in_thread(void *name)
{
    struct scoop_bytes bytes;

    if (scoop_constant_set(NULL, name, "a", 1) == SCOOP_OK)
        atomic_fetch_add(&winners, 1);
    (void)scoop_constant(NULL, name, &bytes);
    return NULL;
}

static int race(char *name)
{
    pthread_t threads[8];

    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, set_in_thread, name) != 0)
            return 1;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    printf("%d\n", atomic_load(&winners));
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";

    scoop_init(&argc, &argv);
    if (strcmp(mode, "read") == 0)
        return read_one(argv[2]);
    if (strcmp(mode, "set") == 0 && argc > 3)
        return set_and_read(argv[2], argv[3], argc > 5 ? strtoul(argv[4], NULL, 10) : 0,
                            argc > 5 ? (int)strtoul(argv[5], NULL, 10) : 0);
    if (strcmp(mode, "twice") == 0)
        return set_twice(argv[2]);
    if (strcmp(mode, "race") == 0)
        return race(argv[2]);
    return 2;
}
