/* Addresses, connections and their life.
 *
 * A connection is in exactly one list: of its place while idle, else `connecting` or `busy` of the
 * peer, both in order of their deadlines. It is closed in its own event handler or in peer_tick()
 * only, so no event of the same turn can meet a freed one; a write that fails is left to the event
 * that follows. */
#include "peer.h"

#include "answer.h"

#include "base/log.h"
#include "base/resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOKUP_INTERVAL_MS 2000
#define CONNECT_LIMIT_MS   2000

/* A vanished host is noticed after about this. */
#define LOST_MS 4000

/* Requests to an address that left the name may end within this. */
#define LEAVE_LIMIT_MS 2000

/* How long an address is left out: at first, doubling, at most. */
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS  2000

enum connection_state { CONNECTION_CONNECTING, CONNECTION_BUSY, CONNECTION_IDLE };

struct connection {
    struct watch watch; /* first: the epoll loop knows us by it */
    TAILQ_ENTRY(connection) entry;
    struct peer *peer;
    struct place *place;
    enum connection_state state;
    int fd;
    uint32_t events; /* asked of epoll */
    bool reused;     /* had an answer before: the other side may close it at any time */
    bool heard;      /* something of this answer has arrived */
    size_t sent;     /* of the request */
    int64_t deadline_ms;
    struct exchange *exchange; /* NULL while idle */
    struct answer answer;
};

TAILQ_HEAD(connection_list, connection);

/* One address of the name. */
struct place {
    TAILQ_ENTRY(place) entry;
    struct address address;
    struct connection_list idle; /* the last used first */
    size_t connections;          /* idle and not */
    int failures; /* tries since its last answer; what failed at the same time counts once */
    int64_t retry_at_ms;
    bool listed; /* the name still has it */
    int64_t unlisted_ms;
};

TAILQ_HEAD(place_list, place);

struct peer {
    struct peer_options options;
    struct resolver *resolver;
    struct resolve_snapshot set;
    struct place_list places;  /* listed; the next in turn first */
    struct place_list leaving; /* not listed any more, with connections */
    struct connection_list connecting;
    struct connection_list busy;
    struct metric *answers;
    struct metric *failures;
    struct metric *addresses;
};

static void register_metrics(struct peer *peer)
{
    struct metrics *metrics = peer->options.metrics;
    char labels[64];

    snprintf(labels, sizeof(labels), "peer=\"%s\"", peer->options.name);
    peer->answers =
        metrics_counter(metrics, "miner_peer_answers_total", labels, "Good answers of a service.");
    peer->failures = metrics_counter(metrics, "miner_peer_failures_total", labels,
                                     "Requests that an address of a service failed.");
    peer->addresses = metrics_gauge(metrics, "miner_peer_addresses", labels,
                                    "Addresses behind the name of a service.");
}

int peer_new(const struct peer_options *options, struct peer **out)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return -ENOMEM;
    peer->options = *options;
    register_metrics(peer);
    TAILQ_INIT(&peer->places);
    TAILQ_INIT(&peer->leaving);
    TAILQ_INIT(&peer->connecting);
    TAILQ_INIT(&peer->busy);
    const int rc = resolve_start(&(struct resolve_options){.name = options->url.authority.host,
                                                           .port = options->url.authority.port,
                                                           .interval_ms = LOOKUP_INTERVAL_MS,
                                                           .wake_fd = options->wake_fd},
                                 &peer->resolver);
    if (rc != 0) {
        free(peer);
        return rc;
    }
    *out = peer;
    return 0;
}

static struct connection_list *list_of(struct connection *connection)
{
    struct connection_list *const lists[] = {
        [CONNECTION_CONNECTING] = &connection->peer->connecting,
        [CONNECTION_BUSY] = &connection->peer->busy,
        [CONNECTION_IDLE] = &connection->place->idle,
    };

    return lists[connection->state];
}

/* Free a place that the name left, with its last connection. */
static void place_release(struct peer *peer, struct place *place)
{
    if (place->listed || place->connections > 0)
        return;
    TAILQ_REMOVE(&peer->leaving, place, entry);
    free(place);
}

static void connection_close(struct connection *connection)
{
    TAILQ_REMOVE(list_of(connection), connection, entry);
    close(connection->fd);
    connection->place->connections--;
    place_release(connection->peer, connection->place);
    free(connection);
}

