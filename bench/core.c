/* What the pure core costs: tasks per second through submit, lease, outcome and delivery, with
 * no sockets, for growing numbers of agents; and bytes of memory per queued task. Prints one
 * markdown row each.
 *
 * usage: core [TASKS]    (default 1000000; 1000 to 100000000) */
#include "broker/core.h"
#include "base/clock.h"
#include "base/link.h"
#include "base/parse.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define EPOCH        ((uint64_t)1 << 40)
#define SLOTS        64
#define ARGUMENT     64
#define BATCH        512
#define CLIENT_ROUTE 0

/* The far ends: one client, then agents. An end's number is its route. */
struct far_end {
    struct link link;
    struct blob *outcomes; /* answers to the tasks received in this turn */
};

struct bench {
    struct core *core;
    struct core_effects effects;
    struct far_end *ends;
    uint32_t end_count;
    int64_t now_ms;
    uint64_t submitted;
    uint64_t delivered;
};

static void die(const char *what)
{
    fprintf(stderr, "core: %s\n", what);
    exit(EXIT_FAILURE);
}

static void must(bool condition, const char *what)
{
    if (!condition)
        die(what);
}

static void step(struct bench *b, enum core_event_type type, uint32_t end, struct blob *frame)
{
    struct core_event event = {
        .type = type,
        .role = end == CLIENT_ROUTE ? WIRE_CLIENT : WIRE_AGENT,
        .now_ms = b->now_ms,
        .route = {.size = sizeof(end)},
        .frame = frame,
    };

    memcpy(event.route.bytes, &end, sizeof(end));
    core_step(b->core, &event, &b->effects);
}

/* Sequenced; takes the frame. */
static void send(struct bench *b, uint32_t end, struct blob *frame)
{
    must(link_push(&b->ends[end].link, frame) == 0, "out of memory");
    step(b, CORE_FRAME, end, frame);
    blob_unref(frame);
}

static void answer_tasks(struct far_end *end, uint32_t count, struct wire_cursor *body)
{
    struct wire_task task;

    if (end->outcomes == NULL)
        end->outcomes = wire_frame_new(WIRE_OUTCOMES, end->link.id, 4096);
    for (uint32_t i = 0; i < count; i++) {
        must(wire_get_task(body, &task) == 0, "a task that does not decode");
        const struct wire_attempt outcome = {
            .id = task.id,
            .attempt = task.attempt,
            .run_us = 1,
            .bytes = {task.argument.data, 4},
        };
        must(wire_put_attempt(end->outcomes, &outcome) == 0, "out of memory");
    }
    wire_frame_add_count(end->outcomes, count);
}

static void take_effect(struct bench *b, const struct core_effect *effect)
{
    struct wire_header header;
    struct wire_cursor body;
    enum link_verdict verdict = LINK_GAP;
    uint32_t number = 0;

    if (effect->type != CORE_SEND)
        return;
    memcpy(&number, effect->route.bytes, sizeof(number));
    struct far_end *end = &b->ends[number];
    must(wire_frame_read(effect->frame->data, effect->frame->size, &header, &body) == 0 &&
             link_receive(&end->link, &header, effect->frame->size, &verdict) == 0 &&
             verdict == LINK_DELIVER && header.type != WIRE_REFUSED,
         "the core sent nonsense");
    if (header.type == WIRE_TASKS)
        answer_tasks(end, header.count, &body);
    if (header.type == WIRE_RESULTS)
        b->delivered += header.count;
}

/* One turn, then everybody's answer to it. */
static void turn(struct bench *b)
{
    step(b, CORE_TURN, CLIENT_ROUTE, NULL);
    for (size_t i = 0; i < b->effects.count; i++)
        take_effect(b, &b->effects.items[i]);
    core_effects_clear(&b->effects);
    for (uint32_t end = 0; end < b->end_count; end++) {
        if (b->ends[end].outcomes != NULL)
            send(b, end, steal(&b->ends[end].outcomes));
        else if (link_owes_ack(&b->ends[end].link)) {
            struct blob *ack = link_ack(&b->ends[end].link, false);

            step(b, CORE_FRAME, end, ack);
            blob_unref(ack);
        }
    }
}

