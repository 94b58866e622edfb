/* Pieces on their way through the core. */
#include "broker/relay.h"

#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

static struct wire_cargo cargo_of(uint64_t task, uint16_t attempt, enum wire_what what)
{
    struct wire_cargo cargo = {.task = task, .attempt = attempt, .what = what};

    if (what == WIRE_WHAT_PROGRAM || what == WIRE_WHAT_VALUE)
        memset(cargo.key, 7, sizeof(cargo.key));
    return cargo;
}

static void want(struct world *w, struct end *end, struct wire_cargo cargo, uint32_t length)
{
    struct blob *frame = wire_frame_new(WIRE_WANT, end->link.id, 0);
    const struct wire_want record = {.cargo = cargo, .length = length};

    cr_assert_eq(wire_put_want(frame, &record), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, end, frame);
    turn(w);
}

static void send_piece(struct world *w, struct end *end, struct wire_cargo cargo, size_t size)
{
    static uint8_t bytes[WIRE_PIECE_MAX];
    struct blob *frame = wire_frame_new(WIRE_PIECE, end->link.id, 0);
    const struct wire_piece piece = {
        .cargo = cargo,
        .total = (uint64_t)64 << 20,
        .bytes = {bytes, size},
    };

    bytes[0] = 42;
    cr_assert_eq(wire_put_piece(frame, &piece), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, end, frame);
    turn(w);
}

/* One agent that holds the first task of one client. */
struct scene {
    struct world w;
    struct end *agent;
    struct end *client;
    struct wire_task task;
};

static struct scene given_leased_task(void)
{
    struct scene s = {.w = given_world()};

    core_allow_uploads(s.w.core);
    s.agent = given_agent(&s.w, 1);
    s.client = given_client(&s.w);
    submit(&s.w, s.client, 1, 1);
    cr_assert_eq(s.agent->task_count, 1);
    s.task = s.agent->tasks[0];
    return s;
}

static const struct wire_piece *last_piece(const struct end *end)
{
    return &end->pieces[(end->piece_count - 1) % TASKS_MAX];
}

Test(relay, hands_on_what_an_agent_wants_under_the_number_that_its_client_knows)
{
    static const enum wire_what kinds[] = {WIRE_WHAT_ARGUMENT, WIRE_WHAT_PROGRAM, WIRE_WHAT_VALUE};
    struct scene s = given_leased_task();

    for (uint32_t i = 0; i < COUNT_OF(kinds); i++) {
        struct wire_cargo cargo = cargo_of(s.task.id, 1, kinds[i]);

        cargo.offset = 1000;
        want(&s.w, s.agent, cargo, 500);
        cr_assert_eq(s.client->want_count, i + 1);
        cr_assert_eq(s.client->wants_got[i].length, 500);
        cargo.task = 1;
        cr_assert(wire_cargo_equal(&s.client->wants_got[i].cargo, &cargo));
        send_piece(&s.w, s.client, cargo, 500);
        cr_assert_eq(s.agent->piece_count, i + 1);
        cargo.task = s.task.id;
        cr_assert(wire_cargo_equal(&last_piece(s.agent)->cargo, &cargo));
        cr_assert_eq(last_piece(s.agent)->bytes.size, 500);
        cr_assert_eq(s.agent->piece_first_byte, 42);
    }
    cr_assert_eq(core_counters(s.w.core)->pieces, COUNT_OF(kinds));
    finish(&s.w);
}

Test(relay, hands_on_an_offered_result_piece_by_piece_until_all_was_taken)
{
    struct scene s = given_leased_task();
    const struct wire_cargo of_agent = cargo_of(s.task.id, 1, WIRE_WHAT_RESULT);
    struct wire_cargo of_client = cargo_of(1, 1, WIRE_WHAT_RESULT);

    send_piece(&s.w, s.agent, of_agent, 0);
    cr_assert_eq(s.client->piece_count, 1);
    cr_assert_eq(last_piece(s.client)->total, (uint64_t)64 << 20);
    want(&s.w, s.client, of_client, 100);
    cr_assert(wire_cargo_equal(&s.agent->wants_got[0].cargo, &of_agent));
    send_piece(&s.w, s.agent, of_agent, 100);
    cr_assert_eq(s.client->piece_count, 2);
    cr_assert(wire_cargo_equal(&last_piece(s.client)->cargo, &of_client));
    of_client.offset = 100;
    want(&s.w, s.client, of_client, 0);
    want(&s.w, s.client, of_client, 0);
    cr_assert_eq(s.agent->want_count, 2, "that all has come is said once");
    cr_assert_eq(s.agent->wants_got[1].length, 0);
    finish(&s.w);
}

