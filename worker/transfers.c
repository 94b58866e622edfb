/* Invariants: a task here is in one of the three lists; what is read for a WANT is only as much as the
 * link can take soon, the other wants wait. */
#include "transfers.h"

#include "base/clock.h"
#include "base/log.h"
#include "cargo.h"
#include "lending.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* The echo of a PING: what is slower endangers the lease of 3 s, what is quicker has room for more. */
#define ROUND_SLOW_MS  600
#define ROUND_QUICK_MS (ROUND_SLOW_MS / 2)

/* Outcomes and the like. */
#define SMALL_BYTES ((size_t)16 << 10)

/* A piece of a result that is to be sent. */
struct wanted {
    uint64_t offset;
    uint32_t length;
    struct wanted *next;
};

struct transfer {
    struct task task;
    struct fetch fetch;    /* of an argument */
    struct blob *file;     /* of a result: a cargo, owned */
    uint32_t run_us;       /* likewise */
    struct wanted *wanted; /* likewise; owned; utlist LL */
    struct transfers *all;
    struct transfer *prev;
    struct transfer *next;
};

uint64_t transfers_window(uint64_t window, int64_t round_ms, uint64_t moved, int64_t elapsed_ms)
{
    if (round_ms > ROUND_SLOW_MS)
        return window / 2 > FETCH_PIECE_MIN ? window / 2 : FETCH_PIECE_MIN;
    /* One PING may have met an empty line: what has passed tells more. */
    if (round_ms < ROUND_QUICK_MS && moved * ROUND_SLOW_MS >= 2 * window * (uint64_t)elapsed_ms)
        return window * 2 < FETCH_WINDOW ? window * 2 : FETCH_WINDOW;
    return window;
}

/* PINGs stand behind what is under way; their echoes tell whether that is too much for the line. */
static void adapt_window(struct transfers *t, int64_t now_ms)
{
    const uint64_t moved = t->taken > t->sent ? t->taken : t->sent;

    if (t->window == 0)
        t->window = TRANSFERS_WINDOW_FIRST;
    if (dialler_rounds(t->dialler) != t->rounds) {
        t->window = transfers_window(t->window, dialler_round_ms(t->dialler), moved,
                                     now_ms - t->adapted_ms);
        t->rounds = dialler_rounds(t->dialler);
        t->adapted_ms = now_ms;
        t->taken = 0;
        t->sent = 0;
    }
    t->fetches.window = t->window;
}

bool transfers_may_send(const struct transfers *t)
{
    const bool slow = t->window != 0 && t->window < TRANSFERS_WINDOW_FIRST;

    /* A client wants large pieces: then it is one at a time. */
    return dialler_unacked_bytes(t->dialler) < (slow ? SMALL_BYTES : t->window);
}

static struct transfer *new_transfer(struct transfers *t, const struct task *task)
{
    struct transfer *const transfer = calloc(1, sizeof(*transfer));

    if (transfer == NULL)
        return NULL;
    transfer->task = *task;
    transfer->all = t;
    t->count++;
    return transfer;
}

static void free_transfer(struct transfer *transfer)
{
    while (transfer->wanted != NULL) {
        struct wanted *const wanted = transfer->wanted;

        transfer->wanted = wanted->next;
        free(wanted);
    }
    transfer->all->count--;
    blob_unref(transfer->file);
    blob_unref(transfer->task.frame);
    free(transfer);
}

/* ---- arguments ---- */

int transfers_fetch(struct transfers *t, const struct task *task)
{
    if (pool_refuses(t->pool, task, clock_now_ms()))
        return 0;
    struct transfer *const transfer = new_transfer(t, task);
    if (transfer == NULL)
        return -ENOMEM;
    DL_APPEND(t->waiting, transfer);
    return 0;
}

static void fail(struct transfer *transfer, enum wire_outcome outcome, const char *why)
{
    log_warn("argument_not_fetched", "task=%llx attempt=%u reason=\"%s\"",
             (unsigned long long)transfer->task.id, transfer->task.attempt, why);
    report_failure(transfer->all->report, &transfer->task, outcome, 0, why);
    free_transfer(transfer);
}

/* The argument has come; or it will not. */
static void fetched(struct fetch *fetch, const char *why)
{
    struct transfer *const transfer = fetch->owner;
    struct transfers *const t = transfer->all;

    DL_DELETE(t->coming, transfer);
    transfer->task.frame = steal(&fetch->file);
    if (why != NULL) {
        fail(transfer, WIRE_REFUSED_TASK, why);
        return;
    }
    transfer->task.cargo = cargo_of(transfer->task.frame);
    if (pool_add(t->pool, &transfer->task, clock_now_ms()) == 0)
        transfer->task.frame = NULL;
    else
        t->out_of_memory = true;
    free_transfer(transfer);
}

