/* Links of peers, the frames they may send, timers, and the end of a turn. Invariants: a peer that ended is out of
 * the table at once, but closed and freed only at the end of the step, so that no caller loses what it iterates;
 * every effect of a step is appended in the order in which it must be carried out. */
#include "core.h"

#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* How often the timers of all peers are looked at. */
#define CHECK_MS 100

/* A turn that comes later than this after the last one: this process was stopped, and so heard nothing. */
#define PAUSE_MS 1000

/* ---- effects ---- */

static struct core_effect *new_effect(struct core_effects *effects)
{
    if (effects->count == effects->capacity) {
        const size_t capacity = effects->capacity != 0 ? effects->capacity * 2 : 32;
        struct core_effect *items = realloc(effects->items, capacity * sizeof(*items));

        if (items == NULL) {
            effects->dropped++;
            return NULL;
        }
        effects->items = items;
        effects->capacity = capacity;
    }
    return &effects->items[effects->count++];
}

void core_effects_clear(struct core_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        blob_unref(effects->items[i].frame);
    effects->count = 0;
}

void core_effects_fini(struct core_effects *effects)
{
    core_effects_clear(effects);
    free(effects->items);
    *effects = (struct core_effects){0};
}

void core_note(struct core *core, enum log_level level, const char *event, const char *format, ...)
{
    struct core_effect *effect = new_effect(core->effects);
    va_list fields;

    if (effect == NULL)
        return;
    *effect = (struct core_effect){.type = CORE_NOTE, .level = level, .event = event};
    va_start(fields, format);
    vsnprintf(effect->text, sizeof(effect->text), format, fields);
    va_end(fields);
}

/* Takes the reference to `frame`. */
static void send_to(struct core *core, enum wire_role role, const struct core_route *route,
                    struct blob *frame)
{
    struct core_effect *effect = new_effect(core->effects);

    if (effect == NULL) {
        blob_unref(frame);
        return;
    }
    effect->type = CORE_SEND;
    effect->role = role;
    effect->route = *route;
    effect->frame = frame;
}

/* ---- peers ---- */

static struct session *session_of(struct peer *peer)
{
    return (struct session *)peer; /* `peer` is its first member */
}

static struct agent *agent_of(struct peer *peer)
{
    return (struct agent *)peer; /* `peer` is its first member */
}