static void close_all(struct connection_list *list)
{
    struct connection *connection = NULL;

    while ((connection = TAILQ_FIRST(list)) != NULL)
        connection_close(connection);
}

static void place_unlist(struct peer *peer, struct place *place, int64_t now_ms)
{
    TAILQ_REMOVE(&peer->places, place, entry);
    TAILQ_INSERT_TAIL(&peer->leaving, place, entry);
    place->unlisted_ms = now_ms;
    /* Listed until its idle connections are closed, so that none of them frees it under us. */
    close_all(&place->idle);
    place->listed = false;
    place_release(peer, place);
}

void peer_free(struct peer *peer)
{
    if (peer == NULL)
        return;
    resolve_stop(peer->resolver);
    close_all(&peer->connecting);
    close_all(&peer->busy);
    while (!TAILQ_EMPTY(&peer->places))
        place_unlist(peer, TAILQ_FIRST(&peer->places), 0);
    free(peer);
}

static void place_failed(struct peer *peer, struct place *place, const char *why, int64_t now_ms)
{
    char text[ADDRESS_TEXT_MAX];
    int64_t pause_ms = RETRY_FIRST_MS;

    metric_add(peer->failures, 1);
    if (now_ms < place->retry_at_ms)
        return; /* it was under way when others failed: the same trouble */
    if (place->failures++ == 0)
        log_warn("peer_down", "peer=%s address=%s reason=\"%s\"", peer->options.name,
                 address_text(&place->address, text), why);
    for (int i = 1; i < place->failures && pause_ms < RETRY_LAST_MS; i++)
        pause_ms *= 2;
    place->retry_at_ms = now_ms + (pause_ms < RETRY_LAST_MS ? pause_ms : RETRY_LAST_MS);
}

static void place_answered(struct peer *peer, struct place *place)
{
    char text[ADDRESS_TEXT_MAX];

    metric_add(peer->answers, 1);
    if (place->failures > 0)
        log_info("peer_up", "peer=%s address=%s failures=%d", peer->options.name,
                 address_text(&place->address, text), place->failures);
    place->failures = 0;
    place->retry_at_ms = 0;
}

static void want_events(struct connection *connection, uint32_t events)
{
    struct epoll_event wanted = {.events = events, .data.ptr = &connection->watch};

    if (connection->events == events)
        return;
    connection->events = events;
    /* Cannot fail for a descriptor that is in the set; its deadline would end it. */
    (void)epoll_ctl(connection->peer->options.epoll_fd, EPOLL_CTL_MOD, connection->fd, &wanted);
}

static void move_to(struct connection *connection, enum connection_state state)
{
    TAILQ_REMOVE(list_of(connection), connection, entry);
    connection->state = state;
    if (state == CONNECTION_IDLE)
        TAILQ_INSERT_HEAD(list_of(connection), connection, entry);
    else
        TAILQ_INSERT_TAIL(list_of(connection), connection, entry);
}

static void write_request(struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    const size_t left = exchange->request_bytes - connection->sent;
    const ssize_t n =
        send(connection->fd, exchange->request + connection->sent, left, MSG_NOSIGNAL);

    if (n > 0)
        connection->sent += (size_t)n;
    want_events(connection, connection->sent < exchange->request_bytes && (n > 0 || errno == EAGAIN)
                                ? EPOLLIN | EPOLLOUT
                                : EPOLLIN);
}

/* The connection stands: send the request of its exchange. */
static void start_request(struct connection *connection, int64_t now_ms)
{
    struct exchange *exchange = connection->exchange;

    connection->deadline_ms = now_ms + connection->peer->options.timeout_ms;
    connection->sent = 0;
    connection->heard = false;
    answer_begin(&connection->answer, exchange->answer, sizeof(exchange->answer));
    move_to(connection, CONNECTION_BUSY);
    write_request(connection);
}

/* End the connection and its exchange. A kept connection that the other side closed before it said
 * anything is nobody's fault: the request just goes elsewhere. */
static void
connection_fail(struct connection *connection, int error, const char *why, int64_t now_ms)
{
    struct exchange *exchange = connection->exchange;
    const bool stale = connection->reused && !connection->heard && error != -ETIMEDOUT;

    if (exchange != NULL && !stale)
        place_failed(connection->peer, connection->place, why, now_ms);
    connection_close(connection);
    if (exchange != NULL)
        exchange->finished(exchange, error, now_ms);
}

