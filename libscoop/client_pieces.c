/* Invariants: got <= asked <= total of each arrival; `active` counts those with data of which something
 * is still to come. */
#include "client_pieces.h"

#include "after.h"
#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct arrival {
    uint64_t no;
    uint16_t attempt;
    uint64_t total;
    uint64_t asked;
    uint64_t got;
    uint8_t *data; /* owned; NULL: not begun, or it is not kept */
    bool begun;
    bool told; /* its agent, that all has come */
    struct arrival *prev;
    struct arrival *next;
};

struct wanted {
    struct wire_want want;
    struct wanted *next;
};

bool pieces_are_for(const struct job *job, uint32_t index)
{
    const struct scoop_function *function = job->function;

    /* What is for the broker itself has to be there. */
    if (function->argument_bytes != SCOOP_VARIABLE || after_count(job) != 0 ||
        (function->builtin && strncmp(function->name, "broker.", 7) == 0))
        return false;
    return job_argument(job, index).size > WIRE_INLINE_MAX;
}

void pieces_init(struct pieces *p)
{
    *p = (struct pieces){0};
    p->wanted_tail = &p->wanted;
}

static bool is_active(const struct arrival *a)
{
    return a->data != NULL && a->got < a->total;
}

static void drop_arrival(struct pieces *p, struct arrival *a)
{
    p->active -= is_active(a);
    DL_DELETE(p->arrivals, a);
    free(a->data);
    free(a);
}

static struct wanted *pop_wanted(struct pieces *p)
{
    struct wanted *wanted = p->wanted;

    p->wanted = wanted->next;
    if (p->wanted == NULL)
        p->wanted_tail = &p->wanted;
    return wanted;
}

void pieces_reset(struct pieces *p)
{
    while (p->arrivals != NULL)
        drop_arrival(p, p->arrivals);
    while (p->wanted != NULL)
        free(pop_wanted(p));
}

/* ---- arguments ---- */

int client_take_wants(struct client *client,
                      const struct wire_header *header,
                      struct wire_cursor *body)
{
    struct pieces *p = &client->pieces;
    struct wire_want want;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_want(body, &want) != 0)
            return -EPROTO;
        struct wanted *wanted = malloc(sizeof(*wanted));
        if (wanted == NULL)
            return -ENOMEM;
        *wanted = (struct wanted){.want = want};
        *p->wanted_tail = wanted;
        p->wanted_tail = &wanted->next;
    }
    return wire_read_ok(body);
}

/* What is wanted, as a piece; the caller of an abandoned job may have taken its argument back. */
static void
find_bytes(const struct ledger_entry *entry, const struct wire_want *want, struct wire_piece *out)
{
    static const char gone[] = "the program that submitted it waits for it no more";
    struct wire_bytes argument = {NULL, 0};

    *out = (struct wire_piece){.cargo = want->cargo};
    if (!entry->job->abandoned && want->cargo.what == WIRE_WHAT_ARGUMENT)
        argument = job_argument(entry->job, entry->index);
    if (want->cargo.offset >= argument.size || want->length > argument.size - want->cargo.offset) {
        out->cargo.flags = WIRE_PIECE_GONE;
        out->bytes = (struct wire_bytes){(const uint8_t *)gone, sizeof(gone) - 1};
        return;
    }
    out->total = argument.size;
    out->bytes = (struct wire_bytes){argument.data + want->cargo.offset, want->length};
}

static struct blob *piece_frame(const struct client *client, const struct wire_piece *piece)
{
    struct blob *frame =
        wire_frame_new(WIRE_PIECE, client->link, WIRE_PIECE_BYTES + piece->bytes.size);

    if (frame == NULL || wire_put_piece(frame, piece) != 0) {
        blob_unref(frame);
        return NULL;
    }
    wire_frame_add_count(frame, 1);
    return frame;
}

/* What is lent, or that it is not. NULL: out of memory. */
static struct blob *lent_frame(const struct client *client, const struct wire_want *want)
{
    const struct pieces *p = &client->pieces;
    const char *why = "the program that submitted it has no such bytes";
    struct wire_piece piece = {.cargo = want->cargo};
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(want->length);

    if (bytes == NULL)
        return NULL;
    if (p->lend != NULL)
        bytes->size =
            p->lend(p->lend_context, &want->cargo, bytes->data, want->length, &piece.total, &why);
    if (bytes->size != 0) {
        piece.bytes = (struct wire_bytes){bytes->data, bytes->size};
    } else {
        piece.cargo.flags = WIRE_PIECE_GONE;
        piece.bytes = (struct wire_bytes){(const uint8_t *)why, strlen(why)};
    }
    return piece_frame(client, &piece);
}

static struct blob *answer_frame(const struct client *client,
                                 const struct ledger_entry *entry,
                                 const struct wire_want *want)
{
    struct wire_piece piece;

    if (want->cargo.what == WIRE_WHAT_PROGRAM || want->cargo.what == WIRE_WHAT_VALUE)
        return lent_frame(client, want);
    find_bytes(entry, want, &piece);
    return piece_frame(client, &piece);
}

