/* Sockets around the core. Invariants: every message becomes at most one event; effects are
 * carried out in order and then forgotten; a send that fails is not tried again here, because
 * links repair what is lost. */
#include "loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/zframe.h"
#include "guard.h"
#include "journal.h"
#include "meter.h"

#include <stdatomic.h>
#include <string.h>
#include <zmq.h>

/* Messages taken from one socket before the turn ends: bounds the time between two turns. */
#define MESSAGES_PER_TURN 256

/* The loop goes round at least this often, for the core's timers. */
#define TURN_MS 100

/* A descriptor that got a new connection this recently is not believed closed: the monitor's
 * event may be about the connection that had the number before. */
#define REUSE_MS 50

/* Index of stop_fd among what is polled. */
#define STOP_ITEM 5

/* Index of each role's port; wire_role counts from 1. */
enum { CLIENTS, AGENTS, PORT_COUNT };

/* Which connection a descriptor was, when a message last came from it. */
struct origin {
    struct core_route route;
    int64_t since_ms;
};

struct port {
    enum wire_role role;
    void *socket;
    void *monitor;
    struct origin *origins; /* by descriptor */
    size_t origin_count;
};

struct loop {
    struct port ports[PORT_COUNT];
    void *revoked; /* PULL */
    struct core *core;
    struct core_effects effects;
    int64_t now_ms;
    atomic_int_least64_t beat_ms;
    struct pulse *pulse;
    struct meter *meter;
    int64_t metered_ms;
    struct journal *journal;
    struct journal_news news; /* that the core knows */
    bool reading;             /* more of the journal is there to be taken */
    bool broken;              /* an append failed */
};

/* ---- effects ---- */

static struct port *port_of(struct loop *loop, enum wire_role role)
{
    return &loop->ports[role == WIRE_CLIENT ? CLIENTS : AGENTS];
}

static void carry_out_send(struct loop *loop, const struct core_effect *effect)
{
    void *socket = port_of(loop, effect->role)->socket;
    const int flags = ZMQ_SNDMORE | ZMQ_DONTWAIT;

    if (zmq_send(socket, effect->route.bytes, effect->route.size, flags) < 0) {
        log_debug("route_unreachable", "error=\"%s\"", zmq_strerror(zmq_errno()));
        return;
    }
    const int result = zframe_send(socket, effect->frame, false);
    if (result != 0)
        log_warn("frame_not_sent", "type=%s error=\"%s\"", wire_type_name(effect->frame->data[1]),
                 strerror(-result));
}

static void carry_out_journal(struct loop *loop, const struct core_effect *effect)
{
    if (journal_append(loop->journal, blob_ref(effect->frame)) != 0)
        loop->broken = true;
}

static void carry_out(struct loop *loop)
{
    for (size_t i = 0; i < loop->effects.count; i++) {
        const struct core_effect *effect = &loop->effects.items[i];

        switch (effect->type) {
        case CORE_SEND: carry_out_send(loop, effect); break;
        case CORE_JOURNAL: carry_out_journal(loop, effect); break;
        case CORE_TRIM: journal_trim(loop->journal, effect->position); break;
        case CORE_NOTE: log_event(effect->level, effect->event, "%s", effect->text); break;
        }
    }
    core_effects_clear(&loop->effects);
}

static void step(struct loop *loop, struct core_event *event)
{
    event->now_ms = loop->now_ms;
    core_step(loop->core, event, &loop->effects);
}

/* ---- messages ---- */

static void note_origin(struct port *port, int fd, const struct core_route *route, int64_t now_ms)
{
    if (fd < 0)
        return;
    if ((size_t)fd >= port->origin_count) {
        const size_t count = (size_t)fd + 64;
        struct origin *origins = realloc(port->origins, count * sizeof(*origins));

        if (origins == NULL)
            return;
        memset(origins + port->origin_count, 0, (count - port->origin_count) * sizeof(*origins));
        port->origins = origins;
        port->origin_count = count;
    }
    struct origin *origin = &port->origins[fd];
    if (origin->route.size == route->size &&
        memcmp(origin->route.bytes, route->bytes, route->size) == 0)
        return;
    *origin = (struct origin){.route = *route, .since_ms = now_ms};
}

