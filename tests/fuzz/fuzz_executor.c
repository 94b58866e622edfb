/* The agent's end of an executor: its rings, claims and files, written by a process that was overwritten by a
 * function. The agent feeds tasks, recalls them and answers children meanwhile. */
#include "fuzz.h"

#include "worker/executor.h"

#include <unistd.h>
#include <zmq.h>

#define CAPACITY  4096
#define STEPS_MAX 300
#define BODY_MAX  8192

static struct dialler *dialler; /* it never reaches anybody: what is reported is dropped */
static struct report report;
static struct nested nested;
static struct program *program;
static struct function *function;
static struct executor *executor;
static struct channel far; /* the executor's own mapping */
static struct blob *argument;
static uint64_t next_id;
static int64_t now_ms;
static bool broken; /* the agent has found out, and would kill it */

static void found(int result)
{
    FUZZ_CHECK(result <= 0);
    broken |= result != 0;
}

static void collect(void)
{
    if (!broken)
        found(executor_collect(executor, &report, now_ms));
    report_flush(&report);
    nested_flush(&nested);
}

/* ---- what the agent does ---- */

static void do_feed(struct wire_cursor *c)
{
    const struct task task = {
        .id = next_id++,
        .function = function,
        .frame = blob_ref(argument),
        .argument = argument->data,
        .argument_bytes = wire_get_u8(c) * 16U,
        .attempt = 1,
    };

    if (!executor_takes(executor, &task) || executor_feed(executor, &task, now_ms) != 0)
        blob_unref(task.frame);
    executor_publish(executor);
}

static void do_recall(struct wire_cursor *c)
{
    struct task_queue queue = {.count = 0};

    (void)c;
    found(executor_recall(executor, &queue));
    while (queue.count > 0) {
        struct task task = task_queue_pop_front(&queue);
        blob_unref(task.frame);
    }
    task_queue_fini(&queue);
}

static void do_answer(struct wire_cursor *c)
{
    const struct wire_result result = {
        .outcome = (enum wire_outcome)(wire_get_u8(c) % WIRE_OUTCOME_END),
        .attempts = 1,
        .bytes = {argument->data, wire_get_u8(c) * (size_t)64},
    };

    found(executor_answer(executor, wire_get_u8(c), &result, argument));
    executor_publish(executor);
}

static void do_pass(struct wire_cursor *c)
{
    now_ms += wire_get_u8(c);
    executor_put_more(executor);
    if (executor_park(executor))
        executor_unpark(executor);
    collect();
}

/* ---- what the executor does ---- */

static void publish(void)
{
    FUZZ_ANY(ring_publish(&far.outcomes));
}

static void put(const void *bytes, size_t size)
{
    memcpy(ring_put_at(&far.outcomes), bytes, size);
    ring_put(&far.outcomes, size);
}

/* Begin the next task as it should, and give back the room of its record. */
static void do_claim(struct wire_cursor *c)
{
    struct channel_task record;
    size_t ready = 0;

    (void)c;
    atomic_fetch_add(&far.shared->claim, 1);
    if (ring_ready(&far.tasks, &ready) != 0 || ready < sizeof(record))
        return;
    memcpy(&record, ring_take_at(&far.tasks), sizeof(record));
    const size_t total = channel_record_bytes(record.bytes);
    ring_take(&far.tasks, total < ready ? total : ready);
    FUZZ_ANY(ring_release(&far.tasks));
}

/* A record whose head says what its body is; of the task that runs, unless the input wants another. */
static void do_record(struct wire_cursor *c)
{
    static const uint8_t padding[CHANNEL_ALIGNMENT];
    const uint8_t kind = wire_get_u8(c);
    const uint8_t which = wire_get_u8(c);
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes body = fuzz_take(c, size % BODY_MAX);
    const struct channel_outcome head = {
        .bytes = (uint32_t)body.size,
        .run_us = which,
        .id = (uint32_t)(executor->begun + 1 + which % 4),
        .outcome = kind < 16 ? kind : (uint16_t)(0xffff - kind % 16),
        .flags = which,
    };
    const size_t total = channel_record_bytes(body.size);

    if (total > CAPACITY)
        return;
    put(&head, sizeof(head));
    if (body.size != 0)
        put(body.data, body.size);
    put(padding, total - sizeof(head) - body.size);
    publish();
    collect();
}

