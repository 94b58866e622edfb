/* The client's side of a session, against frames made and read by hand. */
#include "libscoop/client.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT 100000

static struct client client;
static int in[COUNT];
static int out[COUNT];
static const struct identity program = {.name = "prog", .sha256 = {1, 2, 3}};

/* Numbers that do not meet those of registered functions. */
static const struct scoop_function absolute = {
    .name = "absolute", .argument_bytes = 4, .result_bytes = 4, .number = 70};
static const struct scoop_function text = {
    .name = "text", .argument_bytes = SCOOP_VARIABLE, .result_bytes = SCOOP_VARIABLE, .number = 71};

static void prepare(void)
{
    client_init(&client, &program);
    for (int i = 0; i < COUNT; i++) {
        in[i] = -i;
        out[i] = 12345678;
    }
    cr_assert_eq(client_open(&client, 9, 1U << 20, 256U << 20), 0);
}

static void finish(void)
{
    client_fini(&client);
}

TestSuite(client, .init = prepare, .fini = finish);

static struct job map_of(uint32_t first, uint32_t count)
{
    return (struct job){
        .function = &absolute,
        .count = count,
        .in = (const uint8_t *)(in + first),
        .out = (uint8_t *)(out + first),
    };
}

static void given(struct job *job)
{
    client_add(&client, job);
}

/* The next frame, its header read. */
static struct blob *
next_frame(enum wire_type type, struct wire_header *header, struct wire_cursor *body)
{
    struct blob *frame = NULL;

    cr_assert_eq(client_next_frame(&client, &frame), 0);
    cr_assert_eq(wire_frame_read(frame->data, frame->size, header, body), 0);
    cr_assert_eq(header->type, type);
    cr_assert_leq(frame->size, WIRE_HEADER_BYTES + WIRE_BATCH_BYTES);
    return frame;
}

static void no_frame(void)
{
    struct blob *frame = NULL;

    cr_assert_eq(client_next_frame(&client, &frame), -EAGAIN);
}

/* The FUNCTION frame that comes before a function's first task. */
static void expect_function(const struct scoop_function *function)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_function wire;
    struct blob *frame = next_frame(WIRE_FUNCTION, &header, &body);

    cr_assert_eq(wire_get_function(&body, &wire), 0);
    cr_assert_eq(wire.number, function->number);
    cr_assert_eq(wire.argument_bytes, function->argument_bytes);
    cr_assert_eq(wire.name.size, strlen(function->name));
    cr_assert_eq(wire.program.size, 4);
    cr_assert_eq(wire.sha256[2], 3);
    blob_unref(frame);
}

/* Run what a SUBMIT frame holds as `absolute` would; returns the RESULTS frame. */
static struct blob *computed(const struct blob *submit)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_run run;
    struct blob *results = wire_frame_new(WIRE_RESULTS, 9, 0);
    uint32_t left = 0;

    cr_assert_eq(wire_frame_read(submit->data, submit->size, &header, &body), 0);
    for (left = header.count; left > 0; left -= run.count) {
        cr_assert_eq(wire_get_run(&body, &run), 0);
        for (uint32_t i = 0; i < run.count; i++) {
            const struct wire_bytes argument = wire_get_argument(&body, &run);
            int value = 0;

            memcpy(&value, argument.data, sizeof(value));
            value = abs(value);
            const struct wire_result result = {
                .no = run.first_no + i,
                .attempts = 1,
                .bytes = {(const uint8_t *)&value, sizeof(value)},
            };
            cr_assert_eq(wire_put_result(results, &result), 0);
            wire_frame_add_count(results, 1);
        }
    }
    cr_assert_eq(wire_read_ok(&body), 0);
    return results;
}

static void deliver(const struct blob *results)
{
    struct wire_header header;
    struct wire_cursor body;

    cr_assert_eq(wire_frame_read(results->data, results->size, &header, &body), 0);
    cr_assert_eq(client_take_results(&client, &header, &body), 0);
}

/* Answer every SUBMIT frame that there is. Returns how many there were. */
static int answer_all(void)
{
    struct blob *frame = NULL;
    int frames = 0;

    while (client_next_frame(&client, &frame) == 0) {
        if (frame->data[1] == WIRE_SUBMIT) {
            struct blob *results = computed(frame);

            frames++;
            deliver(results);
            blob_unref(results);
        }
        blob_unref(frame);
    }
    return frames;
}

static void assert_absolute(uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        cr_assert_eq(out[i], (int)i);
}

