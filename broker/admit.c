/* The ZAP handler: one thread, one REP socket, two lists of keys under a lock. Invariants: every
 * request is answered once, so the REP socket never sticks; what is not understood is refused. */
#include "admit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#define ENDPOINT     "inproc://zeromq.zap.01"
#define BEAT_MS      1000
#define DEAD_MS      4000 /* without a beat */
#define LOG_PAUSE_MS 1000
#define KNOCK_MS     5000 /* a busy machine took 2 s */

/* Index of each role in counters and names. */
enum { CLIENTS, AGENTS, ROLE_COUNT };

static const char *const domains[ROLE_COUNT] = {"client", "worker"};

struct admit {
    void *socket; /* REP; of the thread once it runs */
    int stop_fd;  /* eventfd */
    pthread_t thread;
    struct curve_pair server;
    struct metric *admitted[ROLE_COUNT];
    struct metric *refused[ROLE_COUNT];
    struct curve_key *clients;
    size_t client_count;
    atomic_int_least64_t beat_ms;
    int64_t told_ms;      /* of the last line about a refusal; of the thread */
    unsigned untold;      /* refusals since then; of the thread */
    pthread_mutex_t lock; /* of what follows */
    struct curve_key *workers;
    size_t worker_count;
    size_t worker_capacity;
    struct curve_key knocker; /* of our own self-test; not worth a log line */
};

/* ---- the lists ---- */

/* Index of `key` in keys[0..count), or count. Keys of peers are public: no need for constant time.
 */
static size_t find_key(const struct curve_key *keys, size_t count, const struct curve_key *key)
{
    size_t i = 0;

    while (i < count && strcmp(keys[i].text, key->text) != 0)
        i++;
    return i;
}

/* Under the lock. */
static int add_worker(struct admit *admit, const struct curve_key *key)
{
    if (find_key(admit->workers, admit->worker_count, key) < admit->worker_count)
        return 0;
    if (admit->worker_count == ADMIT_WORKERS_MAX)
        return -ENOSPC;
    if (admit->worker_count == admit->worker_capacity) {
        const size_t capacity = admit->worker_capacity * 2 + 16;
        struct curve_key *workers = realloc(admit->workers, capacity * sizeof(*workers));
        if (workers == NULL)
            return -ENOMEM;
        admit->workers = workers;
        admit->worker_capacity = capacity;
    }
    admit->workers[admit->worker_count++] = *key;
    return 0;
}

int admit_allow_worker(struct admit *admit, const struct curve_key *key)
{
    pthread_mutex_lock(&admit->lock);
    const int rc = add_worker(admit, key);
    pthread_mutex_unlock(&admit->lock);
    return rc;
}

void admit_revoke_worker(struct admit *admit, const struct curve_key *key)
{
    pthread_mutex_lock(&admit->lock);
    const size_t at = find_key(admit->workers, admit->worker_count, key);
    if (at < admit->worker_count)
        admit->workers[at] = admit->workers[--admit->worker_count];
    pthread_mutex_unlock(&admit->lock);
}

/* ---- requests ---- */

/* Parts of a request, in order; RFC 27 "request". More than one credential is no CURVE request. */
enum {
    PART_VERSION,
    PART_ID,
    PART_DOMAIN,
    PART_ADDRESS,
    PART_IDENTITY,
    PART_MECHANISM,
    PART_KEY,
    PART_COUNT
};

struct part {
    uint8_t bytes[256]; /* with a zero byte behind the last; what is longer is refused */
    size_t size;
};

struct request {
    struct part parts[PART_COUNT];
    bool valid;
};

/* Take one request out of the socket, whole. -EAGAIN: there is none. */
static int receive_request(void *socket, struct request *request)
{
    int more = 1;
    size_t more_size = sizeof(more);

    *request = (struct request){.valid = true};
    for (size_t i = 0; more != 0; i++) {
        struct part rest;
        /* cppcheck-suppress uninitvar ; it is written by what follows */
        struct part *part = i < PART_COUNT ? &request->parts[i] : &rest;
        const int size = zmq_recv(socket, part->bytes, sizeof(part->bytes) - 1, ZMQ_DONTWAIT);

        if (size < 0)
            return -zmq_errno();
        part->size = (size_t)size < sizeof(part->bytes) ? (size_t)size : 0;
        part->bytes[part->size] = '\0';
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) != 0)
            return -zmq_errno();
        request->valid &= i < PART_COUNT && (size_t)size < sizeof(part->bytes) &&
                          (more != 0) == (i + 1 < PART_COUNT);
    }
    return 0;
}

