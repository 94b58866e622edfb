#include "base/wire.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

/* A frame with one record of most types, as raw bytes behind the header. */
static struct blob *given_frame_with_records(void)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, 7, 0);
    const struct wire_hello hello = {
        .role = WIRE_AGENT,
        .pid = 11,
        .incarnation = 0x1122334455667788,
        .slots = 4,
        .host = text("w1"),
        .name = text("agent"),
        .version = text("0.1.0"),
    };
    const struct wire_task task = {
        .id = 5,
        .function = 2,
        .limit_ms = 500,
        .attempt = 3,
        .argument = text("argument"),
    };
    const struct wire_attempt attempt = {
        .id = 5,
        .attempt = 3,
        .outcome = WIRE_FAILED,
        .run_us = 9,
        .bytes = text("why"),
    };

    cr_assert_eq(wire_put_hello(frame, &hello), 0);
    cr_assert_eq(wire_put_task(frame, &task), 0);
    cr_assert_eq(wire_put_attempt(frame, &attempt), 0);
    wire_frame_add_count(frame, 3);
    return frame;
}

static int read_records(struct wire_cursor *c,
                        struct wire_hello *hello,
                        struct wire_task *task,
                        struct wire_attempt *attempt)
{
    if (wire_get_hello(c, hello) != 0 || wire_get_task(c, task) != 0 ||
        wire_get_attempt(c, attempt) != 0)
        return -EPROTO;
    return wire_read_ok(c);
}

static void assert_text(struct wire_bytes bytes, const char *expected)
{
    cr_assert_eq(bytes.size, strlen(expected));
    cr_assert_arr_eq(bytes.data, expected, bytes.size);
}

Test(wire, reads_back_what_it_wrote)
{
    struct blob *frame CLEANUP(blob_unref_p) = given_frame_with_records();
    struct wire_header header;
    struct wire_cursor body;
    struct wire_hello hello;
    struct wire_task task;
    struct wire_attempt attempt;

    wire_frame_stamp(frame, 21, 20);
    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    cr_assert_eq(header.type, WIRE_SUBMIT);
    cr_assert_eq(header.count, 3);
    cr_assert_eq(header.link, 7);
    cr_assert_eq(header.seq, 21);
    cr_assert_eq(header.ack, 20);
    cr_assert_eq(read_records(&body, &hello, &task, &attempt), 0);
    cr_assert_eq(hello.incarnation, 0x1122334455667788);
    cr_assert_eq(hello.slots, 4);
    assert_text(hello.version, "0.1.0");
    cr_assert_eq(task.limit_ms, 500);
    assert_text(task.argument, "argument");
    cr_assert_eq(attempt.outcome, WIRE_FAILED);
    assert_text(attempt.bytes, "why");
}

Test(wire, takes_needs_of_a_run_that_are_short_and_not_for_one_worker)
{
    struct wire_run run = {.function = 3, .count = 2, .needs = {(const uint8_t *)"gpu=1", 5}};
    struct wire_run read;
    uint8_t longest[WIRE_NEEDS_MAX];

    memset(longest, 'x', sizeof(longest));
    for (int i = 0; i < 3; i++) {
        struct blob *frame CLEANUP(blob_unref_p) = blob_new(0);

        if (i == 1)
            run.needs = (struct wire_bytes){longest, sizeof(longest)};
        if (i == 2)
            run.options.worker = 7;
        cr_assert_eq(wire_put_run(frame, &run), 0);
        struct wire_cursor c = {.at = frame->data, .end = frame->data + frame->size};
        cr_assert_eq(wire_get_run(&c, &read), i < 2 ? 0 : -EPROTO);
        if (i < 2)
            cr_assert_arr_eq(read.needs.data, run.needs.data, run.needs.size);
        frame->data[WIRE_RUN_BYTES +
                    1]++; /* one character more than there may be, or than there is */
        c = (struct wire_cursor){.at = frame->data, .end = frame->data + frame->size};
        cr_assert_eq(wire_get_run(&c, &read), -EPROTO);
    }
}

Test(wire, writes_only_those_options_of_a_run_that_are_not_ordinary)
{
    struct blob *frame CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_run plain = {.function = 3, .count = 2, .argument_bytes = 4, .first_no = 9};
    struct wire_run run = plain;
    struct wire_run read;

    cr_assert_eq(wire_put_run(frame, &plain), 0);
    cr_assert_eq(frame->size, WIRE_RUN_BYTES);
    run.options = (struct wire_options){.retries = 3,
                                        .backoff_ms = 100,
                                        .priority = -100,
                                        .expires_ms = 60000,
                                        .worker = 1ULL << 63};
    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(frame->size, 2 * WIRE_RUN_BYTES + 19);

    struct wire_cursor c = {.at = frame->data, .end = frame->data + frame->size};
    cr_assert_eq(wire_get_run(&c, &read), 0);
    cr_assert(wire_options_equal(&read.options, &plain.options));
    cr_assert_eq(read.function, 3);
    cr_assert_eq(wire_get_run(&c, &read), 0);
    cr_assert(wire_options_equal(&read.options, &run.options));
    cr_assert_eq(wire_read_ok(&c), 0);
}

