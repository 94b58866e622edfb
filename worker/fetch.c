/* Invariant: got <= asked <= total of each fetch in the list whose total is known. */
#include "fetch.h"

#include "cargo.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void want(struct fetches *f, struct fetch *fetch, uint64_t length)
{
    struct wire_want record = {.cargo = fetch->cargo, .length = (uint32_t)length};
    struct blob *const frame = dialler_frame(f->dialler, WIRE_WANT, WIRE_WANT_BYTES);

    record.cargo.offset = fetch->asked;
    fetch->asked += length;
    if (frame == NULL || wire_put_want(frame, &record) != 0) {
        blob_unref(frame);
        f->out_of_memory = true;
        return;
    }
    wire_frame_add_count(frame, 1);
    /* Without a link all of them are dropped soon. */
    if (dialler_send(f->dialler, frame) == -ENOMEM)
        f->out_of_memory = true;
}

/* Ask for more of this one, within its share of the window. */
static void ask(struct fetches *f, struct fetch *fetch)
{
    const uint64_t share = FETCH_WINDOW / f->count;
    const uint64_t piece =
        smaller(share > FETCH_PIECE_MIN ? share : FETCH_PIECE_MIN, WIRE_PIECE_MAX);

    while (fetch->asked < fetch->total &&
           (fetch->asked == fetch->got || fetch->asked - fetch->got + piece <= share))
        want(f, fetch, smaller(piece, fetch->total - fetch->asked));
}

void fetch_start(struct fetches *f, struct fetch *fetch)
{
    fetch->asked = 0;
    fetch->got = 0;
    DL_APPEND(f->list, fetch);
    f->count++;
    if (fetch->total == 0)
        want(f, fetch, FETCH_PIECE_MIN);
    else
        ask(f, fetch);
}

static void leave(struct fetches *f, struct fetch *fetch)
{
    DL_DELETE(f->list, fetch);
    f->count--;
}

void fetch_drop(struct fetches *f, struct fetch *fetch)
{
    leave(f, fetch);
    blob_unref(steal(&fetch->file));
}

static void end(struct fetches *f, struct fetch *fetch, const char *why)
{
    leave(f, fetch);
    fetch->done(fetch, why);
}

static struct fetch *find(const struct fetches *f, const struct wire_piece *piece)
{
    struct wire_cargo cargo = piece->cargo;
    struct fetch *fetch = NULL;

    cargo.offset = 0;
    DL_FOREACH (f->list, fetch) {
        if (wire_cargo_equal(&fetch->cargo, &cargo))
            break;
    }
    return fetch;
}

static void end_gone(struct fetches *f, struct fetch *fetch, const struct wire_piece *piece)
{
    char text[512];
    char why[640];

    wire_text_copy(piece->bytes, text, sizeof(text));
    snprintf(why, sizeof(why), "its %s is not there any more: %s",
             wire_what_name(piece->cargo.what), text);
    end(f, fetch, why);
}

static void end_unwritten(struct fetches *f, struct fetch *fetch, int error)
{
    char why[160];

    snprintf(why, sizeof(why), "its %s of %llu bytes cannot be kept on this host: %s",
             wire_what_name(fetch->cargo.what), (unsigned long long)fetch->total, strerror(-error));
    end(f, fetch, why);
}

/* The first piece tells the size. False: the fetch has ended. */
static bool learn_size(struct fetches *f, struct fetch *fetch, const struct wire_piece *piece)
{
    const char *why = NULL;

    if (fetch->total != 0)
        return true;
    fetch->total = piece->total;
    fetch->asked = smaller(fetch->asked, fetch->total);
    why = fetch->sized(fetch);
    if (why == NULL)
        return true;
    end(f, fetch, why);
    return false;
}

/* Is it what was asked for next? */
static bool fits(const struct fetch *fetch, const struct wire_piece *piece)
{
    return piece->total == fetch->total && piece->cargo.offset == fetch->got &&
           piece->bytes.size != 0 && fetch->got + piece->bytes.size <= fetch->asked;
}

/* All of it, or a negative errno. */
static int write_piece(struct fetch *fetch, const struct wire_piece *piece)
{
    const struct cargo *const cargo = cargo_of(fetch->file);
    const int result = cargo_put(cargo, fetch->got, piece->bytes.data, piece->bytes.size);

    if (result != 0)
        return result;
    fetch->got += piece->bytes.size;
    return fetch->got == fetch->total ? cargo_seal(cargo) : 0;
}

void fetch_take(struct fetches *f, const struct wire_piece *piece)
{
    struct fetch *const fetch = find(f, piece);

    if (fetch == NULL)
        return;
    if ((piece->cargo.flags & WIRE_PIECE_GONE) != 0) {
        end_gone(f, fetch, piece);
        return;
    }
    if (!learn_size(f, fetch, piece))
        return;
    if (!fits(fetch, piece)) {
        end(f, fetch, "what its submitter sent is not what it was asked for");
        return;
    }
    const int result = write_piece(fetch, piece);
    if (result != 0)
        end_unwritten(f, fetch, result);
    else if (fetch->got == fetch->total)
        end(f, fetch, NULL);
    else
        ask(f, fetch);
}

uint64_t fetches_promised(const struct fetches *f)
{
    uint64_t bytes = 0;
    const struct fetch *fetch = NULL;

    DL_FOREACH (f->list, fetch)
        bytes += fetch->total - fetch->got;
    return bytes;
}