/* Read the part with the routing id. -EAGAIN: no message; -EPROTO: drop it. */
static int receive_route(struct port *port, struct core_route *route)
{
    zmq_msg_t part;
    int result = -EPROTO;

    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, port->socket, ZMQ_DONTWAIT) < 0)
        return -zmq_errno();
    const size_t size = zmq_msg_size(&part);

    if (size <= CORE_ROUTE_MAX && zmq_msg_more(&part)) {
        route->size = (uint8_t)size;
        memcpy(route->bytes, zmq_msg_data(&part), size);
        result = 0;
    }
    zmq_msg_close(&part);
    return result;
}

/* A message of more than two parts is nobody's of ours: take the parts out and forget them. */
static bool skip_rest(void *socket, bool more)
{
    const bool skipped = more;

    while (more) {
        struct blob *part CLEANUP(blob_unref_p) = NULL;

        if (zframe_receive(socket, &part, &more) != 0)
            break;
    }
    return skipped;
}

/* One message. -EAGAIN: none there. */
static int receive_message(struct loop *loop, struct port *port)
{
    struct core_event event = {.type = CORE_FRAME, .role = port->role};
    struct blob *frame CLEANUP(blob_unref_p) = NULL;
    struct zframe_origin origin;
    bool more = false;
    const int route_result = receive_route(port, &event.route);

    if (route_result != 0 && route_result != -EPROTO)
        return route_result;
    if (loop->meter != NULL)
        meter_message(loop->meter, port->role);
    if (route_result == 0 && zframe_receive(port->socket, &frame, &more) != 0)
        return 0;
    if (skip_rest(port->socket, more) || route_result != 0)
        return 0;
    zframe_origin(frame, &origin);
    note_origin(port, origin.fd, &event.route, loop->now_ms);
    memcpy(event.key.text, origin.key, sizeof(event.key.text));
    event.frame = frame;
    step(loop, &event);
    return 0;
}

static void receive_messages(struct loop *loop, struct port *port)
{
    for (int i = 0; i < MESSAGES_PER_TURN; i++) {
        if (receive_message(loop, port) != 0)
            return;
    }
}

/* ---- monitors and revoked keys ---- */

static void connection_closed(struct loop *loop, struct port *port, int fd)
{
    if (fd < 0 || (size_t)fd >= port->origin_count)
        return;
    struct origin *origin = &port->origins[fd];
    struct core_event event = {
        .type = CORE_UNREACHABLE,
        .role = port->role,
        .route = origin->route,
    };

    if (origin->route.size == 0 || loop->now_ms - origin->since_ms < REUSE_MS)
        return;
    origin->route.size = 0;
    step(loop, &event);
}

/* Layout of a monitor's message: zmq_socket_monitor(3): 16-bit event, 32-bit value, then the
 * address part. */
static void read_monitor(struct loop *loop, struct port *port)
{
    for (int i = 0; i < MESSAGES_PER_TURN; i++) {
        uint8_t head[6];
        char address[256];
        int32_t fd = -1;

        if (zmq_recv(port->monitor, head, sizeof(head), ZMQ_DONTWAIT) != sizeof(head))
            return;
        zmq_recv(port->monitor, address, sizeof(address), ZMQ_DONTWAIT);
        memcpy(&fd, head + 2, sizeof(fd));
        connection_closed(loop, port, fd);
    }
}

static void read_revoked(struct loop *loop)
{
    struct core_event event = {.type = CORE_KEY_REVOKED, .role = WIRE_AGENT};

    while (zmq_recv(loop->revoked, event.key.text, sizeof(event.key.text) - 1, ZMQ_DONTWAIT) ==
           sizeof(event.key.text) - 1)
        step(loop, &event);
}

/* ---- the journal ---- */

/* Entries of the journal that the core takes in one turn. */
#define ENTRIES_PER_TURN 16

static void
tell_journal(struct loop *loop, enum core_event_type type, const struct journal_news *news)
{
    struct core_event event = {
        .type = type,
        .position = news->position,
        .journal = news->state == JOURNAL_UP     ? CORE_JOURNAL_UP
                   : news->state == JOURNAL_FULL ? CORE_JOURNAL_FULL
                                                 : CORE_JOURNAL_AWAY,
        .text = news->reason,
    };

    step(loop, &event);
}

