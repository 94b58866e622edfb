/* Events: the frames that peers may send, timers, and the end of a turn. */
#include "core.h"

#include "state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* How often the timers of all peers are looked at. */
#define CHECK_MS 100

/* A turn that comes later than this after the last one: this process was stopped, and so heard
 * nothing. */
#define PAUSE_MS 1000
/* ---- frames of known peers ---- */

static int take_ping(struct core *core, struct peer *peer, struct wire_cursor *body)
{
    struct wire_ping ping;

    if (wire_get_ping(body, &ping) != 0 || wire_read_ok(body) != 0)
        return -EPROTO;
    if (link_lags(&peer->link, &ping))
        peer_send_loose(core, peer, link_ack(&peer->link, true));
    peer_send_loose(core, peer, link_ping(&peer->link, ping.clock));
    return 0;
}

static void resend(struct core *core, struct peer *peer)
{
    for (uint64_t seq = peer->link.acked + 1; seq <= peer->link.sent; seq++)
        core_send(core, peer->role, &peer->route, blob_ref(link_kept(&peer->link, seq)));
}

static int take_link_frame(struct core *core,
                           struct peer *peer,
                           const struct wire_header *header,
                           struct wire_cursor *body)
{
    switch ((int)header->type) {
    case WIRE_HELLO:
        peer_welcome(core, peer); /* the WELCOME was lost */
        return 0;
    case WIRE_ACK:
        if ((header->flags & WIRE_FLAG_RESEND) != 0)
            resend(core, peer);
        return 0;
    case WIRE_PING: return take_ping(core, peer, body);
    case WIRE_BYE:
        if (peer->role == WIRE_AGENT)
            agent_of(peer)->left = true;
        peer_send_loose(core, peer, link_ack(&peer->link, false));
        peer_end(core, peer);
        return 0;
    default: return -EPROTO;
    }
}

/* What both roles may send: a client its tasks, an agent those of its executors. */
static int take_session_frame(struct core *core,
                              struct peer *peer,
                              const struct wire_header *header,
                              struct wire_cursor *body,
                              struct blob *frame,
                              const char **what)
{
    switch ((int)header->type) {
    case WIRE_FUNCTION:
        if (session_open(core, peer) != 0)
            return -ENOMEM;
        *what = "more functions than the broker keeps";
        return session_define(core, peer->session, body);
    case WIRE_SUBMIT:
        if (peer->session == NULL)
            return -EPROTO; /* an agent that has not defined any function */
        return session_submit(core, peer->session, header, body, frame, what);
    case WIRE_INPUT:
        return peer->session != NULL ? inputs_take(core, peer->session, header, body, frame)
                                     : -EPROTO;
    case WIRE_WANT:
        *what = "more pieces wanted at once than the broker remembers";
        return relay_take_wants(core, peer, header, body);
    case WIRE_PIECE: return relay_take_pieces(core, peer, header, body);
    case WIRE_CANCEL:
        return peer->session != NULL ? session_cancel(core, peer->session, header, body) : -EPROTO;
    default: return take_link_frame(core, peer, header, body);
    }
}

static int take_client_frame(struct core *core,
                             struct peer *peer,
                             const struct wire_header *header,
                             struct wire_cursor *body,
                             struct blob *frame,
                             const char **what)
{
    if (header->type == WIRE_FORGET)
        return values_forget(core, peer->session, header, body);
    if (header->type != WIRE_QUERY)
        return take_session_frame(core, peer, header, body, frame, what);
    peer_send_loose(core, peer, status_frame(core, peer->link.id));
    return 0;
}

static int take_agent_frame(struct core *core,
                            struct agent *agent,
                            const struct wire_header *header,
                            struct wire_cursor *body,
                            struct blob *frame,
                            const char **what)
{
    switch ((int)header->type) {
    case WIRE_OUTCOMES: return agent_outcomes(core, agent, header, body);
    case WIRE_PARKED: return agent_parked(core, agent, header, body);
    case WIRE_NOTES: return notes_take(core, agent, header, body);
    case WIRE_DRAIN:
        agent->draining = true;
        agent_shelve(core, agent, false);
        core_note(core, LOG_INFO, "agent_draining", "worker=%s", agent->peer.host);
        return 0;
    default: return take_session_frame(core, &agent->peer, header, body, frame, what);
    }
}

