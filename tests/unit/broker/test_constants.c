/* Constants in the pure core: PROTOCOL.md section 11. */
#include "broker/constants.h"
#include "setter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(constants, are_read_by_everybody_without_a_journal)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);
    struct end *agent = given_agent(&w, 1);

    define(&w, agent);
    define_setting(&w, agent);
    set(&w, client, 1, 0, "a", 7);
    assert_answer(client, WIRE_OK, "");
    get(&w, client, 2, 0, "a");
    assert_value(client, 7);
    get(&w, other, 1, 0, "a");
    assert_value(other, 7);
    get(&w, agent, 1, 0, "a");
    assert_value(agent, 7);
    cr_assert_eq(core_counters(w.core)->constants, 1);
    finish(&w);
}

Test(constants, are_set_once_and_a_refusal_says_by_whom)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, 0, "a", 7);
    set(&w, other, 1, 0, "a", 7);
    assert_answer(other, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    set(&w, client, 2, 0, "a", 7);
    assert_answer(client, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    get(&w, other, 2, 0, "b");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"b\" is set");
    finish(&w);
}

Test(constants, end_with_their_session_and_not_before)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, 0, "a", 7);
    set(&w, other, 1, 0, "b", 8);
    leave(&w, client);
    get(&w, other, 2, 0, "a");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    get(&w, other, 3, 0, "b");
    assert_value(other, 8);
    set(&w, other, 4, 0, "a", 9);
    assert_answer(other, WIRE_OK, "");
    finish(&w);
}

Test(constants, that_are_kept_stay_until_they_are_unset)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, KEPT, "a", 7);
    leave(&w, client);
    get(&w, other, 1, 0, "a");
    assert_value(other, 7);
    unset(&w, other, 2, "a");
    assert_answer(other, WIRE_OK, "");
    unset(&w, other, 3, "a");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    cr_assert_eq(core_counters(w.core)->constants, 0);
    cr_assert_eq(core_counters(w.core)->constant_bytes, 0);
    finish(&w);
}

Test(constants, of_a_session_are_unset_by_nobody)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, 0, "a", 7);
    unset(&w, other, 1, "a");
    assert_answer(other, WIRE_REFUSED_TASK,
                  "constant \"a\" belongs to n@h (process 1), and ends with it");
    finish(&w);
}

Test(constants, are_sent_only_to_those_who_do_not_have_them)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, 0, "a", 7);
    get(&w, other, 1, 0, "a");
    const uint64_t serial = other->results[0].number;
    get(&w, other, 2, serial, "a");
    assert_answer(other, WIRE_OK, "");
    cr_assert_eq(other->results[1].bytes, 8, "the serial alone");
    leave(&w, client);
    set(&w, other, 3, 0, "a", 9);
    get(&w, other, 4, serial, "a");
    assert_value(other, 9);
    finish(&w);
}

Test(constants, that_are_set_anew_under_another_link_are_the_same)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    struct end *other = given_setter(&w);

    set(&w, client, 1, 0, "a", 7);
    link_fini(&client->link);
    link_init(&client->link, 5000);
    say_hello(&w, client, 0);
    define(&w, client);
    define_setting(&w, client);
    set(&w, client, 1, 0, "a", 8);
    assert_answer(client, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    set(&w, client, 2, 0, "a", 7);
    assert_answer(client, WIRE_OK, "");
    for (int i = 0; i < 35; i++) { /* the older session ends */
        pass(&w, 1000);
        ping(&w, client);
        ping(&w, other);
    }
    get(&w, other, 1, 0, "a");
    assert_value(other, 7);
    leave(&w, client);
    get(&w, other, 2, 0, "a");
    assert_answer(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    finish(&w);
}

Test(constants, are_limited_in_size_and_all_together)
{
    struct world w = given_world();
    struct end *client = given_setter(&w);
    char name[16];
    uint64_t no = 1;

    set_sized(&w, client, no++, 0, "large", 1, CONSTANTS_VALUE_MAX + 1);
    assert_answer(client, WIRE_REFUSED_TASK,
                  "constant \"large\" has 1048577 bytes; the limit is 1048576");
    for (uint32_t i = 0; i < 63; i++) {
        client->result_count = 0;
        snprintf(name, sizeof(name), "%u", i);
        set_sized(&w, client, no++, 0, name, 1, CONSTANTS_VALUE_MAX);
        assert_answer(client, WIRE_OK, "");
    }
    set_sized(&w, client, no++, 0, "last", 1, CONSTANTS_VALUE_MAX);
    cr_assert_eq(client->results[1].outcome, WIRE_REFUSED_TASK);
    cr_assert_eq(strncmp(client->results[1].text, "no room for constant \"last\": ", 29), 0);
    cr_assert_leq(core_counters(w.core)->constant_bytes, CONSTANTS_BYTES_MAX);
    finish(&w);
}

Test(constants, are_not_set_by_functions)
{
    struct world w = given_world();
    struct end *agent = given_agent(&w, 1);

    define(&w, agent);
    define_setting(&w, agent);
    set(&w, agent, 1, 0, "a", 7);
    assert_answer(agent, WIRE_REFUSED_TASK, "constants are set by main(), not by functions");
    finish(&w);
}

Test(constants, have_names_that_can_be_shown)
{
    static const char refusal[] =
        "the name of a constant has 1 to 255 bytes, no control characters";
    struct world w = given_world();
    struct end *client = given_setter(&w);
    char longest[CONSTANTS_NAME_MAX + 2];

    memset(longest, 'x', sizeof(longest));
    longest[CONSTANTS_NAME_MAX + 1] = '\0';
    set(&w, client, 1, 0, longest, 7);
    assert_answer(client, WIRE_REFUSED_TASK, refusal);
    set(&w, client, 2, 0, longest + 1, 7);
    assert_answer(client, WIRE_OK, "");
    set(&w, client, 3, 0, "", 7);
    assert_answer(client, WIRE_REFUSED_TASK, refusal);
    set(&w, client, 4, 0, "a\nb", 7);
    assert_answer(client, WIRE_REFUSED_TASK, refusal);
    ask_with(&w, client, 5, blob_new(0), GET);
    assert_answer(client, WIRE_REFUSED_TASK, refusal);
    ask_with(&w, client, 6, blob_new(0), SET);
    assert_answer(client, WIRE_REFUSED_TASK, refusal);
    finish(&w);
}
