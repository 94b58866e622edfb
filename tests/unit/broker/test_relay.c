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
    static const enum wire_what whats[] = {WIRE_WHAT_ARGUMENT, WIRE_WHAT_PROGRAM, WIRE_WHAT_VALUE};
    struct scene s = given_leased_task();

    for (uint32_t i = 0; i < COUNT_OF(whats); i++) {
        struct wire_cargo cargo = cargo_of(s.task.id, 1, whats[i]);

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
    cr_assert_eq(core_counters(s.w.core)->pieces, COUNT_OF(whats));
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

Test(relay, takes_an_offer_of_each_attempt)
{
    struct scene s = given_leased_task();

    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 0);
    want(&s.w, s.client, cargo_of(1, 1, WIRE_WHAT_RESULT), 100);
    answer(&s.w, s.agent, 1, WIRE_CRASHED);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 1, WIRE_WHAT_RESULT), 100);
    send_piece(&s.w, s.agent, cargo_of(s.task.id, 2, WIRE_WHAT_RESULT), 0);
    cr_assert_eq(s.client->piece_count, 2);
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
