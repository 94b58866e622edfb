/* The client's side of tasks that wait for others, against frames made and read by hand. */
#include "libscoop/after.h"
#include "libscoop/client.h"
#include "libscoop/future.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT 4

static struct client client;
static struct scoop_future *futures[COUNT];
static const struct identity program = {.name = "prog"};
static const struct scoop_function text = {
    .name = "text", .argument_bytes = SCOOP_VARIABLE, .result_bytes = SCOOP_VARIABLE, .number = 71};

static struct scoop_future *given_future(void)
{
    struct scoop_future *future = calloc(1, sizeof(*future));

    cr_assert_not_null(future);
    future->job = (struct job){
        .function = &text,
        .count = 1,
        .references = 1,
        .in_each = &future->argument,
        .out_each = &future->result,
    };
    return future;
}

static void prepare(void)
{
    client_init(&client, &program);
    cr_assert_eq(client_open(&client, 9, 1U << 20, 256U << 20), 0);
    for (int i = 0; i < COUNT; i++)
        futures[i] = given_future();
}

static void finish(void)
{
    client_give_up(&client, SCOOP_SHUT_DOWN, "the end");
    for (int i = 0; i < COUNT; i++)
        job_unref(&futures[i]->job);
    client_fini(&client);
}

TestSuite(after, .init = prepare, .fini = finish);

static void add_after(int taker, const int *sources, uint32_t count)
{
    scoop_future *list[COUNT];

    for (uint32_t i = 0; i < count; i++)
        list[i] = futures[sources[i]];
    cr_assert_eq(after_set(&futures[taker]->job, list, count), 0);
    client_add(&client, &futures[taker]->job);
}

static void deliver(uint64_t no, enum wire_outcome outcome, const char *value)
{
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_RESULTS, 9, 64);
    struct blob *failure CLEANUP(blob_unref_p) = blob_new(64);
    struct wire_result result = {
        .no = no,
        .outcome = outcome,
        .bytes = {(const uint8_t *)value, strlen(value)},
    };
    struct wire_header header;
    struct wire_cursor body;

    if (outcome != WIRE_OK) {
        cr_assert_eq(wire_put_failure(failure, &(struct wire_failure){.code = 1}), 0);
        result.bytes = (struct wire_bytes){failure->data, failure->size};
    }
    cr_assert_eq(wire_put_result(frame, &result), 0);
    wire_frame_add_count(frame, 1);
    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    cr_assert_eq(client_take_results(&client, &header, &body), 0);
}

/* The next frame that is not FUNCTION. */
static struct blob *
next_frame(enum wire_type type, struct wire_header *header, struct wire_cursor *body)
{
    struct blob *frame = NULL;

    do {
        blob_unref(frame);
        cr_assert_eq(client_next_frame(&client, &frame), 0);
        cr_assert_eq(wire_frame_read(frame->data, frame->size, header, body), 0);
    } while (header->type == WIRE_FUNCTION);
    cr_assert_eq(header->type, type);
    return frame;
}

static void
assert_input(struct wire_cursor *c, enum wire_input_kind kind, uint64_t no, const char *value)
{
    struct wire_input input;

    cr_assert_eq(wire_get_input(c, &input), 0);
    cr_assert_eq(input.kind, kind);
    cr_assert_eq(input.no, no);
    cr_assert_eq(input.bytes.size, strlen(value));
    if (input.bytes.size != 0)
        cr_assert_arr_eq(input.bytes.data, value, input.bytes.size);
}

Test(after, names_what_has_not_ended_and_gives_what_has)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_run run;

    client_add(&client, &futures[0]->job);
    client_add(&client, &futures[1]->job);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver(1, WIRE_OK, "one");
    add_after(2, (int[]){1, 0}, 2);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    cr_assert_eq(run.input_count, 2);
    assert_input(&run.inputs, WIRE_INPUT_TASK, 2, "");
    assert_input(&run.inputs, WIRE_INPUT_VALUE, 0, "one");
    blob_unref(frame);
}

