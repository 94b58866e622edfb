/* Durable tasks in the pure core: the journal is a list of batches that the test confirms, or reads to
 * another core. Names of tests follow the promises of PROTOCOL.md sections 6 and 10. */
#include "broker/record.h"
#include "world.h"

#include <criterion/criterion.h>
#include <string.h>

/* The functions of the broker that a client here defines, by their number. */
enum { SUBMIT = 1, WAIT, FORGET };

#define KEEP_MS 20000

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

static void journal_event(struct world *w, enum core_event_type type, uint64_t position)
{
    const struct core_event event = {.type = type, .now_ms = w->now_ms, .position = position};

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

static void journal_is(struct world *w, enum core_journal state, const char *reason)
{
    const struct core_event event = {
        .type = CORE_JOURNAL_CHANGED,
        .now_ms = w->now_ms,
        .journal = state,
        .text = reason,
    };

    core_step(w->core, &event, &w->effects);
    turn(w);
}

/* All that was handed out is in the journal now; a turn follows. */
static void confirm(struct world *w)
{
    journal_event(w, CORE_JOURNALED, w->journal_count);
    turn(w);
}

static struct world given_unopened_world(void)
{
    struct world w = given_world();

    cr_assert_eq(core_keep_durables(w.core, KEEP_MS), 0);
    return w;
}

static struct world given_durable_world(void)
{
    struct world w = given_unopened_world();

    journal_event(&w, CORE_JOURNAL_OPENED, 0);
    journal_is(&w, CORE_JOURNAL_UP, "");
    return w;
}

/* A broker that reads what the other one has written. */
static struct world given_next_world(const struct world *before)
{
    struct world w = given_unopened_world();

    for (size_t i = 0; i < before->journal_count; i++) {
        const struct core_event event = {
            .type = CORE_JOURNAL_READ,
            .now_ms = w.now_ms,
            .position = i + 1,
            .frame = before->journal[i],
        };

        core_step(w.core, &event, &w.effects);
        w.journal[w.journal_count++] = blob_ref(before->journal[i]);
    }
    journal_event(&w, CORE_JOURNAL_OPENED, w.journal_count);
    journal_is(&w, CORE_JOURNAL_UP, "");
    return w;
}

static struct end *given_asker(struct world *w)
{
    static const char *const names[] = {"broker.submit", "broker.wait", "broker.forget"};
    struct end *client = given_client(w);

    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        struct blob *frame = wire_frame_new(WIRE_FUNCTION, client->link.id, 64);
        const struct wire_function function = {
            .number = SUBMIT + i,
            .argument_bytes = WIRE_VARIABLE,
            .result_bytes = WIRE_VARIABLE,
            .name = text(names[i]),
        };

        cr_assert_eq(wire_put_function(frame, &function), 0);
        wire_frame_add_count(frame, 1);
        send_frame(w, client, frame);
    }
    return client;
}

/* A durable call of a function of one byte: the client's task `no` asks for it under this id. */
static struct blob *request(uint32_t what, uint64_t id, size_t size)
{
    struct blob *argument = blob_new(128);
    const struct wire_function function = {
        .argument_bytes = (uint32_t)size,
        .result_bytes = 1,
        .program = text("p"),
        .name = text("f"),
    };

    wire_put_u64(argument, id);
    if (what == SUBMIT) {
        cr_assert_eq(wire_put_function(argument, &function), 0);
        cr_assert_eq(blob_reserve(argument, size), 0);
        memset(argument->data + argument->size, (uint8_t)id, size);
        argument->size += size;
    }
    return argument;
}

/* Takes the argument. */
static void
ask_with(struct world *w, struct end *client, uint64_t no, struct blob *argument, uint32_t what)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 256);
    const struct wire_run run = {
        .function = (uint16_t)what,
        .count = 1,
        .argument_bytes = WIRE_VARIABLE,
        .first_no = no,
    };

    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(blob_reserve(frame, 4 + argument->size), 0);
    wire_put_u32(frame, (uint32_t)argument->size);
    wire_put_bytes(frame, argument->data, argument->size);
    wire_frame_add_count(frame, 1);
    send_frame(w, client, frame);
    turn(w);
    blob_unref(argument);
}

