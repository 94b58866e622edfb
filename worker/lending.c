/* Invariant: a loan whose bytes are not here has a need in the store, or was answered. */
#include "lending.h"

#include "cargo.h"
#include "pool.h"
#include "task.h"
#include "transfers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

struct loan {
    struct wire_want want;
    struct need need;
    bool refused;
    char why[256];
    struct loan *prev;
    struct loan *next;
};

static void end(struct lending *l, struct loan *loan)
{
    store_drop(l->store, &loan->need);
    DL_DELETE(l->loans, loan);
    free(loan);
}

int lending_want(struct lending *l, const struct wire_want *want)
{
    struct loan *const loan = calloc(1, sizeof(*loan));

    if (loan == NULL)
        return -ENOMEM;
    loan->want = *want;
    DL_APPEND(l->loans, loan);
    return 0;
}

void lending_reset(struct lending *l)
{
    while (l->loans != NULL)
        end(l, l->loans);
}

/* ---- answers ---- */

static struct blob *new_frame(struct lending *l, const struct wire_piece *piece)
{
    struct blob *const frame =
        dialler_frame(l->dialler, WIRE_PIECE, WIRE_PIECE_BYTES + piece->bytes.size);

    if (frame != NULL && wire_put_piece_head(frame, piece) == 0)
        return frame;
    blob_unref(frame);
    l->out_of_memory = true;
    return NULL;
}

/* `frame` is taken. */
static void send(struct lending *l, struct blob *frame)
{
    wire_frame_add_count(frame, 1);
    /* Without a link everything is forgotten soon. */
    if (dialler_send(l->dialler, frame) == -ENOMEM)
        l->out_of_memory = true;
}

static void say_gone(struct lending *l, const struct wire_want *want, const char *why)
{
    struct wire_piece piece = {
        .cargo = want->cargo,
        .bytes = {(const uint8_t *)why, strlen(why)},
    };

    piece.cargo.flags = WIRE_PIECE_GONE;
    struct blob *const frame = new_frame(l, &piece);
    if (frame == NULL)
        return;
    wire_put_bytes(frame, piece.bytes.data, piece.bytes.size);
    send(l, frame);
}

/* A piece of a file of this size. */
static void say_piece(struct lending *l, const struct wire_want *want, const struct cargo *file)
{
    const uint64_t at = want->cargo.offset;
    const uint64_t left = at < file->size ? file->size - at : 0;
    struct wire_piece piece = {
        .cargo = want->cargo,
        .total = file->size,
        .bytes = {NULL, left < want->length ? left : want->length},
    };

    if (left == 0 || file->size > WIRE_LARGE_MAX) {
        say_gone(l, want, "it has no such bytes");
        return;
    }
    struct blob *const frame = new_frame(l, &piece);
    if (frame == NULL)
        return;
    if (cargo_get(file, at, frame->data + frame->size, piece.bytes.size) != 0) {
        blob_unref(frame);
        say_gone(l, want, "it cannot be read");
        return;
    }
    frame->size += piece.bytes.size;
    send(l, frame);
}

/* A piece of a program of this host's image. False: there is none. */
static bool say_piece_of_image(struct lending *l, const struct wire_want *want)
{
    struct cargo file = {.fd = pool_open_program(l->pool, want->cargo.key)};
    struct stat what;

    if (file.fd < 0)
        return false;
    const bool fine = fstat(file.fd, &what) == 0 && what.st_size > 0;
    if (fine) {
        file.size = (uint64_t)what.st_size;
        say_piece(l, want, &file);
    }
    close(file.fd);
    return fine;
}

/* ---- needs ---- */

/* It is in the store now, or will not be. */
static void came(struct need *need, struct blob *file, const char *why)
{
    struct loan *const loan = need->owner;

    loan->refused = file == NULL;
    snprintf(loan->why, sizeof(loan->why), "%s", file == NULL ? why : "");
}

static void fetch_first(struct lending *l, struct loan *loan, const struct task *parent)
{
    loan->need = (struct need){
        .what = loan->want.cargo.what,
        .task = parent->id,
        .attempt = parent->attempt,
        .session = parent->session,
        .direct = parent->moves,
        .loan = true,
        .done = came,
        .owner = loan,
    };
    memcpy(loan->need.key, loan->want.cargo.key, sizeof(loan->need.key));
    if (store_need(l->store, &loan->need) != 0)
        l->out_of_memory = true;
}

/* ---- turns ---- */

/* Answer it, or have it fetched. */
static void serve(struct lending *l, struct loan *loan, int64_t now_ms)
{
    const struct wire_cargo *const cargo = &loan->want.cargo;
    const struct task *const parent = nested_parent(l->nested, cargo->task);
    const struct blob *file = NULL;

    if (parent != NULL && loan->refused) {
        say_gone(l, &loan->want, loan->why);
    } else if (parent != NULL) {
        file = store_find(l->store, cargo->what, cargo->key, now_ms);
        if (file != NULL)
            say_piece(l, &loan->want, cargo_of(file));
        else if (cargo->what != WIRE_WHAT_PROGRAM || !say_piece_of_image(l, &loan->want)) {
            fetch_first(l, loan, parent);
            return;
        }
    }
    end(l, loan);
}

void lending_turn(struct lending *l, int64_t now_ms)
{
    struct loan *loan = NULL;
    struct loan *next = NULL;

    DL_FOREACH_SAFE (l->loans, loan, next) {
        if (!transfers_may_send(l->pool->transfers) || l->out_of_memory)
            return;
        if (loan->need.item == NULL)
            serve(l, loan, now_ms);
    }
}