Test(client, maps_in_frames_of_64_KiB_and_places_by_index)
{
    struct job job = map_of(0, COUNT);

    given(&job);
    cr_assert_eq(answer_all(), 7, "400 000 bytes of arguments");
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_null(client_take_ended(&client));
    assert_absolute(0, COUNT);
    cr_assert(client_is_idle(&client));
}

Test(client, defines_a_function_once_before_its_first_task)
{
    struct wire_header header;
    struct wire_cursor body;
    struct job job = map_of(0, 3);

    given(&job);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 3);
    blob_unref(frame);
    no_frame();
}

Test(client, gathers_single_tasks_of_one_function_in_one_run)
{
    struct job jobs[10];
    struct wire_header header;
    struct wire_cursor body;
    struct wire_run run;

    for (uint32_t i = 0; i < 10; i++) {
        jobs[i] = map_of(i, 1);
        given(&jobs[i]);
    }
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 10);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    cr_assert_eq(run.count, 10);
    cr_assert_eq(run.first_no, 1);
    cr_assert_eq(frame->size, WIRE_HEADER_BYTES + WIRE_RUN_BYTES + 40);
    blob_unref(frame);
}

Test(client, begins_a_new_run_for_another_limit)
{
    struct job one = map_of(0, 1);
    struct job two = map_of(1, 1);
    struct wire_header header;
    struct wire_cursor body;

    two.limit_ms = 500;
    given(&one);
    given(&two);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 2);
    cr_assert_eq(frame->size, WIRE_HEADER_BYTES + 2 * (WIRE_RUN_BYTES + 4));
    blob_unref(frame);
}

Test(client, keeps_to_the_credit_of_the_broker)
{
    struct job job = map_of(0, 100);
    struct wire_header header;
    struct wire_cursor body;

    cr_assert_eq(client_open(&client, 9, 30, 256), 0);
    given(&job);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 30);
    no_frame();
    struct blob *results = computed(frame);
    deliver(results);
    blob_unref(results);
    blob_unref(frame);
    answer_all();
    cr_assert_eq(client_take_ended(&client), &job);
    assert_absolute(0, 100);
}

Test(client, keeps_to_the_credit_in_bytes_but_sends_one_task_always)
{
    struct job job = map_of(0, 5);
    struct wire_header header;
    struct wire_cursor body;

    cr_assert_eq(client_open(&client, 9, 30, 3), 0);
    given(&job);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 1);
    blob_unref(frame);
    no_frame();
}