static void ask(struct world *w, struct end *client, uint32_t what, uint64_t no, uint64_t id)
{
    ask_with(w, client, no, request(what, id, 1), what);
}

static void
assert_told(const struct end *client, uint32_t count, uint64_t no, enum wire_outcome how)
{
    cr_assert_eq(client->result_count, count);
    cr_assert_eq(client->results[count - 1].no, no);
    cr_assert_eq(client->results[count - 1].outcome, how);
}

/* How many records of this type are in the journal from batch `first` (from 0) on. */
static uint32_t records(const struct world *w, enum record_type type, size_t first)
{
    uint32_t count = 0;

    for (size_t i = first; i < w->journal_count; i++) {
        struct blob *batch = w->journal[i];
        struct wire_cursor c;
        struct record record;
        uint8_t version = 0;

        record_seal(batch);
        c = record_cursor(batch->data, batch->size);
        while (c.at < c.end) {
            cr_assert_eq(record_get(&c, &record, &version), 0);
            count += record.type == type;
        }
    }
    return count;
}

static void seal_all(struct world *w)
{
    records(w, RECORD_TASK, 0);
}

/* ---- tests ---- */

Test(durable, is_accepted_and_runs_only_when_it_is_in_the_journal)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    pass(&w, 2000);
    cr_assert_eq(records(&w, RECORD_TASK, 0), 1);
    cr_assert_eq(client->result_count, 0);
    cr_assert_eq(agent->task_count, 0);
    confirm(&w);
    assert_told(client, 1, 1, WIRE_OK);
    cr_assert_eq(agent->task_count, 1);
    finish(&w);
}

Test(durable, outcome_is_told_only_when_it_is_in_the_journal)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    ask(&w, client, WAIT, 2, 77);
    answer(&w, agent, 1, WIRE_OK);
    cr_assert_eq(records(&w, RECORD_DONE, 0), 1);
    cr_assert_eq(client->result_count, 1, "of the submit alone");
    confirm(&w);
    assert_told(client, 2, 2, WIRE_OK);
    ask(&w, client, WAIT, 3, 77);
    assert_told(client, 3, 3, WIRE_OK);
    finish(&w);
}

Test(durable, task_outlives_its_client_and_another_one_gets_its_outcome)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    ask(&w, client, WAIT, 2, 77);
    send_frame(&w, client, wire_frame_new(WIRE_BYE, client->link.id, 0));
    turn(&w);
    cr_assert_eq(agent->revoked_count, 0);
    answer(&w, agent, 1, WIRE_CRASHED);
    answer(&w, agent, 1, WIRE_CRASHED);
    answer(&w, agent, 1, WIRE_CRASHED);
    confirm(&w);
    struct end *other = given_asker(&w);
    ask(&w, other, WAIT, 1, 77);
    assert_told(other, 1, 1, WIRE_CRASHED);
    cr_assert_eq(other->results[0].code, 139);
    cr_assert_eq(other->results[0].attempts, 3);
    finish(&w);
}

Test(durable, task_comes_back_with_the_journal)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    for (uint64_t no = 1; no <= 3; no++)
        ask(&before, client, SUBMIT, no, 100 + no);
    confirm(&before);
    answer(&before, agent, 1, WIRE_OK); /* 101 has ended, 102 runs, 103 is ready */
    confirm(&before);
    seal_all(&before);

    struct world after = given_next_world(&before);
    struct end *second = given_agent(&after, 4);
    struct end *other = given_asker(&after);
    turn(&after);
    cr_assert_eq(second->task_count, 2);
    ask(&after, other, WAIT, 1, 101);
    assert_told(other, 1, 1, WIRE_OK);
    ask(&after, other, WAIT, 2, 103);
    answer(&after, second, 2, WIRE_OK);
    confirm(&after);
    assert_told(other, 2, 2, WIRE_OK);
    finish(&before);
    finish(&after);
}