static void read_entries(struct loop *loop)
{
    struct core_event event = {.type = CORE_JOURNAL_READ};
    int count = 0;

    for (; count < ENTRIES_PER_TURN; count++) {
        struct blob *batch CLEANUP(blob_unref_p) =
            journal_take_replay(loop->journal, &event.position);

        if (batch == NULL)
            break;
        event.frame = batch;
        step(loop, &event);
    }
    loop->reading = count == ENTRIES_PER_TURN;
}

static void read_journal(struct loop *loop)
{
    struct journal_news news;

    if (loop->journal == NULL)
        return;
    journal_drain(loop->journal);
    if (!loop->news.open)
        read_entries(loop);
    journal_take(loop->journal, &news);
    if (news.state != loop->news.state || strcmp(news.reason, loop->news.reason) != 0)
        tell_journal(loop, CORE_JOURNAL_CHANGED, &news);
    if (news.open && !loop->news.open)
        tell_journal(loop, CORE_JOURNAL_OPENED, &news);
    if (news.losses != loop->news.losses)
        tell_journal(loop, CORE_JOURNAL_LOST, &news);
    if (news.open && news.position != loop->news.position)
        tell_journal(loop, CORE_JOURNALED, &news);
    loop->news = news;
}

/* ---- the loop ---- */

/* How long the next turn may be waited for. */
static long patience_ms(const struct loop *loop)
{
    const int64_t left_ms = core_due_ms(loop->core) - clock_now_ms();

    if (left_ms <= 0 || loop->reading)
        return 0;
    return left_ms < TURN_MS ? (long)left_ms : TURN_MS;
}

static void take_turn(struct loop *loop)
{
    struct core_event turn = {.type = CORE_TURN};

    loop->now_ms = clock_now_ms();
    for (int i = 0; i < PORT_COUNT; i++)
        read_monitor(loop, &loop->ports[i]);
    read_revoked(loop);
    read_journal(loop);
    for (int i = 0; i < PORT_COUNT; i++)
        receive_messages(loop, &loop->ports[i]);
    step(loop, &turn);
    carry_out(loop);
    atomic_store(&loop->beat_ms, loop->now_ms);
    if (loop->pulse != NULL)
        guard_beat(loop->pulse);
    if (loop->meter != NULL && loop->now_ms - loop->metered_ms >= TURN_MS) {
        loop->metered_ms = loop->now_ms;
        meter_show(loop->meter, core_counters(loop->core));
    }
}

int loop_run(struct loop *loop, int stop_fd)
{
    zmq_pollitem_t items[] = {
        {.socket = loop->ports[CLIENTS].socket, .events = ZMQ_POLLIN},
        {.socket = loop->ports[AGENTS].socket, .events = ZMQ_POLLIN},
        {.socket = loop->ports[CLIENTS].monitor, .events = ZMQ_POLLIN},
        {.socket = loop->ports[AGENTS].monitor, .events = ZMQ_POLLIN},
        {.socket = loop->revoked, .events = ZMQ_POLLIN},
        {.fd = stop_fd, .events = ZMQ_POLLIN},
        {.fd = loop->journal != NULL ? journal_fd(loop->journal) : -1, .events = ZMQ_POLLIN},
    };
    const int count = (int)COUNT_OF(items) - (loop->journal == NULL);

    for (;;) {
        if (zmq_poll(items, count, patience_ms(loop)) < 0 && zmq_errno() != EINTR)
            return -zmq_errno();
        take_turn(loop);
        if ((items[STOP_ITEM].revents & ZMQ_POLLIN) != 0)
            return 0;
        if (loop->news.state == JOURNAL_ENDED)
            return -ESTALE;
        if (loop->broken)
            return -ENOMEM;
    }
}

/* ---- life ---- */

/* A monitor's event waits until it is taken, and the I/O thread with it: so the reader has no
 * limit. */