Test(client, lets_a_short_job_pass_a_long_one)
{
    struct job long_job = map_of(0, COUNT - 1);
    struct job short_job = map_of(COUNT - 1, 1);
    struct wire_header header;
    struct wire_cursor body;

    given(&long_job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    given(&short_job);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    struct blob *results = computed(frame);
    deliver(results);
    blob_unref(results);
    blob_unref(frame);
    cr_assert_eq(client_take_ended(&client), &short_job);
}

Test(client, submits_all_unfinished_tasks_again_on_a_new_link_and_none_twice)
{
    struct job first = map_of(0, 50000);
    struct job second = map_of(50000, 50000);
    struct wire_header header;
    struct wire_cursor body;

    given(&first);
    given(&second);
    expect_function(&absolute);
    struct blob *answered = next_frame(WIRE_SUBMIT, &header, &body);
    struct blob *lost = next_frame(WIRE_SUBMIT, &header, &body);
    struct blob *results = computed(answered);
    struct blob *late = computed(lost);
    deliver(results);
    memset(out, 0, sizeof(int) * 10);
    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    cr_assert_eq(ledger_next_no(&client.ledger), 1, "numbers begin again");
    expect_function(&absolute);
    cr_assert_eq(answer_all(), 6);
    cr_assert_not_null(client_take_ended(&client));
    cr_assert_not_null(client_take_ended(&client));
    for (int i = 0; i < 10; i++)
        cr_assert_eq(out[i], 0, "an ended task ran again");
    assert_absolute(10, COUNT - 10);
    deliver(late);
    cr_assert_gt(client.stale, 0);
    blob_unref(answered);
    blob_unref(lost);
    blob_unref(results);
    blob_unref(late);
}

Test(client, counts_results_that_belong_to_no_task)
{
    struct job job = map_of(0, 2);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    struct blob *results = computed(frame);
    deliver(results);
    out[0] = 99;
    deliver(results);
    cr_assert_eq(client.stale, 2);
    cr_assert_eq(out[0], 99, "a result never changes afterwards");
    blob_unref(results);
    blob_unref(frame);
}

static void deliver_failure(uint64_t no, enum wire_outcome outcome, const char *why)
{
    const struct wire_failure failure = {
        .code = 7,
        .host = {(const uint8_t *)"w1", 2},
        .text = {(const uint8_t *)why, strlen(why)},
    };
    struct blob *bytes = blob_new(64);
    struct blob *results = wire_frame_new(WIRE_RESULTS, 9, 64);

    cr_assert_eq(wire_put_failure(bytes, &failure), 0);
    const struct wire_result result = {
        .no = no, .outcome = outcome, .attempts = 3, .bytes = {bytes->data, bytes->size}};
    cr_assert_eq(wire_put_result(results, &result), 0);
    wire_frame_add_count(results, 1);
    deliver(results);
    blob_unref(bytes);
    blob_unref(results);
}

Test(client, keeps_the_failure_of_the_lowest_index)
{
    struct job job = map_of(0, 4);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver_failure(3, WIRE_CRASHED, "later");
    deliver_failure(2, WIRE_FAILED, "bad number");
    deliver_failure(4, WIRE_LOST, "last");
    cr_assert_null(client_take_ended(&client));
    deliver_failure(1, WIRE_OK, "");
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_eq(job.failures, 4, "a result of a wrong size is one too");
    cr_assert_eq(job.failure->index, 0);
    cr_assert_eq(job.failure->status, SCOOP_REFUSED);
    job_fini(&job);
}

Test(client, tells_code_host_and_text_of_a_failure)
{
    struct job job = map_of(0, 1);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver_failure(1, WIRE_FAILED, "bad number");
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_eq(job.failure->status, SCOOP_FAILED);
    cr_assert_eq(job.failure->code, 7);
    cr_assert_str_eq(job.failure->host, "w1");
    cr_assert_str_eq(job.failure->text, "bad number");
    cr_assert_eq(job.attempts, 3);
    cr_assert_eq(out[0], 12345678, "the place of a failed task is untouched");
    job_fini(&job);
}

Test(client, an_abandoned_job_ends_without_touching_its_places)
{
    struct job job = map_of(0, COUNT);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    struct blob *results = computed(frame);
    client_abandon(&client, &job);
    cr_assert_null(client_take_ended(&client), "some of its tasks are still out");
    no_frame();
    deliver(results);
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_eq(out[0], 12345678);
    blob_unref(results);
    blob_unref(frame);
}

Test(client, gives_up_everything_with_one_reason)
{
    struct job sent = map_of(0, 10);
    struct job waiting = map_of(10, 10);
    struct wire_header header;
    struct wire_cursor body;

    given(&sent);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    given(&waiting);
    client_give_up(&client, SCOOP_NO_BROKER, "it went away");
    cr_assert_eq(client_take_ended(&client), &sent);
    cr_assert_eq(client_take_ended(&client), &waiting);
    cr_assert_eq(waiting.failure->status, SCOOP_NO_BROKER);
    cr_assert_str_eq(waiting.failure->text, "it went away");
    cr_assert(client_is_idle(&client));
    job_fini(&sent);
    job_fini(&waiting);
}

Test(client, carries_bytes_of_any_size_a_large_one_alone)
{
    static uint8_t large[1 << 20];
    const struct scoop_bytes arguments[] = {{"a", 1}, {NULL, 0}, {large, sizeof(large)}, {"b", 1}};
    struct scoop_bytes results[4] = {{NULL, 0}};
    struct job job = {.function = &text, .count = 4, .in_each = arguments, .out_each = results};
    struct wire_header header;
    struct wire_cursor body;
    struct blob *frame = NULL;

    given(&job);
    expect_function(&text);
    frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 2);
    cr_assert_eq(frame->size, WIRE_HEADER_BYTES + WIRE_RUN_BYTES + 4 + 1 + 4);
    blob_unref(frame);
    cr_assert_eq(client_next_frame(&client, &frame), 0);
    cr_assert_eq(wire_frame_count(frame), 1);
    cr_assert_gt(frame->size, sizeof(large));
    blob_unref(frame);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    cr_assert_eq(header.count, 1);
}

Test(client, refuses_results_that_do_not_decode)
{
    struct wire_header header = {.type = WIRE_RESULTS, .count = 1};
    const uint8_t bytes[] = {0, 0, 0};
    struct wire_cursor body = {.at = bytes, .end = bytes + sizeof(bytes)};

    cr_assert_eq(client_take_results(&client, &header, &body), -EPROTO);
}