Test(relay, drops_a_piece_that_nobody_wants)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_ARGUMENT), 100);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 100);
    cr_assert_eq(s.agent->piece_count, 0);
    cr_assert_eq(s.client->piece_count, 1, "it is offered once");
    want(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_ARGUMENT), 100);
    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_ARGUMENT), 101);
    cr_assert_eq(s.agent->piece_count, 0, "larger than what is wanted");
    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_ARGUMENT), 100);
    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_ARGUMENT), 100);
    cr_assert_eq(s.agent->piece_count, 1, "it is wanted once");
    cr_assert_eq(core_counters(s.w.core)->pieces_dropped, 5);
    cr_assert_not(s.client->refused || s.agent->refused);
    finish(&s.w);
}

Test(relay, keeps_no_more_than_its_bound_for_a_receiver_that_does_not_read)
{
    struct scene s = given_leased_task();
    const uint32_t fitting = RELAY_BYTES / WIRE_PIECE_MAX;
    struct wire_cargo cargo = cargo_of(s.task.id, 1, WIRE_WHAT_ARGUMENT);

    ping(&s.w, s.agent);
    for (uint32_t i = 0; i < 3 * fitting; i++) {
        cargo.offset = i * WIRE_PIECE_MAX;
        want(&s.w, s.agent, cargo, WIRE_PIECE_MAX);
    }
    cr_assert_eq(s.client->want_count, fitting, "the others wait");
    cargo.task = 1;
    for (uint32_t i = 0; i < fitting; i++) {
        /* The agent's link has not acknowledged any. */
        cargo.offset = i * WIRE_PIECE_MAX;
        send_piece(&s.w, s.client, cargo, WIRE_PIECE_MAX);
    }
    cr_assert_eq(s.agent->piece_count, fitting);
    cr_assert_eq(s.client->want_count, fitting);
    ping(&s.w, s.agent); /* acknowledges what came */
    turn(&s.w);
    cr_assert_eq(s.client->want_count, 2 * fitting);
    finish(&s.w);
}

Test(relay, ends_a_peer_that_wants_more_pieces_than_may_wait)
{
    struct scene s = given_leased_task();
    struct wire_cargo cargo = cargo_of(s.task.id, 1, WIRE_WHAT_ARGUMENT);

    for (uint32_t i = 0; i < RELAY_WANTS_MAX; i++) {
        cargo.offset = i;
        want(&s.w, s.agent, cargo, WIRE_PIECE_MAX);
    }
    cr_assert_not(s.agent->refused);
    want(&s.w, s.agent, cargo, WIRE_PIECE_MAX);
    cr_assert(s.agent->refused);
    finish(&s.w);
}

Test(relay, lets_no_client_want_what_is_an_agents)
{
    struct scene s = given_leased_task();

    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_ARGUMENT), 1);
    cr_assert(s.client->refused);
    finish(&s.w);
}

Test(relay, lets_no_client_give_a_result)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 1);
    cr_assert(s.client->refused);
    finish(&s.w);
}

Test(relay, forgets_what_was_wanted_for_an_attempt_that_is_over)
{
    struct scene s = given_leased_task();

    want(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_ARGUMENT), 100);
    want(&s.w, s.agent, cargo_of(s.task.id, 2, WIRE_WHAT_ARGUMENT), 100);
    want(&s.w, s.agent, cargo_of(s.task.id + 1, 1, WIRE_WHAT_ARGUMENT), 100);
    cr_assert_eq(s.client->want_count, 1);
    answer(&s.w, s.agent, 1, WIRE_CRASHED); /* it is leased once more */
    cr_assert_eq(s.agent->task_count, 1);
    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_ARGUMENT), 100);
    send_piece(&s.w, s.client, cargo_of(1, 2, WIRE_WHAT_ARGUMENT), 100);
    cr_assert_eq(s.agent->piece_count, 0);
    want(&s.w, s.agent, cargo_of(s.task.id, 2, WIRE_WHAT_ARGUMENT), 100);
    send_piece(&s.w, s.client, cargo_of(1, 2, WIRE_WHAT_ARGUMENT), 100);
    cr_assert_eq(s.agent->piece_count, 1);
    finish(&s.w);
}