static int open_monitor(void *context, struct port *port, const char *name)
{
    const int no_limit = 0;

    if (zmq_socket_monitor(port->socket, name, ZMQ_EVENT_DISCONNECTED) != 0)
        return -zmq_errno();
    port->monitor = zmq_socket(context, ZMQ_PAIR);
    if (port->monitor == NULL ||
        zmq_setsockopt(port->monitor, ZMQ_RCVHWM, &no_limit, sizeof(no_limit)) != 0 ||
        zmq_connect(port->monitor, name) != 0)
        return -zmq_errno();
    return 0;
}

/* ROUTER_MANDATORY: a vanished route is an error that we see, not a silent drop. LINGER lets the
 * last frames out. BACKLOG: after a restart all clients come at once. */
static int set_router_options(void *socket)
{
    const int mandatory = 1;
    const int linger_ms = 200;
    const int backlog = 4096; /* what the kernel allows by default */

    if (zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof(mandatory)) != 0 ||
        zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof(backlog)) != 0 ||
        zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)) != 0)
        return -zmq_errno();
    return 0;
}

static int open_port(const struct loop_config *config,
                     struct port *port,
                     const char *endpoint,
                     const char *monitor)
{
    int result = -ENOMEM;

    port->socket = zmq_socket(config->context, ZMQ_ROUTER);
    if (port->socket == NULL || (result = zframe_prepare(port->socket)) != 0 ||
        (result = set_router_options(port->socket)) != 0 ||
        (result = open_monitor(config->context, port, monitor)) != 0)
        return result;
    if (config->secure != NULL) {
        result = config->secure(config->secure_data, port->socket, port->role);
        if (result != 0)
            return result;
    }
    return zmq_bind(port->socket, endpoint) == 0 ? 0 : -zmq_errno();
}

static int open_revoked(const struct loop_config *config, struct loop *loop)
{
    loop->revoked = zmq_socket(config->context, ZMQ_PULL);
    if (loop->revoked == NULL || zmq_bind(loop->revoked, LOOP_REVOKE_ENDPOINT) != 0)
        return -zmq_errno();
    return 0;
}

int loop_new(const struct loop_config *config, struct loop **out, const char **endpoint)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int result = -ENOMEM;

    if (loop == NULL)
        return -ENOMEM;
    loop->meter = config->meter;
    loop->pulse = config->pulse;
    loop->journal = config->journal;
    loop->ports[CLIENTS].role = WIRE_CLIENT;
    loop->ports[AGENTS].role = WIRE_AGENT;
    loop->core = core_new((uint64_t)clock_wall_ms(), settings_version(), clock_now_ms());
    if (loop->core == NULL ||
        (config->journal != NULL && core_keep_durables(loop->core, config->keep_ms) != 0))
        goto fail;
    core_set_resources(loop->core, &config->resources);
    if (config->uploads)
        core_allow_uploads(loop->core);
    *endpoint = LOOP_REVOKE_ENDPOINT;
    if ((result = open_revoked(config, loop)) != 0)
        goto fail;
    *endpoint = config->client_listen;
    if ((result = open_port(config, &loop->ports[CLIENTS], *endpoint, "inproc://broker.clients")) !=
        0)
        goto fail;
    *endpoint = config->worker_listen;
    if ((result = open_port(config, &loop->ports[AGENTS], *endpoint, "inproc://broker.agents")) !=
        0)
        goto fail;
    *out = loop;
    return 0;
fail:
    loop_free(loop);
    return result;
}

/* The monitor stops before its reader goes: an event without a reader would hold the I/O thread
 * for ever. */
static void close_port(struct port *port)
{
    if (port->socket != NULL) {
        zmq_socket_monitor(port->socket, NULL, 0);
        zmq_close(port->socket);
    }
    if (port->monitor != NULL)
        zmq_close(port->monitor);
    free(port->origins);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    for (int i = 0; i < PORT_COUNT; i++)
        close_port(&loop->ports[i]);
    if (loop->revoked != NULL)
        zmq_close(loop->revoked);
    core_free(loop->core);
    core_effects_fini(&loop->effects);
    free(loop);
}

const char *loop_reason(const struct loop *loop)
{
    return loop->news.reason;
}

int64_t loop_beat(const struct loop *loop)
{
    return atomic_load(&loop->beat_ms);
}