static void expect_cancel(uint64_t no)
{
    struct wire_header header;
    struct wire_cursor body;
    struct blob *frame = next_frame(WIRE_CANCEL, &header, &body);

    cr_assert_eq(header.count, 1);
    cr_assert_eq(wire_get_u64(&body), no);
    blob_unref(frame);
    no_frame();
}

static void assert_cancelled(struct job *job, enum scoop_cancelled answer)
{
    cr_assert_eq(client_take_ended(&client), job);
    cr_assert_eq(job->failure->status, SCOOP_CANCELLED);
    cr_assert_eq(job->failure->code, answer);
    cr_assert_null(client_take_ended(&client));
    job_fini(job);
}

Test(client, ends_a_cancelled_task_that_was_never_sent_by_itself)
{
    struct job job = map_of(0, 1);

    given(&job);
    client_cancel(&client, &job);
    assert_cancelled(&job, SCOOP_NEVER_RAN);
    no_frame();
    cr_assert(client_is_idle(&client));
}

/* The next broker has not leased it; the one before may have. */
Test(client, does_not_believe_that_a_task_never_ran_which_it_had_sent_to_an_earlier_broker)
{
    struct job job = map_of(0, 1);
    const uint8_t never_ran[] = {0, 0, 0, WIRE_NEVER_RAN, 0, 0, 0, 0};
    const struct wire_result result = {
        .no = 1,
        .outcome = WIRE_CANCELLED,
        .bytes = {never_ran, sizeof(never_ran)},
    };
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    client_cancel(&client, &job);
    blob_unref(next_frame(WIRE_CANCEL, &header, &body));
    struct blob *results CLEANUP(blob_unref_p) = wire_frame_new(WIRE_RESULTS, 10, 0);
    cr_assert_eq(wire_put_result(results, &result), 0);
    wire_frame_add_count(results, 1);
    deliver(results);
    assert_cancelled(&job, SCOOP_DISCARDED);
}

Test(client, tells_the_broker_once_of_a_cancelled_task_and_takes_its_answer)
{
    struct job first = map_of(0, 1);
    struct job job = map_of(1, 1);
    struct wire_header header;
    struct wire_cursor body;

    given(&first);
    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    client_cancel(&client, &job);
    client_cancel(&client, &job);
    expect_cancel(2);
    cr_assert_null(client_take_ended(&client));
    deliver_failure(2, WIRE_CANCELLED, "stopped");
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_eq(job.failure->status, SCOOP_CANCELLED);
    job_fini(&job);
}

Test(client, does_not_cancel_what_has_ended_meanwhile)
{
    struct job job = map_of(0, 1);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    struct blob *results = computed(frame);
    client_cancel(&client, &job);
    deliver(results);
    no_frame();
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_null(job.failure);
    blob_unref(results);
    blob_unref(frame);
}

/* Row M07: the broker is gone before it has answered, and nobody knows what ran. */
Test(client, does_not_submit_a_cancelled_task_again_and_calls_it_discarded)
{
    struct job job = map_of(0, 1);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    client_cancel(&client, &job);
    expect_cancel(1);
    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    assert_cancelled(&job, SCOOP_DISCARDED);
    no_frame();
    cr_assert(client_is_idle(&client));
}

Test(client, does_not_call_never_run_what_an_earlier_broker_has_seen)
{
    struct job job = map_of(0, 1);
    struct wire_header header;
    struct wire_cursor body;

    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    client_cancel(&client, &job);
    assert_cancelled(&job, SCOOP_DISCARDED);
}

Test(client, sets_constants_anew_before_anything_else_is_sent)
{
    struct wire_header header;
    struct wire_cursor body;
    struct job job = map_of(0, 3);
    struct job constants[] = {map_of(3, 1), map_of(4, 1)};

    given(&job);
    expect_function(&absolute);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    for (int i = 0; i < 2; i++) {
        constants[i].sets_anew = true;
        client_add_first(&client, &constants[i]);
    }
    expect_function(&absolute);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 2);
    no_frame();
    struct blob *results = computed(frame);
    deliver(results);
    cr_assert_not_null(client_take_ended(&client));
    cr_assert_not_null(client_take_ended(&client));
    cr_assert_eq(answer_all(), 1);
    cr_assert_eq(client_take_ended(&client), &job);
    assert_absolute(0, 5);
    blob_unref(frame);
    blob_unref(results);
}