Test(relay, tells_a_client_that_the_result_it_wants_is_gone)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 100);
    answer(&s.w, s.agent, 1, WIRE_CRASHED);
    cr_assert_eq(s.client->piece_count, 2);
    cr_assert_eq(last_piece(s.client)->cargo.flags, WIRE_PIECE_GONE);
    cr_assert_eq(last_piece(s.client)->cargo.attempt, 1);
    cr_assert_eq(last_piece(s.client)->cargo.task, 1);
    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 100); /* it did not know yet */
    cr_assert_eq(s.client->piece_count, 3);
    cr_assert_eq(last_piece(s.client)->cargo.flags, WIRE_PIECE_GONE);
    finish(&s.w);
}

Test(relay, takes_an_offer_of_each_attempt)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 100);
    answer(&s.w, s.agent, 1, WIRE_CRASHED);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 100);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 2, WIRE_WHAT_RESULT), 0);
    cr_assert_eq(s.client->piece_count, 3, "of the first the rest is gone");
    cr_assert_eq(last_piece(s.client)->cargo.attempt, 2);
    finish(&s.w);
}

Test(relay, outlives_a_session_that_ends_in_the_middle)
{
    struct scene s = given_leased_task();

    want(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_ARGUMENT), 100);
    send_frame(&s.w, s.client, wire_frame_new(WIRE_BYE, s.client->link.id, 0));
    turn(&s.w);
    cr_assert_eq(s.agent->revoked_count, 1);
    want(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_ARGUMENT), 100);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    answer(&s.w, s.agent, 1, WIRE_CANCELLED);
    cr_assert_eq(core_counters(s.w.core)->leased, 0);
    finish(&s.w);
}

Test(relay, outlives_an_agent_that_is_lost_in_the_middle)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 100);
    want(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_VALUE), 100);
    unreachable(&s.w, s.agent);
    pass(&s.w, CORE_UNREACHABLE_MS + 100);
    send_piece(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_VALUE), 100);
    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 100);
    cr_assert_not(s.client->refused);
    struct end *other = given_agent(&s.w, 1);
    turn(&s.w);
    cr_assert_eq(other->task_count, 1);
    want(&s.w, other, cargo_of(other->tasks[0].id, 2, WIRE_WHAT_VALUE), 100);
    cr_assert_eq(s.client->want_count, 2);
    finish(&s.w);
}

Test(relay, hands_on_no_want_of_a_program_unless_uploads_are_allowed)
{
    struct scene s = {.w = given_world()};
    struct end *agent = given_agent(&s.w, 1);
    struct end *client = given_client(&s.w);

    submit(&s.w, client, 1, 1);
    want(&s.w, agent, cargo_of(agent->tasks[0].id, 1, WIRE_WHAT_PROGRAM), 100);
    cr_assert_eq(client->want_count, 0);
    cr_assert_eq(agent->piece_count, 1);
    cr_assert_eq(last_piece(agent)->cargo.flags, WIRE_PIECE_GONE);
    want(&s.w, agent, cargo_of(agent->tasks[0].id, 1, WIRE_WHAT_VALUE), 100);
    cr_assert_eq(client->want_count, 1, "values are another matter");
    finish(&s.w);
}

Test(relay, hands_on_that_bytes_are_gone)
{
    struct scene s = given_leased_task();
    struct wire_cargo cargo = cargo_of(1, 1, WIRE_WHAT_VALUE);

    want(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_VALUE), 100);
    cargo.flags = WIRE_PIECE_GONE;
    send_piece(&s.w, s.client, cargo, 20);
    cr_assert_eq(s.agent->piece_count, 1);
    cr_assert_eq(last_piece(s.agent)->cargo.flags, WIRE_PIECE_GONE);
    finish(&s.w);
}

/* ---- tasks with large arguments and results ---- */

/* A client with function 1, of any sizes, submits `count` tasks of a gibibyte each. */
static void submit_large(struct world *w, struct end *client, uint64_t first_no, uint32_t count)
{
    const struct wire_function function = {
        .number = 1,
        .argument_bytes = WIRE_VARIABLE,
        .result_bytes = WIRE_VARIABLE,
        .name = {(const uint8_t *)"v", 1},
    };
    const struct wire_run run = {
        .function = 1,
        .count = count,
        .argument_bytes = WIRE_VARIABLE,
        .large = true,
        .first_no = first_no,
    };
    struct blob *frame = wire_frame_new(WIRE_FUNCTION, client->link.id, 0);

    cr_assert_eq(wire_put_function(frame, &function), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, client, frame);
    frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 0);
    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(blob_reserve(frame, 4 * (size_t)count), 0);
    for (uint32_t i = 0; i < count; i++)
        wire_put_u32(frame, WIRE_LARGE_MAX);
    wire_frame_add_count(frame, count);
    send_frame(w, client, frame);
    turn(w);
}