/* Frames must be sequenced, and have records, exactly when PROTOCOL.md section 4 says so. */
static bool is_as_agreed(const struct wire_header *header, const struct wire_cursor *body)
{
    const bool loose = header->type == WIRE_HELLO || header->type == WIRE_ACK ||
                       header->type == WIRE_PING || header->type == WIRE_QUERY;
    const bool bare = header->type == WIRE_ACK || header->type == WIRE_BYE ||
                      header->type == WIRE_DRAIN || header->type == WIRE_QUERY;

    return loose == (header->seq == 0) && (!bare || wire_read_ok(body) == 0);
}

static void dispatch(struct core *core,
                     struct peer *peer,
                     const struct core_event *event,
                     const struct wire_header *header,
                     struct wire_cursor *body)
{
    const char *what = "out of memory";
    const int result =
        !is_as_agreed(header, body) ? -EPROTO
        : peer->role == WIRE_AGENT
            ? take_agent_frame(core, agent_of(peer), header, body, event->frame, &what)
            : take_client_frame(core, peer, header, body, event->frame, &what);

    if (result == 0)
        return;
    if (result == -EPROTO) {
        char text[96];

        core->counters.malformed++;
        snprintf(text, sizeof(text), "a %s frame that is not as agreed",
                 wire_type_name(header->type));
        peer_refuse(core, peer, WIRE_REASON_FRAME, text);
        return;
    }
    peer_refuse(core, peer, WIRE_REASON_LIMIT, what);
}

/* The peer's connection may be a new one: everything it has not acknowledged may have been lost
 * with the old. */
static void heard_from(struct core *core, struct peer *peer, const struct core_event *event)
{
    const bool moved = peer->route.size != event->route.size ||
                       memcmp(peer->route.bytes, event->route.bytes, event->route.size) != 0;

    peer->heard_ms = core->now_ms;
    if (peer->unreachable_ms != 0 || moved) {
        peer->unreachable_ms = 0;
        peer->route = event->route;
        if (peer->role == WIRE_AGENT)
            agent_shelve(core, agent_of(peer), false);
    }
    if (moved)
        resend(core, peer);
}

static void send_gone(struct core *core, const struct core_event *event, uint64_t link)
{
    struct blob *gone = wire_frame_new(WIRE_GONE, link, 0);

    if (gone != NULL)
        core_send(core, event->role, &event->route, gone);
}

static void take_peer_frame(struct core *core,
                            struct peer *peer,
                            const struct core_event *event,
                            const struct wire_header *header,
                            struct wire_cursor *body)
{
    enum link_verdict verdict = LINK_DUPLICATE;

    if (link_receive(&peer->link, header, event->frame->size, &verdict) != 0) {
        /* It acknowledges what was never sent: a HELLO that came late has opened a link that had ended. */
        core_note(core, LOG_WARN, "link_had_ended", "peer=%s@%s", peer->name, peer->host);
        send_gone(core, event, header->link);
        peer_end(core, peer);
        return;
    }
    heard_from(core, peer, event);
    peer_touch(core, peer);
    if (peer->session != NULL)
        session_watch(core, peer->session);
    if (verdict == LINK_GAP)
        peer_send_loose(core, peer, link_ack(&peer->link, true));
    if (verdict == LINK_DELIVER)
        dispatch(core, peer, event, header, body);
}

/* A HELLO that comes late, of an agent's link that had ended. Under the same number both ends would count
 * from different frames on. */
static bool has_ended(const struct core *core, uint64_t link)
{
    const struct agent *agent = NULL;

    DL_FOREACH (core->former, agent) {
        if (agent->peer.link.id == link)
            return true;
    }
    return false;
}

/* A frame that belongs to no link here; a HELLO would open this one. */
static void take_stranger(struct core *core,
                          const struct core_event *event,
                          const struct wire_header *header,
                          struct wire_cursor *body,
                          uint64_t link)
{
    if (header->type == WIRE_HELLO && !has_ended(core, link)) {
        peer_hello(core, event, header, body);
        return;
    }
    send_gone(core, event, header->link);
}

/* The peer that this frame's link and key belong to, or NULL. */
static struct peer *
find_peer(const struct core *core, const struct core_event *event, uint64_t link)
{
    struct peer *peer = NULL;

    HASH_FIND(hh, core->peers, &link, sizeof(link), peer);
    return peer != NULL && peer->role == event->role && strcmp(peer->key.text, event->key.text) == 0
               ? peer
               : NULL;
}

/* Another version, or a type or flags that this one has not: all that is read is the link, which
 * stands at the same place in every version. */
