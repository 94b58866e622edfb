/* Large arguments and results at the agent, which has no link here: what it would send is lost. */
#include "worker/transfers.h"

#include "worker/cargo.h"
#include "worker/pool.h"

#include <criterion/criterion.h>
#include <string.h>
#include <utlist.h>
#include <zmq.h>

#define KIB ((uint32_t)1 << 10)

static uint64_t room;

static uint64_t room_of_test(const char *root)
{
    (void)root;
    return room;
}

static void *context;
static struct report report;
static struct program *program;
static struct function *function;
static struct pool pool;
static struct transfers transfers;
static uint64_t next_id;

static struct wire_bytes view(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void before(void)
{
    const uint8_t sha256[PROGRAM_SHA256_BYTES] = {0};
    const struct wire_function wire = {
        .argument_bytes = WIRE_VARIABLE,
        .result_bytes = WIRE_VARIABLE,
        .name = view("f"),
    };

    context = zmq_ctx_new();
    const struct dialler_config config = {
        .context = context,
        .endpoint = "ipc:///nonexistent/test",
        .role = WIRE_AGENT,
        .name = "test",
    };
    room = (uint64_t)1 << 40;
    next_id = 1;
    cr_assert_eq(dialler_new(&config, &report.dialler), 0);
    report.host = "h";
    program = program_new(view(""), sha256);
    program->path = strdup("/bin/true"); /* it was found */
    function = program_function(program, &wire);
    pool = (struct pool){.slots = 4, .report = &report};
    transfers = (struct transfers){
        .dialler = report.dialler,
        .report = &report,
        .pool = &pool,
        .fetches.dialler = report.dialler,
        .room = room_of_test,
    };
}

static void after(void)
{
    transfers_reset(&transfers);
    cr_assert_eq(transfers.count, 0);
    task_queue_fini(&pool.waiting);
    cr_assert_eq(transfers.held, 0, "a file leaked");
    report_fini(&report);
    program_free(program);
    dialler_free(report.dialler);
    zmq_ctx_term(context);
}

TestSuite(transfers, .init = before, .fini = after);

static uint64_t fetch(uint32_t bytes)
{
    const struct task task = {
        .id = next_id++,
        .function = function,
        .argument_bytes = bytes,
        .attempt = 1,
    };

    cr_assert_eq(transfers_fetch(&transfers, &task), 0);
    transfers_turn(&transfers);
    return task.id;
}

/* A PIECE frame comes. */
static int
piece(uint64_t id, uint64_t offset, uint64_t total, struct wire_bytes bytes, uint8_t flags)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_piece record = {
        .cargo = {.task = id,
                  .attempt = 1,
                  .what = WIRE_WHAT_ARGUMENT,
                  .flags = flags,
                  .offset = offset},
        .total = total,
        .bytes = bytes,
    };

    cr_assert_eq(wire_put_piece(b, &record), 0);
    struct dialler_input in = {
        .header.count = 1,
        .body = {.at = b->data, .end = b->data + b->size},
    };
    const int result = transfers_piece(&transfers, &in);
    transfers_turn(&transfers);
    return result;
}

static int want(uint64_t id, uint64_t offset, uint32_t length)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_want record = {
        .cargo = {.task = id, .attempt = 1, .what = WIRE_WHAT_RESULT, .offset = offset},
        .length = length,
    };

    cr_assert_eq(wire_put_want(b, &record), 0);
    struct dialler_input in = {
        .header.count = 1,
        .body = {.at = b->data, .end = b->data + b->size},
    };
    const int result = transfers_want(&transfers, &in);
    transfers_turn(&transfers);
    return result;
}

/* The last outcome that was reported. */
static struct wire_attempt last_outcome(void)
{
    struct wire_header header;
    struct wire_cursor body;
    struct wire_attempt outcome = {0};

    cr_assert_not_null(report.frame);
    cr_assert_eq(wire_frame_read(report.frame->data, report.frame->size, &header, &body), 0);
    for (uint32_t i = 0; i < header.count; i++)
        cr_assert_eq(wire_get_attempt(&body, &outcome), 0);
    return outcome;
}

static void assert_failed(enum wire_outcome how, const char *text)
{
    const struct wire_attempt outcome = last_outcome();
    struct wire_failure failure;

    cr_assert_eq(outcome.outcome, how);
    cr_assert_eq(wire_get_failure(outcome.bytes, &failure), 0);
    cr_assert_eq(failure.text.size, strlen(text), "%.*s", (int)failure.text.size,
                 (const char *)failure.text.data);
    cr_assert_arr_eq(failure.text.data, text, failure.text.size);
}