static bool part_is(const struct part *part, const char *text)
{
    return part->size == strlen(text) && memcmp(part->bytes, text, part->size) == 0;
}

/* The role whose socket asks, or ROLE_COUNT: the request is none that we understand. */
static size_t read_role(const struct request *request)
{
    if (!request->valid || !part_is(&request->parts[PART_VERSION], "1.0") ||
        !part_is(&request->parts[PART_MECHANISM], "CURVE") ||
        request->parts[PART_KEY].size != CURVE_KEY_BYTES)
        return ROLE_COUNT;
    size_t role = 0;
    while (role < ROLE_COUNT && !part_is(&request->parts[PART_DOMAIN], domains[role]))
        role++;
    return role;
}

static void tell_refusal(struct admit *admit,
                         const struct request *request,
                         const char *role,
                         const struct curve_key *key)
{
    const int64_t now_ms = clock_now_ms();
    char address[128];

    admit->untold++;
    if (admit->told_ms != 0 && now_ms - admit->told_ms < LOG_PAUSE_MS)
        return;
    log_quote(address, sizeof(address), (const char *)request->parts[PART_ADDRESS].bytes);
    log_warn("peer_refused", "role=%s peer=\"%s\" key=\"%s\" times=%u", role, address, key->text,
             admit->untold);
    admit->told_ms = now_ms;
    admit->untold = 0;
}

/* Decide, count, and say so when it is a no. *key becomes the key as text. */
static bool judge(struct admit *admit, const struct request *request, struct curve_key *key)
{
    const size_t role = read_role(request);
    bool admitted = false;
    bool ours = false;

    if (role < ROLE_COUNT) {
        curve_encode(request->parts[PART_KEY].bytes, key);
        pthread_mutex_lock(&admit->lock);
        admitted = role == CLIENTS
                       ? find_key(admit->clients, admit->client_count, key) < admit->client_count
                       : find_key(admit->workers, admit->worker_count, key) < admit->worker_count;
        ours = strcmp(admit->knocker.text, key->text) == 0;
        pthread_mutex_unlock(&admit->lock);
        metric_add(admit->admitted[role], admitted);
        metric_add(admit->refused[role], !admitted && !ours);
    }
    if (!admitted && !ours)
        tell_refusal(admit, request, role < ROLE_COUNT ? domains[role] : "unknown", key);
    return admitted;
}

/* RFC 27 "reply": version, request id, status, text, user id, metadata. */
static int
send_reply(void *socket, const struct request *request, bool admitted, const struct curve_key *key)
{
    const struct part *id = &request->parts[PART_ID];
    const struct {
        const void *bytes;
        size_t size;
    } parts[] = {
        {"1.0", 3},
        {id->bytes, id->size},
        {admitted ? "200" : "400", 3},
        {admitted ? "OK" : "no", 2},
        {key->text, admitted ? strlen(key->text) : 0},
        {"", 0},
    };

    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const int flags = ZMQ_DONTWAIT | (i + 1 < COUNT_OF(parts) ? ZMQ_SNDMORE : 0);
        if (zmq_send(socket, parts[i].bytes, parts[i].size, flags) < 0)
            return -zmq_errno();
    }
    return 0;
}

static int answer_all(struct admit *admit)
{
    struct request request;
    int rc = 0;

    while ((rc = receive_request(admit->socket, &request)) == 0) {
        struct curve_key key = {.text = ""};
        const bool admitted = judge(admit, &request, &key);

        rc = send_reply(admit->socket, &request, admitted, &key);
        if (rc != 0)
            return rc;
    }
    return rc == -EAGAIN || rc == -EINTR ? 0 : rc;
}

/* ---- the thread ---- */

static void *run(void *argument)
{
    struct admit *admit = argument;
    zmq_pollitem_t items[] = {
        {.socket = admit->socket, .events = ZMQ_POLLIN},
        {.fd = admit->stop_fd, .events = ZMQ_POLLIN},
    };
    int rc = 0;

    pthread_setname_np(pthread_self(), "admit");
    while (rc == 0 && (items[1].revents & ZMQ_POLLIN) == 0) {
        atomic_store(&admit->beat_ms, clock_now_ms());
        if (zmq_poll(items, COUNT_OF(items), BEAT_MS) < 0)
            rc = zmq_errno() == EINTR ? 0 : -zmq_errno();
        else if ((items[0].revents & ZMQ_POLLIN) != 0)
            rc = answer_all(admit);
    }
    if (rc != 0)
        log_error("admission_dead", "error=\"%s\" effect=\"nobody is admitted\"",
                  zmq_strerror(-rc));
    return NULL;
}

