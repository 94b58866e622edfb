/* Large arguments and results of a client. */
#include "libscoop/client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define LARGE (WIRE_INLINE_MAX + 10)

static struct scoop_function function = {
    .name = "f",
    .argument_bytes = SCOOP_VARIABLE,
    .result_bytes = SCOOP_VARIABLE,
};
static struct client client;
static struct scoop_bytes in[3];
static struct scoop_bytes out[3];
static uint8_t *large;

static void before(void)
{
    const struct identity program = {.name = "p"};

    scoop_register(&function);
    client_init(&client, &program);
    cr_assert_eq(client_open(&client, 9, 1000, (uint64_t)1 << 20), 0);
    large = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (uint8_t)(i * 31 >> 3);
    in[0] = (struct scoop_bytes){"small", 5};
    in[1] = (struct scoop_bytes){large, LARGE};
    in[2] = (struct scoop_bytes){large, LARGE};
}

static void after(void)
{
    client_fini(&client);
    scoop_bytes_free(out, 3);
    free(large);
}

TestSuite(client_pieces, .init = before, .fini = after);

/* The next frame is of this type. */
static struct blob *
next_frame(enum wire_type type, struct wire_header *header, struct wire_cursor *body)
{
    struct blob *frame = NULL;

    cr_assert_eq(client_next_frame(&client, &frame), 0);
    cr_assert_eq(wire_frame_read(frame->data, frame->size, header, body), 0);
    cr_assert_eq(header->type, type);
    return frame;
}

static void given_submitted(struct job *job)
{
    struct wire_header header;
    struct wire_cursor body;

    client_add(&client, job);
    blob_unref(next_frame(WIRE_FUNCTION, &header, &body));
    for (uint32_t sent = 0; sent < job->count; sent += header.count)
        blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
}

static int want(struct wire_want want)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);

    cr_assert_eq(wire_put_want(b, &want), 0);
    const struct wire_header header = {.count = 1};
    struct wire_cursor body = {.at = b->data, .end = b->data + b->size};
    return client_take_wants(&client, &header, &body);
}

static int piece(struct wire_piece piece)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);

    piece.cargo.what = WIRE_WHAT_RESULT;
    cr_assert_eq(wire_put_piece(b, &piece), 0);
    const struct wire_header header = {.count = 1};
    struct wire_cursor body = {.at = b->data, .end = b->data + b->size};
    return client_take_pieces(&client, &header, &body);
}

static void result(uint64_t no, uint16_t attempts, uint64_t size)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    struct blob *number CLEANUP(blob_unref_p) = blob_new(8);

    wire_put_u64(number, size);
    const struct wire_result record = {
        .no = no,
        .flags = WIRE_RESULT_MOVED,
        .attempts = attempts,
        .bytes = {number->data, 8},
    };
    cr_assert_eq(wire_put_result(b, &record), 0);
    const struct wire_header header = {.count = 1};
    struct wire_cursor body = {.at = b->data, .end = b->data + b->size};
    cr_assert_eq(client_take_results(&client, &header, &body), 0);
}

static struct wire_want next_want(void)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_want want;
    struct blob *frame = next_frame(WIRE_WANT, &header, &body);

    cr_assert_eq(wire_get_want(&body, &want), 0);
    blob_unref(frame);
    return want;
}

static void no_frame(void)
{
    struct blob *frame = NULL;

    cr_assert_eq(client_next_frame(&client, &frame), -EAGAIN);
    cr_assert_eq(client_next_piece(&client, &frame), -EAGAIN);
}

/* Give what is wanted of task `no` as often as it is; returns the bytes that were given. */
static uint64_t give_all(uint64_t no, uint16_t attempt)
{
    struct wire_want wanted = next_want();
    uint64_t given = 0;

    for (; wanted.length != 0; wanted = next_want()) {
        cr_assert_eq(wanted.cargo.task, no);
        cr_assert_eq(wanted.cargo.attempt, attempt);
        cr_assert_eq(piece((struct wire_piece){
                         .cargo = wanted.cargo,
                         .total = LARGE,
                         .bytes = {large + wanted.cargo.offset, wanted.length},
                     }),
                     0);
        given += wanted.length;
    }
    return given;
}

Test(client_pieces, are_submitted_as_sizes_in_runs_of_their_own)
{
    struct job job = {.function = &function, .count = 3, .in_each = in, .out_each = out};
    struct wire_header header;
    struct wire_cursor body;
    struct wire_run run;

    client_add(&client, &job);
    blob_unref(next_frame(WIRE_FUNCTION, &header, &body));
    struct blob *frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    cr_assert_not(run.large);
    cr_assert_eq(run.count, 1);
    blob_unref(frame);
    frame = next_frame(WIRE_SUBMIT, &header, &body);
    cr_assert_eq(wire_get_run(&body, &run), 0);
    cr_assert(run.large);
    cr_assert_eq(run.count, 2, "the credit of 1 MiB counts what the broker keeps");
    cr_assert_eq(wire_get_argument(&body, &run).size, LARGE);
    cr_assert_eq(wire_get_argument(&body, &run).size, LARGE);
    cr_assert_eq(wire_read_ok(&body), 0);
    blob_unref(frame);
    no_frame();
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}

