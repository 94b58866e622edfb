/* Peers from HELLO to their end, and the effects that reach them. Invariants: a peer that ended
 * is out of the table at once, but closed and freed only at the end of the step, so that no
 * caller loses what it iterates; every effect of a step is appended in the order in which it
 * must be carried out. */
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

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
void core_send(struct core *core,
               enum wire_role role,
               const struct core_route *route,
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

int core_journal(struct core *core, struct blob *batch)
{
    struct core_effect *effect = new_effect(core->effects);

    if (effect == NULL)
        return -ENOMEM;
    *effect = (struct core_effect){.type = CORE_JOURNAL, .frame = batch};
    return 0;
}

/* A trim that is dropped is made up for by the next one. */
void core_trim(struct core *core, uint64_t position)
{
    struct core_effect *effect = new_effect(core->effects);

    if (effect != NULL)
        *effect = (struct core_effect){.type = CORE_TRIM, .position = position};
}

/* ---- peers ---- */

void peer_send(struct core *core, struct peer *peer, struct blob *frame)
{
    if (link_push(&peer->link, frame) != 0) {
        blob_unref(frame);
        peer_refuse(core, peer, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    core_send(core, peer->role, &peer->route, frame);
}

void peer_send_loose(struct core *core, struct peer *peer, struct blob *frame)
{
    if (frame != NULL)
        core_send(core, peer->role, &peer->route, frame);
}

void peer_touch(struct core *core, struct peer *peer)
{
    if (peer->dirty)
        return;
    peer->dirty = true;
    LL_PREPEND2(core->dirty, peer, dirty_next);
}

static struct key_sessions *find_sessions(const struct core *core, const struct core_key *key)
{
    struct key_sessions *sessions = NULL;

    HASH_FIND_STR(core->key_sessions, key->text, sessions);
    return sessions;
}

/* False: out of memory. */
static bool count_session(struct core *core, const struct core_key *key)
{
    struct key_sessions *sessions = find_sessions(core, key);

    if (sessions == NULL) {
        sessions = calloc(1, sizeof(*sessions));
        if (sessions == NULL)
            return false;
        sessions->key = *key;
        HASH_ADD_STR(core->key_sessions, key.text, sessions);
    }
    sessions->count++;
    return true;
}

static void uncount_session(struct core *core, const struct core_key *key)
{
    struct key_sessions *const sessions = find_sessions(core, key);

    if (sessions == NULL || --sessions->count > 0)
        return;
    HASH_DEL(core->key_sessions, sessions);
    free(sessions);
}

void peer_end(struct core *core, struct peer *peer)
{
    if (peer->ended)
        return;
    peer->ended = true;
    if (peer->role == WIRE_CLIENT)
        uncount_session(core, &peer->key);
    HASH_DEL(core->peers, peer);
    LL_PREPEND2(core->ended, peer, ended_next);
}

void core_refuse(struct core *core,
                 const struct core_event *event,
                 uint64_t link,
                 enum wire_reason reason,
                 const char *text)
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
    core_send(core, event->role, &event->route, frame);
}

void peer_refuse(struct core *core, struct peer *peer, enum wire_reason reason, const char *text)
{
    const struct core_event where = {.role = peer->role, .route = peer->route};

    if (peer->ended)
        return;
    core_refuse(core, &where, peer->link.id, reason, text);
    core_note(core, LOG_WARN, "peer_refused", "peer=%s@%s reason=\"%s\"", peer->name, peer->host,
              text);
    peer_end(core, peer);
}

/* ---- ended peers, at the end of a step ---- */

/* First its children: so those that it ran itself are forgotten, and not lost tasks that wait. */
static void bury_agent(struct core *core, struct agent *agent)
{
    if (agent->peer.session != NULL)
        session_close(core, agent->peer.session);
    session_free(core, steal(&agent->peer.session));
    agent_close(core, agent);
    relay_fini(&agent->peer.relay);
    const uint64_t link = agent->peer.link.id;
    link_fini(&agent->peer.link);
    agent->peer.link.id = link; /* it is not opened again */
    DL_APPEND(core->former, agent);
}

static void bury_client(struct core *core, struct peer *peer)
{
    session_close(core, peer->session);
    session_free(core, peer->session);
    relay_fini(&peer->relay);
    link_fini(&peer->link);
    free(peer);
}

void peers_bury(struct core *core)
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
            bury_client(core, peer);
    }
}

/* ---- HELLO ---- */