static void submit(struct bench *b, uint32_t count)
{
    static const uint8_t argument[ARGUMENT] = {1};
    const struct wire_run run = {
        .count = count,
        .argument_bytes = ARGUMENT,
        .first_no = b->submitted + 1,
    };
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, b->ends[CLIENT_ROUTE].link.id,
                                        WIRE_RUN_BYTES + (size_t)count * ARGUMENT);

    must(frame != NULL && wire_put_run(frame, &run) == 0, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        wire_put_bytes(frame, argument, ARGUMENT);
    wire_frame_add_count(frame, count);
    b->submitted += count;
    send(b, CLIENT_ROUTE, frame);
}

static void join(struct bench *b, uint32_t number)
{
    const struct wire_hello hello = {
        .role = number == CLIENT_ROUTE ? WIRE_CLIENT : WIRE_AGENT,
        .incarnation = number + 1,
        .slots = number == CLIENT_ROUTE ? 0 : SLOTS,
    };

    link_init(&b->ends[number].link, link_number(number + 1, EPOCH));
    struct blob *frame = wire_frame_new(WIRE_HELLO, number + 1, 64);
    must(frame != NULL && wire_put_hello(frame, &hello) == 0, "out of memory");
    step(b, CORE_FRAME, number, frame);
    blob_unref(frame);
}

static void define(struct bench *b)
{
    const struct wire_function function = {.argument_bytes = ARGUMENT, .result_bytes = 4};
    struct blob *frame = wire_frame_new(WIRE_FUNCTION, b->ends[CLIENT_ROUTE].link.id, 64);

    must(frame != NULL && wire_put_function(frame, &function) == 0, "out of memory");
    wire_frame_add_count(frame, 1);
    send(b, CLIENT_ROUTE, frame);
}

static struct bench start(uint32_t agents)
{
    struct bench b = {.now_ms = 1, .end_count = agents + 1};

    b.core = core_new(EPOCH, "bench", b.now_ms);
    b.ends = calloc(b.end_count, sizeof(*b.ends));
    must(b.core != NULL && b.ends != NULL, "out of memory");
    for (uint32_t number = 0; number < b.end_count; number++)
        join(&b, number);
    define(&b);
    turn(&b);
    return b;
}

static void finish(struct bench *b)
{
    core_free(b->core);
    core_effects_fini(&b->effects);
    for (uint32_t end = 0; end < b->end_count; end++)
        link_fini(&b->ends[end].link);
    free(b->ends);
}

static void measure_throughput(uint32_t agents, uint64_t tasks)
{
    struct bench b = start(agents);
    const int64_t start_us = clock_now_us();

    while (b.delivered < tasks) {
        while (b.submitted < tasks && b.submitted - b.delivered < 1 << 16)
            submit(&b, BATCH);
        turn(&b);
    }
    const double seconds = (double)(clock_now_us() - start_us) / 1e6;
    printf("| core, %u agents of %d slots | %.2f M tasks/s | %.0f ns a task |\n", agents, SLOTS,
           (double)b.delivered / seconds / 1e6, seconds / (double)b.delivered * 1e9);
    finish(&b);
}

static void measure_memory(uint64_t tasks)
{
    struct bench b = start(0);
    const struct mallinfo2 before = mallinfo2();

    while (b.submitted < tasks)
        submit(&b, BATCH);
    const struct mallinfo2 after = mallinfo2();
    const double bytes =
        (double)(after.uordblks + after.hblkhd) - (double)(before.uordblks + before.hblkhd);
    printf("| core, %llu queued tasks of %d B | %.0f B a task | |\n",
           (unsigned long long)b.submitted, ARGUMENT, bytes / (double)b.submitted);
    finish(&b);
}

int main(int argc, char **argv)
{
    uint64_t tasks = 1000000;

    if (argc > 2 || (argc == 2 && parse_u64(argv[1], 1000, 100000000, &tasks) != 0)) {
        fprintf(stderr, "usage: core [TASKS]   (1000 to 100000000)\n");
        return 2;
    }
    for (uint32_t agents = 1; agents <= 10000; agents *= 10)
        measure_throughput(agents, tasks);
    measure_memory(tasks < CORE_CREDIT_TASKS - BATCH ? tasks : CORE_CREDIT_TASKS - BATCH);
    return EXIT_SUCCESS;
}
