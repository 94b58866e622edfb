#include "setter.h"

#include <criterion/criterion.h>
#include <string.h>

void define_setting(struct world *w, struct end *client)
{
    static const char *const names[] = {"broker.set", "broker.get", "broker.unset"};

    define_asks(w, client, names, COUNT_OF(names));
}

struct end *given_setter(struct world *w)
{
    struct end *client = given_client(w);

    define_setting(w, client);
    return client;
}

/* A value of `size` times this byte. */
void set_sized(struct world *w,
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

void set(
    struct world *w, struct end *end, uint64_t no, uint8_t flags, const char *name, uint8_t byte)
{
    set_sized(w, end, no, flags, name, byte, 1);
}

void get(struct world *w, struct end *end, uint64_t no, uint64_t known, const char *name)
{
    struct blob *argument = blob_new(10 + strlen(name));

    wire_put_u64(argument, known);
    wire_put_text(argument, name);
    ask_with(w, end, no, argument, GET);
}

void unset(struct world *w, struct end *end, uint64_t no, const char *name)
{
    struct blob *argument = blob_new(2 + strlen(name));

    wire_put_text(argument, name);
    ask_with(w, end, no, argument, UNSET);
}

void leave(struct world *w, struct end *end)
{
    send_frame(w, end, wire_frame_new(WIRE_BYE, end->link.id, 0));
    turn(w);
}

/* What was answered last: an outcome, and the text of a refusal ("": none). */
void assert_answer(const struct end *end, enum wire_outcome outcome, const char *text)
{
    cr_assert_neq(end->result_count, 0);
    cr_assert_eq(end->results[end->result_count - 1].outcome, outcome);
    cr_assert_str_eq(end->results[end->result_count - 1].text, text);
}

/* The last answer is this constant of one byte. */
void assert_value(const struct end *end, uint8_t byte)
{
    assert_answer(end, WIRE_OK, "");
    cr_assert_eq(end->results[end->result_count - 1].bytes, 9);
    cr_assert_eq(end->results[end->result_count - 1].last_byte, byte);
}
