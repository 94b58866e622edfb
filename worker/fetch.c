/* Invariant: got <= asked <= total of each fetch in the list whose total is known. */
#include "fetch.h"

#include "base/clock.h"
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

/* What was asked for and is on our line, as far as anybody can tell: not that of a submitter who does not
 * answer. */
static uint64_t under_way(const struct fetches *f, int64_t now_ms)
{
    const struct fetch *fetch = NULL;
    uint64_t bytes = 0;

    DL_FOREACH (f->list, fetch) {
        if (now_ms - fetch->moved_ms < FETCH_STALLED_MS)
            bytes += fetch->asked - fetch->got;
    }
    return bytes;
}

/* The first that may ask for a piece more within its share. */
static struct fetch *next_to_ask(const struct fetches *f, uint64_t piece, uint64_t share)
{
    struct fetch *fetch = NULL;

    DL_FOREACH (f->list, fetch) {
        if (fetch->asked < fetch->total &&
            (fetch->asked == fetch->got || fetch->asked - fetch->got + piece <= share))
            break;
    }
    return fetch;
}

void fetches_ask(struct fetches *f, int64_t now_ms)
{
    const uint64_t window = f->window != 0 ? f->window : FETCH_WINDOW;
    const uint64_t share = f->count != 0 ? window / f->count : window;
    const uint64_t piece =
        smaller(share > FETCH_PIECE_MIN ? share : FETCH_PIECE_MIN, WIRE_PIECE_MAX);
    uint64_t bytes = under_way(f, now_ms);
    struct fetch *fetch = NULL;

    while (bytes + piece <= window && (fetch = next_to_ask(f, piece, share)) != NULL) {
        const uint64_t length = smaller(piece, fetch->total - fetch->asked);

        if (fetch->asked == fetch->got)
            fetch->moved_ms = now_ms;
        want(f, fetch, length);
        bytes += length;
        DL_DELETE(f->list, fetch);
        DL_APPEND(f->list, fetch);
    }
}

void fetch_start(struct fetches *f, struct fetch *fetch)
{
    fetch->asked = 0;
    fetch->got = 0;
    fetch->moved_ms = clock_now_ms();
    DL_APPEND(f->list, fetch);
    f->count++;
    if (fetch->total == 0)
        want(f, fetch, FETCH_PIECE_MIN);
    else
        fetches_ask(f, fetch->moved_ms);
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
    fetch->moved_ms = clock_now_ms();
    const int result = write_piece(fetch, piece);
    if (result != 0)
        end_unwritten(f, fetch, result);
    else if (fetch->got == fetch->total)
        end(f, fetch, NULL);
    fetches_ask(f, clock_now_ms());
}

uint64_t fetches_promised(const struct fetches *f)
{
    uint64_t bytes = 0;
    const struct fetch *fetch = NULL;

    DL_FOREACH (f->list, fetch)
        bytes += fetch->total - fetch->got;
    return bytes;
}
