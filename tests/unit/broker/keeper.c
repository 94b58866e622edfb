#include "keeper.h"

#include <criterion/criterion.h>
#include <string.h>

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

void journal_event(struct world *w, enum core_event_type type, uint64_t position)
{
    const struct core_event event = {.type = type, .now_ms = w->now_ms, .position = position};

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

void journal_is(struct world *w, enum core_journal state, const char *reason)
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
void confirm(struct world *w)
{
    journal_event(w, CORE_JOURNALED, w->journal_count);
    turn(w);
}

struct world given_unopened_world(void)
{
    struct world w = given_world();

    cr_assert_eq(core_keep_durables(w.core, KEEP_MS), 0);
    return w;
}

struct world given_durable_world(void)
{
    struct world w = given_unopened_world();

    journal_event(&w, CORE_JOURNAL_OPENED, 0);
    journal_is(&w, CORE_JOURNAL_UP, "");
    return w;
}

void read_all(struct world *w, const struct world *before)
{
    for (size_t i = 0; i < before->journal_count; i++) {
        const struct core_event event = {
            .type = CORE_JOURNAL_READ,
            .now_ms = w->now_ms,
            .position = i + 1,
            .frame = before->journal[i],
        };

        core_step(w->core, &event, &w->effects);
        w->journal[w->journal_count++] = blob_ref(before->journal[i]);
    }
    journal_event(w, CORE_JOURNAL_OPENED, w->journal_count);
    journal_is(w, CORE_JOURNAL_UP, "");
}

struct world given_next_world(const struct world *before)
{
    struct world w = given_unopened_world();

    read_all(&w, before);
    return w;
}

struct end *given_asker(struct world *w)
{
    static const char *const names[] = {"broker.submit", "broker.wait",  "broker.forget",
                                        "broker.cancel", "broker.retry", "broker.submit_after",
                                        "broker.forgive"};
    struct end *client = given_client(w);

    define_asks(w, client, names, COUNT_OF(names));
    return client;
}

/* A durable call of a function of one byte: the client's task `no` asks for it under this id. */
struct blob *request(uint32_t what, uint64_t id, size_t size)
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

void ask_for(struct world *w, struct end *client, uint32_t what, uint64_t no, uint64_t id)
{
    ask_with(w, client, no, request(what, id, 1), what);
}

void ask_after(struct world *w, struct end *client, uint64_t no, uint64_t id, const uint64_t *after)
{
    struct blob *plain = request(SUBMIT, id, 1);
    struct blob *argument = blob_new(1024);
    uint32_t count = 0;

    while (after[count] != 0)
        count++;
    wire_put_bytes(argument, plain->data, 8);
    wire_put_u32(argument, count);
    for (uint32_t i = 0; i < count; i++)
        wire_put_u64(argument, after[i]);
    wire_put_bytes(argument, plain->data + 8, plain->size - 8);
    blob_unref(plain);
    ask_with(w, client, no, argument, SUBMIT_AFTER);
}

void assert_told(const struct end *client, uint32_t count, uint64_t no, enum wire_outcome how)
{
    cr_assert_eq(client->result_count, count);
    cr_assert_eq(client->results[count - 1].no, no);
    cr_assert_eq(client->results[count - 1].outcome, how);
}

/* How many records of this type are in the journal from batch `first` (from 0) on. */
uint32_t records(const struct world *w, enum record_type type, size_t first)
{
    uint32_t count = 0;

    for (size_t i = first; i < w->journal_count; i++) {
        struct blob *batch = w->journal[i];
        struct wire_cursor c;
        struct record record;
        uint8_t version = 0;

        record_seal(batch);
        c = wire_cursor_of(batch->data, batch->size);
        while (c.at < c.end) {
            cr_assert_eq(record_get(&c, &record, &version), 0);
            count += record.type == type;
        }
    }
    return count;
}

void seal_all(struct world *w)
{
    records(w, RECORD_TASK, 0);
}
