/* What passing tasks through shared memory costs: no-op tasks per second from an agent's pool to
 * its executors and back, without a network, and the time of a lone round trip. Prints one
 * markdown row.
 *
 * usage: executors [SLOTS [SECONDS]]    (default 1 3) */
#include "base/clock.h"
#include "base/parse.h"
#include "base/wire.h"
#include "libscoop/executor.h"
#include "libscoop/include/scoop.h"
#include "worker/bounds.h"
#include "worker/pool.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <zmq.h>

/* Tasks that wait in the pool, as a broker's window keeps them there. */
#define WAITING    4096
#define LONE_TRIPS 20000

SCOOP_FUNCTION(int, nothing, int x)
{
    return x;
}

struct bench {
    struct bounds bounds;
    struct pool pool;
    struct report report;
    struct function *function;
    struct blob *frame;
    uint64_t given;
};

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "executors: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static void give(struct bench *b, uint32_t tasks, int64_t now_ms)
{
    while (tasks-- != 0) {
        const struct task task = {
            .id = ++b->given,
            .function = b->function,
            .frame = blob_ref(b->frame),
            .argument = b->frame->data,
            .argument_bytes = sizeof(int),
            .attempt = 1,
        };

        must(pool_add(&b->pool, &task, now_ms) == 0, "out of memory");
    }
}

static void turn(struct bench *b)
{
    const int64_t now_ms = clock_now_ms();

    (void)pool_feed(&b->pool, now_ms);
    pool_collect(&b->pool, now_ms);
    report_flush(&b->report);
}

/* Sleep as the agent does, until a bell rings. */
static void sleep_for_bell(struct bench *b)
{
    struct epoll_event event;

    if (pool_park(&b->pool) && epoll_wait(b->pool.epoll_fd, &event, 1, 1000) == 1)
        pool_event(event.data.ptr, clock_now_ms());
    pool_unpark(&b->pool);
}

static void run_one(struct bench *b)
{
    give(b, 1, clock_now_ms());
    turn(b);
    while (b->report.total < b->given) {
        sleep_for_bell(b);
        turn(b);
    }
}

static double measure_throughput(struct bench *b, int64_t seconds)
{
    const uint64_t before = b->report.total;
    const int64_t start_us = clock_now_us();

    while (clock_now_us() < start_us + seconds * 1000000) {
        const uint64_t reported = b->report.total;

        give(b, WAITING - b->pool.waiting.count, clock_now_ms());
        turn(b);
        if (b->report.total == reported)
            sleep_for_bell(b);
    }
    return (double)(b->report.total - before) / (double)(clock_now_us() - start_us);
}

static double measure_round_trip(struct bench *b)
{
    const int64_t start_us = clock_now_us();

    for (int i = 0; i < LONE_TRIPS; i++)
        run_one(b);
    return (double)(clock_now_us() - start_us) / LONE_TRIPS;
}

static void drain(struct bench *b)
{
    while (!pool_is_empty(&b->pool)) {
        turn(b);
        sleep_for_bell(b);
    }
}

static void start(struct bench *b, void *context, uint32_t slots)
{
    const struct dialler_config config = {
        .context = context,
        .endpoint = "ipc:///nonexistent/bench", /* never opens: frames are made, and dropped */
        .role = WIRE_AGENT,
        .name = "bench",
    };
    const struct wire_function function = {
        .argument_bytes = sizeof(int),
        .result_bytes = sizeof(int),
        .program = {(const uint8_t *)"", 0},
        .name = {(const uint8_t *)"nothing", 7},
    };

    must(dialler_new(&config, &b->report.dialler) == 0, "cannot make a dialler");
    b->frame = blob_new(sizeof(int));
    b->report.host = "bench";
    b->pool = (struct pool){
        .slots = slots,
        .folders = "",
        .host = "bench",
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .report = &b->report,
        .bounds = &b->bounds,
    };
    b->function = pool_function(&b->pool, &function);
    must(b->frame != NULL && b->function != NULL && b->pool.epoll_fd >= 0, "cannot start");
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    uint64_t slots = 1;
    uint64_t seconds = 3;

    if (executor_is_wanted())
        executor_main(0); /* the executors are this program itself */
    must(argc < 2 || parse_u64(argv[1], 1, WIRE_SLOTS_MAX, &slots) == 0, "SLOTS is 1 to 1024");
    must(argc < 3 || parse_u64(argv[2], 1, 3600, &seconds) == 0, "SECONDS is 1 to 3600");
    must(bounds_open(&bench.bounds, BOUNDS_ALL, "", NULL) == 0, "out of memory");
    void *const context = zmq_ctx_new();
    start(&bench, context, (uint32_t)slots);
    run_one(&bench);
    const double million_per_s = measure_throughput(&bench, (int64_t)seconds);
    drain(&bench);
    const double trip_us = measure_round_trip(&bench);
    printf("| %u slots | %.2f M tasks/s | %.1f us round trip |\n", (unsigned)slots, million_per_s,
           trip_us);
    pool_reset(&bench.pool);
    dialler_free(bench.report.dialler);
    zmq_ctx_term(context);
    blob_unref(bench.frame);
    bounds_close(&bench.bounds);
    return EXIT_SUCCESS;
}
