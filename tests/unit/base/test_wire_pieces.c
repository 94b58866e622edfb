/* Records of what travels in pieces. */
#include "base/wire.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

static struct wire_cargo given_cargo(enum wire_what what)
{
    struct wire_cargo cargo = {
        .task = 0x0102030405060708,
        .attempt = 3,
        .what = what,
        .offset = WIRE_LARGE_MAX - 3,
    };

    if (what == WIRE_WHAT_PROGRAM || what == WIRE_WHAT_VALUE)
        memset(cargo.key, 0xab, sizeof(cargo.key));
    return cargo;
}

static struct wire_cursor all_of(const struct blob *blob)
{
    return (struct wire_cursor){.at = blob->data, .end = blob->data + blob->size};
}

Test(wire_pieces, read_back_what_was_written)
{
    for (enum wire_what what = WIRE_WHAT_ARGUMENT; what < WIRE_WHAT_END; what++) {
        struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
        const struct wire_want want = {.cargo = given_cargo(what), .length = WIRE_PIECE_MAX};
        const struct wire_piece piece = {
            .cargo = given_cargo(what),
            .total = WIRE_LARGE_MAX,
            .bytes = {(const uint8_t *)"abc", 3},
        };
        struct wire_want want_read;
        struct wire_piece piece_read;

        cr_assert_eq(wire_put_want(b, &want), 0);
        cr_assert_eq(b->size, WIRE_WANT_BYTES);
        cr_assert_eq(wire_put_piece(b, &piece), 0);
        cr_assert_eq(b->size, WIRE_WANT_BYTES + WIRE_PIECE_BYTES + 3);
        struct wire_cursor c = all_of(b);
        cr_assert_eq(wire_get_want(&c, &want_read), 0);
        cr_assert(wire_cargo_equal(&want_read.cargo, &want.cargo));
        cr_assert_eq(want_read.length, want.length);
        cr_assert_eq(wire_get_piece(&c, &piece_read), 0);
        cr_assert(wire_cargo_equal(&piece_read.cargo, &piece.cargo));
        cr_assert_eq(piece_read.total, piece.total);
        cr_assert_eq(piece_read.bytes.size, 3);
        cr_assert_arr_eq(piece_read.bytes.data, "abc", 3);
        cr_assert_eq(wire_read_ok(&c), 0);
    }
}

Test(wire_pieces, refuse_every_truncation)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_want want = {.cargo = given_cargo(WIRE_WHAT_RESULT), .length = 1};
    const struct wire_piece piece = {
        .cargo = given_cargo(WIRE_WHAT_RESULT),
        .total = WIRE_LARGE_MAX,
        .bytes = {(const uint8_t *)"abc", 3},
    };
    struct wire_want want_read;
    struct wire_piece piece_read;

    cr_assert_eq(wire_put_want(b, &want), 0);
    cr_assert_eq(wire_put_piece(b, &piece), 0);
    for (size_t size = 0; size < b->size; size++) {
        struct wire_cursor c = {.at = b->data, .end = b->data + size};

        cr_assert(wire_get_want(&c, &want_read) != 0 || wire_get_piece(&c, &piece_read) != 0,
                  "cut to %zu", size);
    }
}

struct row {
    char name[48];
    struct wire_want want;
};

ParameterizedTestParameters(wire_pieces, refuse_a_want_that_cannot_be)
{
    static struct row rows[] = {
        {"of nothing", {{.what = 0}, 1}},
        {"of something unknown", {{.what = WIRE_WHAT_END}, 1}},
        {"longer than a piece", {{.what = WIRE_WHAT_RESULT}, WIRE_PIECE_MAX + 1}},
        {"of no bytes of an argument", {{.what = WIRE_WHAT_ARGUMENT}, 0}},
        {"beyond all limits", {{.what = WIRE_WHAT_RESULT, .offset = WIRE_LARGE_MAX + 1}, 1}},
        {"of a result with a key", {{.what = WIRE_WHAT_RESULT, .key = {1}}, 1}},
        {"with a flag", {{.what = WIRE_WHAT_RESULT, .flags = WIRE_PIECE_GONE}, 1}},
    };

    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, wire_pieces, refuse_a_want_that_cannot_be)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    struct wire_want read;

    cr_assert_eq(wire_put_want(b, &row->want), 0);
    struct wire_cursor c = all_of(b);
    cr_assert_eq(wire_get_want(&c, &read), -EPROTO, "%s", row->name);
}

Test(wire_pieces, lie_within_the_whole)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    struct wire_piece piece = {
        .cargo = {.what = WIRE_WHAT_VALUE, .offset = 8},
        .total = 10,
        .bytes = {(const uint8_t *)"abc", 3},
    };
    struct wire_piece read;

    cr_assert_eq(wire_put_piece(b, &piece), 0);
    struct wire_cursor c = all_of(b);
    cr_assert_eq(wire_get_piece(&c, &read), -EPROTO);
    b->size = 0;
    piece.cargo.flags = WIRE_PIECE_GONE; /* then they are a text */
    cr_assert_eq(wire_put_piece(b, &piece), 0);
    c = all_of(b);
    cr_assert_eq(wire_get_piece(&c, &read), 0);
    b->size = 0;
    piece.total = WIRE_LARGE_MAX + 1;
    cr_assert_eq(wire_put_piece(b, &piece), 0);
    c = all_of(b);
    cr_assert_eq(wire_get_piece(&c, &read), -EPROTO);
}

Test(wire_pieces, of_a_run_and_a_task_only_the_sizes_are_there)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_run run = {.count = 1, .argument_bytes = WIRE_VARIABLE, .large = true};
    const struct wire_task task = {.flags = WIRE_TASK_LARGE, .argument = {NULL, WIRE_LARGE_MAX}};
    struct wire_run run_read;
    struct wire_task task_read;

    cr_assert_eq(wire_put_run(b, &run), 0);
    cr_assert_eq(blob_reserve(b, 4), 0);
    wire_put_u32(b, WIRE_LARGE_MAX);
    cr_assert_eq(b->size, WIRE_RUN_BYTES + 4);
    cr_assert_eq(wire_put_task(b, &task), 0);
    struct wire_cursor c = all_of(b);
    cr_assert_eq(wire_get_run(&c, &run_read), 0);
    cr_assert(run_read.large);
    cr_assert_eq(wire_get_argument(&c, &run_read).size, WIRE_LARGE_MAX);
    cr_assert_eq(wire_get_task(&c, &task_read), 0);
    cr_assert_eq(task_read.argument.size, WIRE_LARGE_MAX);
    cr_assert_null(task_read.argument.data);
    cr_assert_eq(wire_read_ok(&c), 0);
    b->data[b->size - 1] = 1; /* a byte more than may be */
    c = all_of(b);
    cr_assert_eq(wire_get_run(&c, &run_read), 0);
    (void)wire_get_argument(&c, &run_read);
    cr_assert_eq(wire_get_task(&c, &task_read), -EPROTO);
}

Test(wire_pieces, are_no_arguments_of_a_fixed_size)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_run run = {.count = 1, .argument_bytes = 8, .large = true};
    struct wire_run read;

    cr_assert_eq(wire_put_run(b, &run), 0);
    struct wire_cursor c = all_of(b);
    cr_assert_eq(wire_get_run(&c, &read), -EPROTO);
}