Test(durable, task_that_was_forgotten_stays_forgotten)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    ask(&before, client, SUBMIT, 1, 77);
    confirm(&before);
    ask(&before, client, FORGET, 2, 77);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    answer(&before, agent, 1, WIRE_OK);
    confirm(&before);
    ask(&before, client, FORGET, 3, 77);
    assert_told(client, 3, 3, WIRE_OK);
    ask(&before, client, WAIT, 4, 77);
    assert_told(client, 4, 4, WIRE_REFUSED_TASK);
    confirm(&before);
    seal_all(&before);

    struct world after = given_next_world(&before);
    given_agent(&after, 1);
    cr_assert_eq(core_counters(after.core)->durable, 0);
    cr_assert_eq(core_counters(after.core)->ready, 0);
    finish(&before);
    finish(&after);
}

Test(durable, task_submitted_again_is_the_same_task)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    ask(&w, client, SUBMIT, 2, 77);
    confirm(&w);
    cr_assert_eq(client->result_count, 2);
    ask(&w, client, SUBMIT, 3, 77);
    assert_told(client, 3, 3, WIRE_OK);
    cr_assert_eq(agent->task_count, 1);
    cr_assert_eq(records(&w, RECORD_TASK, 0), 1);
    finish(&w);
}

Test(durable, task_is_refused_without_a_journal)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    ask(&w, client, WAIT, 2, 77);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    finish(&w);
}

Test(durable, task_is_refused_by_a_full_journal_and_never_runs)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 4);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    submit(&w, client, 2, 1);
    journal_is(&w, CORE_JOURNAL_FULL, "MISCONF");
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    cr_assert_eq(agent->task_count, 1, "tasks of sessions go on");
    ask(&w, client, SUBMIT, 3, 78);
    assert_told(client, 2, 3, WIRE_REFUSED_TASK);
    journal_is(&w, CORE_JOURNAL_UP, "");
    confirm(&w);
    cr_assert_eq(records(&w, RECORD_FORGET, 0), 1);
    cr_assert_eq(agent->task_count, 1);
    ask(&w, client, SUBMIT, 4, 77);
    confirm(&w);
    assert_told(client, 3, 4, WIRE_OK);
    cr_assert_eq(agent->task_count, 2);
    finish(&w);
}

Test(durable, task_waits_for_a_journal_that_is_away_and_is_refused_when_that_takes_long)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    journal_is(&w, CORE_JOURNAL_AWAY, "Connection refused");
    ask(&w, client, SUBMIT, 1, 77);
    pass(&w, 9000);
    ping(&w, client);
    cr_assert_eq(client->result_count, 0);
    pass(&w, 2000);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    ask(&w, client, SUBMIT, 2, 77);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    finish(&w);
}

Test(durable, task_waits_for_a_journal_that_is_still_read)
{
    struct world w = given_unopened_world();
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    ask(&w, client, WAIT, 2, 78);
    pass(&w, 1000);
    cr_assert_eq(client->result_count, 0);
    journal_event(&w, CORE_JOURNAL_OPENED, 0);
    journal_is(&w, CORE_JOURNAL_UP, "");
    assert_told(client, 1, 2, WIRE_REFUSED_TASK);
    confirm(&w);
    assert_told(client, 2, 1, WIRE_OK);
    finish(&w);
}

Test(durable, tasks_are_written_again_when_the_journal_was_lost)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    for (uint64_t no = 1; no <= 3; no++)
        ask(&before, client, SUBMIT, no, 100 + no);
    confirm(&before);
    answer(&before, agent, 1, WIRE_OK);
    confirm(&before);
    const size_t written = before.journal_count;
    journal_event(&before, CORE_JOURNAL_LOST, 0);
    turn(&before);
    cr_assert_eq(records(&before, RECORD_TASK, written), 2);
    cr_assert_eq(records(&before, RECORD_DONE, written), 1);
    confirm(&before);
    ask(&before, client, SUBMIT, 4, 104);
    confirm(&before);
    assert_told(client, 4, 4, WIRE_OK);
    finish(&before);
}

Test(durable, outcomes_are_kept_for_their_time_and_then_forgotten)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 1);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 77);
    confirm(&w);
    answer(&w, agent, 1, WIRE_OK);
    confirm(&w);
    for (int i = 0; i < KEEP_MS / 1000 - 1; i++) {
        pass(&w, 1000);
        ping(&w, client);
    }
    cr_assert_eq(core_counters(w.core)->durable, 1);
    pass(&w, 1100);
    cr_assert_eq(core_counters(w.core)->durable, 0);
    cr_assert_eq(records(&w, RECORD_FORGET, 0), 1);
    finish(&w);
}