void peer_welcome(struct core *core, struct peer *peer)
{
    const struct wire_welcome record = {
        .epoch = core->epoch,
        .lease_ms = CORE_LEASE_MS,
        .ping_ms = CORE_PING_MS,
        .credit_tasks = CORE_CREDIT_TASKS,
        .credit_bytes = CORE_CREDIT_BYTES,
        .flags = core->uploads ? WIRE_WELCOME_UPLOAD : 0,
        .version = {(const uint8_t *)core->version, strlen(core->version)},
    };
    struct blob *frame = wire_frame_new(WIRE_WELCOME, peer->hello, 64);

    if (frame == NULL || wire_put_welcome(frame, &record) != 0) {
        blob_unref(frame); /* HELLO comes again */
        return;
    }
    wire_frame_add_count(frame, 1);
    peer_send_loose(core, peer, frame);
}

/* An agent that says HELLO again under a new link has given up the old one and killed what it ran.
 */
static void end_older_links(struct core *core, const struct wire_hello *hello)
{
    struct peer *peer = NULL;
    struct peer *next = NULL;

    HASH_ITER (hh, core->peers, peer, next) {
        if (peer->role == WIRE_AGENT && peer->incarnation == hello->incarnation)
            peer_end(core, peer);
    }
}

static struct peer *
new_client(struct core *core, const struct wire_hello *hello, const struct core_key *key)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return NULL;
    peer->role = WIRE_CLIENT;
    if (!count_session(core, key)) {
        free(peer);
        return NULL;
    }
    if (session_open(core, peer) != 0) {
        uncount_session(core, key);
        free(peer);
        return NULL;
    }
    peer->session->wants = hello->wants;
    return peer;
}

static struct peer *new_peer(struct core *core,
                             const struct wire_hello *hello,
                             const struct core_key *key,
                             const struct needs *resources)
{
    if (hello->role == WIRE_CLIENT)
        return new_client(core, hello, key);
    struct agent *agent = agent_new(hello->slots);

    if (agent == NULL)
        return NULL;
    agent->stock = (struct stock){.total = *resources};
    end_older_links(core, hello);
    core->counters.agents++;
    core->counters.slots += hello->slots;
    return &agent->peer;
}

/* Its HELLO said this number. */
static void admit_peer(struct core *core,
                       const struct core_event *event,
                       uint64_t number,
                       const struct wire_hello *hello)
{
    struct needs resources = {.count = 0};
    char text[NEEDS_TEXT_MAX + 2]; /* a longer one stays too long */

    if (needs_parse(wire_text_copy(hello->resources, text, sizeof(text)), &resources, NULL) != 0) {
        core->counters.malformed++;
        core_refuse(core, event, number, WIRE_REASON_FRAME, "HELLO names resources that are none");
        return;
    }
    struct peer *peer = new_peer(core, hello, &event->key, &resources);

    if (peer == NULL) {
        core_refuse(core, event, number, WIRE_REASON_LIMIT, "the broker is out of memory");
        return;
    }
    link_init(&peer->link, link_number(number, core->epoch));
    peer->hello = number;
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
              "peer=%s@%s slots=%u version=%s", peer->name, peer->host, hello->slots,
              peer->version);
    peer_welcome(core, peer);
}

static bool has_all_its_sessions(const struct core *core, const struct core_event *event)
{
    const struct key_sessions *const sessions = find_sessions(core, &event->key);

    return event->role == WIRE_CLIENT && sessions != NULL &&
           sessions->count >= CORE_KEY_SESSIONS_MAX;
}

static bool is_revoked(const struct core *core, const struct core_key *key)
{
    struct revoked_key *known = NULL;

    HASH_FIND_STR(core->revoked, key->text, known);
    return known != NULL;
}

void peer_hello(struct core *core,
                const struct core_event *event,
                const struct wire_header *header,
                struct wire_cursor *body)
{
    struct wire_hello hello = {0};

    if (wire_get_hello(body, &hello) != 0 || wire_read_ok(body) != 0) {
        core->counters.malformed++;
        core_refuse(core, event, header->link, WIRE_REASON_FRAME, "HELLO does not decode");
    } else if (hello.role != event->role) {
        core_refuse(core, event, header->link, WIRE_REASON_ROLE,
                    "this port is for the other role: clients and agents have one each");
    } else if (is_revoked(core, &event->key)) {
        core_refuse(core, event, header->link, WIRE_REASON_ROLE, PEER_REVOKED_TEXT);
    } else if (HASH_COUNT(core->peers) >= CORE_PEERS_MAX) {
        core_refuse(core, event, header->link, WIRE_REASON_LIMIT, "too many peers");
    } else if (has_all_its_sessions(core, event)) {
        core_refuse(core, event, header->link, WIRE_REASON_LIMIT,
                    "this key has as many sessions open as one may have");
    } else {
        admit_peer(core, event, header->link, &hello);
    }
}
