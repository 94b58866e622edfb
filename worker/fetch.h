/* Bytes that this host wants from those who submitted its tasks, piece by piece. Source:
 * docs/PROTOCOL.md section 4, "Pieces".
 *
 * All fetches together have `window` bytes under way: the link is the agent's only one, and its PINGs
 * stand behind the pieces. They take turns, and one whose submitter does not answer holds up no other. A
 * fetch is embedded in what belongs to its owner, who is told its end by a call; pieces come in order. One
 * thread. */
#ifndef WORKER_FETCH_H
#define WORKER_FETCH_H

#include "base/blob.h"
#include "base/dialler.h"
#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define FETCH_WINDOW    ((uint64_t)1 << 20)
#define FETCH_PIECE_MIN ((uint64_t)64 << 10)
/* Fetches at the same time: as many as the window has pieces. */
#define FETCHES_MAX (FETCH_WINDOW / FETCH_PIECE_MIN)
/* What did not come for so long is not on our line. */
#define FETCH_STALLED_MS 3000

struct fetch;

/* All of it is in `file`, sealed (why NULL), or it will not come: why, for people. The fetch is out of
 * the list, and `file` is the callee's. */
typedef void fetch_done(struct fetch *fetch, const char *why);

/* The size of what comes is known now: make `file`. NULL, or why it cannot be had, for people. */
typedef const char *fetch_sized(struct fetch *fetch);

struct fetch {
    struct wire_cargo cargo; /* which bytes; the offset is not used */
    uint64_t total;          /* of them; 0: the first piece tells */
    uint64_t asked;          /* up to here they were asked for */
    uint64_t got;            /* up to here they are in the file */
    int64_t moved_ms;        /* when something came, or was asked for with nothing on its way */
    struct blob *file;  /* a cargo of `total` bytes, owned; NULL as long as that is not known */
    fetch_sized *sized; /* NULL: it was known at the start */
    fetch_done *done;
    void *owner; /* for the callee */
    struct fetch *prev;
    struct fetch *next;
};

struct fetches {
    struct dialler *dialler; /* borrowed */
    struct fetch *list;      /* utlist DL; who is first asks next */
    uint32_t count;
    uint64_t window;    /* FETCH_PIECE_MIN ... FETCH_WINDOW; 0: FETCH_WINDOW */
    bool out_of_memory; /* a WANT could not be made: the agent cannot go on */
};

/* Begin; `cargo`, `done` and `owner` are set, and either `total` and `file`, or `sized`. Borrowed until it
 * is done or dropped. */
void fetch_start(struct fetches *fetches, struct fetch *fetch);

/* Nobody needs it any more; `file` is dropped, `done` is not called. */
void fetch_drop(struct fetches *fetches, struct fetch *fetch);

/* A PIECE: what belongs to none (any more) is passed over, and what was not asked for so ends its fetch. */
void fetch_take(struct fetches *fetches, const struct wire_piece *piece);

/* Ask for what the window has room for; once in each turn of the loop. */
void fetches_ask(struct fetches *fetches, int64_t now_ms);

/* Bytes that are still to come. */
uint64_t fetches_promised(const struct fetches *fetches);

#endif