/* Signals belong to the main thread. */
static int start_thread(struct admit *admit)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&admit->thread, NULL, run, admit);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

bool admit_is_alive(const struct admit *admit)
{
    return clock_now_ms() - atomic_load(&admit->beat_ms) < DEAD_MS;
}

/* ---- life ---- */

static void admit_free(struct admit *admit)
{
    if (admit->socket != NULL)
        zmq_close(admit->socket);
    if (admit->stop_fd >= 0)
        close(admit->stop_fd);
    pthread_mutex_destroy(&admit->lock);
    curve_wipe(&admit->server);
    free(admit->clients);
    free(admit->workers);
    free(admit);
}

static void make_metrics(struct admit *admit, struct metrics *metrics)
{
    static const char *const labels[ROLE_COUNT] = {"role=\"client\"", "role=\"worker\""};

    for (size_t i = 0; i < ROLE_COUNT; i++) {
        admit->admitted[i] = metrics_counter(metrics, "scoop_handshakes_admitted_total", labels[i],
                                             "Connections with an admitted key.");
        admit->refused[i] = metrics_counter(metrics, "scoop_handshakes_refused_total", labels[i],
                                            "Connections with any other key.");
    }
}

static struct admit *admit_new(const struct admit_config *config)
{
    struct admit *admit = calloc(1, sizeof(*admit));

    if (admit == NULL)
        return NULL;
    pthread_mutex_init(&admit->lock, NULL);
    admit->server = *config->server;
    admit->beat_ms = clock_now_ms();
    admit->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    admit->clients = calloc(config->client_count + 1, sizeof(*admit->clients));
    if (admit->stop_fd < 0 || admit->clients == NULL) {
        admit_free(admit);
        return NULL;
    }
    for (size_t i = 0; i < config->client_count; i++)
        admit->clients[i] = config->clients[i];
    admit->client_count = config->client_count;
    make_metrics(admit, config->metrics);
    return admit;
}

static int bind_handler(struct admit *admit, void *context)
{
    const int no_linger = 0;

    admit->socket = zmq_socket(context, ZMQ_REP);
    if (admit->socket == NULL ||
        zmq_setsockopt(admit->socket, ZMQ_LINGER, &no_linger, sizeof(no_linger)) != 0 ||
        zmq_bind(admit->socket, ENDPOINT) != 0)
        return -zmq_errno();
    return 0;
}

int admit_start(const struct admit_config *config, struct admit **out)
{
    struct admit *admit = admit_new(config);
    int rc = -ENOMEM;

    if (admit == NULL)
        return rc;
    rc = bind_handler(admit, config->context);
    if (rc == 0)
        rc = start_thread(admit);
    if (rc != 0) {
        admit_free(admit);
        return rc;
    }
    *out = admit;
    return 0;
}

void admit_stop(struct admit *admit)
{
    const uint64_t one = 1;

    if (admit == NULL)
        return;
    /* A fresh eventfd always takes one more. */
    (void)!write(admit->stop_fd, &one, sizeof(one));
    pthread_join(admit->thread, NULL);
    admit_free(admit);
}

int admit_secure(void *admit, void *socket, enum wire_role role)
{
    const struct admit *self = admit;
    const char *domain = domains[role == WIRE_CLIENT ? CLIENTS : AGENTS];
    const char *secret = self->server.secret_half.text;
    const int server = 1;

    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof(server)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, strlen(secret) + 1) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0)
        return -zmq_errno();
    return 0;
}

/* ---- self-test ---- */

/* Long enough for any address that parse_url() accepts. */
#define ENDPOINT_MAX 300

/* Every way for a handshake to end. */
#define KNOCK_EVENTS                                                                               \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                             \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)

/* One try to get in, and the events that say that it was refused for the right reason. */
struct knock {
    const char *with;
    const struct curve_pair *pair; /* NULL: none */
    uint16_t refusals;
};

/* The next event of a monitor, 0 when none comes in time. Layout: zmq_socket_monitor(3). */
static uint16_t await_event(void *monitor)
{
    uint8_t head[6];
    uint16_t event = 0;

    if (zmq_recv(monitor, head, sizeof(head), 0) == sizeof(head))
        memcpy(&event, head, sizeof(event));
    return event;
}

