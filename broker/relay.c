/* Pieces on their way. Invariants: `open_bytes` is the sum over the wants that were handed on; a want
 * stands in the list of its peer until its piece has come, or until its task leaves its agent. */
#include "relay.h"

#include "state.h"

#include <string.h>
#include <utlist.h>

/* Of this, is the submitter the one who has it? Else it is the agent. */
static bool submitter_has(enum wire_what what)
{
    return what != WIRE_WHAT_RESULT;
}

/* Sender and receiver of a frame about a task. */
struct way {
    struct task *task; /* that the agent holds: */
    struct task *own;  /* this one of the submitter's, or a copy of it (copies.h) */
    struct peer *to;
    uint64_t number; /* of the task, for the receiver */
    uint16_t attempt;
};

/* A frame of the agent that holds the task. False: that attempt is over. */
static bool find_way_of_agent(struct core *core,
                              struct peer *from,
                              const struct wire_cargo *cargo,
                              struct way *out)
{
    struct task *task = task_find(&core->slab, cargo->task);

    if (task == NULL || task->agent != agent_of(from) || task->attempt != cargo->attempt)
        return false;
    struct task *own = task->copy ? task->original : task;
    if (own == NULL || own->session == NULL)
        return false;
    *out = (struct way){
        .task = task,
        .own = own,
        .to = own->session->peer,
        .number = own->no,
        .attempt = own->attempt,
    };
    return true;
}

/* To the agent that holds `task`: that one of its submitter's, or its copy. */
static struct way way_to_agent(struct task *task, struct task *own)
{
    return (struct way){
        .task = task,
        .own = own,
        .to = &task->agent->peer,
        .number = task_id(task),
        .attempt = task->attempt,
    };
}

/* The task that a frame of its submitter is about. NULL: that attempt is over. */
static struct task *task_of_submitter(const struct peer *from, const struct wire_cargo *cargo)
{
    const struct session_task *entry =
        from->session != NULL ? roster_find(&from->session->tasks, cargo->task) : NULL;

    return entry != NULL && entry->task->attempt == cargo->attempt ? entry->task : NULL;
}

/* A frame of its submitter. */
static bool
find_way_of_submitter(struct peer *from, const struct wire_cargo *cargo, struct way *out)
{
    struct task *task = task_of_submitter(from, cargo);

    if (task == NULL || task->agent == NULL)
        return false;
    *out = way_to_agent(task, task);
    return true;
}

/* The same to the agent of the task's copy. */
static bool find_way_to_copy(struct peer *from, const struct wire_cargo *cargo, struct way *out)
{
    struct task *task = task_of_submitter(from, cargo);
    struct task *copy = task != NULL && task->terms != NULL ? task->terms->copy : NULL;

    if (copy == NULL || copy->agent == NULL)
        return false;
    /* NOLINTNEXTLINE(readability-suspicious-call-argument): the copy is on its way, the task is known. */
    *out = way_to_agent(copy, task);
    return true;
}

static void drop(struct relay *relay, struct relay_want *want)
{
    DL_DELETE(relay->wants, want);
    relay->count--;
    relay->open_bytes -= want->sent ? want->want.length : 0;
    free(want);
}

void relay_fini(struct relay *relay)
{
    while (relay->wants != NULL)
        drop(relay, relay->wants);
}

/* ---- wants ---- */

/* Send a frame of one record, taken; `error`: of making it. Out of memory: the receiver's link ends, and with
 * it the attempt. */