static void take_unreadable(struct core *core, const struct core_event *event)
{
    struct wire_cursor at = {
        .at = event->frame->data,
        .end = event->frame->data + event->frame->size,
    };
    const uint8_t version = wire_get_u8(&at);

    core->counters.malformed++;
    wire_get_bytes(&at, 7);
    const uint64_t link = wire_get_u64(&at);
    if (at.bad || link == 0)
        return;
    const bool newer = version != WIRE_VERSION;
    const enum wire_reason reason = newer ? WIRE_REASON_VERSION : WIRE_REASON_FRAME;
    const char *text =
        newer ? "this broker speaks protocol version 1" : "a frame whose type or flags are unknown";
    struct peer *peer = find_peer(core, event, link);
    if (peer != NULL)
        peer_refuse(core, peer, reason, text);
    else
        core_refuse(core, event, link, reason, text);
}

static void take_frame(struct core *core, const struct core_event *event)
{
    struct wire_header header;
    struct wire_cursor body;
    struct peer *peer = NULL;

    if (wire_frame_read(event->frame->data, event->frame->size, &header, &body) != 0) {
        take_unreadable(core, event);
        return;
    }
    const uint64_t link =
        header.type == WIRE_HELLO ? link_number(header.link, core->epoch) : header.link;
    HASH_FIND(hh, core->peers, &link, sizeof(link), peer);
    if (peer == NULL)
        take_stranger(core, event, &header, &body, link);
    else if (peer->role == event->role && strcmp(peer->key.text, event->key.text) == 0)
        take_peer_frame(core, peer, event, &header, &body);
    else
        core->counters.malformed++; /* somebody else's link number */
}

/* ---- the other events ---- */

static void take_unreachable(struct core *core, const struct core_event *event)
{
    struct peer *peer = NULL;
    struct peer *next = NULL;

    HASH_ITER (hh, core->peers, peer, next) {
        if (peer->role != event->role || peer->unreachable_ms != 0 ||
            peer->route.size != event->route.size ||
            memcmp(peer->route.bytes, event->route.bytes, event->route.size) != 0)
            continue;
        peer->unreachable_ms = core->now_ms;
        if (peer->role == WIRE_AGENT)
            agent_shelve(core, agent_of(peer), false);
    }
}

/* Out of memory: the key's links end all the same, only their return is not barred. */
static void remember_revoked(struct core *core, const struct core_key *key)
{
    struct revoked_key *known = NULL;

    HASH_FIND_STR(core->revoked, key->text, known);
    if (known != NULL)
        return;
    if (HASH_COUNT(core->revoked) >= CORE_REVOKED_MAX) {
        struct revoked_key *oldest = core->revoked;

        HASH_DEL(core->revoked, oldest);
        free(oldest);
    }
    struct revoked_key *entry = malloc(sizeof(*entry));
    if (entry == NULL)
        return;
    entry->key = *key;
    HASH_ADD_STR(core->revoked, key.text, entry);
}

static void forget_revoked(struct core *core)
{
    struct revoked_key *entry = NULL;
    struct revoked_key *next = NULL;

    HASH_ITER (hh, core->revoked, entry, next) {
        HASH_DEL(core->revoked, entry);
        free(entry);
    }
}

static void take_revoked_key(struct core *core, const struct core_event *event)
{
    struct peer *peer = NULL;
    struct peer *next = NULL;

    HASH_ITER (hh, core->peers, peer, next) {
        if (peer->role == event->role && strcmp(peer->key.text, event->key.text) == 0)
            peer_refuse(core, peer, WIRE_REASON_ROLE, PEER_REVOKED_TEXT);
    }
    remember_revoked(core, &event->key);
}

static bool is_over(const struct core *core, const struct peer *peer)
{
    const int64_t silent_ms = core->now_ms - peer->heard_ms;

    if (peer->role == WIRE_CLIENT)
        return silent_ms >= CORE_SESSION_SILENT_MS;
    if (peer->unreachable_ms != 0 && core->now_ms - peer->unreachable_ms >= CORE_UNREACHABLE_MS)
        return true;
    return silent_ms >= CORE_LEASE_MS;
}

static void forget_former(struct core *core)
{
    while (core->former != NULL && core->now_ms - core->former->ended_ms >= CORE_FORMER_MS) {
        struct agent *agent = core->former;

        DL_DELETE(core->former, agent);
        agent_free(agent);
    }
}

