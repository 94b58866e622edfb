/* Constants that are kept in the journal: PROTOCOL.md sections 9 and 11. */
#include "keeper.h"
#include "setter.h"

#include <criterion/criterion.h>

Test(kept, constant_is_set_and_can_be_read_only_when_it_is_in_the_journal)
{
    struct world w = given_durable_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, KEPT, "a", 7);
    cr_assert_eq(records(&w, RECORD_CONSTANT, 0), 1);
    cr_assert_eq(client->result_count, 0);
    get(&w, other, 1, 0, "a");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    set(&w, other, 2, KEPT, "a", 8);
    assert_answer(other, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    confirm(&w);
    assert_answer(client, WIRE_OK, "");
    get(&w, other, 3, 0, "a");
    assert_value(other, 7);
    finish(&w);
}

Test(kept, constant_outlives_the_broker_and_says_who_set_it)
{
    struct world before = given_durable_world();
    struct end *client = given_setter(&before);

    set(&before, client, 1, KEPT, "a", 7);
    set(&before, client, 2, KEPT, "b", 8);
    set(&before, client, 3, 0, "c", 9);
    confirm(&before);
    unset(&before, client, 4, "b");
    assert_answer(client, WIRE_OK, "");
    confirm(&before);
    seal_all(&before);

    struct world after = given_next_world(&before);
    struct end *other = given_setter(&after);
    get(&after, other, 1, 0, "a");
    assert_value(other, 7);
    get(&after, other, 2, 0, "b");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"b\" is set");
    get(&after, other, 3, 0, "c");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"c\" is set");
    set(&after, other, 4, KEPT, "b", 1);
    confirm(&after);
    assert_answer(other, WIRE_OK, "");
    unset(&after, other, 5, "a");
    assert_answer(other, WIRE_OK, "");
    cr_assert_eq(core_counters(after.core)->constants, 1);
    finish(&before);
    finish(&after);
}

Test(kept, constant_that_was_set_anew_has_its_last_value_in_the_next_broker)
{
    struct world before = given_durable_world();
    struct end *client = given_setter(&before);

    set(&before, client, 1, KEPT, "a", 7);
    confirm(&before);
    unset(&before, client, 2, "a");
    set(&before, client, 3, KEPT, "a", 8);
    confirm(&before);
    seal_all(&before);

    struct world after = given_next_world(&before);
    struct end *other = given_setter(&after);
    get(&after, other, 1, 0, "a");
    assert_value(other, 8);
    cr_assert_eq(core_counters(after.core)->constants, 1);
    finish(&before);
    finish(&after);
}

Test(kept, constant_of_the_next_broker_is_never_taken_for_one_that_was_read_before)
{
    struct world before = given_durable_world();
    struct end *client = given_setter(&before);

    set(&before, client, 1, 0, "a", 7);
    get(&before, client, 2, 0, "a");
    const uint64_t known = client->results[1].number;

    struct world after = given_next_world(&before);
    struct end *other = given_setter(&after);
    set(&after, other, 1, 0, "a", 8);
    get(&after, other, 2, known, "a");
    assert_value(other, 8);
    finish(&before);
    finish(&after);
}

Test(kept, constant_waits_for_a_journal_that_is_still_read)
{
    struct world w = given_unopened_world();
    struct end *client = given_setter(&w);

    set(&w, client, 1, KEPT, "a", 7);
    get(&w, client, 2, 0, "b");
    unset(&w, client, 3, "c");
    set(&w, client, 4, 0, "d", 9);
    assert_answer(client, WIRE_OK, "");
    get(&w, client, 5, 0, "d");
    assert_value(client, 9);
    cr_assert_eq(client->result_count, 2, "the others may be in the journal");
    journal_event(&w, CORE_JOURNAL_OPENED, 0);
    journal_is(&w, CORE_JOURNAL_UP, "");
    cr_assert_eq(client->result_count, 4);
    confirm(&w);
    assert_answer(client, WIRE_OK, "");
    cr_assert_eq(client->results[4].no, 1);
    finish(&w);
}

