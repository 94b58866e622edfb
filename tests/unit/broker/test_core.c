/* The pure core, driven by hand-made clients and agents. Names of tests follow the promises of
 * PROTOCOL.md. */
#include "broker/core.h"

#include "base/link.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TASKS_MAX 64

/* A client or an agent: its end of a link and what it has received. */
struct end {
    enum wire_role role;
    struct link link;
    struct core_route route;
    struct core_key key;
    uint64_t incarnation;
    bool welcome;
    bool gone;
    bool refused;
    struct wire_task tasks[TASKS_MAX]; /* received and not yet answered; arguments are not kept */
    uint32_t task_count;
    uint32_t task_frames;
    uint64_t revoked[TASKS_MAX];
    uint32_t revoked_count;
    struct {
        uint64_t no;
        enum wire_outcome outcome;
        uint16_t attempts;
        uint32_t code;
        uint8_t first_byte;
    } results[TASKS_MAX];
    uint32_t result_count;
    struct wire_counters counters;
};

struct world {
    struct core *core;
    struct core_effects effects;
    int64_t now_ms;
    struct end *ends[8];
    size_t end_count;
};

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

static struct world given_world(void)
{
    struct world w = {.now_ms = 1000};

    w.core = core_new(1, "test", w.now_ms);
    cr_assert_not_null(w.core);
    return w;
}

static void finish(struct world *w)
{
    core_free(w->core);
    core_effects_fini(&w->effects);
    for (size_t i = 0; i < w->end_count; i++) {
        link_fini(&w->ends[i]->link);
        free(w->ends[i]);
    }
}

/* ---- what an end does with a frame ---- */

static void take_tasks(struct end *end, uint32_t count, struct wire_cursor *body)
{
    end->task_frames++;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_lt(end->task_count, TASKS_MAX);
        cr_assert_eq(wire_get_task(body, &end->tasks[end->task_count++]), 0);
    }
}

static void take_results(struct end *end, uint32_t count, struct wire_cursor *body)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wire_result result;
        struct wire_failure failure = {0};

        cr_assert_lt(end->result_count, TASKS_MAX);
        cr_assert_eq(wire_get_result(body, &result), 0);
        if (result.outcome != WIRE_OK)
            cr_assert_eq(wire_get_failure(result.bytes, &failure), 0);
        end->results[end->result_count].no = result.no;
        end->results[end->result_count].outcome = result.outcome;
        end->results[end->result_count].attempts = result.attempts;
        end->results[end->result_count].code = failure.code;
        end->results[end->result_count++].first_byte =
            result.bytes.size != 0 ? result.bytes.data[0] : 0;
    }
}

static void take_frame(struct end *end, struct blob *frame)
{
    struct wire_header header;
    struct wire_cursor body;
    enum link_verdict verdict = LINK_GAP;

    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    if (header.link != end->link.id)
        return;
    end->gone |= header.type == WIRE_GONE;
    cr_assert_eq(link_receive(&end->link, &header, frame->size, &verdict), 0);
    if (verdict != LINK_DELIVER)
        return;
    end->welcome |= header.type == WIRE_WELCOME;
    end->refused |= header.type == WIRE_REFUSED;
    if (header.type == WIRE_TASKS)
        take_tasks(end, header.count, &body);
    else if (header.type == WIRE_RESULTS)
        take_results(end, header.count, &body);
    else if (header.type == WIRE_REVOKE)
        for (uint32_t i = 0; i < header.count; i++)
            end->revoked[end->revoked_count++] = wire_get_u64(&body);
    else if (header.type == WIRE_STATUS)
        cr_assert_eq(wire_get_counters(&body, &end->counters), 0);
}

