/* The agent's end against an executor that this test plays itself, well-behaved or not. */
#include "worker/executor.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#define CAPACITY 65536

struct stage {
    void *context;
    struct report report;
    struct program *program;
    struct function *function;
    struct executor *executor;
    struct channel far; /* the executor's own mapping */
    struct blob *frame;
    uint64_t next_id;
};

static struct wire_bytes view(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

/* A ready executor of a function int -> int that is known to be short. */
static struct stage given_an_executor(void)
{
    const uint8_t sha256[PROGRAM_SHA256_BYTES] = {0};
    const struct wire_function wire = {.argument_bytes = 4, .result_bytes = 4, .name = view("f")};
    struct stage s = {.context = zmq_ctx_new(), .next_id = 1};
    const struct dialler_config config = {
        .context = s.context,
        .endpoint = "ipc:///nonexistent/test",
        .role = WIRE_AGENT,
        .name = "test",
    };
    int fd = -1;

    cr_assert_eq(dialler_new(&config, &s.report.dialler), 0);
    s.report.host = "h1";
    s.program = program_new(view(""), sha256);
    s.function = program_function(s.program, &wire);
    function_measured(s.function, 0);
    s.executor = calloc(1, sizeof(*s.executor));
    *s.executor = (struct executor){
        .program = s.program,
        .bell = -1,
        .asks = -1,
        .files = -1,
        .ready = true,
        .out = {.fd = -1},
        .err = {.fd = -1},
    };
    cr_assert_eq(channel_file(CAPACITY, &fd), 0);
    cr_assert_eq(channel_map(&s.executor->channel, fd), 0);
    cr_assert_eq(channel_map(&s.far, fd), 0);
    close(fd);
    s.frame = blob_new(4 * CAPACITY);
    return s;
}

static void after(struct stage *s)
{
    report_fini(&s->report);
    executor_free(s->executor);
    program_free(s->program);
    channel_unmap(&s->far);
    dialler_free(s->report.dialler);
    zmq_ctx_term(s->context);
    cr_assert_eq(atomic_load(&s->frame->references), 1, "a task's frame leaked");
    blob_unref(s->frame);
}

static struct task next_task(struct stage *s, uint32_t argument_bytes)
{
    return (struct task){
        .id = s->next_id++,
        .function = s->function,
        .frame = blob_ref(s->frame),
        .argument = s->frame->data,
        .argument_bytes = argument_bytes,
        .attempt = 1,
    };
}

static void feed(struct stage *s, int tasks)
{
    while (tasks-- > 0) {
        const struct task task = next_task(s, 4);

        cr_assert(executor_takes(s->executor, &task));
        cr_assert_eq(executor_feed(s->executor, &task, 0), 0);
    }
    executor_publish(s->executor);
}

static int collect(struct stage *s)
{
    return executor_collect(s->executor, &s->report, 0);
}

/* ---- the executor's part ---- */

/* The next record of the agent's; its body is dropped. */
static struct channel_task take(struct stage *s)
{
    struct channel_task record;
    size_t ready = 0;

    cr_assert_eq(ring_ready(&s->far.tasks, &ready), 0);
    cr_assert_geq(ready, sizeof(record));
    memcpy(&record, ring_take_at(&s->far.tasks), sizeof(record));
    ring_take(&s->far.tasks, channel_record_bytes(record.bytes));
    cr_assert_not(ring_release(&s->far.tasks));
    return record;
}

static struct channel_task take_task(struct stage *s)
{
    struct channel_task record = take(s);

    if (record.function == CHANNEL_DEFINE)
        record = take(s);
    return record;
}

static void claim(struct stage *s)
{
    atomic_fetch_add(&s->far.shared->claim, 1);
}

static void put(struct stage *s, struct channel_outcome head)
{
    const size_t total = channel_record_bytes(head.bytes < CAPACITY / 2 ? head.bytes : 0);

    memset(ring_put_at(&s->far.outcomes), 0, total);
    memcpy(ring_put_at(&s->far.outcomes), &head, sizeof(head));
    ring_put(&s->far.outcomes, total);
    cr_assert_not(ring_publish(&s->far.outcomes));
}

static void put_ok(struct stage *s, uint64_t id)
{
    put(s, (struct channel_outcome){.bytes = 4, .id = (uint32_t)id, .outcome = WIRE_OK});
}

/* ---- feeding ---- */

Test(executor, is_told_of_a_function_before_its_first_task)
{
    struct stage s = given_an_executor();

    feed(&s, 2);
    cr_assert_eq(take(&s).function, CHANNEL_DEFINE);
    cr_assert_eq(take(&s).id, 1);
    cr_assert_eq(take(&s).id, 2);
    after(&s);
}

Test(executor, takes_one_task_only_of_a_function_that_was_never_measured)
{
    struct stage s = given_an_executor();
    struct task second;

    s.function->measured = false;
    feed(&s, 1);
    second = next_task(&s, 4);
    cr_assert_not(executor_takes(s.executor, &second));
    blob_unref(second.frame);
    after(&s);
}

Test(executor, takes_no_more_than_two_milliseconds_ahead)
{
    struct stage s = given_an_executor();
    struct task task = next_task(&s, 4);

    s.function->mean_ns = 400000;
    feed(&s, 5);
    cr_assert_not(executor_takes(s.executor, &task));
    blob_unref(task.frame);
    after(&s);
}

Test(executor, takes_no_more_than_its_ring_holds)
{
    struct stage s = given_an_executor();
    struct task task = next_task(&s, 4);
    int fed = 0;

    while (executor_takes(s.executor, &task)) {
        feed(&s, 1);
        fed++;
    }
    cr_assert_gt(fed, 1000);
    blob_unref(task.frame);
    after(&s);
}

Test(executor, gets_a_task_that_is_larger_than_the_ring_in_pieces)
{
    struct stage s = given_an_executor();
    struct task task = next_task(&s, 3 * CAPACITY + 5);
    size_t got = 0;

    memset(s.frame->data, 'x', s.frame->capacity);
    cr_assert_eq(executor_feed(s.executor, &task, 0), 0);
    executor_publish(s.executor);
    cr_assert_eq(take(&s).function, CHANNEL_DEFINE);
    while (s.executor->rest.bytes != 0) {
        size_t ready = 0;

        cr_assert_eq(ring_ready(&s.far.tasks, &ready), 0);
        cr_assert_gt(ready, 0);
        ring_take(&s.far.tasks, ready);
        cr_assert_not(ring_release(&s.far.tasks));
        got += ready;
        cr_assert_eq(collect(&s), 0);
    }
    size_t ready = 0;
    cr_assert_eq(ring_ready(&s.far.tasks, &ready), 0);
    cr_assert_eq(got + ready, channel_record_bytes(3 * CAPACITY + 5));
    after(&s);
}

/* ---- collecting ---- */

Test(executor, reports_what_was_answered_in_order)
{
    struct stage s = given_an_executor();

    feed(&s, 3);
    put_ok(&s, 1);
    put_ok(&s, 2);
    cr_assert_eq(collect(&s), 0);
    cr_assert_eq(s.report.counts[WIRE_OK], 2);
    cr_assert_eq(s.executor->flying.count, 1);
    put_ok(&s, 3);
    cr_assert_eq(collect(&s), 0);
    cr_assert_eq(s.report.total, 3);
    after(&s);
}

struct nonsense_case {
    char name[40];
    struct channel_outcome head;
};

ParameterizedTestParameters(executor, is_not_believed_nonsense)
{
    static struct nonsense_case cases[] = {
        {"another task", {.bytes = 4, .id = 2, .outcome = WIRE_OK}},
        {"a result that is too short", {.bytes = 3, .id = 1, .outcome = WIRE_OK}},
        {"a result that is too long", {.bytes = 5, .id = 1, .outcome = WIRE_OK}},
        {"an endless result", {.bytes = UINT32_MAX, .id = 1, .outcome = WIRE_OK}},
        {"crashed, says who runs", {.bytes = 4, .id = 1, .outcome = WIRE_CRASHED}},
        {"lost", {.bytes = 4, .id = 1, .outcome = WIRE_LOST}},
        {"an unknown outcome", {.bytes = 4, .id = 1, .outcome = 99}},
        {"a failure that is none", {.bytes = 4, .id = 1, .outcome = WIRE_FAILED}},
        {"a failure without bytes", {.bytes = 0, .id = 1, .outcome = WIRE_FAILED}},
        {"an endless failure", {.bytes = 1U << 30, .id = 1, .outcome = WIRE_FAILED}},
        {"ready again", {.bytes = 0, .id = 1, .outcome = CHANNEL_READY}},
        {"another task waits", {.bytes = 0, .id = 2, .outcome = CHANNEL_PARKED}},
        {"waiting with bytes", {.bytes = 16, .id = 1, .outcome = CHANNEL_PARKED}},
        {"what never waited goes on", {.bytes = 0, .id = 1, .outcome = CHANNEL_RESUMED}},
        {"a child where there are none", {.bytes = 48, .id = 1, .outcome = CHANNEL_SUBMIT}},
        {"a name where there are none", {.bytes = 1, .id = 4, .outcome = CHANNEL_NAME}},
        {"progress of another task", {.bytes = 16, .id = 2, .outcome = CHANNEL_PROGRESS}},
        {"progress of another size", {.bytes = 8, .id = 1, .outcome = CHANNEL_PROGRESS}},
        {"a piece of another task", {.bytes = 4, .id = 2, .outcome = CHANNEL_PARTIAL}},
        {"a piece that is too large",
         {.bytes = WIRE_PARTIAL_MAX + 1, .id = 1, .outcome = CHANNEL_PARTIAL}},
        {"a child of nobody's", {.bytes = 0, .id = 1, .outcome = CHANNEL_ABANDON}},
    };
    return cr_make_param_array(struct nonsense_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct nonsense_case *c, executor, is_not_believed_nonsense)
{
    struct stage s = given_an_executor();

    feed(&s, 1);
    put(&s, c->head);
    cr_assert_eq(collect(&s), -EPROTO, "%s", c->name);
    cr_assert_eq(s.report.total, 0, "%s was reported", c->name);
    after(&s);
}

Test(executor, is_not_believed_answers_to_nothing)
{
    struct stage s = given_an_executor();

    put_ok(&s, 1);
    cr_assert_eq(collect(&s), -EPROTO);
    after(&s);
}

Test(executor, is_not_believed_before_it_is_ready)
{
    struct stage s = given_an_executor();

    s.executor->ready = false;
    feed(&s, 1);
    put_ok(&s, 1);
    cr_assert_eq(collect(&s), -EPROTO);
    after(&s);
}

Test(executor, is_not_believed_an_impossible_position)
{
    struct stage s = given_an_executor();

    feed(&s, 1);
    atomic_store(&s.far.outcomes.shared->written, UINT64_MAX);
    cr_assert_eq(collect(&s), -EPROTO);
    after(&s);
}

/* ---- recall ---- */

Test(executor, gives_back_what_it_has_not_begun)
{
    struct stage s = given_an_executor();
    struct task_queue queue = {0};

    feed(&s, 5);
    take_task(&s);
    claim(&s);
    cr_assert_eq(executor_recall(s.executor, &queue), 0);
    cr_assert_eq(s.executor->flying.count, 1);
    cr_assert_eq(queue.count, 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(task_queue_at(&queue, i)->id, 2 + i);
    cr_assert(atomic_load(&s.far.shared->claim) == (1 | CHANNEL_CLOSED));
    for (uint64_t id = 2; id <= 5; id++)
        cr_assert_eq(take(&s).id, id);
    cr_assert_eq(take(&s).function, CHANNEL_RESUME);
    task_queue_fini(&queue);
    after(&s);
}

Test(executor, is_not_recalled_again_before_it_went_on)
{
    struct stage s = given_an_executor();
    struct task_queue queue = {0};

    feed(&s, 3);
    claim(&s);
    cr_assert_eq(executor_recall(s.executor, &queue), 0);
    feed(&s, 2);
    cr_assert_eq(executor_recall(s.executor, &queue), 0);
    cr_assert_eq(s.executor->flying.count, 3, "the second recall does nothing");
    atomic_store(&s.far.shared->claim, 1); /* it met CHANNEL_RESUME */
    cr_assert_eq(collect(&s), 0);
    cr_assert_eq(executor_recall(s.executor, &queue), 0);
    cr_assert_eq(s.executor->flying.count, 1);
    task_queue_fini(&queue);
    after(&s);
}

struct claim_case {
    uint64_t claim;
};

ParameterizedTestParameters(executor, is_not_believed_an_impossible_claim)
{
    static struct claim_case cases[] = {{4}, {UINT64_MAX}, {CHANNEL_CLOSED}, {CHANNEL_CLOSED - 1}};

    return cr_make_param_array(struct claim_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct claim_case *c, executor, is_not_believed_an_impossible_claim)
{
    struct stage s = given_an_executor();
    struct task_queue queue = {0};

    feed(&s, 3);
    atomic_store(&s.far.shared->claim, c->claim);
    cr_assert_eq(executor_recall(s.executor, &queue), -EPROTO);
    cr_assert_eq(queue.count, 0);
    after(&s);
}

Test(executor, had_begun_its_task_when_it_claimed_it)
{
    struct stage s = given_an_executor();

    feed(&s, 2);
    claim(&s);
    put_ok(&s, 1);
    cr_assert_eq(collect(&s), 0);
    cr_assert_not(executor_had_begun(s.executor));
    claim(&s);
    cr_assert(executor_had_begun(s.executor));
    after(&s);
}

Test(executor, that_never_answered_is_blamed_on_its_first_task)
{
    struct stage s = given_an_executor();

    feed(&s, 2);
    cr_assert(executor_had_begun(s.executor));
    after(&s);
}

/* ---- tasks that wait ---- */

static void put_change(struct stage *s, uint64_t id, uint16_t kind)
{
    put(s, (struct channel_outcome){.id = (uint32_t)id, .outcome = kind});
}

/* Two tasks were fed, and the first waits for its children. */
static struct stage given_a_task_that_waits(void)
{
    struct stage s = given_an_executor();

    feed(&s, 2);
    claim(&s);
    put_change(&s, 1, CHANNEL_PARKED);
    cr_assert_eq(collect(&s), 0);
    return s;
}

/* 0: none runs. */
static uint64_t running_id(struct stage *s)
{
    const struct task *task = executor_running(s->executor);

    return task != NULL ? task->id : 0;
}

Test(executor, answers_in_another_order_when_tasks_wait)
{
    struct stage s = given_a_task_that_waits();

    cr_assert_eq(running_id(&s), 2);
    claim(&s);
    put_ok(&s, 2);
    cr_assert_eq(collect(&s), 0);
    cr_assert_null(executor_running(s.executor));
    put_change(&s, 1, CHANNEL_RESUMED);
    cr_assert_eq(collect(&s), 0);
    cr_assert_eq(running_id(&s), 1);
    put_ok(&s, 1);
    cr_assert_eq(collect(&s), 0);
    cr_assert_eq(s.report.counts[WIRE_OK], 2);
    cr_assert_null(s.executor->held);
    after(&s);
}

Test(executor, is_not_believed_an_answer_of_a_task_that_waits)
{
    struct stage s = given_a_task_that_waits();

    put_ok(&s, 1);
    cr_assert_eq(collect(&s), -EPROTO);
    after(&s);
}

Test(executor, gives_back_what_it_has_not_begun_when_others_wait)
{
    struct stage s = given_a_task_that_waits();
    struct task_queue queue = {0};

    feed(&s, 2);
    claim(&s);
    cr_assert_eq(executor_recall(s.executor, &queue), 0);
    cr_assert_eq(queue.count, 2);
    cr_assert_eq(running_id(&s), 2);
    task_queue_fini(&queue);
    after(&s);
}

Test(executor, is_fed_nothing_while_a_task_has_to_go_on_in_time)
{
    struct stage s = given_an_executor();
    const struct task task = next_task(&s, 4);

    feed(&s, 1);
    claim(&s);
    put(&s, (struct channel_outcome){.id = 2, .outcome = CHANNEL_PARKED, .flags = CHANNEL_TIMED});
    cr_assert_eq(collect(&s), 0);
    cr_assert_not(executor_takes(s.executor, &task));
    put_change(&s, 2, CHANNEL_RESUMED);
    put_ok(&s, 2);
    cr_assert_eq(collect(&s), 0);
    cr_assert(executor_takes(s.executor, &task));
    blob_unref(task.frame);
    after(&s);
}

Test(executor, keeps_tasks_with_setbacks_apart_from_others)
{
    struct stage s = given_an_executor();
    struct task task = next_task(&s, 4);

    task.setbacks = 1;
    cr_assert(executor_takes(s.executor, &task));
    feed(&s, 1);
    cr_assert_not(executor_takes(s.executor, &task));
    claim(&s);
    put_change(&s, 2, CHANNEL_PARKED);
    cr_assert_eq(collect(&s), 0);
    cr_assert_not(executor_takes(s.executor, &task));
    blob_unref(task.frame);
    after(&s);
}

Test(executor, that_dies_while_all_tasks_wait_has_begun_none)
{
    struct stage s = given_a_task_that_waits();

    cr_assert_not(executor_had_begun(s.executor), "not the second task, which is the suspect");
    claim(&s);
    cr_assert(executor_had_begun(s.executor));
    after(&s);
}

/* Watched as spawn.c does it. Returns a copy, as a child that was forked has one until it execs. */
static int watch_and_copy(struct stage *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s->executor};

    cr_assert_eq(epoll_ctl(s->executor->epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
    return dup(fd);
}

Test(executor, that_was_freed_is_heard_of_no_more_though_copies_of_its_ends_live_on)
{
    struct stage s = given_an_executor();
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    s.executor->epoll_fd = s.executor->out.epoll_fd = epoll_fd;
    s.executor->bell = eventfd(0, EFD_NONBLOCK);
    s.executor->out.fd = ends[0];
    const int bell = watch_and_copy(&s, s.executor->bell);
    const int out = watch_and_copy(&s, s.executor->out.fd);
    after(&s);
    cr_assert_eq(eventfd_write(bell, 1), 0);
    close(ends[1]);
    cr_assert_eq(epoll_wait(epoll_fd, &event, 1, 0), 0);
    close(bell);
    close(out);
    close(epoll_fd);
}