/* The agent says that its first task's result was taken. */
static void answer_moved(struct world *w, struct end *agent, uint64_t size)
{
    struct blob *number CLEANUP(blob_unref_p) = blob_new(8);
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 0);

    wire_put_u64(number, size);
    const struct wire_attempt outcome = {
        .id = agent->tasks[0].id,
        .attempt = agent->tasks[0].attempt,
        .flags = WIRE_ATTEMPT_MOVED,
        .bytes = {number->data, 8},
    };
    cr_assert_eq(wire_put_attempt(frame, &outcome), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, agent, frame);
    turn(w);
}

static void take_all(struct world *w, struct end *agent, struct end *client, uint64_t no)
{
    send_piece(w, agent, cargo_of(agent->tasks[0].id, agent->tasks[0].attempt, WIRE_WHAT_RESULT),
               0);
    want(w, client, cargo_of(no, agent->tasks[0].attempt, WIRE_WHAT_RESULT), 0);
}

Test(large, arguments_take_no_credit_and_are_leased_as_sizes)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit_large(&w, client, 1, 50); /* 50 GiB */
    cr_assert_not(client->refused);
    cr_assert_eq(agent->task_count, 2);
    cr_assert_eq(agent->tasks[0].flags, WIRE_TASK_LARGE | WIRE_TASK_MOVES);
    cr_assert_eq(agent->argument_bytes, WIRE_LARGE_MAX);
    answer(&w, agent, 2, WIRE_OK);
    cr_assert_eq(client->result_count, 2);
    finish(&w);
}

Test(large, results_end_their_task_when_they_were_taken)
{
    struct scene s = given_leased_task();

    take_all(&s.w, s.agent, s.client, 1);
    answer_moved(&s.w, s.agent, 5);
    cr_assert_eq(s.client->result_count, 1);
    cr_assert_eq(s.client->results[0].outcome, WIRE_OK);
    cr_assert_eq(s.client->results[0].bytes, 8);
    finish(&s.w);
}

Test(large, results_that_nobody_has_taken_are_no_results)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    answer_moved(&s.w, s.agent, 5);
    cr_assert(s.agent->refused);
    cr_assert_eq(s.client->result_count, 0);
    finish(&s.w);
}

Test(large, results_of_a_cancelled_task_are_discarded)
{
    struct scene s = given_leased_task();
    struct blob *frame = wire_frame_new(WIRE_CANCEL, s.client->link.id, 8);

    wire_put_u64(frame, 1);
    wire_frame_add_count(frame, 1);
    send_frame(&s.w, s.client, frame);
    turn(&s.w);
    answer_moved(&s.w, s.agent, 5);
    cr_assert_not(s.agent->refused);
    cr_assert_eq(s.client->results[0].outcome, WIRE_CANCELLED);
    cr_assert_eq(s.client->results[0].code, WIRE_DISCARDED);
    finish(&s.w);
}

/* Task 2 of function 0 waits for task 1. */
static void submit_taker(struct world *w, struct end *client)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 0);
    const struct wire_run run = {.count = 1, .argument_bytes = 1, .first_no = 2, .input_count = 1};

    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(wire_put_input(frame, &(struct wire_input){.no = 1}), 0);
    cr_assert_eq(blob_reserve(frame, 1), 0);
    wire_put_u8(frame, 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, client, frame);
    turn(w);
}

Test(large, results_that_others_wait_for_are_asked_of_the_client)
{
    struct scene s = given_leased_task();

    submit_taker(&s.w, s.client);
    take_all(&s.w, s.agent, s.client, 1);
    answer_moved(&s.w, s.agent, 1000);
    cr_assert_eq(s.client->result_count, 1);
    cr_assert_eq(s.client->need_count, 1);
    cr_assert_eq(s.client->needs[0].no, 2);
    finish(&s.w);
}

