#include "broker/record.h"

#include <criterion/criterion.h>
#include <string.h>

static struct blob *given_batch(void)
{
    struct blob *batch = blob_new(16);

    cr_assert_eq(record_begin(batch, RECORD_TASK, 7, 5), 0);
    wire_put_bytes(batch, "hello", 5);
    cr_assert_eq(record_begin(batch, RECORD_FORGET, 8, 0), 0);
    record_seal(batch);
    return batch;
}

Test(record, comes_out_as_it_went_in)
{
    struct blob *batch CLEANUP(blob_unref_p) = given_batch();
    struct wire_cursor c = wire_cursor_of(batch->data, batch->size);
    struct record record;
    uint8_t version = 0;

    cr_assert_eq(record_get(&c, &record, &version), 0);
    cr_assert_eq(record.type, RECORD_TASK);
    cr_assert_eq(record.id, 7);
    cr_assert_eq(record.body.size, 5);
    cr_assert_eq(memcmp(record.body.data, "hello", 5), 0);
    cr_assert_eq(record_get(&c, &record, &version), 0);
    cr_assert_eq(record.type, RECORD_FORGET);
    cr_assert_eq(record.id, 8);
    cr_assert_eq(c.at, c.end);
}

Test(record, with_any_flipped_bit_is_noticed)
{
    struct blob *batch CLEANUP(blob_unref_p) = given_batch();
    struct record record;
    uint8_t version = 0;

    for (size_t bit = 0; bit < (RECORD_HEAD_BYTES + 5) * 8; bit++) {
        struct wire_cursor c = wire_cursor_of(batch->data, batch->size);

        batch->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_lt(record_get(&c, &record, &version), 0, "bit %zu", bit);
        batch->data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

Test(record, that_is_cut_off_anywhere_is_noticed)
{
    struct blob *batch CLEANUP(blob_unref_p) = given_batch();
    struct record record;
    uint8_t version = 0;

    for (size_t size = 0; size < RECORD_HEAD_BYTES + 5; size++) {
        struct wire_cursor c = wire_cursor_of(batch->data, size);

        cr_assert_eq(record_get(&c, &record, &version), -EPROTO);
    }
}

Test(record, of_an_unknown_type_or_version_is_told_apart_from_a_damaged_one)
{
    struct blob *batch CLEANUP(blob_unref_p) = blob_new(16);
    struct wire_cursor c;
    struct record record;
    uint8_t version = 0;

    cr_assert_eq(record_begin(batch, (enum record_type)200, 9, 0), 0);
    record_seal(batch);
    c = wire_cursor_of(batch->data, batch->size);
    cr_assert_eq(record_get(&c, &record, &version), -ENOTSUP);
    cr_assert_eq(record.id, 9);
}

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

Test(record, of_a_constant_is_read_as_it_was_written_and_not_when_it_is_cut_off)
{
    const struct record_constant constant = {
        .incarnation = 5,
        .setter = text("n@h"),
        .name = text("name"),
        .value = text("value"),
    };
    struct blob *body CLEANUP(blob_unref_p) = record_constant_body(&constant);
    struct record_constant read;

    cr_assert_not_null(body);
    cr_assert_eq(record_get_constant((struct wire_bytes){body->data, body->size}, &read), 0);
    cr_assert_eq(read.incarnation, 5);
    cr_assert_eq(read.setter.size, 3);
    cr_assert_arr_eq(read.name.data, "name", 4);
    cr_assert_eq(read.value.size, 5);
    cr_assert_arr_eq(read.value.data, "value", 5);
    const size_t without_value = body->size - 5;
    for (size_t size = 0; size < without_value; size++)
        cr_assert_eq(record_get_constant((struct wire_bytes){body->data, size}, &read), -EPROTO);
}