Test(client_pieces, of_an_argument_are_sent_as_they_are_wanted)
{
    struct job job = {.function = &function, .count = 2, .in_each = in, .out_each = out};
    struct wire_want wanted = {
        .cargo = {.task = 2, .attempt = 1, .what = WIRE_WHAT_ARGUMENT, .offset = LARGE - 5},
        .length = 5,
    };
    struct blob *frame CLEANUP(blob_unref_p) = NULL;
    struct wire_header header;
    struct wire_cursor body;
    struct wire_piece piece;

    given_submitted(&job);
    cr_assert_eq(want(wanted), 0);
    cr_assert_eq(client_next_piece(&client, &frame), 0);
    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    cr_assert_eq(wire_get_piece(&body, &piece), 0);
    cr_assert(wire_cargo_equal(&piece.cargo, &wanted.cargo));
    cr_assert_eq(piece.total, LARGE);
    cr_assert_arr_eq(piece.bytes.data, large + LARGE - 5, 5);
    no_frame();
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}

Test(client_pieces, that_are_not_there_are_gone)
{
    struct job job = {.function = &function, .count = 2, .in_each = in, .out_each = out};
    const struct wire_want wants[] = {
        {{.task = 2, .attempt = 1, .what = WIRE_WHAT_ARGUMENT, .offset = LARGE}, 1},
        {{.task = 2, .attempt = 1, .what = WIRE_WHAT_VALUE}, 1},
        {{.task = 2, .attempt = 1, .what = WIRE_WHAT_ARGUMENT}, 1}, /* when it is abandoned */
    };

    given_submitted(&job);
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct blob *frame CLEANUP(blob_unref_p) = NULL;
        struct wire_header header;
        struct wire_cursor body;
        struct wire_piece piece;

        if (i == 2)
            client_abandon(&client, &job);
        cr_assert_eq(want(wants[i]), 0);
        cr_assert_eq(client_next_piece(&client, &frame), 0);
        cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
        cr_assert_eq(wire_get_piece(&body, &piece), 0);
        cr_assert_eq(piece.cargo.flags, WIRE_PIECE_GONE, "%zu", i);
    }
    cr_assert_eq(want((struct wire_want){{.task = 77, .what = WIRE_WHAT_ARGUMENT}, 1}), 0);
    no_frame();
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}

Test(client_pieces, of_a_result_are_wanted_and_put_in_place)
{
    struct job job = {.function = &function, .count = 1, .in_each = in, .out_each = out};

    given_submitted(&job);
    cr_assert_eq(piece((struct wire_piece){.cargo = {.task = 1, .attempt = 1}, .total = LARGE}), 0);
    cr_assert_eq(give_all(1, 1), LARGE);
    no_frame();
    result(1, 1, LARGE);
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_eq(out[0].size, LARGE);
    cr_assert_arr_eq(out[0].data, large, LARGE);
}

Test(client_pieces, of_an_older_attempt_are_dropped)
{
    struct job job = {.function = &function, .count = 1, .in_each = in, .out_each = out};

    given_submitted(&job);
    cr_assert_eq(piece((struct wire_piece){.cargo = {.task = 1, .attempt = 1}, .total = LARGE}), 0);
    const struct wire_want wanted = next_want();
    cr_assert_eq(piece((struct wire_piece){.cargo = {.task = 1, .attempt = 2}, .total = LARGE}), 0);
    cr_assert_eq(
        piece((struct wire_piece){.cargo = wanted.cargo, .total = LARGE, .bytes = {in[0].data, 5}}),
        0);
    cr_assert_eq(give_all(1, 2), LARGE);
    result(1, 2, LARGE);
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_arr_eq(out[0].data, large, LARGE);
}

Test(client_pieces, of_results_that_are_gone_hold_up_no_others)
{
    enum { TASKS = PIECES_ARRIVALS_MAX + 1 };
    struct scoop_bytes same[TASKS];
    struct scoop_bytes places[TASKS] = {{NULL, 0}};
    struct job job = {.function = &function, .count = TASKS, .in_each = same, .out_each = places};
    struct wire_want wanted = {.length = 1};

    for (size_t i = 0; i < TASKS; i++)
        same[i] = in[0];
    given_submitted(&job);
    for (uint64_t no = 1; no <= TASKS; no++)
        cr_assert_eq(
            piece((struct wire_piece){.cargo = {.task = no, .attempt = 1}, .total = LARGE}), 0);
    for (size_t i = 0; i < PIECES_ARRIVALS_MAX * (LARGE / WIRE_PIECE_MAX); i++)
        wanted = next_want();
    cr_assert_eq(wanted.cargo.task, PIECES_ARRIVALS_MAX, "the last one waits");
    no_frame();
    cr_assert_eq(
        piece((struct wire_piece){.cargo = {.task = 2, .attempt = 2, .flags = WIRE_PIECE_GONE}}), 0,
        "another attempt");
    no_frame();
    cr_assert_eq(
        piece((struct wire_piece){.cargo = {.task = 2, .attempt = 1, .flags = WIRE_PIECE_GONE}}),
        0);
    cr_assert_eq(next_want().cargo.task, TASKS);
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}

