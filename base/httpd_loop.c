/* One event loop: accept, let MHD work, sweep out connections that are too slow, until the drain is
 * over.
 *
 * MHD runs with an epoll of its own, which stands in ours beside the listening socket. Accepting
 * is ours, one connection per loop and turn, so that connections spread evenly over the loops;
 * MHD takes ten at once, and 16 connections then sit on one of two loops. Measured on two cores
 * with wrk, CPU a request at 1 / 16 / 256 / 1024 connections, medians of three, static 32 bytes:
 * MHD's own pool of two 19 / 6.0 / 5.8 / 7.0 us; MHD_run_wait on a shared listener 19 / 6.0 /
 * 5.9 / 7.3 us; this way 20 / 6.5 / 5.9 / 7.2 us; nginx 23 / 8.6 / 7.5 / 8.7 us. Posts of 1 MiB:
 * 1.1-1.9 k/s with the pool, 1.5-1.9 k/s with the second, a steady 1.8 k/s with this. */
#include "httpd_internal.h"

#include "clock.h"
#include "log.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 500,
    /* After a turn this long (many read slowly, and each is written to) more than one is accepted: else who
     * comes next would stand behind as many turns as there are connections before it. */
    LONG_TURN_MS = 2,
    ACCEPTS_MAX = 64,
    /* Of the kernel, for what a client has not read yet: by itself it takes up to 4 MiB. */
    SEND_BYTES = 512 * 1024,
};

void link_set_deadline(struct link *link, int64_t deadline_ms)
{
    if (link != NULL)
        link->deadline_ms = deadline_ms;
}

void link_set_idle(struct link *link, bool idle)
{
    if (link != NULL)
        link->idle = idle;
}

static void link_name_peer(struct link *link, const struct sockaddr *address)
{
    const void *ip = NULL;

    if (address->sa_family == AF_INET)
        ip = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        ip = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (ip == NULL || inet_ntop(address->sa_family, ip, link->peer, sizeof(link->peer)) == NULL)
        link->peer[0] = '\0';
}

static struct link *link_new(struct worker *worker, struct MHD_Connection *connection)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->worker = worker;
    link->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    link->deadline_ms = clock_now_ms() + HTTPD_HEAD_MS;
    link->idle = true;
    link_name_peer(
        link, MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    link->next = worker->links;
    link->place = &worker->links;
    if (link->next != NULL)
        link->next->place = &link->next;
    worker->links = link;
    return link;
}

static void link_free(struct link *link)
{
    if (link == NULL)
        return;
    *link->place = link->next;
    if (link->next != NULL)
        link->next->place = link->place;
    free(link);
}

static void on_connection(void *argument,
                          struct MHD_Connection *connection,
                          void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct worker *worker = argument;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_add(&worker->httpd->connections, 1);
        *slot = link_new(worker, connection);
        return;
    }
    link_free(*slot);
    *slot = NULL;
    atomic_fetch_sub(&worker->httpd->connections, 1);
}

/* No more requests will come: the client has ended its half. MHD overlooks that when it came together with
 * the last request, as its epoll is edge-triggered and a short read is the end of the edge to it. */
static bool is_finished(const struct link *link)
{
    char byte = 0;

    return link->idle && recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Shut those that are finished or over their time; MHD notices and closes them. */
static void sweep(struct worker *worker, int64_t now_ms)
{
    if (now_ms < worker->next_sweep_ms)
        return;
    worker->next_sweep_ms = now_ms + SWEEP_MS;
    for (struct link *link = worker->links; link != NULL; link = link->next) {
        const bool finished = is_finished(link);

        if (!finished && link->deadline_ms > now_ms)
            continue;
        if (!finished)
            stats_refused(worker->httpd, REFUSED_SLOW);
        link->deadline_ms = INT64_MAX;
        shutdown(link->fd, SHUT_RDWR);
    }
}

static bool is_loopback(const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)peer)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return peer->ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)peer)->sin6_addr);
}

/* Is there room for one more? The last places are kept for the health check. */
static bool has_room(struct httpd *httpd, const struct sockaddr_storage *peer)
{
    const unsigned reserved = is_loopback(peer) ? HTTPD_CONNECTIONS_RESERVED : 0;

    return atomic_load(&httpd->connections) < httpd->connections_max + reserved;
}

static void turn_away(struct httpd *httpd, int fd)
{
    static const char full[] =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 61\r\n\r\n"
        "{\"error\":\"connections\",\"detail\":\"too many open connections\"}\n";

    stats_refused(httpd, REFUSED_CONNECTIONS);
    if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

static void watch_listener(struct worker *worker, bool on)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u32 = WAKE_LISTENER};

    if (on == worker->listening)
        return;
    if (epoll_ctl(worker->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, worker->httpd->listen_fd,
                  &event) == 0)
        worker->listening = on;
}