int client_next_piece(struct client *client, struct blob **out)
{
    struct pieces *p = &client->pieces;

    while (p->wanted != NULL) {
        const struct ledger_entry *entry = ledger_find(&client->ledger, p->wanted->want.cargo.task);

        if (entry != NULL) {
            *out = answer_frame(client, entry, &p->wanted->want);
            if (*out == NULL)
                return -ENOMEM;
        }
        free(pop_wanted(p));
        if (entry != NULL)
            return 0;
    }
    return -EAGAIN;
}

/* ---- results ---- */

static struct arrival *find_arrival(const struct pieces *p, uint64_t no)
{
    struct arrival *a = NULL;

    DL_FOREACH (p->arrivals, a) {
        if (a->no == no)
            break;
    }
    return a;
}

/* A new attempt's result stands in for that of an older one. */
static int take_offer(struct client *client, const struct wire_piece *piece)
{
    struct pieces *p = &client->pieces;
    struct arrival *a = find_arrival(p, piece->cargo.task);

    if (a != NULL)
        drop_arrival(p, a);
    if (ledger_find(&client->ledger, piece->cargo.task) == NULL)
        return 0;
    a = calloc(1, sizeof(*a));
    if (a == NULL)
        return -ENOMEM;
    a->no = piece->cargo.task;
    a->attempt = piece->cargo.attempt;
    a->total = piece->total;
    DL_APPEND(p->arrivals, a);
    return 0;
}

static int take_piece(struct client *client, const struct wire_piece *piece)
{
    struct pieces *p = &client->pieces;

    if (piece->cargo.what != WIRE_WHAT_RESULT)
        return -EPROTO;
    struct arrival *a = find_arrival(p, piece->cargo.task);
    if ((piece->cargo.flags & WIRE_PIECE_GONE) != 0) {
        /* That attempt is over: there will be another, or an outcome. */
        if (a != NULL && a->attempt == piece->cargo.attempt)
            drop_arrival(p, a);
        return 0;
    }
    if (piece->bytes.size == 0)
        return take_offer(client, piece);
    if (a == NULL || a->attempt != piece->cargo.attempt || a->data == NULL)
        return 0;
    if (piece->cargo.offset != a->got || piece->bytes.size > a->asked - a->got)
        return -EPROTO;
    memcpy(a->data + a->got, piece->bytes.data, piece->bytes.size);
    a->got += piece->bytes.size;
    p->active -= a->got == a->total;
    return 0;
}

int client_take_pieces(struct client *client,
                       const struct wire_header *header,
                       struct wire_cursor *body)
{
    struct wire_piece piece;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_piece(body, &piece) != 0)
            return -EPROTO;
        const int result = take_piece(client, &piece);
        if (result != 0)
            return result;
    }
    return wire_read_ok(body);
}

/* Make room for it; what nobody waits for, or has no room, is not taken: its agent is told at once that
 * all has come. */
static void begin(struct client *client, struct arrival *a)
{
    const struct ledger_entry *entry = ledger_find(&client->ledger, a->no);

    a->begun = true;
    if (entry != NULL && !entry->job->abandoned)
        a->data = malloc(a->total);
    if (a->data != NULL)
        client->pieces.active++;
}

static bool wants_more(const struct arrival *a)
{
    return is_active(a) && a->asked < a->total &&
           (a->asked == a->got || a->asked - a->got + WIRE_PIECE_MAX <= PIECES_WINDOW);
}

static bool is_through(const struct arrival *a)
{
    return a->begun && !is_active(a) && !a->told;
}

/* The first one of which something is to be said. */
static struct arrival *next_arrival(struct client *client)
{
    struct pieces *p = &client->pieces;
    struct arrival *a = NULL;

    DL_FOREACH (p->arrivals, a) {
        if (!a->begun && p->active < PIECES_ARRIVALS_MAX)
            begin(client, a);
        if (wants_more(a) || is_through(a))
            break;
    }
    return a;
}

int client_next_want(struct client *client, struct blob **out)
{
    struct arrival *a = next_arrival(client);

    if (a == NULL)
        return -EAGAIN;
    struct wire_want want = {
        .cargo = {.task = a->no, .attempt = a->attempt, .what = WIRE_WHAT_RESULT},
    };
    const uint64_t left = a->total - a->asked;

    want.cargo.offset = a->asked;
    if (is_active(a))
        want.length = (uint32_t)(left < WIRE_PIECE_MAX ? left : WIRE_PIECE_MAX);
    struct blob *frame = wire_frame_new(WIRE_WANT, client->link, WIRE_WANT_BYTES);
    if (frame == NULL || wire_put_want(frame, &want) != 0) {
        blob_unref(frame);
        return -ENOMEM;
    }
    wire_frame_add_count(frame, 1);
    a->asked += want.length;
    a->told = want.length == 0;
    *out = frame;
    return 0;
}

uint8_t *pieces_take_arrival(struct pieces *p, const struct wire_result *result, size_t *size)
{
    struct arrival *a = p->arrivals != NULL ? find_arrival(p, result->no) : NULL;
    uint8_t *data = NULL;

    if (a == NULL)
        return NULL;
    if (a->got == a->total && a->attempt == result->attempts) {
        data = steal(&a->data);
        *size = a->total;
    }
    drop_arrival(p, a);
    return data;
}