static void carry_out(struct world *w)
{
    for (size_t i = 0; i < w->effects.count; i++) {
        const struct core_effect *effect = &w->effects.items[i];

        for (size_t e = 0; effect->type == CORE_SEND && e < w->end_count; e++) {
            if (w->ends[e]->role == effect->role &&
                w->ends[e]->route.bytes[0] == effect->route.bytes[0])
                take_frame(w->ends[e], effect->frame);
        }
    }
    core_effects_clear(&w->effects);
}

static void turn(struct world *w)
{
    const struct core_event event = {.type = CORE_TURN, .now_ms = w->now_ms};

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

static void deliver(struct world *w, struct end *from, struct blob *frame)
{
    const struct core_event event = {
        .type = CORE_FRAME,
        .role = from->role,
        .now_ms = w->now_ms,
        .route = from->route,
        .key = from->key,
        .frame = frame,
    };

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

/* Send a sequenced frame; takes it. */
static void send(struct world *w, struct end *end, struct blob *frame)
{
    cr_assert_eq(link_push(&end->link, frame), 0);
    deliver(w, end, frame);
    blob_unref(frame);
}

static void say_hello(struct world *w, struct end *end, uint32_t slots)
{
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_HELLO, end->link.id, 64);
    const struct wire_hello hello = {
        .role = end->role,
        .pid = 1,
        .incarnation = end->incarnation,
        .slots = slots,
        .host = text("h"),
        .name = text("n"),
        .version = text("v"),
    };

    cr_assert_eq(wire_put_hello(frame, &hello), 0);
    wire_frame_add_count(frame, 1);
    deliver(w, end, frame);
}

static struct end *given_end(struct world *w, enum wire_role role, uint32_t slots)
{
    struct end *end = calloc(1, sizeof(*end));

    end->role = role;
    end->incarnation = 100 + w->end_count;
    end->route = (struct core_route){.size = 1, .bytes = {(uint8_t)(w->end_count + 1)}};
    snprintf(end->key.text, sizeof(end->key.text), "key-%zu", w->end_count);
    link_init(&end->link, 1000 + w->end_count);
    w->ends[w->end_count++] = end;
    say_hello(w, end, slots);
    cr_assert(end->welcome);
    return end;
}

static struct end *given_agent(struct world *w, uint32_t slots)
{
    return given_end(w, WIRE_AGENT, slots);
}

/* A client that has defined function 0: one byte in, one byte out. */
static struct end *given_client(struct world *w)
{
    struct end *client = given_end(w, WIRE_CLIENT, 0);
    struct blob *frame = wire_frame_new(WIRE_FUNCTION, client->link.id, 64);
    const struct wire_function function = {
        .argument_bytes = 1,
        .result_bytes = 1,
        .program = text("p"),
        .name = text("f"),
    };

    cr_assert_eq(wire_put_function(frame, &function), 0);
    wire_frame_add_count(frame, 1);
    send(w, client, frame);
    return client;
}

static struct blob *submit_frame(struct end *client, uint64_t first_no, uint32_t count)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 64 + count);
    const struct wire_run run = {.count = count, .argument_bytes = 1, .first_no = first_no};

    cr_assert_eq(wire_put_run(frame, &run), 0);
    for (uint32_t i = 0; i < count; i++)
        wire_put_u8(frame, (uint8_t)(first_no + i));
    wire_frame_add_count(frame, count);
    return frame;
}

static void submit(struct world *w, struct end *client, uint64_t first_no, uint32_t count)
{
    send(w, client, submit_frame(client, first_no, count));
    turn(w);
}

static void put_outcome(struct blob *frame, const struct wire_task *task, enum wire_outcome outcome)
{
    struct blob *failure CLEANUP(blob_unref_p) = blob_new(64);
    const struct wire_failure record = {.code = 139, .host = text("h"), .text = text("t")};
    const uint8_t value = (uint8_t)task->id;
    struct wire_attempt attempt = {
        .id = task->id,
        .attempt = task->attempt,
        .outcome = outcome,
        .run_us = 60 * 1000, /* too long for leasing ahead */
        .bytes = {&value, 1},
    };

    if (outcome != WIRE_OK) {
        cr_assert_eq(wire_put_failure(failure, &record), 0);
        attempt.bytes = (struct wire_bytes){failure->data, failure->size};
    }
    cr_assert_eq(wire_put_attempt(frame, &attempt), 0);
    wire_frame_add_count(frame, 1);
}

