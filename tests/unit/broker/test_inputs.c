/* Tasks that wait for others and receive their results: PROTOCOL.md section 5, "Inputs". */
#include "world.h"

#include "broker/inputs.h"

#include <criterion/criterion.h>
#include <string.h>

static struct wire_input of_task(uint64_t no)
{
    return (struct wire_input){.no = no, .kind = WIRE_INPUT_TASK};
}

static struct wire_input of_value(const char *value)
{
    return (struct wire_input){
        .kind = WIRE_INPUT_VALUE,
        .bytes = {(const uint8_t *)value, strlen(value)},
    };
}

static struct blob *
after_frame(struct end *client, uint64_t no, const struct wire_input *inputs, uint32_t count)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 0);
    const struct wire_run run = {
        .count = 1,
        .argument_bytes = 1,
        .first_no = no,
        .input_count = count,
    };

    cr_assert_eq(wire_put_run(frame, &run), 0);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(wire_put_input(frame, &inputs[i]), 0);
    cr_assert_eq(blob_reserve(frame, 1), 0);
    wire_put_u8(frame, (uint8_t)no);
    wire_frame_add_count(frame, 1);
    return frame;
}

/* Task `no`, which waits for the `count` inputs. */
static void submit_after(struct world *w,
                         struct end *client,
                         uint64_t no,
                         const struct wire_input *inputs,
                         uint32_t count)
{
    send_frame(w, client, after_frame(client, no, inputs, count));
    turn(w);
}

static void give(struct world *w,
                 struct end *client,
                 uint64_t no,
                 uint32_t index,
                 const struct wire_input *input)
{
    struct blob *frame = wire_frame_new(WIRE_INPUT, client->link.id, 0);

    cr_assert_eq(wire_put_place(frame, &(struct wire_place){.no = no, .index = index}), 0);
    cr_assert_eq(wire_put_input(frame, input), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, client, frame);
    turn(w);
}

/* The agent answers its oldest task with this text. */
static void answer_text(struct world *w, struct end *agent, const char *text)
{
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    const struct wire_attempt attempt = {
        .id = agent->tasks[0].id,
        .attempt = agent->tasks[0].attempt,
        .run_us = 60 * 1000,
        .bytes = {(const uint8_t *)text, strlen(text)},
    };

    cr_assert_eq(wire_put_attempt(frame, &attempt), 0);
    wire_frame_add_count(frame, 1);
    agent->task_count--;
    memmove(agent->tasks, agent->tasks + 1, agent->task_count * sizeof(agent->tasks[0]));
    send_frame(w, agent, frame);
    turn(w);
}

/* The task that the agent got last has these inputs, and the argument that belongs to `no`. */
static void
assert_bundle(const struct end *agent, uint64_t no, const char *const *inputs, uint32_t count)
{
    struct wire_cursor c = {.at = agent->argument, .end = agent->argument + agent->argument_bytes};
    uint32_t sizes[16];

    cr_assert_eq(agent->tasks[agent->task_count - 1].flags, WIRE_TASK_BUNDLE | WIRE_TASK_MOVES);
    cr_assert_eq(wire_get_u32(&c), count);
    cr_assert_eq(wire_get_u32(&c), 1);
    for (uint32_t i = 0; i < count; i++)
        sizes[i] = wire_get_u32(&c);
    cr_assert_eq(wire_get_u8(&c), (uint8_t)no);
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_bytes bytes = wire_get_bytes(&c, sizes[i]);

        cr_assert_eq(bytes.size, strlen(inputs[i]));
        cr_assert_arr_eq(bytes.data, inputs[i], bytes.size);
    }
    cr_assert_eq(wire_read_ok(&c), 0);
}

static void assert_nothing_waits(const struct world *w)
{
    cr_assert_eq(core_counters(w->core)->held, 0);
    cr_assert_eq(core_counters(w->core)->blocked, 0);
    cr_assert_eq(core_counters(w->core)->ready, 0);
    cr_assert_eq(core_counters(w->core)->leased, 0);
    cr_assert_eq(core_counters(w->core)->illegal, 0);
}

