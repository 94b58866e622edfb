/* Constants in the pure core: PROTOCOL.md section 11. */
#include "broker/constants.h"
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The functions of the broker that an asker defines, by their number. */
enum { SET = 1, GET, UNSET };

#define KEPT 1

static void define_ours(struct world *w, struct end *client)
{
    static const char *const names[] = {"broker.set", "broker.get", "broker.unset"};

    define_asks(w, client, names, COUNT_OF(names));
}

static struct end *given_asker(struct world *w)
{
    struct end *client = given_client(w);

    define_ours(w, client);
    return client;
}

/* A value of `size` times this byte. */
static void set_sized(struct world *w,
                      struct end *end,
                      uint64_t no,
                      uint8_t flags,
                      const char *name,
                      uint8_t byte,
                      size_t size)
{
    struct blob *argument = blob_new(3 + strlen(name) + size);

    wire_put_u8(argument, flags);
    wire_put_text(argument, name);
    memset(argument->data + argument->size, byte, size);
    argument->size += size;
    ask_with(w, end, no, argument, SET);
}

static void
set(struct world *w, struct end *end, uint64_t no, uint8_t flags, const char *name, uint8_t byte)
{
    set_sized(w, end, no, flags, name, byte, 1);
}

static void get(struct world *w, struct end *end, uint64_t no, uint64_t known, const char *name)
{
    struct blob *argument = blob_new(10 + strlen(name));

    wire_put_u64(argument, known);
    wire_put_text(argument, name);
    ask_with(w, end, no, argument, GET);
}

static void unset(struct world *w, struct end *end, uint64_t no, const char *name)
{
    struct blob *argument = blob_new(2 + strlen(name));

    wire_put_text(argument, name);
    ask_with(w, end, no, argument, UNSET);
}

static void leave(struct world *w, struct end *end)
{
    send_frame(w, end, wire_frame_new(WIRE_BYE, end->link.id, 0));
    turn(w);
}

/* What was answered last: an outcome, and the text of a refusal ("": none). */
static void assert_told(const struct end *end, enum wire_outcome outcome, const char *text)
{
    cr_assert_neq(end->result_count, 0);
    cr_assert_eq(end->results[end->result_count - 1].outcome, outcome);
    cr_assert_str_eq(end->results[end->result_count - 1].text, text);
}

/* The last answer is this constant of one byte. */
static void assert_value(const struct end *end, uint8_t byte)
{
    assert_told(end, WIRE_OK, "");
    cr_assert_eq(end->results[end->result_count - 1].bytes, 9);
    cr_assert_eq(end->results[end->result_count - 1].last_byte, byte);
}

/* ---- tests ---- */

Test(constants, are_read_by_everybody_without_a_journal)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);
    struct end *agent = given_agent(&w, 1);

    define(&w, agent);
    define_ours(&w, agent);
    set(&w, client, 1, 0, "a", 7);
    assert_told(client, WIRE_OK, "");
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
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);

    set(&w, client, 1, 0, "a", 7);
    set(&w, other, 1, 0, "a", 7);
    assert_told(other, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    set(&w, client, 2, 0, "a", 7);
    assert_told(client, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    get(&w, other, 2, 0, "b");
    assert_told(other, WIRE_REFUSED_TASK, "no constant \"b\" is set");
    finish(&w);
}

Test(constants, end_with_their_session_and_not_before)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);

    set(&w, client, 1, 0, "a", 7);
    set(&w, other, 1, 0, "b", 8);
    leave(&w, client);
    get(&w, other, 2, 0, "a");
    assert_told(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    get(&w, other, 3, 0, "b");
    assert_value(other, 8);
    set(&w, other, 4, 0, "a", 9);
    assert_told(other, WIRE_OK, "");
    finish(&w);
}

Test(constants, that_are_kept_stay_until_they_are_unset)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);

    set(&w, client, 1, KEPT, "a", 7);
    leave(&w, client);
    get(&w, other, 1, 0, "a");
    assert_value(other, 7);
    unset(&w, other, 2, "a");
    assert_told(other, WIRE_OK, "");
    unset(&w, other, 3, "a");
    assert_told(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    cr_assert_eq(core_counters(w.core)->constants, 0);
    cr_assert_eq(core_counters(w.core)->constant_bytes, 0);
    finish(&w);
}