/* The agent answers the oldest `count` of its tasks. */
static void answer(struct world *w, struct end *agent, uint32_t count, enum wire_outcome outcome)
{
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);

    cr_assert_leq(count, agent->task_count);
    for (uint32_t i = 0; i < count; i++)
        put_outcome(frame, &agent->tasks[i], outcome);
    agent->task_count -= count;
    memmove(agent->tasks, agent->tasks + count, agent->task_count * sizeof(agent->tasks[0]));
    send(w, agent, frame);
    turn(w);
}

static void unreachable(struct world *w, struct end *end)
{
    const struct core_event event = {
        .type = CORE_UNREACHABLE,
        .role = end->role,
        .now_ms = w->now_ms,
        .route = end->route,
    };

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

/* Time passes in steps small enough not to look like a stopped broker. */
static void pass(struct world *w, int64_t ms)
{
    for (int64_t end_ms = w->now_ms + ms; w->now_ms < end_ms;) {
        w->now_ms += 100;
        turn(w);
    }
}

static void ping(struct world *w, struct end *end)
{
    struct blob *frame CLEANUP(blob_unref_p) = link_ping(&end->link, 1);

    deliver(w, end, frame);
}

/* ---- tests ---- */

Test(core, gives_each_session_its_results_by_number)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 3);
    cr_assert_eq(agent->task_count, 3);
    answer(&w, agent, 3, WIRE_OK);
    cr_assert_eq(client->result_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(client->results[i].no, i + 1);
        cr_assert_eq(client->results[i].outcome, WIRE_OK);
        cr_assert_eq(client->results[i].attempts, 1);
    }
    cr_assert_eq(core_counters(w.core)->leased, 0);
    finish(&w);
}

Test(core, leases_one_task_per_slot_and_spreads_over_hosts)
{
    struct world w = given_world();
    struct end *one = given_agent(&w, 2);
    struct end *two = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    cr_assert_eq(one->task_count, 1);
    cr_assert_eq(two->task_count, 1);
    submit(&w, client, 3, 8);
    cr_assert_eq(one->task_count, 2);
    cr_assert_eq(two->task_count, 2);
    cr_assert_eq(core_counters(w.core)->ready, 6);
    answer(&w, two, 1, WIRE_OK);
    cr_assert_eq(two->task_count, 2, "the freed slot gets the next task");
    finish(&w);
}

Test(core, leases_short_tasks_ahead_in_one_frame)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);
    struct blob *frame = NULL;
    const uint8_t value = 1;

    submit(&w, client, 1, 40);
    cr_assert_eq(agent->task_count, 1, "nothing is known of the function yet");
    frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    const struct wire_attempt outcome = {
        .id = agent->tasks[0].id,
        .attempt = 1,
        .outcome = WIRE_OK,
        .run_us = 10,
        .bytes = {&value, 1},
    };
    cr_assert_eq(wire_put_attempt(frame, &outcome), 0);
    wire_frame_add_count(frame, 1);
    send(&w, agent, frame);
    turn(&w);
    cr_assert_eq(agent->task_count, 40);
    cr_assert_eq(agent->task_frames, 2);
    finish(&w);
}

