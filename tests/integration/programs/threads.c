/* A program for tests: every call that scoop.h allows beside others, from many threads at once, or
 * from many functions at once. `threads ROUNDS [inside]`: prints how many of the rounds were right. */
#include <scoop.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASKS 20

SCOOP_FUNCTION(int, plus_one, int x)
{
    return x + 1;
}

static scoop_session *other; /* beside the default one */
static scoop_future *shared; /* every thread waits for it */
static unsigned rounds;

static int start(scoop_session *session, scoop_future **futures)
{
    for (int i = 0; i < TASKS; i++) {
        futures[i] = scoop_submit_on(session, NULL, plus_one, i);
        if (futures[i] == NULL)
            return -1;
    }
    return 0;
}

/* The result of future i, which is freed. */
static bool is_right(scoop_future **futures, size_t i)
{
    int result = 0;
    const bool right = scoop_result(futures[i], &result) == SCOOP_OK && result == (int)i + 1;

    scoop_future_free(futures[i]);
    futures[i] = NULL;
    return right;
}

static bool with_map(scoop_session *session)
{
    int in[TASKS];
    int out[TASKS];
    int right = 0;

    for (int i = 0; i < TASKS; i++)
        in[i] = i;
    if (scoop_map_on(session, NULL, plus_one, in, out, TASKS) != SCOOP_OK)
        return false;
    for (int i = 0; i < TASKS; i++)
        right += out[i] == i + 1;
    return right == TASKS;
}

static bool with_wait_any(scoop_session *session)
{
    scoop_future *futures[TASKS];
    size_t i = 0;
    int right = 0;

    if (start(session, futures) != 0)
        return false;
    while (scoop_wait_any(futures, TASKS, SCOOP_FOREVER, &i) == SCOOP_OK)
        right += is_right(futures, i);
    return right == TASKS;
}

static bool with_iterator(scoop_session *session)
{
    scoop_future *futures[TASKS];
    size_t i = 0;
    int right = 0;

    if (start(session, futures) != 0)
        return false;
    scoop_iterator *it = scoop_as_completed(futures, TASKS);
    while (it != NULL && scoop_next(it, SCOOP_FOREVER, &i) == SCOOP_OK)
        right += is_right(futures, i);
    scoop_iterator_free(it);
    return right == TASKS;
}

static void check_thread(scoop_future *future, void *context)
{
    const pthread_t *thread = ((void **)context)[0];
    int *called = ((void **)context)[1];

    *called += pthread_equal(*thread, pthread_self()) && scoop_done(future);
}

/* Each callback is called in the thread that asked for it; the first half of them by polling. */
static bool with_callbacks(scoop_session *session)
{
    struct pollfd polled = {.fd = scoop_fd(session), .events = POLLIN};
    pthread_t self = pthread_self();
    int called = 0;
    void *context[] = {&self, &called};
    scoop_future *futures[TASKS];
    int right = 0;

    if (start(session, futures) != 0)
        return false;
    for (int i = 0; i < TASKS; i++)
        scoop_then(futures[i], check_thread, context);
    /* Another thread's scoop_process() may take the readiness away: no wait for ever. */
    for (int i = 0; i < 50 && called < TASKS / 2; i++) {
        if (polled.fd >= 0) /* inside a function there is none */
            poll(&polled, 1, 10);
        scoop_process(session);
    }
    scoop_wait_all(futures, TASKS, SCOOP_FOREVER, NULL);
    for (size_t i = 0; i < TASKS; i++)
        right += is_right(futures, i);
    return right == TASKS && called == TASKS;
}

/* Callbacks that are due, or not yet, when their futures go. */
static bool with_forgetting(scoop_session *session)
{
    pthread_t self = pthread_self();
    int called = 0;
    void *context[] = {&self, &called};
    scoop_future *futures[TASKS];

    if (start(session, futures) != 0)
        return false;
    for (int i = 0; i < TASKS; i++)
        scoop_then(futures[i], check_thread, context);
    for (int i = 0; i < TASKS; i++)
        scoop_future_free(futures[i]);
    return called == 0;
}

static bool give(void *context, struct scoop_bytes *argument)
{
    int *next = context;

    if (++*next >= TASKS)
        return false;
    *argument = (struct scoop_bytes){next, sizeof(*next)};
    return true;
}

static bool
take(void *context, uint64_t index, struct scoop_bytes result, const struct scoop_error *error)
{
    int value = -1;

    (void)context;
    if (error == NULL)
        memcpy(&value, result.data, sizeof(value));
    return value == (int)index + 1;
}