/* As a crash, so that it is tried elsewhere, but not for ever. */
static void fail_without_room(struct transfer *transfer, uint64_t room)
{
    char why[200];

    snprintf(why, sizeof(why),
             "its argument of %llu bytes does not fit into this host's memory: %llu bytes are free",
             (unsigned long long)transfer->task.argument_bytes, (unsigned long long)room);
    fail(transfer, WIRE_CRASHED, why);
}

/* Bytes for which there is room; what others were promised and have not got yet is taken. */
static uint64_t free_room(const struct transfers *t)
{
    const uint64_t promised = TRANSFERS_SPARE_BYTES + fetches_promised(&t->fetches);
    const uint64_t room = t->room("");
    return room > promised ? room - promised : 0;
}

/* Begin the first one that waits. False: it goes on waiting. */
static bool begin_first(struct transfers *t)
{
    struct transfer *const transfer = t->waiting;
    const uint64_t size = transfer->task.argument_bytes;

    if (t->held != 0 && t->held == t->held_before)
        return false; /* nothing has gone since it was looked at */
    const uint64_t room = free_room(t);
    t->held_before = size > room ? t->held : 0;
    if (size > room && t->held != 0)
        return false; /* others go, and leave theirs */
    DL_DELETE(t->waiting, transfer);
    if (size > room) {
        fail_without_room(transfer, room);
        return true;
    }
    transfer->fetch = (struct fetch){
        .cargo = {.task = transfer->task.id,
                  .attempt = transfer->task.attempt,
                  .what = WIRE_WHAT_ARGUMENT},
        .total = size,
        .file = cargo_new(size, &t->held),
        .done = fetched,
        .owner = transfer,
    };
    if (transfer->fetch.file == NULL) {
        fail(transfer, WIRE_CRASHED, strerror(errno));
        return true;
    }
    DL_APPEND(t->coming, transfer);
    fetch_start(&t->fetches, &transfer->fetch);
    return true;
}

int transfers_piece(struct transfers *t, struct dialler_input *in)
{
    struct wire_piece piece;

    for (uint32_t i = 0; i < in->header.count; i++) {
        if (wire_get_piece(&in->body, &piece) != 0)
            return -EPROTO;
        t->taken += piece.bytes.size;
        fetch_take(&t->fetches, &piece);
    }
    return wire_read_ok(&in->body);
}

/* ---- results ---- */

/* `data` of the piece's bytes is NULL: they are read from the file. */
static void send_piece(struct transfers *t, struct transfer *transfer, struct wire_piece *piece)
{
    struct blob *const frame =
        dialler_frame(t->dialler, WIRE_PIECE, WIRE_PIECE_BYTES + piece->bytes.size);
    const struct cargo *const cargo = cargo_of(transfer->file);

    piece->cargo.task = transfer->task.id;
    piece->cargo.attempt = transfer->task.attempt;
    piece->cargo.what = WIRE_WHAT_RESULT;
    piece->total = cargo->size;
    if (frame == NULL || wire_put_piece_head(frame, piece) != 0 ||
        cargo_get(cargo, piece->cargo.offset, frame->data + frame->size, piece->bytes.size) != 0) {
        blob_unref(frame);
        t->out_of_memory = true;
        return;
    }
    frame->size += piece->bytes.size;
    t->sent += piece->bytes.size;
    wire_frame_add_count(frame, 1);
    if (dialler_send(t->dialler, frame) == -ENOMEM)
        t->out_of_memory = true;
}

void transfers_offer(struct transfers *t,
                     const struct task *task,
                     uint32_t run_us,
                     struct blob *file)
{
    struct transfer *const transfer = new_transfer(t, task);
    struct wire_piece offer = {.total = 0};

    if (transfer == NULL) {
        blob_unref(file);
        blob_unref(task->frame);
        t->out_of_memory = true;
        return;
    }
    /* Its argument is needed no more. */
    blob_unref(steal(&transfer->task.frame));
    transfer->task.cargo = NULL;
    transfer->file = file;
    transfer->run_us = run_us;
    DL_APPEND(t->leaving, transfer);
    send_piece(t, transfer, &offer);
}

static void finish(struct transfers *t, struct transfer *transfer)
{
    DL_DELETE(t->leaving, transfer);
    report_moved(t->report, &transfer->task, transfer->run_us, cargo_of(transfer->file)->size);
    free_transfer(transfer);
}

static struct transfer *find_leaving(struct transfers *t, const struct wire_cargo *cargo)
{
    struct transfer *transfer = NULL;

    DL_FOREACH (t->leaving, transfer) {
        if (transfer->task.id == cargo->task && transfer->task.attempt == cargo->attempt)
            break;
    }
    return transfer;
}