Test(core, runs_tasks_elsewhere_when_the_agent_is_silent_for_its_lease)
{
    struct world w = given_world();
    struct end *silent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    cr_assert_eq(silent->task_count, 1);
    pass(&w, CORE_LEASE_MS - 100);
    struct end *other = given_agent(&w, 1);
    turn(&w);
    cr_assert_eq(other->task_count, 0, "the lease still holds");
    pass(&w, 200);
    cr_assert_eq(other->task_count, 1);
    cr_assert_eq(other->tasks[0].attempt, 2);

    answer(&w, silent, 1, WIRE_OK);
    cr_assert(silent->gone, "nothing that a silent agent says later is obeyed");
    cr_assert_eq(client->result_count, 0);
    answer(&w, other, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}

Test(core, gives_up_an_agent_whose_connection_closed_within_300_ms)
{
    struct world w = given_world();
    struct end *dead = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    unreachable(&w, dead);
    struct end *other = given_agent(&w, 1);
    pass(&w, 400);
    cr_assert_eq(other->task_count, 1);
    finish(&w);
}

Test(core, keeps_an_agent_that_reconnects_in_time)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    unreachable(&w, agent);
    pass(&w, 200);
    agent->route.bytes[0] = 77; /* a new connection */
    ping(&w, agent);
    pass(&w, 1000);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].attempts, 1);
    finish(&w);
}

Test(core, sends_unacknowledged_frames_again_over_a_new_connection)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);
    const uint8_t old_route = agent->route.bytes[0];

    agent->route.bytes[0] = 78; /* the old connection delivers nothing any more */
    submit(&w, client, 1, 2);
    cr_assert_eq(agent->task_count, 0);
    cr_assert_neq(agent->route.bytes[0], old_route);
    ping(&w, agent);
    cr_assert_eq(agent->task_count, 2);
    ping(&w, agent);
    cr_assert_eq(agent->task_count, 2, "once only");
    finish(&w);
}

Test(core, delivers_a_crashing_task_as_crashed_after_three_tries)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 2);
    answer(&w, agent, 1, WIRE_CRASHED); /* task 1; it goes to the back of the queue */
    answer(&w, agent, 1, WIRE_OK);      /* task 2 */
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].no, 2);
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(client->result_count, 2);
    cr_assert_eq(client->results[1].no, 1);
    cr_assert_eq(client->results[1].outcome, WIRE_CRASHED);
    cr_assert_eq(client->results[1].attempts, 3);
    cr_assert_eq(client->results[1].code, 139);
    finish(&w);
}

Test(core, does_not_try_again_what_the_function_refused)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    answer(&w, agent, 1, WIRE_FAILED);
    cr_assert_eq(client->results[0].outcome, WIRE_FAILED);
    cr_assert_eq(client->results[0].attempts, 1);
    finish(&w);
}

Test(core, gives_a_task_up_as_lost_after_ten_hosts)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct end *agent = given_agent(&w, 1);

    submit(&w, client, 1, 1);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(client->result_count, 0);
        cr_assert_eq(agent->task_count, 1);
        agent->task_count = 0;
        unreachable(&w, agent);
        pass(&w, 400);
        ping(&w, client);
        /* The same process comes back under a new link. */
        link_fini(&agent->link);
        link_init(&agent->link, 5000 + i);
        say_hello(&w, agent, 1);
        turn(&w);
    }
    cr_assert_eq(client->result_count, 1);
    cr_assert_eq(client->results[0].outcome, WIRE_LOST);
    finish(&w);
}

Test(core, drops_outcomes_with_an_old_token)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    const struct wire_task first = agent->tasks[0];
    answer(&w, agent, 1, WIRE_CRASHED);
    cr_assert_eq(agent->task_count, 1);

    struct blob *late = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);
    put_outcome(late, &first, WIRE_OK);
    send(&w, agent, late);
    turn(&w);
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(core_counters(w.core)->stale, 1);
    finish(&w);
}

Test(core, lets_sessions_take_turns)
{
    struct world w = given_world();
    struct end *many = given_client(&w);
    struct end *one = given_client(&w);

    submit(&w, many, 1, 50);
    submit(&w, one, 1, 1);
    struct end *agent = given_agent(&w, 1);
    turn(&w);
    for (int i = 0; i < 2; i++)
        answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(one->result_count, 1, "served within two tasks");
    finish(&w);
}

