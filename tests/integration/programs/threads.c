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

SCOOP_REDUCER(int, add, int a, int b)
{
    return a + b;
}

SCOOP_FUNCTION(int, first_input, int x)
{
    return scoop_input(0, &x) ? x : -1;
}

SCOOP_FUNCTION(int, fails, int x)
{
    scoop_fail(x, "as asked");
    return 0;
}

SCOOP_BYTES_FUNCTION(same)
{
    scoop_write(out, data, size);
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

static bool with_map_as_completed(scoop_session *session)
{
    int in[TASKS];
    int out[TASKS];
    size_t i = 0;
    int right = 0;

    for (int k = 0; k < TASKS; k++)
        in[k] = k;
    scoop_iterator *it = scoop_map_as_completed_on(session, NULL, plus_one, in, out, TASKS);
    while (it != NULL && scoop_next(it, SCOOP_FOREVER, &i) == SCOOP_OK)
        right += out[i] == (int)i + 1;
    scoop_iterator_free(it);
    return right == TASKS;
}

static bool with_bytes(scoop_session *session)
{
    const struct scoop_bytes in[] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    struct scoop_bytes out[3];
    const bool good = scoop_map_bytes(session, NULL, SCOOP_HANDLE(same), in, out, 3) == SCOOP_OK &&
                      out[0].size == 3 && out[1].size == 0 && memcmp(out[2].data, "three", 5) == 0;

    scoop_bytes_free(out, 3);
    return good;
}

static bool with_sums(scoop_session *session)
{
    int in[TASKS];
    int sums[TASKS];
    int sum = 0;

    for (int i = 0; i < TASKS; i++)
        in[i] = i;
    return scoop_map_reduce_on(session, NULL, plus_one, add, in, TASKS, &sum) == SCOOP_OK &&
           sum == TASKS * (TASKS + 1) / 2 &&
           scoop_map_scan_on(session, NULL, plus_one, add, in, sums, TASKS) == SCOOP_OK &&
           sums[TASKS - 1] == sum && sums[1] == 3;
}

/* What is cancelled may have ended before. */
static bool with_cancel(scoop_session *session)
{
    scoop_future *futures[TASKS];
    int answered = 0;

    if (start(session, futures) != 0)
        return false;
    for (int i = 0; i < TASKS; i++)
        answered += scoop_cancel(futures[i], SCOOP_FOREVER) != SCOOP_UNANSWERED;
    for (int i = 0; i < TASKS; i++)
        scoop_future_free(futures[i]);
    return answered == TASKS;
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

/* Of a task that fails another one waits, which goes on with a second try, or without. */
static bool with_inputs(scoop_session *session)
{
    scoop_future *failed[2] = {scoop_submit_on(session, NULL, fails, 1),
                               scoop_submit_on(session, NULL, plus_one, 6)};
    const struct scoop_options after_failed = {.after = failed, .after_count = 1};
    const struct scoop_options after_good = {.after = failed + 1, .after_count = 1};
    scoop_future *const forgiven = scoop_submit_on(session, &after_failed, first_input, 0);
    scoop_future *const fed = scoop_submit_on(session, &after_good, first_input, 0);
    int none = 0;
    int seven = 0;

    if (forgiven == NULL || fed == NULL || scoop_wait(failed[0], SCOOP_FOREVER) != SCOOP_OK)
        return false;
    scoop_future *const again = scoop_retry(failed[0]);
    const bool good = again != NULL && scoop_wait(again, SCOOP_FOREVER) == SCOOP_OK &&
                      scoop_wait(forgiven, SCOOP_FOREVER) == SCOOP_BLOCKED &&
                      scoop_forgive(again) == SCOOP_OK &&
                      scoop_result(forgiven, &none) == SCOOP_OK && none == -1 &&
                      scoop_result(fed, &seven) == SCOOP_OK && seven == 7;
    scoop_future_free(failed[0]);
    scoop_future_free(failed[1]);
    scoop_future_free(again);
    scoop_future_free(forgiven);
    scoop_future_free(fed);
    return good;
}

static const char value[] = "the same everywhere";

/* main() has set it: all others are refused, also while one of the same session asks, and all read it. */
static bool with_constants(scoop_session *session)
{
    struct scoop_bytes read = {NULL, 0};

    return scoop_constant_set(session, "threads", "another", 7) == SCOOP_REFUSED &&
           scoop_constant(session, "threads", &read) == SCOOP_OK && read.size == sizeof(value) &&
           memcmp(read.data, value, sizeof(value)) == 0;
}

static bool with_each(scoop_session *session)
{
    const int argument = 1;
    struct scoop_everywhere *all =
        scoop_each_with(session, NULL, SCOOP_HANDLE(plus_one), &argument, sizeof(argument));
    int result = 0;
    const bool good = all != NULL && all->count == 1 &&
                      scoop_result(all->futures[0], &result) == SCOOP_OK && result == 2;

    scoop_everywhere_free(all);
    return good;
}

/* The broker of this test keeps no durable tasks, and says so. */
static bool with_durables(scoop_session *session)
{
    const int argument = 1;
    uint64_t id = 0;
    struct scoop_bytes nothing = {NULL, 0};
    scoop_future *kept = scoop_submit_durable(session, NULL, SCOOP_HANDLE(plus_one), &argument,
                                              sizeof(argument), &id);
    scoop_future *attached = scoop_attach(session, id);
    const bool good = scoop_result_bytes(kept, &nothing) == SCOOP_REFUSED &&
                      scoop_result_bytes(attached, &nothing) == SCOOP_REFUSED &&
                      scoop_durable_forget(session, id, SCOOP_FOREVER) != SCOOP_TIMEOUT &&
                      scoop_durable_cancel(session, id, SCOOP_FOREVER) == SCOOP_REFUSED &&
                      scoop_durable_retry(session, id, SCOOP_FOREVER) == SCOOP_REFUSED;

    scoop_future_free(kept);
    scoop_future_free(attached);
    return good;
}

/* Sessions come and go beside the others. */
static bool with_a_session(scoop_session *session)
{
    scoop_session *own = scoop_open(NULL);
    const bool good = own != NULL && own != session &&
                      scoop_connect(own, SCOOP_FOREVER) == SCOOP_OK && with_map(own);

    scoop_close(own);
    return good;
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
    with_map,      with_map_as_completed, with_bytes,
    with_sums,     with_cancel,           with_wait_any,
    with_iterator, with_callbacks,        with_forgetting,
    with_stream,   with_inputs,           with_constants,
    with_each,     with_durables,         with_a_session,
    with_cluster,  with_an_error,         with_the_shared_future,
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* All threads at once, then each in its own order: thread k begins with way k. *argument is k, then how many
 * rounds were right, one more than `rounds`. */
static void *run(void *argument)
{
    unsigned *number = argument;
    unsigned right = with_constants(other);

    for (unsigned i = 0; i < rounds; i++) {
        const unsigned way = (*number + i) % WAYS;
        const bool good = ways[way](i % 2 == 0 ? NULL : other);

        right += good;
        if (!good)
            printf("way %u: %s\n", way, scoop_last_error());
    }
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

static void *call_beside(void *refused)
{
    *(bool *)refused = scoop_submit(plus_one, 1) == NULL &&
                       strstr(scoop_last_error(), "in its own thread") != NULL;
    return NULL;
}

/* A thread that a function starts makes no calls, and is told so. */
static bool with_own_thread(scoop_session *session)
{
    pthread_t thread;
    bool refused = false;

    (void)session;
    return pthread_create(&thread, NULL, call_beside, &refused) == 0 &&
           pthread_join(thread, NULL) == 0 && refused;
}

static bool (*const ways_inside[])(scoop_session *session) = {
    with_map,      with_map_as_completed, with_bytes,      with_sums,       with_cancel,
    with_wait_any, with_iterator,         with_callbacks,  with_forgetting, with_stream,
    with_an_error, with_nothing_freed,    with_own_thread,
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
    if (other == NULL || shared == NULL ||
        scoop_wait_for_workers(NULL, 1, SCOOP_FOREVER) != SCOOP_OK ||
        scoop_constant_set(NULL, "threads", value, sizeof(value)) != SCOOP_OK)
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
    printf("%u of %u\n", right, (unsigned)WAYS * (rounds + 1));
    scoop_future_free(shared);
    scoop_close(other);
    return 0;
}