void peer_send(struct core *core, struct peer *peer, struct blob *frame)
{
    if (link_push(&peer->link, frame) != 0) {
        blob_unref(frame);
        peer_refuse(core, peer, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    send_to(core, peer->role, &peer->route, frame);
}

void peer_send_loose(struct core *core, struct peer *peer, struct blob *frame)
{
    if (frame != NULL)
        send_to(core, peer->role, &peer->route, frame);
}

void peer_touch(struct core *core, struct peer *peer)
{
    if (peer->dirty)
        return;
    peer->dirty = true;
    LL_PREPEND2(core->dirty, peer, dirty_next);
}

void peer_end(struct core *core, struct peer *peer)
{
    if (peer->ended)
        return;
    peer->ended = true;
    HASH_DEL(core->peers, peer);
    LL_PREPEND2(core->ended, peer, ended_next);
}

static void refuse_route(struct core *core, const struct core_event *event, uint64_t link,
                         enum wire_reason reason, const char *text)
{
    const struct wire_refused refused = {
        .reason = reason,
        .text = {(const uint8_t *)text, strlen(text)},
    };
    struct blob *frame = wire_frame_new(WIRE_REFUSED, link, 128);

    core->counters.refused++;
    if (frame == NULL || wire_put_refused(frame, &refused) != 0) {
        blob_unref(frame);
        return;
    }
    wire_frame_add_count(frame, 1);
    send_to(core, event->role, &event->route, frame);
}

void peer_refuse(struct core *core, struct peer *peer, enum wire_reason reason, const char *text)
{
    const struct core_event where = {.role = peer->role, .route = peer->route};

    if (peer->ended)
        return;
    refuse_route(core, &where, peer->link.id, reason, text);
    core_note(core, LOG_WARN, "peer_refused", "peer=%s@%s reason=\"%s\"", peer->name, peer->host,
              text);
    peer_end(core, peer);
}

/* ---- ended peers, at the end of a step ---- */

static void bury_agent(struct core *core, struct agent *agent)
{
    agent_close(core, agent);
    link_fini(&agent->peer.link);
    DL_APPEND(core->former, agent);
}

static void bury_session(struct core *core, struct session *s)
{
    session_close(core, s);
    link_fini(&s->peer.link);
    session_free(s);
}

static void bury_ended(struct core *core)
{
    while (core->ended != NULL) {
        struct peer *peer = core->ended;

        LL_DELETE2(core->ended, peer, ended_next);
        if (peer->dirty)
            LL_DELETE2(core->dirty, peer, dirty_next);
        peer->dirty = false;
        if (peer->role == WIRE_AGENT)
            bury_agent(core, agent_of(peer));
        else
            bury_session(core, session_of(peer));
    }
}

/* ---- HELLO ---- */

static void welcome(struct core *core, struct peer *peer)
{
    const struct wire_welcome record = {
        .epoch = core->epoch,
        .lease_ms = CORE_LEASE_MS,
        .ping_ms = CORE_PING_MS,
        .credit_tasks = CORE_CREDIT_TASKS,
        .credit_bytes = CORE_CREDIT_BYTES,
        .version = {(const uint8_t *)core->version, strlen(core->version)},
    };
    struct blob *frame = wire_frame_new(WIRE_WELCOME, peer->link.id, 64);

    if (frame == NULL || wire_put_welcome(frame, &record) != 0) {
        blob_unref(frame); /* HELLO comes again */
        return;
    }
    wire_frame_add_count(frame, 1);
    peer_send_loose(core, peer, frame);
}

/* An agent that says HELLO again under a new link has given up the old one and killed what it ran. */
static void end_older_links(struct core *core, const struct wire_hello *hello)
{
    struct peer *peer = NULL;
    struct peer *next = NULL;

    HASH_ITER(hh, core->peers, peer, next) {
        if (peer->role == WIRE_AGENT && peer->incarnation == hello->incarnation)
            peer_end(core, peer);
    }
}

static struct peer *new_peer(struct core *core, const struct wire_hello *hello)
{
    if (hello->role == WIRE_CLIENT) {
        struct session *s = session_new();

        core->counters.sessions += s != NULL;
        return s != NULL ? &s->peer : NULL;
    }
    struct agent *agent = agent_new(hello->slots);

    if (agent == NULL)
        return NULL;
    end_older_links(core, hello);
    core->counters.agents++;
    core->counters.slots += hello->slots;
    return &agent->peer;
}

static void admit_peer(struct core *core, const struct core_event *event, uint64_t link,
                       const struct wire_hello *hello)
{
    struct peer *peer = new_peer(core, hello);

    if (peer == NULL) {
        refuse_route(core, event, link, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    link_init(&peer->link, link);
    peer->role = hello->role;
    peer->route = event->route;
    peer->key = event->key;
    peer->incarnation = hello->incarnation;
    peer->pid = hello->pid;
    peer->heard_ms = core->now_ms;
    wire_text_copy(hello->host, peer->host, sizeof(peer->host));
    wire_text_copy(hello->name, peer->name, sizeof(peer->name));
    wire_text_copy(hello->version, peer->version, sizeof(peer->version));
    HASH_ADD(hh, core->peers, link.id, sizeof(peer->link.id), peer);
    if (peer->role == WIRE_AGENT)
        agent_shelve(core, agent_of(peer), false);
    core_note(core, LOG_INFO, peer->role == WIRE_AGENT ? "agent_joined" : "session_opened",
              "peer=%s@%s slots=%u version=%s", peer->name, peer->host, hello->slots, peer->version);
    welcome(core, peer);
}

static void take_hello(struct core *core, const struct core_event *event,
                       const struct wire_header *header, struct wire_cursor *body)
{
    struct wire_hello hello = {0};

    if (wire_get_hello(body, &hello) != 0 || wire_read_ok(body) != 0) {
        core->counters.malformed++;
        refuse_route(core, event, header->link, WIRE_REASON_FRAME, "HELLO does not decode");
    } else if (hello.role != event->role) {
        refuse_route(core, event, header->link, WIRE_REASON_ROLE,
                     "this port is for the other role: clients and agents have one each");
    } else if (HASH_COUNT(core->peers) >= CORE_PEERS_MAX) {
        refuse_route(core, event, header->link, WIRE_REASON_LIMIT, "too many peers");
    } else {
        admit_peer(core, event, header->link, &hello);
    }
}

/* ---- frames of known peers ---- */

static void take_ping(struct core *core, struct peer *peer, struct wire_cursor *body)
{
    struct wire_ping ping;

    if (wire_get_ping(body, &ping) != 0)
        return;
    if (link_lags(&peer->link, &ping))
        peer_send_loose(core, peer, link_ack(&peer->link, true));
    peer_send_loose(core, peer, link_ping(&peer->link, ping.clock));
}

static void resend(struct core *core, struct peer *peer)
{
    for (uint64_t seq = peer->link.acked + 1; seq <= peer->link.sent; seq++)
        send_to(core, peer->role, &peer->route, blob_ref(link_kept(&peer->link, seq)));
}

static int take_link_frame(struct core *core, struct peer *peer, const struct wire_header *header,
                           struct wire_cursor *body)
{
    switch ((int)header->type) {
    case WIRE_HELLO:
        welcome(core, peer); /* the WELCOME was lost */
        return 0;
    case WIRE_ACK:
        if ((header->flags & WIRE_FLAG_RESEND) != 0)
            resend(core, peer);
        return 0;
    case WIRE_PING:
        take_ping(core, peer, body);
        return 0;
    case WIRE_BYE:
        if (peer->role == WIRE_AGENT)
            agent_of(peer)->left = true;
        peer_send_loose(core, peer, link_ack(&peer->link, false));
        peer_end(core, peer);
        return 0;
    default:
        return -EPROTO;
    }
}

static int take_client_frame(struct core *core, struct session *s, const struct wire_header *header,
                             struct wire_cursor *body, struct blob *frame, const char **what)
{
    switch ((int)header->type) {
    case WIRE_FUNCTION:
        *what = "more functions than the broker keeps";
        return session_define(core, s, body);
    case WIRE_SUBMIT:
        return session_submit(core, s, header, body, frame, what);
    case WIRE_QUERY:
        peer_send_loose(core, &s->peer, status_frame(core, s->peer.link.id));
        return 0;
    default:
        return take_link_frame(core, &s->peer, header, body);
    }
}

static int take_agent_frame(struct core *core, struct agent *agent, const struct wire_header *header,
                            struct wire_cursor *body)
{
    switch ((int)header->type) {
    case WIRE_OUTCOMES:
        return agent_outcomes(core, agent, header, body);
    case WIRE_DRAIN:
        agent->draining = true;
        agent_shelve(core, agent, false);
        core_note(core, LOG_INFO, "agent_draining", "worker=%s", agent->peer.host);
        return 0;
    default:
        return take_link_frame(core, &agent->peer, header, body);
    }
}

/* Frames must be sequenced exactly when PROTOCOL.md section 4 says so. */
static bool sequence_fits(const struct wire_header *header)
{
    const bool loose = header->type == WIRE_HELLO || header->type == WIRE_ACK ||
                       header->type == WIRE_PING || header->type == WIRE_QUERY;

    return loose == (header->seq == 0);
}

static void dispatch(struct core *core, struct peer *peer, const struct core_event *event,
                     const struct wire_header *header, struct wire_cursor *body)
{
    const char *what = "out of memory";
    const int result =
        !sequence_fits(header) ? -EPROTO
        : peer->role == WIRE_AGENT
            ? take_agent_frame(core, agent_of(peer), header, body)
            : take_client_frame(core, session_of(peer), header, body, event->frame, &what);

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

/* The peer's connection may be a new one: everything it has not acknowledged may have been lost with the old. */
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

static void take_peer_frame(struct core *core, struct peer *peer, const struct core_event *event,
                            const struct wire_header *header, struct wire_cursor *body)
{
    enum link_verdict verdict = LINK_DUPLICATE;

    if (link_receive(&peer->link, header, event->frame->size, &verdict) != 0) {
        core->counters.malformed++;
        peer_refuse(core, peer, WIRE_REASON_FRAME, "an acknowledgement of what was never sent");
        return;
    }
    heard_from(core, peer, event);
    peer_touch(core, peer);
    if (verdict == LINK_GAP)
        peer_send_loose(core, peer, link_ack(&peer->link, true));
    if (verdict == LINK_DELIVER)
        dispatch(core, peer, event, header, body);
}

/* A frame of a link that is not known here. */
static void take_stranger(struct core *core, const struct core_event *event,
                          const struct wire_header *header, struct wire_cursor *body)
{
    if (header->type == WIRE_HELLO) {
        take_hello(core, event, header, body);
        return;
    }
    struct blob *gone = wire_frame_new(WIRE_GONE, header->link, 0);

    if (gone != NULL)
        send_to(core, event->role, &event->route, gone);
}

/* Another version: all that is read is the link, which stands at the same place in every version. */
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
    if (at.bad || link == 0 || version == WIRE_VERSION)
        return;
    refuse_route(core, event, link, WIRE_REASON_VERSION, "this broker speaks protocol version 1");
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
    HASH_FIND(hh, core->peers, &header.link, sizeof(header.link), peer);
    if (peer == NULL)
        take_stranger(core, event, &header, &body);
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

    HASH_ITER(hh, core->peers, peer, next) {
        if (peer->role != event->role || peer->unreachable_ms != 0 ||
            peer->route.size != event->route.size ||
            memcmp(peer->route.bytes, event->route.bytes, event->route.size) != 0)
            continue;
        peer->unreachable_ms = core->now_ms;
        if (peer->role == WIRE_AGENT)
            agent_shelve(core, agent_of(peer), false);
    }
}

static void take_revoked_key(struct core *core, const struct core_event *event)
{
    struct peer *peer = NULL;
    struct peer *next = NULL;

    HASH_ITER(hh, core->peers, peer, next) {
        if (peer->role == event->role && strcmp(peer->key.text, event->key.text) == 0)
            peer_refuse(core, peer, WIRE_REASON_ROLE, "this key is not admitted any more");
    }
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
    HASH_ITER(hh, core->peers, peer, next) {
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
    HASH_ITER(hh, core->peers, peer, next) {
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
        else
            session_flush(core, session_of(peer));
        if (link_owes_ack(&peer->link))
            peer_send_loose(core, peer, link_ack(&peer->link, false));
    }
}

static void take_turn(struct core *core)
{
    forgive_pause(core);
    check_timers(core);
    bury_ended(core);
    schedule(core);
    flush_peers(core);
}

void core_step(struct core *core, const struct core_event *event, struct core_effects *effects)
{
    core->effects = effects;
    core->now_ms = event->now_ms;
    switch (event->type) {
    case CORE_FRAME:
        take_frame(core, event);
        break;
    case CORE_UNREACHABLE:
        take_unreachable(core, event);
        break;
    case CORE_KEY_REVOKED:
        take_revoked_key(core, event);
        break;
    case CORE_TURN:
        take_turn(core);
        break;
    }
    bury_ended(core);
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
    HASH_ITER(hh, core->peers, peer, next)
        peer_end(core, peer);
    bury_ended(core);
    core->now_ms = INT64_MAX;
    forget_former(core);
    functions_fini(core);
    task_slab_fini(&core->slab);
    core_effects_fini(&nowhere);
    free(core);
}

const struct core_counters *core_counters(const struct core *core)
{
    return &core->counters;
}