static bool with_stream(scoop_session *session)
{
    int next = -1;
    const struct scoop_stream stream = {give, take, &next, 7};

    return scoop_stream_with(session, NULL, SCOOP_HANDLE(plus_one), &stream) == SCOOP_OK &&
           next == TASKS;
}

static bool with_cluster(scoop_session *session)
{
    struct scoop_cluster *cluster = NULL;
    const bool good = scoop_wait_for_workers(session, 1, SCOOP_FOREVER) == SCOOP_OK &&
                      scoop_cluster(session, SCOOP_FOREVER, &cluster) == SCOOP_OK;

    scoop_cluster_free(cluster);
    return good;
}

static bool with_the_shared_future(scoop_session *session)
{
    struct scoop_error error;
    int result = 0;

    (void)session;
    return scoop_wait(shared, SCOOP_FOREVER) == SCOOP_OK && scoop_done(shared) &&
           scoop_result(shared, &result) == SCOOP_OK && result == 42 &&
           scoop_error(shared, &error) && error.status == SCOOP_OK;
}

/* A call that fails keeps its error in this thread. */
static bool with_an_error(scoop_session *session)
{
    (void)session;
    return scoop_wait(NULL, 0) == SCOOP_MISUSE &&
           strcmp(scoop_last_error(), "scoop_wait: there is no future") == 0;
}

static bool (*const ways[])(scoop_session *session) = {
    with_map,    with_wait_any, with_iterator, with_callbacks,         with_forgetting,
    with_stream, with_cluster,  with_an_error, with_the_shared_future,
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Thread k begins with way k; *argument is k, then how many rounds were right. */
static void *run(void *argument)
{
    unsigned *number = argument;
    unsigned right = 0;

    for (unsigned i = 0; i < rounds; i++)
        right += ways[(*number + i) % WAYS](i % 2 == 0 ? NULL : other);
    *number = right;
    return NULL;
}

/* ---- inside of functions ---- */

/* Of one call; it stays, as do futures that have ended and that nobody freed. */
struct call {
    bool returned;
    int called;
};

static int called_late;

static void note_call(scoop_future *future, void *context)
{
    struct call *call = context;

    (void)future;
    call->called++;
    called_late += call->returned;
}

/* Leaves all to the library: futures that have ended or not, with callbacks that are due or not. No
 * callback may be called when the function has returned. */
static bool with_nothing_freed(scoop_session *session)
{
    struct call *call = calloc(1, sizeof(*call));
    scoop_future *futures[TASKS];

    if (call == NULL || start(session, futures) != 0)
        return false;
    for (int i = 0; i < TASKS; i++)
        scoop_then(futures[i], note_call, call);
    /* Without waiting, where other slots compute it: callbacks are due, and not called. */
    for (int i = 0; i < 30 && !scoop_done(futures[TASKS - 1]); i++)
        poll(NULL, 0, 1);
    call->returned = true;
    return call->called == 0 && called_late == 0;
}

static bool (*const ways_inside[])(scoop_session *session) = {
    with_map,        with_wait_any, with_iterator, with_callbacks,
    with_forgetting, with_stream,   with_an_error, with_nothing_freed,
};

#define WAYS_INSIDE (sizeof(ways_inside) / sizeof(ways_inside[0]))

SCOOP_FUNCTION(int, goes_one_way, unsigned way)
{
    return ways_inside[way % WAYS_INSIDE](NULL);
}

static int inside(void)
{
    unsigned *in = calloc(rounds, sizeof(*in));
    int *out = calloc(rounds, sizeof(*out));
    unsigned right = 0;

    for (unsigned i = 0; in != NULL && i < rounds; i++)
        in[i] = i;
    if (out == NULL || scoop_map(goes_one_way, in, out, rounds) != SCOOP_OK)
        return scoop_report();
    for (unsigned i = 0; i < rounds; i++) {
        right += out[i] == 1;
        if (out[i] != 1)
            printf("way %u: %d\n", i % (unsigned)WAYS_INSIDE, out[i]);
    }
    printf("%u of %u\n", right, rounds);
    free(in);
    free(out);
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t threads[WAYS];
    unsigned numbers[WAYS];
    unsigned right = 0;

    scoop_init(&argc, &argv);
    rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    if (argc > 2)
        return inside();
    other = scoop_open(NULL);
    shared = scoop_submit(plus_one, 41);
    if (other == NULL || shared == NULL)
        return scoop_report();
    for (unsigned i = 0; i < WAYS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, run, &numbers[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < WAYS; i++) {
        pthread_join(threads[i], NULL);
        right += numbers[i];
    }
    printf("%u of %u\n", right, (unsigned)WAYS * rounds);
    scoop_future_free(shared);
    scoop_close(other);
    return 0;
}