/* False: there is none, or no more are to be taken in this turn. */
static bool accept_one(struct worker *worker)
{
    struct httpd *httpd = worker->httpd;
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof(peer);
    const int one = 1;
    const int send_bytes = SEND_BYTES;
    const int fd =
        accept4(httpd->listen_fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        /* Out of descriptors or memory: pause until the next sweep rather than spin. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            log_warn("accept_paused", "error=\"%s\"", strerror(errno));
            watch_listener(worker, false);
        }
        return false;
    }
    if (!has_room(httpd, &peer)) {
        turn_away(httpd, fd);
        return true;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
    /* Closes the socket if it fails; that is the client's answer. */
    (void)MHD_add_connection(worker->daemon, fd, (struct sockaddr *)&peer, size);
    return true;
}

static void accept_some(struct worker *worker)
{
    unsigned left = worker->turn_ms >= LONG_TURN_MS ? ACCEPTS_MAX : 1;

    while (left > 0 && accept_one(worker))
        left--;
}

/* How long the loop may sleep. */
static int sleep_ms(struct worker *worker, int64_t now_ms)
{
    MHD_UNSIGNED_LONG_LONG mhd_ms = 0;
    int64_t wait_ms = worker->links != NULL || !worker->listening ? SWEEP_MS : INT32_MAX;

    if (MHD_get_timeout(worker->daemon, &mhd_ms) == MHD_YES && (int64_t)mhd_ms < wait_ms)
        wait_ms = (int64_t)mhd_ms;
    if (atomic_load_explicit(&worker->httpd->draining, memory_order_relaxed)) {
        const int64_t left_ms = atomic_load(&worker->httpd->drain_until_ms) - now_ms;
        const int64_t bound_ms = left_ms > 0 ? left_ms : SWEEP_MS;
        wait_ms = bound_ms < wait_ms ? bound_ms : wait_ms;
    }
    return wait_ms == INT32_MAX ? -1 : (int)wait_ms;
}

/* At the drain's end what is suspended has been resumed; MHD must not be stopped before it noticed.
 */
static bool drained(const struct worker *worker, int64_t now_ms)
{
    if (!atomic_load_explicit(&worker->httpd->draining, memory_order_acquire))
        return false;
    if (worker->in_flight == 0)
        return true;
    return worker->suspended == 0 && now_ms >= atomic_load(&worker->httpd->drain_until_ms);
}

/* MHD wakes nobody when its event loop is external; and it looks at what was resumed only when it
 * starts to run. So first resume, then wake the loop. `x` may be gone once it is resumed. */
void worker_resume(struct exchange *x)
{
    struct worker *worker = x->worker;

    MHD_resume_connection(x->connection);
    eventfd_write(worker->resume_fd, 1);
}

static void turn(struct worker *worker, int64_t now_ms)
{
    struct epoll_event events[4];
    eventfd_t resumed = 0;
    const int count =
        epoll_wait(worker->epoll_fd, events, (int)COUNT_OF(events), sleep_ms(worker, now_ms));

    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == WAKE_LISTENER)
            accept_some(worker);
        if (events[i].data.u32 == WAKE_RESUME)
            eventfd_read(worker->resume_fd, &resumed);
        if (events[i].data.u32 == WAKE_DRAIN) {
            watch_listener(worker, false);
            epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->httpd->drain_fd, NULL);
        }
    }
    const int64_t begin_ms = clock_now_ms();
    MHD_run_wait(worker->daemon, 0);
    worker->turn_ms = clock_now_ms() - begin_ms;
    stats_flush_access(worker);
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    int64_t now_ms = clock_now_ms();

    while (!drained(worker, now_ms)) {
        turn(worker, now_ms);
        now_ms = clock_now_ms();
        if (now_ms >= worker->next_sweep_ms && !atomic_load(&worker->httpd->draining))
            watch_listener(worker, true);
        sweep(worker, now_ms);
    }
    return NULL;
}

static int watch(int epoll_fd, int fd, enum loop_wake wake)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = wake};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static struct MHD_Daemon *start_mhd(struct worker *worker)
{
    const unsigned connections_max = HTTPD_CONNECTIONS_MAX + HTTPD_CONNECTIONS_RESERVED;
    const unsigned flags =
        MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;

    /* One option a line. */
    /* clang-format off */
    return MHD_start_daemon(flags, 0, NULL, NULL, exchange_on_request, NULL,
                            MHD_OPTION_URI_LOG_CALLBACK, exchange_on_target, worker,
                            MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed, worker,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, worker,
                            MHD_OPTION_UNESCAPE_CALLBACK, exchange_unescape, NULL,
                            MHD_OPTION_CONNECTION_LIMIT, connections_max,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_HEAD_BYTES_MAX,
                            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
                            MHD_OPTION_END);
    /* clang-format on */
}

static int watch_all(struct worker *worker)
{
    const int mhd_fd = MHD_get_daemon_info(worker->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int error = watch(worker->epoll_fd, mhd_fd, WAKE_MHD);

    if (error == 0)
        error = watch(worker->epoll_fd, worker->resume_fd, WAKE_RESUME);
    if (error == 0)
        error = watch(worker->epoll_fd, worker->httpd->drain_fd, WAKE_DRAIN);
    watch_listener(worker, true);
    return error;
}

int worker_start(struct worker *worker)
{
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->resume_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->epoll_fd < 0 || worker->resume_fd < 0)
        return -errno;
    worker->daemon = start_mhd(worker);
    if (worker->daemon == NULL)
        return -ENOMEM;
    int error = watch_all(worker);
    if (error == 0)
        error = -pthread_create(&worker->thread, NULL, worker_run, worker);
    worker->running = error == 0;
    return error;
}

void worker_join(struct worker *worker)
{
    if (worker->running)
        pthread_join(worker->thread, NULL);
    wait_settle();
    if (worker->daemon != NULL)
        MHD_stop_daemon(worker->daemon);
    stats_flush_access(worker);
    exchange_free_spares(worker);
    if (worker->resume_fd >= 0)
        close(worker->resume_fd);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
}