/* While this process was stopped it could not hear anybody: nobody is blamed for that time. */
static void forgive_pause(struct core *core)
{
    const int64_t pause_ms = core->now_ms - core->turn_ms;
    struct peer *peer = NULL;
    struct peer *next = NULL;

    core->turn_ms = core->now_ms;
    if (pause_ms < PAUSE_MS)
        return;
    HASH_ITER (hh, core->peers, peer, next) {
        peer->heard_ms = core->now_ms;
        if (peer->unreachable_ms != 0)
            peer->unreachable_ms = core->now_ms;
    }
    core_note(core, LOG_WARN, "broker_was_stopped", "pause_ms=%lld", (long long)pause_ms);
}

static void check_timers(struct core *core)
{
    struct peer *peer = NULL;
    struct peer *next = NULL;

    if (core->now_ms < core->check_ms)
        return;
    core->check_ms = core->now_ms + CHECK_MS;
    HASH_ITER (hh, core->peers, peer, next) {
        if (is_over(core, peer))
            peer_end(core, peer);
    }
    forget_former(core);
}

static void flush_peers(struct core *core)
{
    while (core->dirty != NULL) {
        struct peer *peer = core->dirty;

        LL_DELETE2(core->dirty, peer, dirty_next);
        peer->dirty = false;
        if (peer->ended)
            continue;
        if (peer->role == WIRE_AGENT)
            agent_flush(core, agent_of(peer));
        if (peer->session != NULL)
            session_flush(core, peer->session);
        relay_flush(core, peer);
        if (link_owes_ack(&peer->link))
            peer_send_loose(core, peer, link_ack(&peer->link, false));
    }
}

static void take_turn(struct core *core)
{
    forgive_pause(core);
    check_timers(core);
    peers_bury(core);
    settle_due(core);
    durables_turn(core);
    ask_impatient(core);
    schedule(core);
    ledger_turn(core);
    flush_peers(core);
}

void core_step(struct core *core, const struct core_event *event, struct core_effects *effects)
{
    core->effects = effects;
    core->now_ms = event->now_ms;
    switch (event->type) {
    case CORE_FRAME: take_frame(core, event); break;
    case CORE_UNREACHABLE: take_unreachable(core, event); break;
    case CORE_JOURNAL_READ: ledger_replay(core, event->position, event->frame); break;
    case CORE_JOURNAL_OPENED: ledger_open(core, event->position); break;
    case CORE_JOURNALED: ledger_confirm(core, event->position); break;
    case CORE_JOURNAL_LOST: ledger_lost(core); break;
    case CORE_JOURNAL_CHANGED: ask_journal_changed(core, event->journal, event->text); break;
    case CORE_KEY_REVOKED: take_revoked_key(core, event); break;
    case CORE_TURN: take_turn(core); break;
    }
    peers_bury(core);
    core->effects = NULL;
}

/* ---- life ---- */

struct core *core_new(uint64_t epoch, const char *version, int64_t now_ms)
{
    struct core *core = calloc(1, sizeof(*core));

    if (core == NULL)
        return NULL;
    core->epoch = epoch;
    core->version = version;
    core->start_ms = now_ms;
    core->turn_ms = now_ms;
    core->now_ms = now_ms;
    return core;
}

void core_free(struct core *core)
{
    struct core_effects nowhere = {0};
    struct peer *peer = NULL;
    struct peer *next = NULL;

    if (core == NULL)
        return;
    core->effects = &nowhere;
    HASH_ITER (hh, core->peers, peer, next)
        peer_end(core, peer);
    peers_bury(core);
    core->now_ms = INT64_MAX;
    forget_former(core);
    forget_revoked(core);
    constants_fini(core); /* some have an entry in the journal's list */
    durables_fini(core);
    classes_fini(core);
    functions_fini(core);
    timers_fini(&core->timers);
    running_fini(&core->running);
    task_slab_fini(&core->slab);
    core_effects_fini(&nowhere);
    free(core);
}

int64_t core_due_ms(const struct core *core)
{
    const struct task *task = timers_first(&core->timers);

    return task != NULL ? task->terms->due_ms : INT64_MAX;
}

int core_keep_durables(struct core *core, int64_t keep_ms)
{
    return durables_init(core, keep_ms);
}

void core_allow_uploads(struct core *core)
{
    core->uploads = true;
}

void core_set_resources(struct core *core, const struct needs *resources)
{
    core->stock = (struct stock){.total = *resources};
}

const struct core_counters *core_counters(const struct core *core)
{
    return &core->counters;
}