/* The whole answer is there: keep or close the connection, then hand the answer out. */
static void finish(struct connection *connection, bool open, int64_t now_ms)
{
    struct exchange *exchange = connection->exchange;
    struct peer *peer = connection->peer;
    const unsigned status = answer_status(&connection->answer);
    int result = 0;
    char why[64];

    exchange->answer_bytes = connection->answer.bytes;
    if (status == 200 && peer->options.accepts(exchange)) {
        place_answered(peer, connection->place);
    } else {
        result = -EREMOTEIO;
        snprintf(why, sizeof(why), "answered %u, %zu bytes", status, connection->answer.bytes);
        place_failed(peer, connection->place, why, now_ms);
    }
    if (open && connection->place->listed && answer_keeps_alive(&connection->answer) &&
        connection->sent == exchange->request_bytes) {
        connection->exchange = NULL;
        connection->reused = true;
        move_to(connection, CONNECTION_IDLE);
    } else {
        connection_close(connection);
    }
    exchange->finished(exchange, result, now_ms);
}

static void read_answer(struct connection *connection, int64_t now_ms)
{
    char bytes[4096];
    const ssize_t n = recv(connection->fd, bytes, sizeof(bytes), 0);
    int rc = 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || connection->exchange == NULL) {
        rc = n < 0 ? -errno : -EPROTO;
    } else if (n == 0) {
        rc = answer_end(&connection->answer);
    } else {
        connection->heard = true;
        rc = answer_feed(&connection->answer, bytes, (size_t)n);
    }
    if (rc < 0)
        connection_fail(connection, rc, strerrordesc_np(-rc), now_ms);
    else if (rc == 1)
        finish(connection, n > 0, now_ms);
}

static void connection_ready(struct watch *watch, uint32_t events, int64_t now_ms)
{
    struct connection *connection = (struct connection *)watch;

    if (connection->state == CONNECTION_CONNECTING) {
        const int rc = address_connected(connection->fd);
        if (rc != 0)
            connection_fail(connection, rc, strerrordesc_np(-rc), now_ms);
        else
            start_request(connection, now_ms);
        return;
    }
    if ((events & EPOLLOUT) != 0 && connection->exchange != NULL)
        write_request(connection);
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        read_answer(connection, now_ms);
}

/* Open a connection for this exchange. 0, -ENOMEM, or why the address cannot be reached. */
static int
connect_place(struct peer *peer, struct place *place, struct exchange *exchange, int64_t now_ms)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    struct epoll_event wanted = {.events = EPOLLOUT};

    if (connection == NULL)
        return -ENOMEM;
    *connection = (struct connection){
        .watch.ready = connection_ready,
        .peer = peer,
        .place = place,
        .fd = address_connect(&place->address, LOST_MS),
        .events = EPOLLOUT,
        .deadline_ms = now_ms + CONNECT_LIMIT_MS,
        .exchange = exchange,
    };
    int rc = connection->fd < 0 ? connection->fd : 0;
    wanted.data.ptr = &connection->watch;
    if (rc == 0 && epoll_ctl(peer->options.epoll_fd, EPOLL_CTL_ADD, connection->fd, &wanted) != 0) {
        rc = -errno;
        close(connection->fd);
    }
    if (rc != 0) {
        free(connection);
        return rc;
    }
    TAILQ_INSERT_TAIL(&peer->connecting, connection, entry);
    place->connections++;
    return 0;
}

static int
send_to(struct peer *peer, struct place *place, struct exchange *exchange, int64_t now_ms)
{
    struct connection *connection = TAILQ_FIRST(&place->idle);

    if (connection == NULL)
        return connect_place(peer, place, exchange, now_ms);
    connection->exchange = exchange;
    start_request(connection, now_ms);
    return 0;
}

int peer_send(struct peer *peer, struct exchange *exchange, int64_t now_ms)
{
    struct place *place = NULL;

    TAILQ_FOREACH(place, &peer->places, entry)
    {
        if (place->retry_at_ms > now_ms)
            continue;
        const int rc = send_to(peer, place, exchange, now_ms);
        if (rc == -ENOMEM)
            return rc;
        if (rc == 0) {
            TAILQ_REMOVE(&peer->places, place, entry);
            TAILQ_INSERT_TAIL(&peer->places, place, entry);
            return 0;
        }
        place_failed(peer, place, strerrordesc_np(-rc), now_ms);
    }
    return -EAGAIN;
}