Test(core, leaves_nothing_of_a_session_that_ends)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 5);
    send(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    turn(&w);
    cr_assert_eq(core_counters(w.core)->ready, 0);
    cr_assert_eq(agent->revoked_count, 1);
    cr_assert_eq(agent->revoked[0], agent->tasks[0].id);
    answer(&w, agent, 1, WIRE_CANCELLED);
    cr_assert_eq(core_counters(w.core)->leased, 0);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

Test(core, answers_gone_to_a_link_it_does_not_know)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    link_fini(&client->link);
    link_init(&client->link, 4242);
    ping(&w, client);
    cr_assert(client->gone);
    finish(&w);
}

Test(core, does_not_obey_somebody_elses_link_number)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct end *thief = given_client(&w);
    struct end *agent = given_agent(&w, 1);

    submit(&w, client, 1, 1);
    link_fini(&thief->link);
    link_init(&thief->link, client->link.id);
    struct blob *stolen CLEANUP(blob_unref_p) = submit_frame(thief, 2, 1);
    deliver(&w, thief, stolen);
    ping(&w, thief);
    turn(&w);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1, "results stay with the owner of the key");
    cr_assert_eq(thief->result_count, 0);
    finish(&w);
}

Test(core, refuses_frames_of_the_other_role_and_ends_the_link)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);

    send(&w, agent, submit_frame(agent, 1, 1));
    cr_assert(agent->refused);
    cr_assert_eq(core_counters(w.core)->malformed, 1);
    cr_assert_eq(core_counters(w.core)->agents, 0);
    finish(&w);
}

Test(core, refuses_a_submit_with_a_number_out_of_order)
{
    struct world w = given_world();
    struct end *client = given_client(&w);

    send(&w, client, submit_frame(client, 2, 1));
    cr_assert(client->refused);
    cr_assert_eq(core_counters(w.core)->sessions, 0);
    finish(&w);
}

Test(core, takes_a_repeated_submit_frame_once)
{
    struct world w = given_world();
    struct end *client = given_client(&w);
    struct blob *frame = submit_frame(client, 1, 2);

    cr_assert_eq(link_push(&client->link, frame), 0);
    deliver(&w, client, frame);
    deliver(&w, client, frame);
    cr_assert_eq(core_counters(w.core)->accepted, 2);
    blob_unref(frame);
    finish(&w);
}

Test(core, blames_nobody_for_a_time_in_which_it_was_stopped_itself)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    turn(&w);
    w.now_ms += 10000;
    turn(&w);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1);
    finish(&w);
}

Test(core, leases_nothing_to_a_draining_agent)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_client(&w);

    submit(&w, client, 1, 1);
    send(&w, agent, wire_frame_new(WIRE_DRAIN, agent->link.id, 0));
    submit(&w, client, 2, 1);
    cr_assert_eq(agent->task_count, 1);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(client->result_count, 1, "what it holds still counts");
    cr_assert_eq(agent->task_count, 0);
    finish(&w);
}

Test(core, ends_the_links_of_a_revoked_key_and_bars_their_return)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);
    const struct core_event revoked = {
        .type = CORE_KEY_REVOKED,
        .role = WIRE_AGENT,
        .now_ms = w.now_ms,
        .key = agent->key,
    };

    core_step(w.core, &revoked, &w.effects);
    carry_out(&w);
    cr_assert(agent->refused);
    cr_assert_eq(core_counters(w.core)->agents, 0);

    agent->refused = false;
    link_fini(&agent->link);
    link_init(&agent->link, 4711);
    say_hello(&w, agent, 1);
    cr_assert(agent->refused, "ZeroMQ keeps its connection open");
    cr_assert_eq(core_counters(w.core)->agents, 0);
    finish(&w);
}