Test(client_pieces, that_cannot_be_are_refused)
{
    struct job job = {.function = &function, .count = 1, .in_each = in, .out_each = out};
    struct wire_piece came = {
        .cargo = {.task = 1, .attempt = 1, .offset = 1},
        .total = LARGE,
        .bytes = {large, 5},
    };

    given_submitted(&job);
    cr_assert_eq(piece(came), 0, "nothing was offered");
    cr_assert_eq(piece((struct wire_piece){.cargo = {.task = 1, .attempt = 1}, .total = LARGE}), 0);
    cr_assert_eq(piece(came), 0, "nothing was begun");
    (void)next_want();
    cr_assert_eq(piece(came), -EPROTO, "another offset");
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}

Test(client_pieces, of_an_abandoned_job_are_not_taken)
{
    struct job job = {.function = &function, .count = 1, .in_each = in, .out_each = out};

    given_submitted(&job);
    client_abandon(&client, &job);
    cr_assert_eq(piece((struct wire_piece){.cargo = {.task = 1, .attempt = 1}, .total = LARGE}), 0);
    cr_assert_eq(next_want().length, 0, "all of it has come");
    result(1, 1, LARGE);
    cr_assert_eq(client_take_ended(&client), &job);
    cr_assert_null(out[0].data);
}

Test(client_pieces, are_forgotten_with_the_link)
{
    struct job job = {.function = &function, .count = 1, .in_each = in, .out_each = out};
    struct wire_header header;
    struct wire_cursor body;

    given_submitted(&job);
    cr_assert_eq(piece((struct wire_piece){.cargo = {.task = 1, .attempt = 1}, .total = LARGE}), 0);
    cr_assert_eq(want((struct wire_want){{.task = 1, .what = WIRE_WHAT_ARGUMENT}, 1}), 0);
    (void)next_want();
    cr_assert_eq(client_open(&client, 10, 1000, (uint64_t)1 << 20), 0);
    blob_unref(next_frame(WIRE_FUNCTION, &header, &body));
    blob_unref(next_frame(WIRE_SUBMIT, &header, &body));
    no_frame();
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}

/* Lends 100 bytes, of a program only. */
static size_t lend_some(void *given,
                        const struct wire_cargo *cargo,
                        uint8_t *data,
                        size_t size,
                        uint64_t *total,
                        const char **why)
{
    const size_t left = cargo->offset < 100 ? 100 - (size_t)cargo->offset : 0;

    cr_assert_eq(given, &client);
    *why = "because";
    if (cargo->what != WIRE_WHAT_PROGRAM)
        return 0;
    *total = 100;
    memset(data, 'x', left < size ? left : size);
    return left < size ? left : size;
}

Test(client_pieces, of_programs_are_lent_up_to_their_end)
{
    struct job job = {.function = &function, .count = 1, .in_each = in, .out_each = out};
    const struct wire_want wants[] = {
        {{.task = 1, .what = WIRE_WHAT_PROGRAM}, 60},
        {{.task = 1, .what = WIRE_WHAT_PROGRAM, .offset = 60}, 60},
        {{.task = 1, .what = WIRE_WHAT_PROGRAM, .offset = 100}, 60},
        {{.task = 1, .what = WIRE_WHAT_VALUE}, 60},
    };
    static const size_t sizes[] = {60, 40, 7, 7};
    struct wire_header header;
    struct wire_cursor body;
    struct wire_piece got;

    client.pieces.lend = lend_some;
    client.pieces.lend_context = &client;
    given_submitted(&job);
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct blob *frame CLEANUP(blob_unref_p) = NULL;

        cr_assert_eq(want(wants[i]), 0);
        cr_assert_eq(client_next_piece(&client, &frame), 0);
        cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
        cr_assert_eq(wire_get_piece(&body, &got), 0);
        cr_assert_eq(got.bytes.size, sizes[i]);
        cr_assert_eq(got.cargo.flags, i < 2 ? 0 : WIRE_PIECE_GONE);
        cr_assert(i >= 2 || got.total == 100);
    }
    client_give_up(&client, SCOOP_SHUT_DOWN, "");
    job_fini(&job);
}