int64_t peer_retry_at(const struct peer *peer)
{
    const struct place *place = NULL;
    int64_t first_ms = INT64_MAX;

    TAILQ_FOREACH(place, &peer->places, entry)
    {
        if (place->retry_at_ms < first_ms)
            first_ms = place->retry_at_ms;
    }
    return first_ms;
}

static bool set_has(const struct resolve_snapshot *set, const struct address *address)
{
    for (size_t i = 0; i < set->count; i++) {
        if (address_compare(&set->addresses[i], address) == 0)
            return true;
    }
    return false;
}

static bool peer_has(const struct peer *peer, const struct address *address)
{
    const struct place *place = NULL;

    TAILQ_FOREACH(place, &peer->places, entry)
    {
        if (address_compare(&place->address, address) == 0)
            return true;
    }
    return false;
}

/* New addresses come next in turn: nobody has asked them yet. A place that cannot be had now is had
 * with the next change. */
static void place_add(struct peer *peer, const struct address *address)
{
    struct place *place = calloc(1, sizeof(*place));

    if (place == NULL)
        return;
    place->address = *address;
    place->listed = true;
    TAILQ_INIT(&place->idle);
    TAILQ_INSERT_HEAD(&peer->places, place, entry);
}

static void take_set(struct peer *peer, int64_t now_ms)
{
    struct place *place = TAILQ_FIRST(&peer->places);

    resolve_read(peer->resolver, &peer->set);
    while (place != NULL) {
        struct place *next = TAILQ_NEXT(place, entry);
        if (!set_has(&peer->set, &place->address))
            place_unlist(peer, place, now_ms);
        place = next;
    }
    for (size_t i = 0; i < peer->set.count; i++) {
        if (!peer_has(peer, &peer->set.addresses[i]))
            place_add(peer, &peer->set.addresses[i]);
    }
    metric_set(peer->addresses, (int64_t)peer->set.count);
    const int error = peer->set.error;
    log_event(peer->set.count > 0 && error == 0 ? LOG_INFO : LOG_WARN, "peer_addresses",
              "peer=%s name=%s count=%zu omitted=%zu lookup=\"%s\"", peer->options.name,
              peer->options.url.authority.host, peer->set.count, peer->set.omitted,
              error == 0 ? "answered" : gai_strerror(error));
}

static void end_late(struct connection_list *list, int64_t now_ms)
{
    struct connection *connection = NULL;

    while ((connection = TAILQ_FIRST(list)) != NULL && connection->deadline_ms <= now_ms)
        connection_fail(connection, -ETIMEDOUT, "no answer in time", now_ms);
}

/* The first connection whose address left the name long enough ago. */
static struct connection *find_left(struct connection_list *list, int64_t now_ms)
{
    struct connection *connection = NULL;

    TAILQ_FOREACH(connection, list, entry)
    {
        if (!connection->place->listed && now_ms - connection->place->unlisted_ms >= LEAVE_LIMIT_MS)
            return connection;
    }
    return NULL;
}

static void end_left(struct peer *peer, int64_t now_ms)
{
    struct connection_list *const lists[] = {&peer->connecting, &peer->busy};
    struct connection *connection = NULL;

    if (TAILQ_EMPTY(&peer->leaving))
        return;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        while ((connection = find_left(lists[i], now_ms)) != NULL)
            connection_fail(connection, -ETIMEDOUT, "left the name", now_ms);
    }
}

void peer_tick(struct peer *peer, int64_t now_ms)
{
    if (resolve_version(peer->resolver) != peer->set.version)
        take_set(peer, now_ms);
    end_late(&peer->connecting, now_ms);
    end_late(&peer->busy, now_ms);
    end_left(peer, now_ms);
}

int64_t peer_due(const struct peer *peer)
{
    const struct connection *const heads[] = {TAILQ_FIRST(&peer->connecting),
                                              TAILQ_FIRST(&peer->busy)};
    int64_t due_ms = INT64_MAX;

    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        if (heads[i] != NULL && heads[i]->deadline_ms < due_ms)
            due_ms = heads[i]->deadline_ms;
    }
    return due_ms;
}