Test(constants, of_a_session_are_unset_by_nobody)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);

    set(&w, client, 1, 0, "a", 7);
    unset(&w, other, 1, "a");
    assert_told(other, WIRE_REFUSED_TASK,
                "constant \"a\" belongs to n@h (process 1), and ends with it");
    finish(&w);
}

Test(constants, are_sent_only_to_those_who_do_not_have_them)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);

    set(&w, client, 1, 0, "a", 7);
    get(&w, other, 1, 1, "a");
    assert_told(other, WIRE_OK, "");
    cr_assert_eq(other->results[0].bytes, 8, "the serial alone");
    leave(&w, client);
    set(&w, other, 2, 0, "a", 9);
    get(&w, other, 3, 1, "a");
    assert_value(other, 9);
    finish(&w);
}

Test(constants, that_are_set_anew_under_another_link_are_the_same)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    struct end *other = given_asker(&w);

    set(&w, client, 1, 0, "a", 7);
    link_fini(&client->link);
    link_init(&client->link, 5000);
    say_hello(&w, client, 0);
    define(&w, client);
    define_ours(&w, client);
    set(&w, client, 1, 0, "a", 8);
    assert_told(client, WIRE_REFUSED_TASK, "constant \"a\" is set already, by n@h (process 1)");
    set(&w, client, 2, 0, "a", 7);
    assert_told(client, WIRE_OK, "");
    for (int i = 0; i < 35; i++) { /* the older session ends */
        pass(&w, 1000);
        ping(&w, client);
        ping(&w, other);
    }
    get(&w, other, 1, 0, "a");
    assert_value(other, 7);
    leave(&w, client);
    get(&w, other, 2, 0, "a");
    assert_told(other, WIRE_REFUSED_TASK, "no constant \"a\" is set");
    finish(&w);
}

Test(constants, are_limited_in_size_and_all_together)
{
    struct world w = given_world();
    struct end *client = given_asker(&w);
    char name[16];
    uint64_t no = 1;

    set_sized(&w, client, no++, 0, "large", 1, CONSTANTS_VALUE_MAX + 1);
    assert_told(client, WIRE_REFUSED_TASK,
                "constant \"large\" has 1048577 bytes; the limit is 1048576");
    for (uint32_t i = 0; i < 63; i++) {
        client->result_count = 0;
        snprintf(name, sizeof(name), "%u", i);
        set_sized(&w, client, no++, 0, name, 1, CONSTANTS_VALUE_MAX);
        assert_told(client, WIRE_OK, "");
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
    define_ours(&w, agent);
    set(&w, agent, 1, 0, "a", 7);
    assert_told(agent, WIRE_REFUSED_TASK, "constants are set by main(), not by functions");
    finish(&w);
}

Test(constants, have_names_that_can_be_shown)
{
    static const char refusal[] =
        "the name of a constant has 1 to 255 bytes, no control characters";
    struct world w = given_world();
    struct end *client = given_asker(&w);
    char longest[CONSTANTS_NAME_MAX + 2];

    memset(longest, 'x', sizeof(longest));
    longest[CONSTANTS_NAME_MAX + 1] = '\0';
    set(&w, client, 1, 0, longest, 7);
    assert_told(client, WIRE_REFUSED_TASK, refusal);
    set(&w, client, 2, 0, longest + 1, 7);
    assert_told(client, WIRE_OK, "");
    set(&w, client, 3, 0, "", 7);
    assert_told(client, WIRE_REFUSED_TASK, refusal);
    set(&w, client, 4, 0, "a\nb", 7);
    assert_told(client, WIRE_REFUSED_TASK, refusal);
    ask_with(&w, client, 5, blob_new(0), GET);
    assert_told(client, WIRE_REFUSED_TASK, refusal);
    ask_with(&w, client, 6, blob_new(0), SET);
    assert_told(client, WIRE_REFUSED_TASK, refusal);
    finish(&w);
}