Test(kept, constant_comes_to_light_when_the_session_that_took_its_name_early_ends)
{
    struct world before = given_durable_world();
    struct end *client = given_setter(&before);

    set(&before, client, 1, KEPT, "a", 7);
    confirm(&before);
    seal_all(&before);

    struct world after = given_unopened_world();
    struct end *early = given_setter(&after);
    struct end *other = given_setter(&after);
    set(&after, early, 1, 0, "a", 8);
    read_all(&after, &before);
    get(&after, other, 1, 0, "a");
    assert_value(other, 8);
    leave(&after, early);
    get(&after, other, 2, 0, "a");
    assert_value(other, 7);
    finish(&before);
    finish(&after);
}

Test(kept, constant_is_refused_by_a_journal_that_is_full_or_long_away_and_not_there_later)
{
    struct world w = given_durable_world();
    struct end *client = given_setter(&w);

    set(&w, client, 1, KEPT, "a", 7);
    journal_is(&w, CORE_JOURNAL_FULL, "MISCONF");
    assert_answer(client, WIRE_REFUSED_TASK, "the journal is full: MISCONF");
    set(&w, client, 2, KEPT, "b", 7);
    assert_answer(client, WIRE_REFUSED_TASK, "the journal is full: MISCONF");
    journal_is(&w, CORE_JOURNAL_UP, "");
    confirm(&w);
    cr_assert_eq(records(&w, RECORD_UNSET, 0), 1);
    get(&w, client, 3, 0, "a");
    assert_answer(client, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    cr_assert_eq(core_counters(w.core)->constants, 0);
    cr_assert_eq(core_counters(w.core)->constant_bytes, 0);
    seal_all(&w);

    struct world after = given_next_world(&w);
    cr_assert_eq(core_counters(after.core)->constants, 0);
    finish(&w);
    finish(&after);
}

Test(kept, constants_are_written_again_when_the_journal_was_lost)
{
    struct world w = given_durable_world();
    struct end *client = given_setter(&w);

    set(&w, client, 1, KEPT, "a", 7);
    set(&w, client, 2, KEPT, "b", 8);
    confirm(&w);
    unset(&w, client, 3, "a");
    confirm(&w);
    const size_t written = w.journal_count;
    journal_event(&w, CORE_JOURNAL_LOST, 0);
    turn(&w);
    cr_assert_eq(records(&w, RECORD_CONSTANT, written), 1);
    confirm(&w);
    cr_assert_eq(w.trimmed, written + 1, "nothing of before is read by the next broker");
    finish(&w);
}

Test(kept, constant_is_needed_and_does_not_let_the_journal_grow_for_ever)
{
    const size_t mib = (size_t)1 << 20;
    struct world w = given_durable_world();
    struct end *client = given_setter(&w);
    uint64_t no = 1;

    set(&w, client, no++, KEPT, "stays", 7);
    for (int i = 0; i < 80; i++) {
        set_sized(&w, client, no++, KEPT, "goes", 8, mib);
        confirm(&w);
        unset(&w, client, no++, "goes");
        confirm(&w);
        client->result_count = 0;
    }
    cr_assert_gt(w.trimmed, 1);
    cr_assert_gt(records(&w, RECORD_CONSTANT, w.trimmed - 1), 0);
    get(&w, client, no, 0, "stays");
    assert_value(client, 7);
    finish(&w);
}

Test(kept, constant_is_none_of_the_durable_tasks)
{
    struct world w = given_durable_world();
    struct end *client = given_setter(&w);

    set(&w, client, 1, KEPT, "a", 7);
    confirm(&w);
    cr_assert_eq(core_counters(w.core)->durable, 0);
    pass(&w, 2 * KEEP_MS);
    struct end *later = given_setter(&w);
    get(&w, later, 1, 0, "a");
    assert_value(later, 7);
    finish(&w);
}