static void send_one(struct core *core, struct peer *to, struct blob *frame, int error)
{
    if (error != 0) {
        blob_unref(frame);
        peer_refuse(core, to, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    wire_frame_add_count(frame, 1);
    peer_send(core, to, frame);
}

static void send_want(struct core *core, const struct way *way, const struct wire_want *want)
{
    struct blob *frame = wire_frame_new(WIRE_WANT, way->to->link.id, WIRE_WANT_BYTES);
    struct wire_want record = *want;

    record.cargo.task = way->number;
    record.cargo.attempt = way->attempt;
    send_one(core, way->to, frame, frame != NULL ? wire_put_want(frame, &record) : -ENOMEM);
}

static void
send_piece(struct core *core, struct peer *to, uint64_t number, const struct wire_piece *piece)
{
    struct blob *frame =
        wire_frame_new(WIRE_PIECE, to->link.id, WIRE_PIECE_BYTES + piece->bytes.size);
    struct wire_piece record = *piece;

    record.cargo.task = number;
    send_one(core, to, frame, frame != NULL ? wire_put_piece(frame, &record) : -ENOMEM);
}

/* Why a want of an agent goes nowhere; NULL: it goes to the submitter. */
static const char *
obstacle(const struct core *core, const struct wire_cargo *cargo, const struct task *task)
{
    if (cargo->what == WIRE_WHAT_PROGRAM && !core->uploads)
        return "the broker was started without --allow-upload";
    if (task->session == core->durables.session)
        return "its task is durable: no client is there that has it"; /* it may be gone */
    return NULL;
}

static void
answer_gone(struct core *core, struct peer *to, const struct wire_cargo *cargo, const char *text)
{
    struct wire_piece piece = {
        .cargo = *cargo,
        .bytes = {(const uint8_t *)text, strlen(text)},
    };

    piece.cargo.flags = WIRE_PIECE_GONE;
    send_piece(core, to, cargo->task, &piece);
}

/* The rest of a result that it wanted, under the number that it knows. */
static void
answer_over(struct core *core, struct peer *to, const struct wire_cargo *cargo, uint64_t number)
{
    struct wire_cargo known = *cargo;

    known.task = number;
    answer_gone(core, to, &known, "that attempt is over");
}

/* The agent has ended the attempt itself, and wants nothing more for it. */
static void forget_of_agent(struct relay *relay, uint64_t id)
{
    struct relay_want *want = NULL;
    struct relay_want *next = NULL;

    DL_FOREACH_SAFE (relay->wants, want, next) {
        if (want->want.cargo.task == id)
            drop(relay, want);
    }
}

/* The submitter would wait for the rest of the result, and take in no others meanwhile. */
static void forget_of_submitter(struct core *core, struct peer *peer, const struct task *task)
{
    struct relay_want *want = NULL;
    struct relay_want *next = NULL;

    DL_FOREACH_SAFE (peer->relay.wants, want, next) {
        if (want->want.cargo.task != task_id(task))
            continue;
        const struct wire_cargo cargo = want->want.cargo;

        drop(&peer->relay, want);
        if (!submitter_has(cargo.what))
            answer_over(core, peer, &cargo, task->no);
    }
}

void relay_forget(struct core *core, struct task *task)
{
    forget_of_agent(&task->agent->peer.relay, task_id(task));
    if (task->session != NULL)
        forget_of_submitter(core, task->session->peer, task);
    task->offered = false;
    task->taken = false;
}

/* All of the result has come: said once. */
static void take_taken(struct core *core, const struct way *way, const struct wire_want *want)
{
    if (way->task->taken || !way->task->offered)
        return;
    way->task->taken = true;
    send_want(core, way, want);
}

static int remember(struct relay *relay, const struct wire_want *want, uint64_t id)
{
    if (relay->count >= RELAY_WANTS_MAX)
        return -EDQUOT;
    struct relay_want *entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return -ENOMEM;
    entry->want = *want;
    entry->want.cargo.task = id;
    DL_APPEND(relay->wants, entry);
    relay->count++;
    return 0;
}

static int take_want(struct core *core, struct peer *peer, const struct wire_want *want)
{
    struct way way;
    const bool of_agent = submitter_has(want->cargo.what);

    if (of_agent && peer->role != WIRE_AGENT)
        return -EPROTO;
    if (of_agent && !find_way_of_agent(core, peer, &want->cargo, &way))
        return 0; /* it came too late: a REVOKE is on its way, or an outcome */
    if (!of_agent && !find_way_of_submitter(peer, &want->cargo, &way)) {
        answer_over(core, peer, &want->cargo, want->cargo.task);
        return 0;
    }
    const char *const why = of_agent ? obstacle(core, &want->cargo, way.own) : NULL;
    if (why != NULL) {
        answer_gone(core, peer, &want->cargo, why);
        return 0;
    }
    if (want->length != 0)
        return remember(&peer->relay, want, task_id(way.task));
    take_taken(core, &way, want);
    return 0;
}

int relay_take_wants(struct core *core,
                     struct peer *peer,
                     const struct wire_header *header,
                     struct wire_cursor *body)
{
    struct wire_want want;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_want(body, &want) != 0)
            return -EPROTO;
        const int result = take_want(core, peer, &want);
        if (result != 0)
            return result;
    }
    return wire_read_ok(body);
}