Test(wire, is_big_endian_at_the_documented_offsets)
{
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_ACK, 0x0102030405060708, 0);
    const uint8_t expected[WIRE_HEADER_BYTES] = {
        1, 5, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8,
        0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 0,
    };

    wire_frame_set_flags(frame, WIRE_FLAG_RESEND);
    wire_frame_add_count(frame, 9);
    wire_frame_stamp(frame, 3, 256);
    cr_assert_eq(frame->size, sizeof(expected));
    cr_assert_arr_eq(frame->data, expected, sizeof(expected));
}

/* Bytes that end exactly where unreadable memory begins. */
static uint8_t *flush_against_guard_page(const uint8_t *data, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *area =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(area, MAP_FAILED);
    cr_assert_eq(mprotect(area + page, page, PROT_NONE), 0);
    cr_assert_leq(size, page);
    if (size != 0)
        memcpy(area + page - size, data, size);
    return area + page - size;
}

Test(wire, refuses_every_truncation_without_reading_past_the_end)
{
    struct blob *frame CLEANUP(blob_unref_p) = given_frame_with_records();
    struct wire_header header;
    struct wire_cursor body;
    struct wire_hello hello;
    struct wire_task task;
    struct wire_attempt attempt;

    for (size_t size = 0; size < frame->size; size++) {
        const uint8_t *cut = flush_against_guard_page(frame->data, size);

        if (wire_frame_read(cut, size, &header, &body) != 0) {
            cr_assert_lt(size, WIRE_HEADER_BYTES);
            continue;
        }
        cr_assert_eq(read_records(&body, &hello, &task, &attempt), -EPROTO, "cut to %zu", size);
    }
}

Test(wire, refuses_bytes_left_over)
{
    struct blob *frame CLEANUP(blob_unref_p) = given_frame_with_records();
    struct wire_header header;
    struct wire_cursor body;
    struct wire_hello hello;
    struct wire_task task;
    struct wire_attempt attempt;

    cr_assert_eq(blob_reserve(frame, 1), 0);
    wire_put_u8(frame, 0);
    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    cr_assert_eq(read_records(&body, &hello, &task, &attempt), -EPROTO);
}

Test(wire, refuses_unknown_version_type_flags_and_link_zero)
{
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_PING, 1, 0);
    struct wire_header header;
    struct wire_cursor body;
    static const struct {
        size_t offset;
        uint8_t value;
    } changes[] = {{0, 2}, {0, 0}, {1, 0}, {1, WIRE_TYPE_END}, {2, 1}, {3, WIRE_FLAG_RESEND},
                   {15, 0}};

    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        const uint8_t before = frame->data[changes[i].offset];

        frame->data[changes[i].offset] = changes[i].value;
        cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), -EPROTO,
                     "change %zu", i);
        frame->data[changes[i].offset] = before;
    }
    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
}

Test(wire, refuses_values_outside_their_range)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(256);
    struct wire_attempt attempt = {.id = 1, .outcome = WIRE_OUTCOME_END};
    struct wire_hello hello = {.role = WIRE_AGENT, .slots = 0};
    struct wire_cursor c;

    cr_assert_eq(wire_put_attempt(b, &attempt), 0);
    c = (struct wire_cursor){.at = b->data, .end = b->data + b->size};
    cr_assert_eq(wire_get_attempt(&c, &attempt), -EPROTO);

    b->size = 0;
    cr_assert_eq(wire_put_hello(b, &hello), 0);
    c = (struct wire_cursor){.at = b->data, .end = b->data + b->size};
    cr_assert_eq(wire_get_hello(&c, &hello), -EPROTO, "an agent without slots");
}

Test(wire, cuts_texts_at_their_limit_when_writing)
{
    char *longest = calloc(1, WIRE_TEXT_MAX + 100);
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    struct wire_failure failure = {.code = 1, .host = text("w1")};

    cr_assert_not_null(longest);
    memset(longest, 'x', WIRE_TEXT_MAX + 99);
    failure.text = text(longest);
    cr_assert_eq(wire_put_failure(b, &failure), 0);
    cr_assert_eq(wire_get_failure((struct wire_bytes){b->data, b->size}, &failure), 0);
    cr_assert_eq(failure.text.size, WIRE_TEXT_MAX);
    free(longest);
}