/* What comes too late is passed over. */
static int take_want(struct transfers *t, const struct wire_want *want)
{
    struct transfer *const transfer = find_leaving(t, &want->cargo);

    if (want->cargo.what == WIRE_WHAT_PROGRAM || want->cargo.what == WIRE_WHAT_VALUE)
        return t->lending != NULL ? lending_want(t->lending, want) : 0;
    if (want->cargo.what != WIRE_WHAT_RESULT)
        return -EPROTO; /* an argument of a child is never large */
    if (transfer == NULL)
        return 0;
    if (want->length == 0) {
        finish(t, transfer);
        return 0;
    }
    const uint64_t size = cargo_of(transfer->file)->size;
    if (want->cargo.offset >= size || want->length > size - want->cargo.offset)
        return 0; /* a client's nonsense is no reason to lose the others' tasks */
    struct wanted *const wanted = malloc(sizeof(*wanted));
    if (wanted == NULL)
        return -ENOMEM;
    *wanted = (struct wanted){.offset = want->cargo.offset, .length = want->length};
    LL_APPEND(transfer->wanted, wanted);
    return 0;
}

int transfers_want(struct transfers *t, struct dialler_input *in)
{
    struct wire_want want;

    for (uint32_t i = 0; i < in->header.count; i++) {
        if (wire_get_want(&in->body, &want) != 0)
            return -EPROTO;
        const int result = take_want(t, &want);
        if (result != 0)
            return result;
    }
    return wire_read_ok(&in->body);
}

/* The oldest piece that is wanted of this result. */
static void serve(struct transfers *t, struct transfer *transfer)
{
    struct wanted *const wanted = transfer->wanted;
    struct wire_piece piece = {
        .cargo = {.offset = wanted->offset},
        .bytes = {NULL, wanted->length},
    };

    transfer->wanted = wanted->next;
    free(wanted);
    send_piece(t, transfer, &piece);
}

static struct transfer *first_wanted(const struct transfers *t)
{
    struct transfer *transfer = NULL;

    DL_FOREACH (t->leaving, transfer) {
        if (transfer->wanted != NULL)
            break;
    }
    return transfer;
}

/* They take turns: one that was served goes to the end. */
static void serve_all(struct transfers *t)
{
    struct transfer *transfer = NULL;

    while (transfers_may_send(t) && !t->out_of_memory && (transfer = first_wanted(t)) != NULL) {
        serve(t, transfer);
        DL_DELETE(t->leaving, transfer);
        DL_APPEND(t->leaving, transfer);
    }
}

/* ---- all of them ---- */

void transfers_turn(struct transfers *t)
{
    const int64_t now_ms = clock_now_ms();

    adapt_window(t, now_ms);
    while (t->waiting != NULL && t->fetches.count < FETCHES_MAX && begin_first(t))
        continue;
    fetches_ask(&t->fetches, now_ms);
    serve_all(t);
    t->out_of_memory = t->out_of_memory || t->fetches.out_of_memory;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static bool is_listed(const struct transfer *transfer, const uint64_t *ids, size_t count)
{
    return bsearch(&transfer->task.id, ids, count, sizeof(*ids), compare_ids) != NULL;
}

static void revoke_argument(struct transfer *transfer)
{
    report_failure(transfer->all->report, &transfer->task, WIRE_CANCELLED, WIRE_NEVER_RAN,
                   "revoked before it ran");
    free_transfer(transfer);
}

void transfers_revoke(struct transfers *t, const uint64_t *ids, size_t count)
{
    struct transfer *transfer = NULL;
    struct transfer *next = NULL;

    DL_FOREACH_SAFE (t->waiting, transfer, next) {
        if (!is_listed(transfer, ids, count))
            continue;
        DL_DELETE(t->waiting, transfer);
        revoke_argument(transfer);
    }
    DL_FOREACH_SAFE (t->coming, transfer, next) {
        if (!is_listed(transfer, ids, count))
            continue;
        DL_DELETE(t->coming, transfer);
        fetch_drop(&t->fetches, &transfer->fetch);
        revoke_argument(transfer);
    }
    DL_FOREACH_SAFE (t->leaving, transfer, next) {
        if (is_listed(transfer, ids, count))
            finish(t, transfer); /* it ran to its end, and nobody takes its result */
    }
}

void transfers_reset(struct transfers *t)
{
    struct transfer *transfer = NULL;
    struct transfer *next = NULL;

    /* The link may have been lost because of what was under way. */
    if (t->fetches.count != 0 || t->leaving != NULL)
        t->window = transfers_window(t->window, INT64_MAX, 0, 0);
    DL_FOREACH_SAFE (t->waiting, transfer, next)
        free_transfer(transfer);
    DL_FOREACH_SAFE (t->coming, transfer, next) {
        fetch_drop(&t->fetches, &transfer->fetch);
        free_transfer(transfer);
    }
    DL_FOREACH_SAFE (t->leaving, transfer, next)
        free_transfer(transfer);
    t->waiting = NULL;
    t->coming = NULL;
    t->leaving = NULL;
}