/* Durable tasks that come, end and are forgotten, one after the other; two numbers each. */
static void pass_through(struct world *w,
                         struct end *client,
                         struct end *agent,
                         uint64_t first_no,
                         uint32_t count,
                         size_t size)
{
    for (uint64_t no = first_no; no < first_no + 2 * count; no += 2) {
        ask_with(w, client, no, request(SUBMIT, no, size), SUBMIT);
        confirm(w);
        /* The newest of its tasks; an older one stays. */
        agent->tasks[0] = agent->tasks[agent->task_count - 1];
        answer(w, agent, 1, WIRE_OK);
        agent->task_count = 0;
        confirm(w);
        ask(w, client, FORGET, no + 1, no);
        confirm(w);
        client->result_count = 0;
    }
}

/* How many tasks a broker finds that reads the journal from this position on. */
static uint64_t kept_from(const struct world *w, uint64_t position)
{
    struct world after = given_unopened_world();

    for (size_t i = position > 0 ? position - 1 : 0; i < w->journal_count; i++) {
        const struct core_event event = {
            .type = CORE_JOURNAL_READ,
            .now_ms = after.now_ms,
            .position = i + 1,
            .frame = w->journal[i],
        };

        record_seal(w->journal[i]);
        core_step(after.core, &event, &after.effects);
    }
    const uint64_t kept = core_counters(after.core)->durable;
    finish(&after);
    return kept;
}

Test(durable, journal_is_trimmed_to_what_is_needed)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    pass_through(&w, client, agent, 1, 30, 1);
    ask(&w, client, SUBMIT, 61, 1000);
    confirm(&w);
    pass_through(&w, client, agent, 62, 30, 1);
    cr_assert_gt(w.trimmed, 0);
    cr_assert_leq(w.trimmed, 91, "the task that has not ended is still there");
    cr_assert_eq(kept_from(&w, w.trimmed), 1);
    cr_assert_eq(core_counters(w.core)->durable, 1);
    finish(&w);
}

Test(durable, journal_is_not_trimmed_before_what_is_needed_is_in_it)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 1000);
    confirm(&w);
    pass_through(&w, client, agent, 2, 30, 1);
    journal_event(&w, CORE_JOURNAL_LOST, 0);
    turn(&w);
    for (int i = 0; i < 3; i++) {
        journal_event(&w, CORE_JOURNALED, w.journal_count - 1);
        turn(&w);
        cr_assert_eq(w.trimmed, 0);
    }
    confirm(&w);
    cr_assert_eq(w.trimmed, w.journal_count);
    cr_assert_eq(kept_from(&w, w.trimmed), 1);
    finish(&w);
}

Test(durable, task_that_stays_does_not_let_the_journal_grow_for_ever)
{
    const size_t mib = (size_t)1 << 20;
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask(&w, client, SUBMIT, 1, 1000);
    confirm(&w);
    pass_through(&w, client, agent, 2, 40, mib);
    cr_assert_eq(w.trimmed, 0);
    pass_through(&w, client, agent, 82, 40, mib);
    cr_assert_gt(w.trimmed, 1);
    cr_assert_eq(kept_from(&w, w.trimmed), 1);
    finish(&w);
}

Test(durable, task_that_does_not_decode_is_refused)
{
    struct world w = given_durable_world();
    struct end *client = given_asker(&w);

    ask(&w, client, WAIT, 1, 0);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 64);
    const struct wire_run run = {
        .function = SUBMIT,
        .count = 1,
        .argument_bytes = WIRE_VARIABLE,
        .first_no = 2,
    };
    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(blob_reserve(frame, 16), 0);
    wire_put_u32(frame, 12);
    wire_put_u64(frame, 5);
    wire_put_u32(frame, 0);
    wire_frame_add_count(frame, 1);
    send_frame(&w, client, frame);
    turn(&w);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    cr_assert_eq(w.journal_count, 0);
    finish(&w);
}