Test(after, sends_results_again_as_values_on_a_new_link)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_run run;

    client_add(&client, &futures[0]->job);
    add_after(1, (int[]){0}, 1);
    add_after(2, (int[]){1, 0}, 2);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver(1, WIRE_OK, "one");
    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 2, "what has ended is not submitted again");
    cr_assert_eq(wire_get_run(&body, &run), 0);
    assert_input(&run.inputs, WIRE_INPUT_VALUE, 0, "one");
    (void)wire_get_argument(&body, &run);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    assert_input(&run.inputs, WIRE_INPUT_TASK, 1, "");
    assert_input(&run.inputs, WIRE_INPUT_VALUE, 0, "one");
    blob_unref(frame);
}

/* The one that stands in is younger than the task that waits for it. */
Test(after, submits_what_stands_in_before_what_waits_for_it_on_a_new_link)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_run run;

    client_add(&client, &futures[0]->job);
    add_after(1, (int[]){0}, 1);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver(1, WIRE_FAILED, "");
    cr_assert_eq(client_take_blocked(&client), &futures[1]->job);
    cr_assert_eq(ties_make(&futures[2]->job), 0);
    after_stand_in(&futures[2]->job, &futures[0]->job);
    client_add(&client, &futures[2]->job);
    cr_assert_not(futures[1]->job.blocked);

    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    blob_unref(frame);
    frame = next_frame(WIRE_INPUT, &header, &body);
    struct wire_place place;
    cr_assert_eq(wire_get_place(&body, &place), 0);
    cr_assert_eq(place.no, 2);
    cr_assert_eq(place.index, 0);
    assert_input(&body, WIRE_INPUT_TASK, 3, "");
    blob_unref(frame);

    cr_assert_eq(client_open(&client, 10, 1U << 20, 256U << 20), 0);
    frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(header.count, 2);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    cr_assert_eq(run.input_count, 0, "the one that stands in goes first");
    (void)wire_get_argument(&body, &run);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    assert_input(&run.inputs, WIRE_INPUT_TASK, 1, "");
    blob_unref(frame);
}

Test(after, answers_what_the_broker_asks_for)
{
    struct wire_header header;
    struct wire_cursor body;
    struct blob *need CLEANUP(blob_unref_p) = wire_frame_new(WIRE_NEED, 9, 64);
    struct wire_place place = {.no = 2, .index = 0};

    client_add(&client, &futures[0]->job);
    add_after(1, (int[]){0}, 1);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver(1, WIRE_OK, "one");
    cr_assert_eq(wire_put_place(need, &place), 0);
    wire_frame_add_count(need, 1);
    cr_assert_eq(wire_frame_read(need->data, need->size, &header, &body), 0);
    cr_assert_eq(client_take_needs(&client, &header, &body), 0);
    struct blob *frame = next_frame(WIRE_INPUT, &header, &body);
    cr_assert_eq(wire_get_place(&body, &place), 0);
    cr_assert_eq(place.no, 2);
    assert_input(&body, WIRE_INPUT_VALUE, 0, "one");
    cr_assert_eq(wire_read_ok(&body), 0);
    blob_unref(frame);
}

Test(after, blocks_all_that_wait_for_a_failure_and_frees_them_when_it_is_forgiven)
{
    struct wire_header header;
    struct wire_cursor body;

    client_add(&client, &futures[0]->job);
    add_after(1, (int[]){0}, 1);
    add_after(2, (int[]){1}, 1);
    add_after(3, (int[]){2, 1}, 2);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver(1, WIRE_FAILED, "");
    for (int i = 1; i < COUNT; i++) {
        cr_assert(futures[i]->job.blocked);
        cr_assert_not_null(client_take_blocked(&client));
    }
    cr_assert_null(client_take_blocked(&client), "each is told of once");
    client_forgive(&client, &futures[0]->job);
    for (int i = 1; i < COUNT; i++)
        cr_assert_not(futures[i]->job.blocked);
    struct blob *frame = next_frame(WIRE_INPUT, &header, &body);
    cr_assert_eq(header.count, 1, "only what waits for it directly is a matter of the broker");
    blob_unref(frame);
}

Test(after, holds_what_it_waits_for_as_long_as_it_may_be_needed)
{
    struct wire_header header;
    struct wire_cursor body;

    client_add(&client, &futures[0]->job);
    add_after(1, (int[]){0}, 1);
    cr_assert_eq(futures[0]->job.references, 2);
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    deliver(1, WIRE_OK, "one");
    cr_assert_eq(futures[0]->job.references, 2, "a new link may need its value");
    deliver(2, WIRE_OK, "two");
    cr_assert_eq(futures[0]->job.references, 1);
}
