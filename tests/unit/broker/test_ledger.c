/* What the pure core has in its journal, and what a core makes of it that reads it. Source: PROTOCOL.md
 * section 9. */
#include "keeper.h"

#include <criterion/criterion.h>

Test(ledger, task_comes_back_with_the_journal)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    for (uint64_t no = 1; no <= 3; no++)
        ask_for(&before, client, SUBMIT, no, 100 + no);
    confirm(&before);
    answer(&before, agent, 1, WIRE_OK); /* 101 has ended, 102 runs, 103 is ready */
    confirm(&before);
    seal_all(&before);

    struct world after = given_next_world(&before);
    struct end *second = given_agent(&after, 4);
    struct end *other = given_asker(&after);
    turn(&after);
    cr_assert_eq(second->task_count, 2);
    ask_for(&after, other, WAIT, 1, 101);
    assert_told(other, 1, 1, WIRE_OK);
    ask_for(&after, other, WAIT, 2, 103);
    answer(&after, second, 2, WIRE_OK);
    confirm(&after);
    assert_told(other, 2, 2, WIRE_OK);
    finish(&before);
    finish(&after);
}

Test(ledger, task_that_was_forgotten_stays_forgotten)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    ask_for(&before, client, SUBMIT, 1, 77);
    confirm(&before);
    ask_for(&before, client, FORGET, 2, 77);
    assert_told(client, 2, 2, WIRE_REFUSED_TASK);
    answer(&before, agent, 1, WIRE_OK);
    confirm(&before);
    ask_for(&before, client, FORGET, 3, 77);
    assert_told(client, 3, 3, WIRE_OK);
    ask_for(&before, client, WAIT, 4, 77);
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

Test(ledger, tasks_are_written_again_when_the_journal_was_lost)
{
    struct world before = given_durable_world();
    struct end *agent = given_agent(&before, 1);
    struct end *client = given_asker(&before);

    for (uint64_t no = 1; no <= 3; no++)
        ask_for(&before, client, SUBMIT, no, 100 + no);
    confirm(&before);
    answer(&before, agent, 1, WIRE_OK);
    confirm(&before);
    const size_t written = before.journal_count;
    journal_event(&before, CORE_JOURNAL_LOST, 0);
    turn(&before);
    cr_assert_eq(records(&before, RECORD_TASK, written), 2);
    cr_assert_eq(records(&before, RECORD_DONE, written), 1);
    confirm(&before);
    cr_assert_eq(before.trimmed, written + 1, "nothing of before is read by the next broker");
    ask_for(&before, client, SUBMIT, 4, 104);
    confirm(&before);
    assert_told(client, 4, 4, WIRE_OK);
    finish(&before);
}

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
        ask_for(w, client, FORGET, no + 1, no);
        confirm(w);
        client->result_count = 0;
    }
}

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

Test(ledger, journal_is_trimmed_to_what_is_needed)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    pass_through(&w, client, agent, 1, 30, 1);
    ask_for(&w, client, SUBMIT, 61, 1000);
    confirm(&w);
    pass_through(&w, client, agent, 62, 30, 1);
    cr_assert_gt(w.trimmed, 0);
    cr_assert_leq(w.trimmed, 91, "the task that has not ended is still there");
    cr_assert_eq(kept_from(&w, w.trimmed), 1);
    cr_assert_eq(core_counters(w.core)->durable, 1);
    finish(&w);
}

Test(ledger, journal_is_not_trimmed_before_what_is_needed_is_in_it)
{
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 1000);
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

Test(ledger, task_that_stays_does_not_let_the_journal_grow_for_ever)
{
    const size_t mib = (size_t)1 << 20;
    struct world w = given_durable_world();
    struct end *agent = given_agent(&w, 2);
    struct end *client = given_asker(&w);

    ask_for(&w, client, SUBMIT, 1, 1000);
    confirm(&w);
    pass_through(&w, client, agent, 2, 40, mib);
    cr_assert_eq(w.trimmed, 0);
    pass_through(&w, client, agent, 82, 40, mib);
    cr_assert_gt(w.trimmed, 1);
    cr_assert_eq(kept_from(&w, w.trimmed), 1);
    finish(&w);
}

Test(ledger, task_in_it_that_can_never_run_ends_as_refused)
{
    struct world w = given_unopened_world();
    struct blob *batch CLEANUP(blob_unref_p) = blob_new(64);
    const struct core_event event = {
        .type = CORE_JOURNAL_READ,
        .now_ms = w.now_ms,
        .position = 1,
        .frame = batch,
    };

    cr_assert_eq(record_begin(batch, RECORD_TASK, 77, 4), 0);
    wire_put_u32(batch, 0); /* no function */
    record_seal(batch);
    core_step(w.core, &event, &w.effects);
    w.journal[w.journal_count++] = blob_ref(batch);
    journal_event(&w, CORE_JOURNAL_OPENED, 1);
    journal_is(&w, CORE_JOURNAL_UP, "");
    confirm(&w);
    struct end *client = given_asker(&w);
    ask_for(&w, client, WAIT, 1, 77);
    assert_told(client, 1, 1, WIRE_REFUSED_TASK);
    finish(&w);
}