Test(transfers, give_a_task_to_the_pool_when_all_of_its_argument_has_come)
{
    const uint64_t id = fetch(6);
    uint8_t read[6];

    cr_assert_eq(piece(id, 0, 6, view("abc"), 0), 0);
    cr_assert_eq(pool.waiting.count, 0);
    cr_assert_eq(piece(id, 3, 6, view("def"), 0), 0);
    cr_assert_eq(pool.waiting.count, 1);
    cr_assert_eq(transfers.count, 0);
    const struct task *task = task_queue_at(&pool.waiting, 0);
    cr_assert_eq(task->id, id);
    cr_assert_eq(task->cargo->size, 6);
    cr_assert_eq(cargo_get(task->cargo, 0, read, 6), 0);
    cr_assert_arr_eq(read, "abcdef", 6);
}

Test(transfers, take_no_piece_that_was_not_asked_for_next)
{
    static const char why[] = "what its submitter sent is not what it was asked for";

    cr_assert_eq(piece(fetch(6), 1, 6, view("abc"), 0), 0);
    assert_failed(WIRE_REFUSED_TASK, why); /* another offset */
    const uint64_t id = fetch(6);
    cr_assert_eq(piece(id, 0, 7, view("abc"), 0), 0);
    assert_failed(WIRE_REFUSED_TASK, why); /* another size */
    cr_assert_eq(piece(id + 1, 0, 6, view("abc"), 0), 0, "of a task that is gone");
    const uint64_t large = fetch((uint32_t)FETCH_WINDOW * 2);
    static const uint8_t bytes[WIRE_PIECE_MAX];
    const struct wire_bytes whole = {bytes, sizeof(bytes)};
    uint64_t offset = 0;
    int result = 0;
    while (offset < FETCH_WINDOW * 2 &&
           (result = piece(large, offset, FETCH_WINDOW * 2, whole, 0)) == 0)
        offset += sizeof(bytes);
    cr_assert_eq(result, 0, "as fast as they are asked for");
}

Test(transfers, end_a_task_whose_argument_is_gone_with_the_reason)
{
    const uint64_t id = fetch(6);

    cr_assert_eq(piece(id, 0, 0, view("because"), WIRE_PIECE_GONE), 0);
    cr_assert_eq(transfers.count, 0);
    assert_failed(WIRE_REFUSED_TASK, "its argument is not there any more: because");
}

Test(transfers, fetch_nothing_for_a_program_that_is_not_here)
{
    const uint8_t sha256[PROGRAM_SHA256_BYTES] = {1};
    const struct wire_function wire = {
        .argument_bytes = WIRE_VARIABLE,
        .result_bytes = WIRE_VARIABLE,
        .name = view("f"),
    };
    struct program *other = program_new(view("other"), sha256);
    const struct task task = {
        .id = 1,
        .function = program_function(other, &wire),
        .argument_bytes = 1000,
        .attempt = 1,
    };

    pool.folders = "/nonexistent";
    pool.host = "h";
    cr_assert_eq(transfers_fetch(&transfers, &task), 0);
    cr_assert_eq(transfers.count, 0);
    cr_assert_eq(last_outcome().outcome, WIRE_REFUSED_TASK);
    program_free(other);
}

Test(transfers, wait_for_memory_while_others_hold_some)
{
    room = TRANSFERS_SPARE_BYTES + 100 * KIB;
    const uint64_t first = fetch(60 * KIB);
    fetch(60 * KIB);

    cr_assert_eq(transfers.fetches.count, 1);
    transfers_revoke(&transfers, &first, 1);
    cr_assert_eq(last_outcome().outcome, WIRE_CANCELLED);
    transfers_turn(&transfers);
    cr_assert_eq(transfers.fetches.count, 1, "now it is the other's turn");
    cr_assert_eq(transfers.count, 1);
}

Test(transfers, end_a_task_whose_argument_never_fits_as_crashed)
{
    room = TRANSFERS_SPARE_BYTES + 100;
    fetch(101);
    cr_assert_eq(transfers.count, 0);
    assert_failed(
        WIRE_CRASHED,
        "its argument of 101 bytes does not fit into this host's memory: 100 bytes are free");
}

static uint64_t offer(uint64_t size)
{
    const struct task task = {.id = next_id++, .function = function, .attempt = 1};
    struct blob *file = cargo_new(size, &transfers.held);

    cr_assert_not_null(file);
    transfers_offer(&transfers, &task, 77, file);
    return task.id;
}