/* Whom to ask, of a want in the peer's list. */
static bool
find_way(struct core *core, struct peer *peer, const struct wire_cargo *cargo, struct way *out)
{
    if (submitter_has(cargo->what))
        return find_way_of_agent(core, peer, cargo, out);
    struct task *task = task_find(&core->slab, cargo->task);

    if (task == NULL || task->agent == NULL || task->attempt != cargo->attempt)
        return false;
    *out = way_to_agent(task, task);
    return true;
}

void relay_flush(struct core *core, struct peer *peer)
{
    struct relay *relay = &peer->relay;
    struct relay_want *want = NULL;
    struct relay_want *next = NULL;
    struct way way;

    DL_FOREACH_SAFE (relay->wants, want, next) {
        if (want->sent)
            continue;
        if (peer->link.kept_bytes + relay->open_bytes + want->want.length > RELAY_BYTES)
            return;
        if (!find_way(core, peer, &want->want.cargo, &way)) {
            drop(relay, want);
            continue;
        }
        want->sent = true;
        relay->open_bytes += want->want.length;
        send_want(core, &way, &want->want);
    }
}

/* ---- pieces ---- */

static struct relay_want *find_want(const struct way *way, const struct wire_piece *piece)
{
    struct wire_cargo cargo = piece->cargo;
    struct relay_want *want = NULL;

    cargo.task = task_id(way->task);
    cargo.attempt = way->attempt;
    DL_FOREACH (way->to->relay.wants, want) {
        if (want->sent && wire_cargo_equal(&want->want.cargo, &cargo))
            return want;
    }
    return NULL;
}

/* May this piece go on? A result is offered once, without being wanted. */
static bool is_wanted(const struct way *way, const struct wire_piece *piece)
{
    struct relay_want *want = find_want(way, piece);

    if (want != NULL && piece->bytes.size <= want->want.length) {
        drop(&way->to->relay, want);
        return true;
    }
    if (piece->cargo.what != WIRE_WHAT_RESULT || piece->bytes.size != 0 || way->task->offered)
        return false;
    way->task->offered = true;
    return true;
}

/* A copy's result is not offered; what is durable has no client. */
static bool goes_on(const struct core *core, const struct way *way, const struct wire_piece *piece)
{
    return way->own->session != core->durables.session &&
           (submitter_has(piece->cargo.what) || !way->task->copy) && is_wanted(way, piece);
}

static bool
find_receiver(struct core *core, struct peer *peer, const struct wire_piece *piece, struct way *out)
{
    if (!submitter_has(piece->cargo.what))
        return find_way_of_agent(core, peer, &piece->cargo, out) && goes_on(core, out, piece);
    return (find_way_of_submitter(peer, &piece->cargo, out) && goes_on(core, out, piece)) ||
           (find_way_to_copy(peer, &piece->cargo, out) && goes_on(core, out, piece));
}

static int take_piece(struct core *core, struct peer *peer, const struct wire_piece *piece)
{
    struct wire_piece known = *piece;
    struct way way;

    if (!submitter_has(piece->cargo.what) && peer->role != WIRE_AGENT)
        return -EPROTO;
    if (!find_receiver(core, peer, piece, &way)) {
        core->counters.pieces_dropped++;
        return 0;
    }
    if (piece->cargo.what == WIRE_WHAT_VALUE && piece->cargo.offset == 0 &&
        peer->role == WIRE_CLIENT)
        values_note(peer->session, piece->cargo.key);
    core->counters.pieces++;
    core->counters.piece_bytes += piece->bytes.size;
    known.cargo.attempt = way.attempt;
    send_piece(core, way.to, way.number, &known);
    return 0;
}

int relay_take_pieces(struct core *core,
                      struct peer *peer,
                      const struct wire_header *header,
                      struct wire_cursor *body)
{
    struct wire_piece piece;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_piece(body, &piece) != 0)
            return -EPROTO;
        const int result = take_piece(core, peer, &piece);
        if (result != 0)
            return result;
    }
    return wire_read_ok(body);
}