Test(large, results_that_are_too_large_to_be_inputs_end_those_that_wait)
{
    struct scene s = given_leased_task();

    submit_taker(&s.w, s.client);
    take_all(&s.w, s.agent, s.client, 1);
    answer_moved(&s.w, s.agent, WIRE_PAYLOAD_MAX);
    cr_assert_eq(s.client->need_count, 0);
    cr_assert_eq(s.client->result_count, 2);
    cr_assert_eq(s.client->results[1].outcome, WIRE_REFUSED_TASK);
    finish(&s.w);
}

Test(large, results_of_children_do_not_move)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);

    define(&w, agent);
    submit(&w, agent, 1, 1);
    cr_assert_eq(agent->task_count, 1);
    cr_assert_eq(agent->tasks[0].flags, 0);
    finish(&w);
}

static void forget(struct world *w, struct end *end, const struct wire_cargo *cargo)
{
    struct blob *frame = wire_frame_new(WIRE_FORGET, end->link.id, WIRE_KEY_BYTES);

    wire_put_bytes(frame, cargo->key, WIRE_KEY_BYTES);
    wire_frame_add_count(frame, 1);
    send_frame(w, end, frame);
    turn(w);
}

/* The agent has the beginning of the value, and the other one knows nothing of it. */
static struct wire_cargo given_value(struct scene *s)
{
    struct wire_cargo value = cargo_of(s->task.id, 1, WIRE_WHAT_VALUE);

    want(&s->w, s->agent, value, 10);
    value.task = 1;
    send_piece(&s->w, s->client, value, 10);
    return value;
}

Test(relay, tells_all_agents_of_a_value_that_its_client_has_freed)
{
    struct scene s = given_leased_task();
    struct end *other = given_agent(&s.w, 1);
    const struct wire_cargo value = given_value(&s);

    forget(&s.w, given_client(&s.w), &value);
    cr_assert_eq(s.agent->forget_count, 0, "another client cannot free it");
    forget(&s.w, s.client, &value);
    forget(&s.w, s.client, &value);
    cr_assert_eq(s.agent->forget_count, 1);
    cr_assert_eq(other->forget_count, 1);
    cr_assert_eq(s.agent->forgotten, value.key[0]);
    finish(&s.w);
}

Test(relay, tells_all_agents_of_values_whose_session_has_ended)
{
    struct scene s = given_leased_task();

    (void)given_value(&s);
    send_frame(&s.w, s.client, wire_frame_new(WIRE_BYE, s.client->link.id, 0));
    turn(&s.w);
    cr_assert_eq(s.agent->forget_count, 1);
    finish(&s.w);
}

Test(relay, hands_on_what_the_copy_of_a_straggler_wants)
{
    struct scene s = {.w = given_world()};

    s.agent = given_agent(&s.w, 1);
    s.client = given_client(&s.w);
    submit_with(&s.w, s.client, 1, 1, &(struct wire_options){.rerun_ms = 500});
    struct end *fast = given_agent(&s.w, 1);
    pass(&s.w, 600);
    cr_assert_eq(fast->task_count, 1);
    struct wire_cargo of_copy =
        cargo_of(fast->tasks[0].id, fast->tasks[0].attempt, WIRE_WHAT_VALUE);
    struct wire_cargo of_first = cargo_of(s.agent->tasks[0].id, 1, WIRE_WHAT_VALUE);
    const struct wire_cargo of_client = cargo_of(1, 1, WIRE_WHAT_VALUE);

    want(&s.w, fast, of_copy, 10);
    want(&s.w, s.agent, of_first, 10);
    cr_assert_eq(s.client->want_count, 2);
    for (int i = 0; i < 2; i++)
        cr_assert(wire_cargo_equal(&s.client->wants_got[i].cargo, &of_client));
    for (int i = 0; i < 3; i++)
        send_piece(&s.w, s.client, of_client, 10);
    cr_assert_eq(fast->piece_count, 1);
    cr_assert(wire_cargo_equal(&last_piece(fast)->cargo, &of_copy));
    cr_assert_eq(s.agent->piece_count, 1);
    cr_assert(wire_cargo_equal(&last_piece(s.agent)->cargo, &of_first));
    cr_assert_eq(core_counters(s.w.core)->pieces_dropped, 1);
    send_piece(&s.w, fast, cargo_of(of_copy.task, of_copy.attempt, WIRE_WHAT_RESULT), 0);
    cr_assert_eq(s.client->piece_count, 0, "its result is not offered");
    finish(&s.w);
}