Test(transfers, report_a_result_when_all_of_it_was_taken)
{
    const uint64_t id = offer(1000);

    cr_assert_eq(want(id, 0, 600), 0);
    cr_assert_eq(want(id, 600, 400), 0);
    cr_assert_null(report.frame);
    cr_assert_eq(want(id, 1000, 0), 0);
    const struct wire_attempt outcome = last_outcome();
    struct wire_cursor c = {.at = outcome.bytes.data,
                            .end = outcome.bytes.data + outcome.bytes.size};
    cr_assert_eq(outcome.id, id);
    cr_assert_eq(outcome.outcome, WIRE_OK);
    cr_assert_eq(outcome.flags, WIRE_ATTEMPT_MOVED);
    cr_assert_eq(outcome.run_us, 77);
    cr_assert_eq(wire_get_u64(&c), 1000);
    cr_assert_eq(transfers.count, 0);
}

Test(transfers, pass_over_a_want_beyond_the_result)
{
    const uint64_t id = offer(1000);

    cr_assert_eq(want(id, 1000, 1), 0);
    cr_assert_eq(want(id, 500, 501), 0);
    cr_assert_eq(want(id + 1, 0, 1), 0);
    cr_assert_not(transfers.out_of_memory);
    cr_assert_eq(transfers.count, 1);
}

Test(transfers, have_less_under_way_on_a_slow_line_and_more_on_a_quick_one)
{
    const uint64_t first = TRANSFERS_WINDOW_FIRST;

    cr_assert_eq(transfers_window(first, 10, 4 * first, 1000), 2 * first);
    cr_assert_eq(transfers_window(first, 10, 2 * first, 1000), first, "twice would be slow");
    cr_assert_eq(transfers_window(first, 400, 9 * first, 1000), first, "neither slow nor quick");
    cr_assert_eq(transfers_window(first, 700, 0, 1000), first / 2);
    cr_assert_eq(transfers_window(FETCH_PIECE_MIN, 3000, 0, 1000), FETCH_PIECE_MIN);
    cr_assert_eq(transfers_window(FETCH_WINDOW, 1, 1ULL << 40, 1000), FETCH_WINDOW);
}

static uint64_t under_way(void)
{
    const struct fetch *fetch = NULL;
    uint64_t bytes = 0;

    DL_FOREACH (transfers.fetches.list, fetch)
        bytes += fetch->asked - fetch->got;
    return bytes;
}

Test(transfers, ask_for_no_more_than_the_window_however_many_come_at_once)
{
    transfers.window = 2 * FETCH_PIECE_MIN;
    for (int i = 0; i < 16; i++)
        fetch(2048 * KIB);
    cr_assert_eq(transfers.fetches.count, 16);
    cr_assert_eq(under_way(), 2 * FETCH_PIECE_MIN);
}

Test(transfers, take_turns_in_a_small_window)
{
    static const uint8_t bytes[FETCH_PIECE_MIN];
    const struct wire_bytes whole = {bytes, sizeof(bytes)};

    transfers.window = FETCH_PIECE_MIN;
    const uint64_t first = fetch(2048 * KIB);
    const uint64_t second = fetch(2048 * KIB);
    cr_assert_eq(piece(first, 0, 2048 * KIB, whole, 0), 0);
    cr_assert_eq(piece(first, sizeof(bytes), 2048 * KIB, whole, 0), 0);
    cr_assert_eq(piece(second, 0, 2048 * KIB, whole, 0), 0);
    cr_assert_eq(piece(first, 2 * sizeof(bytes), 2048 * KIB, whole, 0), 0);
    cr_assert_eq(transfers.count, 2, "each came when it was asked for");
    cr_assert_eq(under_way(), FETCH_PIECE_MIN);
}

Test(transfers, go_on_beside_one_whose_submitter_does_not_answer)
{
    transfers.window = FETCH_PIECE_MIN;
    fetch(2048 * KIB);
    fetch(2048 * KIB);
    cr_assert_eq(under_way(), FETCH_PIECE_MIN);
    const struct fetch *silent = transfers.fetches.list;
    cr_assert_eq(silent->asked, FETCH_PIECE_MIN);
    fetches_ask(&transfers.fetches, silent->moved_ms + FETCH_STALLED_MS);
    cr_assert_eq(under_way(), 2 * FETCH_PIECE_MIN);
}

Test(transfers, of_revoked_tasks_end)
{
    const uint64_t result = offer(1000);
    const uint64_t argument = fetch(1000);
    const uint64_t ids[] = {result, argument};

    transfers_revoke(&transfers, ids, 2);
    cr_assert_eq(transfers.count, 0);
    cr_assert_eq(report.total, 2);
}