static int set_keys(void *socket, const struct curve_key *server, const struct curve_pair *pair)
{
    const size_t size = sizeof(server->text);

    if (pair == NULL)
        return 0;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server->text, size) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, pair->public_half.text, size) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, pair->secret_half.text, size) != 0)
        return -zmq_errno();
    return 0;
}

/* Prepare a socket that dials `endpoint`, watched by `monitor`. */
static int dial(void *socket, void *monitor, const char *endpoint)
{
    static const char name[] = "inproc://admit.knock";
    const int wait_ms = KNOCK_MS;
    const int linger_ms = 0;

    if (zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)) != 0 ||
        zmq_setsockopt(monitor, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)) != 0 ||
        zmq_socket_monitor(socket, name, KNOCK_EVENTS) != 0 || zmq_connect(monitor, name) != 0 ||
        zmq_connect(socket, endpoint) != 0)
        return -zmq_errno();
    return 0;
}

/* Returns the first event of the handshake, 0: none came. A context of its own keeps it apart
 * from our sockets. */
static uint16_t
knock(const char *endpoint, const struct curve_key *server, const struct curve_pair *pair)
{
    void *context = zmq_ctx_new();
    void *socket = context != NULL ? zmq_socket(context, ZMQ_DEALER) : NULL;
    void *monitor = context != NULL ? zmq_socket(context, ZMQ_PAIR) : NULL;
    uint16_t event = 0;

    if (socket != NULL && monitor != NULL && set_keys(socket, server, pair) == 0 &&
        dial(socket, monitor, endpoint) == 0)
        event = await_event(monitor);
    /* In this order: an event without a reader would hold the I/O thread for ever. */
    if (socket != NULL) {
        zmq_socket_monitor(socket, NULL, 0);
        zmq_close(socket);
    }
    if (monitor != NULL)
        zmq_close(monitor);
    if (context != NULL)
        zmq_ctx_term(context);
    return event;
}

static void set_knocker(struct admit *admit, const char *text)
{
    pthread_mutex_lock(&admit->lock);
    snprintf(admit->knocker.text, sizeof(admit->knocker.text), "%s", text);
    pthread_mutex_unlock(&admit->lock);
}

/* How to reach from here what listens on `listen`: a wildcard becomes the loopback address. */
static int dialled_endpoint(const char *listen, char endpoint[ENDPOINT_MAX])
{
    struct url url;

    if (parse_url(listen, 0, &url) != 0 || url.authority.port == 0)
        return -EINVAL;
    const char *host = url.authority.host;
    if (strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    const bool bracketed = strchr(host, ':') != NULL;
    snprintf(endpoint, ENDPOINT_MAX, "%s://%s%s%s:%u", url.scheme, bracketed ? "[" : "", host,
             bracketed ? "]" : "", url.authority.port);
    return 0;
}

static int knock_all(struct admit *admit,
                     const char *endpoint,
                     const struct curve_pair *stranger,
                     struct problem *problem)
{
    /* Without a key the other side hangs up as soon as it sees the mechanism, which we may see
     * or not. */
    const struct knock knocks[] = {
        {"without a key", NULL, KNOCK_EVENTS & ~ZMQ_EVENT_HANDSHAKE_SUCCEEDED},
        {"with a random key", stranger, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH},
    };

    for (size_t i = 0; i < COUNT_OF(knocks); i++) {
        const uint16_t event = knock(endpoint, &admit->server.public_half, knocks[i].pair);

        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            return problem_set(problem, -EACCES, "%s lets peers in %s: refusing to go on", endpoint,
                               knocks[i].with);
        if ((event & knocks[i].refusals) == 0)
            return problem_set(problem, -ETIMEDOUT,
                               "%s did not clearly refuse a peer %s within %d ms (event %#x)",
                               endpoint, knocks[i].with, KNOCK_MS, event);
    }
    return 0;
}

int admit_self_test(struct admit *admit, const char *listen, struct problem *problem)
{
    struct curve_pair stranger CLEANUP(curve_wipe) = {0};
    char endpoint[ENDPOINT_MAX];

    if (dialled_endpoint(listen, endpoint) != 0)
        return problem_set(problem, -EINVAL, "%s: the self-test needs tcp://ADDRESS:PORT", listen);
    if (curve_make(&stranger) != 0)
        return problem_set(problem, -ENOTSUP, "this libzmq was built without CURVE");
    set_knocker(admit, stranger.public_half.text);
    const int rc = knock_all(admit, endpoint, &stranger, problem);
    set_knocker(admit, "");
    return rc;
}