Test(inputs, start_a_task_when_all_have_ended_and_in_the_order_of_its_list)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 3);
    struct end *client = given_client(&w);
    const struct wire_input inputs[] = {of_task(3), of_task(1), of_value("known"), of_task(2)};

    submit(&w, client, 1, 3);
    submit_after(&w, client, 4, inputs, 4);
    cr_assert_eq(core_counters(w.core)->held, 1);
    answer_text(&w, agent, "one");
    answer_text(&w, agent, "two");
    cr_assert_eq(agent->task_count, 1, "it does not start early");
    answer_text(&w, agent, "three");
    cr_assert_eq(agent->task_count, 1);
    assert_bundle(agent, 4, (const char *[]){"three", "one", "known", "two"}, 4);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 4);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, make_diamonds)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    submit_after(&w, client, 2, (struct wire_input[]){of_task(1)}, 1);
    submit_after(&w, client, 3, (struct wire_input[]){of_task(1)}, 1);
    submit_after(&w, client, 4, (struct wire_input[]){of_task(2), of_task(3), of_task(2)}, 3);
    cr_assert_eq(core_counters(w.core)->held, 3);
    answer_text(&w, agent, "top");
    cr_assert_eq(agent->task_count, 2);
    answer_text(&w, agent, "left");
    cr_assert_eq(agent->task_count, 1, "the fan-in does not open for one of them that comes twice");
    answer_text(&w, agent, "right");
    assert_bundle(agent, 4, (const char *[]){"left", "right", "left"}, 3);
    answer(&w, agent, 1, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, that_are_all_known_start_the_task_at_once)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit_after(&w, client, 1, (struct wire_input[]){of_value("a"), of_value("")}, 2);
    assert_bundle(agent, 1, (const char *[]){"a", ""}, 2);
    answer(&w, agent, 1, WIRE_CRASHED);
    assert_bundle(agent, 1, (const char *[]){"a", ""}, 2);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->results[0].outcome, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, of_a_task_that_has_ended_are_asked_of_the_client)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    answer_text(&w, agent, "done");
    submit_after(&w, client, 2, (struct wire_input[]){of_task(1)}, 1);
    cr_assert_eq(client->need_count, 1);
    cr_assert_eq(client->needs[0].no, 2);
    cr_assert_eq(client->needs[0].index, 0);
    cr_assert_eq(core_counters(w.core)->held, 1);
    give(&w, client, 2, 0,
         &(struct wire_input){.kind = WIRE_INPUT_VALUE, .bytes = {(const uint8_t *)"done", 4}});
    assert_bundle(agent, 2, (const char *[]){"done"}, 1);
    give(&w, client, 2, 0, &(struct wire_input){.kind = WIRE_INPUT_FAILED});
    cr_assert_eq(core_counters(w.core)->blocked, 0, "what has started waits for nothing");
    answer(&w, agent, 1, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, that_failed_block_the_task_until_they_are_forgiven)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    submit_after(&w, client, 3, (struct wire_input[]){of_task(1), of_task(2)}, 2);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(core_counters(w.core)->blocked, 1);
    cr_assert_eq(core_counters(w.core)->held, 0);
    answer_text(&w, agent, "two");
    cr_assert_eq(core_counters(w.core)->blocked, 1);
    give(&w, client, 3, 0, &(struct wire_input){.kind = WIRE_INPUT_VALUE});
    assert_bundle(agent, 3, (const char *[]){"", "two"}, 2);
    answer(&w, agent, 1, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, that_failed_may_come_from_another_task_instead)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);
    const struct wire_input again = of_task(3);

    submit(&w, client, 1, 1);
    submit_after(&w, client, 2, (struct wire_input[]){of_task(1)}, 1);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(core_counters(w.core)->blocked, 1);
    submit(&w, client, 3, 1);
    give(&w, client, 2, 0, &again);
    cr_assert_eq(core_counters(w.core)->blocked, 0);
    cr_assert_eq(core_counters(w.core)->held, 1);
    answer_text(&w, agent, "better");
    assert_bundle(agent, 2, (const char *[]){"better"}, 1);
    answer(&w, agent, 1, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, of_a_cancelled_task_block_and_a_blocked_task_can_be_cancelled)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    submit_after(&w, client, 2, (struct wire_input[]){of_task(1)}, 1);
    for (uint64_t no = 1; no <= 2; no++) {
        struct blob *frame = wire_frame_new(WIRE_CANCEL, client->link.id, 8);

        wire_put_u64(frame, no);
        wire_frame_add_count(frame, 1);
        send_frame(&w, client, frame);
        turn(&w);
        cr_assert_eq(core_counters(w.core)->blocked, 2 - no);
    }
    cr_assert_eq(client->result_count, 2);
    cr_assert_eq(client->results[1].code, WIRE_NEVER_RAN);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, leave_nothing_when_the_session_ends)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    submit_after(&w, client, 3, (struct wire_input[]){of_task(1), of_task(2), of_value("x")}, 3);
    submit_after(&w, client, 4, (struct wire_input[]){of_task(3)}, 1);
    send_frame(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    turn(&w);
    answer(&w, agent, 1, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, that_are_more_than_a_task_may_have_end_it_by_name)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);
    char *large = calloc(1, WIRE_PAYLOAD_MAX);

    memset(large, 'x', WIRE_PAYLOAD_MAX - 1);
    submit(&w, client, 1, 1);
    submit_after(&w, client, 2, (struct wire_input[]){of_task(1), of_task(1)}, 2);
    answer_text(&w, agent, large);
    cr_assert_eq(client->result_count, 2);
    cr_assert_eq(client->results[1].no, 2);
    cr_assert_eq(client->results[1].outcome, WIRE_REFUSED_TASK);
    assert_nothing_waits(&w);
    free(large);
    finish(&w);
}

Test(inputs, expire_with_their_task)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 0);
    const struct wire_run run = {
        .count = 1,
        .argument_bytes = 1,
        .first_no = 2,
        .options = {.expires_ms = 200},
        .input_count = 1,
    };
    const struct wire_input input = of_task(1);

    submit(&w, client, 1, 1);
    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(wire_put_input(frame, &input), 0);
    cr_assert_eq(blob_reserve(frame, 1), 0);
    wire_put_u8(frame, 2);
    wire_frame_add_count(frame, 1);
    send_frame(&w, client, frame);
    pass(&w, 300);
    cr_assert_eq(client->results[0].outcome, WIRE_EXPIRED);
    cr_assert_eq(core_counters(w.core)->held, 0);
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    answer(&w, agent, 1, WIRE_OK);
    assert_nothing_waits(&w);
    finish(&w);
}

Test(inputs, of_numbers_that_were_never_given_are_refused)
{
    static const uint64_t numbers[] = {0, 2, 3};

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct world w = given_world();
        struct end *client = given_client(&w);

        submit(&w, client, 1, 1);
        send_frame(&w, client,
                   after_frame(client, 2, (struct wire_input[]){of_task(numbers[i])}, 1));
        cr_assert(client->refused);
        assert_nothing_waits(&w);
        finish(&w);
    }
}
