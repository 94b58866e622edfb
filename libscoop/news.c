#include "news.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <utlist.h>

struct piece {
    struct piece *prev;
    struct piece *next;
    size_t size;
    uint32_t index;
    uint32_t missing;
    uint16_t attempt;
    alignas(max_align_t) uint8_t data[];
};

/* Of all pieces of this process. */
static atomic_size_t all_bytes;

/* NULL: no memory. */
static struct news *open_news(struct news **news)
{
    if (*news == NULL)
        *news = calloc(1, sizeof(**news));
    return *news;
}

/* ---- what comes ---- */

/* Of another attempt than what is known: what the one before has said of its progress holds no more. */
static void begin_attempt(struct news *n, uint64_t link, uint16_t attempt)
{
    if (n->link == link && n->running_attempt == attempt)
        return;
    n->link = link;
    n->running_attempt = attempt;
    n->running = false;
    n->has_progress = false;
}

static bool take_running(struct news *n, const struct wire_note *note)
{
    uint32_t run_ms = 0;

    if (wire_get_running_ms(note->bytes, &run_ms) != 0)
        return false;
    n->running = run_ms != WIRE_NOT_RUNNING;
    n->has_progress = n->has_progress && n->running;
    return true;
}

static bool take_progress(struct news *n, const struct wire_note *note)
{
    struct wire_progress progress;

    if (wire_get_progress(note->bytes, &progress) != 0)
        return false;
    const bool same =
        n->has_progress && n->progress.done == progress.done && n->progress.total == progress.total;
    n->progress = progress;
    n->has_progress = true;
    return !same;
}

static size_t cost_of(size_t size)
{
    return sizeof(struct piece) + size;
}

static bool has_room(const struct news *n, size_t size)
{
    return n->bytes + cost_of(size) <= NEWS_BYTES_MAX &&
           atomic_load(&all_bytes) + cost_of(size) <= NEWS_ALL_BYTES_MAX;
}

static void free_piece(struct piece *piece)
{
    if (piece != NULL)
        atomic_fetch_sub(&all_bytes, cost_of(piece->size));
    free(piece);
}

static bool put_piece(struct news *n, uint16_t attempt, const struct wire_partial *partial)
{
    const size_t size = partial->bytes.size;
    struct piece *piece = has_room(n, size) ? malloc(cost_of(size)) : NULL;

    if (piece == NULL)
        return false;
    /* An index below the last one is that of an execution that began anew. */
    const bool same = attempt == n->attempt && partial->index >= n->next_index;
    *piece = (struct piece){
        .size = size,
        .index = partial->index,
        .missing = partial->index - (same ? n->next_index : 0),
        .attempt = attempt,
    };
    if (size != 0)
        memcpy(piece->data, partial->bytes.data, size);
    n->attempt = attempt;
    n->next_index = partial->index + 1;
    n->bytes += cost_of(size);
    atomic_fetch_add(&all_bytes, cost_of(size));
    DL_APPEND(n->pieces, piece);
    n->is_new = true;
    return true;
}

static bool take_partial(struct news *n, const struct wire_note *note)
{
    struct wire_partial partial;

    return wire_get_partial(note->bytes, &partial) == 0 && put_piece(n, note->attempt, &partial);
}

bool news_take(struct news **news, uint64_t link, const struct wire_note *note)
{
    struct news *n = open_news(news);
    bool is_new = false;

    if (n == NULL)
        return false;
    begin_attempt(n, link, note->attempt);
    if (note->kind == WIRE_NOTE_RUNNING)
        is_new = take_running(n, note);
    else if (note->kind == WIRE_NOTE_PROGRESS)
        is_new = take_progress(n, note);
    else if (note->kind == WIRE_NOTE_PARTIAL)
        is_new = take_partial(n, note);
    n->is_new = n->is_new || is_new;
    return is_new;
}

void news_say_progress(struct news **news, struct wire_progress progress)
{
    struct news *n = open_news(news);

    if (n == NULL)
        return;
    n->progress = progress;
    n->has_progress = true;
    n->is_new = true;
}

void news_put_piece(struct news **news, uint16_t attempt, const struct wire_partial *partial)
{
    struct news *n = open_news(news);

    if (n != NULL)
        (void)put_piece(n, attempt, partial);
}

/* ---- what is asked ---- */

bool news_is_new(const struct news *n)
{
    return n != NULL && n->is_new;
}

bool news_see(struct news *n)
{
    const bool is_new = news_is_new(n);

    if (is_new)
        n->is_new = false;
    return is_new;
}

bool news_has_piece(const struct news *n)
{
    return n != NULL && n->pieces != NULL;
}

bool news_take_piece(struct news *n, struct scoop_piece *out)
{
    if (!news_has_piece(n))
        return false;
    free_piece(n->taken);
    n->taken = n->pieces;
    DL_DELETE(n->pieces, n->taken);
    n->bytes -= cost_of(n->taken->size);
    *out = (struct scoop_piece){
        .data = n->taken->data,
        .size = n->taken->size,
        .attempt = n->taken->attempt,
        .index = n->taken->index,
        .missing = n->taken->missing,
    };
    return true;
}

void news_free(struct news *n)
{
    struct piece *piece = NULL;
    struct piece *next = NULL;

    if (n == NULL)
        return;
    DL_FOREACH_SAFE (n->pieces, piece, next)
        free_piece(piece);
    free_piece(n->taken);
    free(n);
}
