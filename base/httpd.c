/* Starting and stopping the HTTP shell, and its own two routes. */
#include "httpd.h"

#include "clock.h"
#include "fence.h"
#include "httpd_internal.h"
#include "log.h"
#include "parse.h"
#include "settings.h"
#include "signals.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 1024, OTHER_DESCRIPTORS = 128 };

static enum httpd_verdict handle_health(struct httpd_request *request,
                                        struct httpd_response *response)
{
    const struct httpd *httpd = request->context;
    const struct httpd_options *options = &httpd->options;
    char detail[128] = "";

    if (atomic_load(&httpd->draining))
        httpd_reply_error(response, 503, "draining", "this server is stopping");
    else if (options->healthy != NULL &&
             !options->healthy(options->health_context, detail, sizeof(detail)))
        httpd_reply_error(response, 503, "unhealthy", "%s", detail);
    else
        httpd_reply_static(response, "application/json", "{\"status\":\"ok\"}\n", 16);
    return HTTPD_ANSWER;
}

static enum httpd_verdict handle_metrics(struct httpd_request *request,
                                         struct httpd_response *response)
{
    stats_handle_metrics(request->context, response);
    return HTTPD_ANSWER;
}

static unsigned usable_cpus(void)
{
    cpu_set_t cpus;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&cpus);
}

/* Make room for the connections among the open files; where that is not allowed, take fewer. */
static unsigned room_for_connections(void)
{
    const rlim_t wanted = HTTPD_CONNECTIONS_MAX + HTTPD_CONNECTIONS_RESERVED + OTHER_DESCRIPTORS;
    struct rlimit files = {0};

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return HTTPD_CONNECTIONS_MAX;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0)
            return HTTPD_CONNECTIONS_MAX / 8;
    }
    const rlim_t others = HTTPD_CONNECTIONS_RESERVED + OTHER_DESCRIPTORS;
    const rlim_t room = files.rlim_cur > others ? files.rlim_cur - others : 1;
    return room < HTTPD_CONNECTIONS_MAX ? (unsigned)room : HTTPD_CONNECTIONS_MAX;
}

/* A bound, listening, non-blocking socket, or a negative errno. */
static int open_listener(const struct addrinfo *address)
{
    const int one = 1;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          address->ai_protocol);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        const int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int listen_at(struct httpd *httpd, const char **why)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *addresses = NULL;
    struct host_port where;
    char port[8];

    if (parse_host_port(httpd->options.listen, &where) != 0) {
        *why = "not HOST:PORT";
        return -EINVAL;
    }
    snprintf(port, sizeof(port), "%u", where.port);
    const int error = getaddrinfo(where.host, port, &hints, &addresses);
    if (error != 0) {
        *why = gai_strerror(error);
        return -EADDRNOTAVAIL;
    }
    httpd->listen_fd = open_listener(addresses);
    freeaddrinfo(addresses);
    if (httpd->listen_fd >= 0)
        return 0;
    *why = strerror(-httpd->listen_fd);
    return httpd->listen_fd;
}

/* Log where we listen, with the port that we got. */
static void log_ready(struct httpd *httpd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char host[NI_MAXHOST] = "?";
    char port[NI_MAXSERV] = "0";
    uint64_t number = 0;

    if (getsockname(httpd->listen_fd, (struct sockaddr *)&address, &size) != 0)
        return;
    getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    if (parse_u64(port, 0, UINT16_MAX, &number) == 0)
        httpd->port = (uint16_t)number;
    log_info("listening", strchr(host, ':') != NULL ? "address=[%s]:%s" : "address=%s:%s", host,
             port);
}

static void httpd_free(struct httpd *httpd)
{
    if (httpd->listen_fd >= 0)
        close(httpd->listen_fd);
    if (httpd->drain_fd >= 0)
        close(httpd->drain_fd);
    stats_fini(httpd);
    free(httpd);
}

static int start_threads(struct httpd *httpd)
{
    const unsigned wanted = httpd->options.threads != 0 ? httpd->options.threads : usable_cpus();
    const unsigned count = wanted < HTTPD_THREADS_MAX ? wanted : HTTPD_THREADS_MAX;
    int error = wait_start(httpd);

    while (error == 0 && httpd->worker_count < count) {
        struct worker *worker = &httpd->workers[httpd->worker_count];
        *worker = (struct worker){
            .httpd = httpd, .index = httpd->worker_count, .epoll_fd = -1, .resume_fd = -1};
        httpd->worker_count++;
        error = worker_start(worker);
    }
    return error;
}

static struct httpd *httpd_new(const struct httpd_options *options)
{
    struct httpd *httpd = calloc(1, sizeof(*httpd));

    if (httpd == NULL)
        return NULL;
    httpd->options = *options;
    httpd->listen_fd = -1;
    httpd->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    httpd->connections_max = room_for_connections();
    httpd->builtin[0] = (struct httpd_route){
        .method = "GET", .path = "/health", .handle = handle_health, .context = httpd};
    httpd->builtin[1] = (struct httpd_route){
        .method = "GET", .path = "/metrics", .handle = handle_metrics, .context = httpd};
    if (httpd->drain_fd < 0 || stats_init(httpd) != 0) {
        httpd_free(httpd);
        return NULL;
    }
    return httpd;
}

int httpd_start(const struct httpd_options *options, struct httpd **out)
{
    struct httpd *httpd = httpd_new(options);
    const char *why = "out of memory";

    if (httpd == NULL) {
        log_error("start_failed", "error=\"%s\"", why);
        return -ENOMEM;
    }
    int error = listen_at(httpd, &why);
    if (error != 0) {
        log_error("listen_failed", "address=%s error=\"%s\"", options->listen, why);
        httpd_free(httpd);
        return error;
    }
    error = start_threads(httpd);
    if (error != 0) {
        log_error("threads_failed", "error=\"%s\"", strerror(-error));
        httpd_stop(httpd, 0);
        return error;
    }
    log_ready(httpd);
    *out = httpd;
    return 0;
}

uint16_t httpd_port(const struct httpd *httpd)
{
    return httpd->port;
}

void httpd_stop(struct httpd *httpd, int64_t drain_ms)
{
    if (httpd == NULL)
        return;
    atomic_store(&httpd->drain_until_ms, clock_now_ms() + drain_ms);
    atomic_store(&httpd->draining, true);
    eventfd_write(httpd->drain_fd, 1);
    wait_turn_away(httpd);
    for (unsigned i = 0; i < httpd->worker_count; i++)
        worker_join(&httpd->workers[i]);
    wait_stop(httpd);
    httpd_free(httpd);
}

int httpd_serve(const struct httpd_options *options)
{
    struct httpd *httpd = NULL;
    const sigset_t signals = signals_block(0);
    struct problem problem = {.text = ""};
    int number = 0;

    signal(SIGPIPE, SIG_IGN);
    if (httpd_start(options, &httpd) != 0)
        return EXIT_FAILURE;
    if (options->alone && fence_enter(0, &problem) != 0)
        log_warn("calls_not_fenced", "error=\"%s\"", problem.text);
    sigwait(&signals, &number);
    log_info("draining", "signal=%s", sigabbrev_np(number));
    httpd_stop(httpd, HTTPD_DRAIN_MS);
    log_info("stopped", "signal=%s", sigabbrev_np(number));
    return EXIT_SUCCESS;
}
