#include "base/durable_list.h"

#include <criterion/criterion.h>
#include <string.h>

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

static struct blob *given_entry(void)
{
    struct blob *b = blob_new(16);
    const struct durable_entry entry = {
        .id = 7,
        .state = DURABLE_LISTED_ENDED,
        .outcome = WIRE_CRASHED,
        .attempts = 3,
        .run_us = 12,
        .done = 3,
        .total = 4,
        .program = text("p"),
        .function = text("f"),
    };

    cr_assert_eq(durable_put_entry(b, &entry), 0);
    return b;
}

Test(durable_list, entry_comes_out_as_it_went_in)
{
    struct blob *b CLEANUP(blob_unref_p) = given_entry();
    struct wire_cursor c = {.at = b->data, .end = b->data + b->size};
    struct durable_entry entry;

    cr_assert_eq(durable_get_entry(&c, &entry), 0);
    cr_assert_eq(wire_read_ok(&c), 0);
    cr_assert_eq(entry.id, 7);
    cr_assert_eq(entry.state, DURABLE_LISTED_ENDED);
    cr_assert_eq(entry.outcome, WIRE_CRASHED);
    cr_assert_eq(entry.attempts, 3);
    cr_assert_eq(entry.run_us, 12);
    cr_assert(entry.done == 3 && entry.total == 4);
    cr_assert_eq(memcmp(entry.program.data, "p", entry.program.size), 0);
    cr_assert_eq(memcmp(entry.function.data, "f", entry.function.size), 0);
}

Test(durable_list, entry_that_is_cut_off_or_out_of_range_is_refused)
{
    struct blob *b CLEANUP(blob_unref_p) = given_entry();
    struct durable_entry entry;

    for (size_t size = 0; size < b->size; size++) {
        struct wire_cursor c = {.at = b->data, .end = b->data + size};

        cr_assert_eq(durable_get_entry(&c, &entry), -EPROTO);
    }
    for (size_t at = 8; at < 10; at++) {
        struct wire_cursor c = {.at = b->data, .end = b->data + b->size};

        b->data[at] += 200;
        cr_assert_eq(durable_get_entry(&c, &entry), -EPROTO);
        b->data[at] -= 200;
    }
}

Test(durable_list, query_has_limits)
{
    static const struct {
        struct durable_query query;
        int result;
    } cases[] = {
        {{.most = 0}, -EPROTO},
        {{.most = 1, .failed_only = true}, 0},
        {{.most = DURABLE_LIST_MAX}, 0},
        {{.most = DURABLE_LIST_MAX + 1}, -EPROTO},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct blob *b CLEANUP(blob_unref_p) = blob_new(16);
        struct durable_query query;

        cr_assert_eq(durable_put_query(b, &cases[i].query), 0);
        cr_assert_eq(durable_get_query((struct wire_bytes){b->data, b->size}, &query),
                     cases[i].result, "case %zu", i);
    }
}