/* Bytes of its own making, and what it claims to have written beyond them. */
static void do_bytes(struct wire_cursor *c)
{
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes bytes = fuzz_take(c, size % CAPACITY);

    if (bytes.size != 0)
        put(bytes.data, bytes.size);
    far.outcomes.own += wire_get_u8(c) * (uint64_t)16;
    publish();
    collect();
}

/* Any word of the shared memory. */
static void do_scribble(struct wire_cursor *c)
{
    const uint64_t word = wire_get_u64(c);

    switch (wire_get_u8(c) % 6) {
    case 0: atomic_store(&far.shared->claim, word); break;
    case 1: atomic_store(&far.tasks.shared->read, word); break;
    case 2: atomic_store(&far.outcomes.shared->written, word); break;
    case 3: atomic_store(&far.results.shared->read, word); break;
    case 4: atomic_fetch_or(&far.shared->claim, CHANNEL_CLOSED); break;
    default: atomic_fetch_and(&far.shared->claim, ~CHANNEL_CLOSED); break;
    }
    collect();
}

static void (*const deeds[])(struct wire_cursor *c) = {
    do_feed, do_claim, do_record, do_answer, do_recall, do_pass, do_bytes, do_scribble,
};

/* ---- a life ---- */

/* What is the same in every run. */
static void prepare(void)
{
    const uint8_t sha256[PROGRAM_SHA256_BYTES] = {0};
    const struct wire_function wire = {
        .argument_bytes = WIRE_VARIABLE,
        .result_bytes = WIRE_VARIABLE,
        .name = {(const uint8_t *)"f", 1},
    };
    const struct dialler_config config = {
        .context = zmq_ctx_new(),
        .endpoint = "ipc:///nonexistent/fuzz",
        .role = WIRE_AGENT,
        .name = "fuzz",
    };

    FUZZ_CHECK(dialler_new(&config, &dialler) == 0);
    program = program_new((struct wire_bytes){NULL, 0}, sha256);
    FUZZ_CHECK(program != NULL);
    function = program_function(program, &wire);
    argument = blob_new((size_t)4 * CAPACITY);
    FUZZ_CHECK(function != NULL && argument != NULL);
    function_measured(function, 0);
    memset(argument->data, 'a', (size_t)4 * CAPACITY);
}

static void begin(void)
{
    int fd = -1;

    report = (struct report){.dialler = dialler, .host = "h"};
    nested = (struct nested){.dialler = dialler, .host = "h", .next_no = 1, .credit_tasks = 100};
    nested.credit_bytes = (uint64_t)1 << 20;
    executor = calloc(1, sizeof(*executor));
    FUZZ_CHECK(executor != NULL && channel_file(CAPACITY, &fd) == 0);
    *executor = (struct executor){
        .program = program,
        .report = &report,
        .nested = &nested,
        .bell = -1,
        .files = -1,
        .out = {.fd = -1},
        .err = {.fd = -1},
    };
    FUZZ_CHECK(channel_map(&executor->channel, fd) == 0 && channel_map(&far, fd) == 0);
    close(fd);
    next_id = 1;
    now_ms = 1000;
    broken = false;
}

/* As worker/pool_ends.c does when the process has been reaped. */
static void finish(void)
{
    struct task task;
    const struct task *running = NULL;

    FUZZ_ANY(executor_had_begun(executor));
    while ((running = executor_running(executor)) != NULL) {
        task = executor_remove(executor, running);
        blob_unref(task.frame);
    }
    while (executor_remove_waiting(executor, &task))
        blob_unref(task.frame);
    nested_abandon_all(&nested, executor);
    executor_free(executor);
    nested_reset(&nested);
    report_fini(&report);
    channel_unmap(&far);
    FUZZ_CHECK(atomic_load(&argument->references) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);

    if (dialler == NULL)
        prepare();
    begin();
    executor->ready = (wire_get_u8(&c) & 1U) != 0;
    for (unsigned i = 0; i < STEPS_MAX && fuzz_left(&c) > 0 && !broken; i++)
        deeds[wire_get_u8(&c) % (sizeof(deeds) / sizeof(deeds[0]))](&c);
    finish();
    return 0;
}
