/* One request: head, body, gate, handler, answer, as MHD's calls come in.
 *
 * MHD calls exchange_on_request once with the head, then per piece of the body, then once (or,
 * after a suspension, again) with the whole request in; only this last kind of call may queue a
 * response without closing the connection. A refusal of a body that is still coming therefore goes
 * out on the socket directly, and what comes in is read away for a while, or the client might never
 * see it. */
#include "httpd_internal.h"

#include "clock.h"
#include "parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

static const struct httpd_route *const no_route;

static const char *
find_in_request(const struct httpd_request *request, enum httpd_field field, const char *name)
{
    const struct exchange *x = (const struct exchange *)request;
    const enum MHD_ValueKind kind = field == HTTPD_HEADER ? MHD_HEADER_KIND : MHD_GET_ARGUMENT_KIND;

    return MHD_lookup_connection_value(x->connection, kind, name);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode %XX in place. An escape that is malformed or means NUL stays as it stands. */
size_t exchange_unescape(void *unused, struct MHD_Connection *connection, char *text)
{
    char *to = text;

    (void)unused;
    (void)connection;
    for (const char *from = text; *from != '\0'; from++) {
        const int high = *from == '%' ? hex_digit(from[1]) : -1;
        const int low = high >= 0 ? hex_digit(from[2]) : -1;
        if (low < 0 || high * 16 + low == 0) {
            *to++ = *from;
            continue;
        }
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    return (size_t)(to - text);
}

/* A proxy's form of the target, "http://host/path": only its path counts. */
static const char *path_of_target(const char *target)
{
    if (strncasecmp(target, "http://", 7) != 0)
        return target;
    const char *path = strchr(target + 7, '/');
    return path != NULL ? path : "/";
}

static bool route_has_path(const struct httpd_route *route, const char *path)
{
    return route->matches != NULL ? route->matches(path) : strcmp(route->path, path) == 0;
}

/* The n-th route: the service's own first, then /health and /metrics. NULL: no more. */
static const struct httpd_route *route_at(const struct httpd *httpd, size_t n)
{
    if (n < httpd->options.route_count)
        return &httpd->options.routes[n];
    n -= httpd->options.route_count;
    return n < BUILTIN_ROUTES ? &httpd->builtin[n] : NULL;
}

/* Find the route; NULL if there is none. *allow lists what the path would take, NULL: nothing. */
static const struct httpd_route *
find_route(const struct httpd *httpd, const char *method, const char *path, const char **allow)
{
    static const char *const allowed[2][2] = {{NULL, "POST"}, {"GET, HEAD", "GET, HEAD, POST"}};
    const struct httpd_route *route = NULL;
    bool takes_get = false;
    bool takes_post = false;

    for (size_t n = 0; (route = route_at(httpd, n)) != NULL; n++) {
        if (!route_has_path(route, path))
            continue;
        if (strcmp(route->method, method) == 0)
            return route;
        takes_get |= strcmp(route->method, "GET") == 0;
        takes_post |= strcmp(route->method, "POST") == 0;
    }
    *allow = allowed[takes_get][takes_post];
    return no_route;
}

static struct exchange *exchange_new(struct worker *worker)
{
    struct exchange *x = worker->spare;

    if (x == NULL)
        return malloc(sizeof(*x));
    worker->spare = x->next;
    return x;
}

void exchange_free_spares(struct worker *worker)
{
    while (worker->spare != NULL) {
        struct exchange *x = worker->spare;
        worker->spare = x->next;
        free(x);
    }
}

static void response_init(struct httpd_response *response)
{
    response->status = 200;
    response->type = NULL;
    response->etag = NULL;
    response->body = HTTPD_BODY_NONE;
    response->size = 0;
    response->header_count = 0;
}

/* One writer, so no read-modify-write is needed. */
static void count_in_flight(struct worker *worker, int change)
{
    const unsigned now = atomic_load_explicit(&worker->in_flight, memory_order_relaxed);

    atomic_store_explicit(&worker->in_flight, now + (unsigned)change, memory_order_relaxed);
}

/* Every field but the response's bytes, which would cost more to clear than the rest together. */
static void
exchange_init(struct exchange *x, struct worker *worker, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    x->request = (struct httpd_request){
        .method = "-",
        .path = "-",
        .thread = worker->index,
        .find = find_in_request,
    };
    response_init(&x->response);
    x->next = NULL;
    x->worker = worker;
    x->link = info->socket_context;
    link_set_idle(x->link, false);
    x->connection = connection;
    x->route = no_route;
    x->phase = PHASE_HEAD;
    x->start_us = clock_now_us();
    x->since_ms = x->start_us / 1000;
    x->suspended = false;
    x->head = false;
    x->has_body = false;
    x->none_match = NULL;
    x->status = 0;
    x->lingered_bytes = 0;
    x->holds_gate = false;
    x->turned_away = false;
    x->ticket = NULL;
}

void *exchange_on_target(void *argument, const char *target, struct MHD_Connection *connection)
{
    struct worker *worker = argument;
    struct exchange *x = exchange_new(worker);

    if (x == NULL)
        return NULL;
    count_in_flight(worker, 1);
    exchange_init(x, worker, connection);
    x->bad_line = !head_is_target(target);
    x->target_bytes = strlen(target);
    return x;
}

/* Decide about the head. True: go on. False: x->response says why not. */
static bool accept_head(struct exchange *x, const struct head *head)
{
    struct httpd *httpd = x->worker->httpd;
    const char *allow = NULL;
    uint64_t length = 0;

    x->has_body = head->codings > 0;
    if (head->length != NULL && parse_u64(head->length, 0, UINT64_MAX, &length) == 0)
        x->has_body |= length > 0;
    if (x->bad_line || head->malformed) {
        stats_refused(httpd, REFUSED_MALFORMED);
        httpd_reply_error(&x->response, 400, "bad_request", "ambiguous or malformed %s",
                          x->bad_line ? "request line" : "header fields");
        return false;
    }
    x->route = find_route(httpd, x->request.method, x->request.path, &allow);
    if (x->route == NULL && allow != NULL) {
        httpd_reply_error(&x->response, 405, "method_not_allowed", "%.32s here; allowed: %s",
                          x->request.method, allow);
        httpd_reply_header(&x->response, "Allow", allow);
        return false;
    }
    if (x->route == NULL) {
        httpd_reply_error(&x->response, 404, "not_found", "nothing at %.150s", x->request.path);
        return false;
    }
    const uint64_t body_max = x->route->chunk != NULL ? x->route->body_max : 0;
    if (length > body_max || (x->has_body && x->route->chunk == NULL)) {
        stats_refused(httpd, REFUSED_TOO_LARGE);
        httpd_reply_error(&x->response, 413, "too_large", "a body may have at most %llu bytes",
                          (unsigned long long)body_max);
        return false;
    }
    x->request.context = x->route->context;
    return true;
}

static enum MHD_Result add_headers(const struct exchange *x, struct MHD_Response *out)
{
    const struct httpd_response *response = &x->response;
    enum MHD_Result ok = MHD_YES;

    if (response->type != NULL)
        ok = MHD_add_response_header(out, "Content-Type", response->type);
    if (response->etag != NULL)
        ok &= MHD_add_response_header(out, "ETag", response->etag);
    for (size_t i = 0; i < response->header_count; i++)
        ok &= MHD_add_response_header(out, response->headers[i].name, response->headers[i].value);
    /* After a request that others may read differently, nothing of this connection is trusted. */
    if (response->status == 400 ||
        atomic_load_explicit(&x->worker->httpd->draining, memory_order_relaxed))
        ok &= MHD_add_response_header(out, "Connection", "close");
    return ok;
}

/* `bytes` of a body, in either direction, have moved since x->since_ms: how long may the next take?
 */
static void allow_time(struct exchange *x, uint64_t bytes)
{
    const int64_t stall_ms = clock_now_ms() + HTTPD_STALL_MS;
    const int64_t average_ms =
        x->since_ms + HTTPD_STALL_MS + (int64_t)(bytes / HTTPD_BYTES_PER_MS_MIN);

    link_set_deadline(x->link, stall_ms < average_ms ? stall_ms : average_ms);
}

static ssize_t read_stream(void *place, uint64_t offset, char *buffer, size_t size)
{
    struct exchange *x = place;
    const ssize_t count = x->response.stream.read(x->response.stream.state, offset, buffer, size);

    allow_time(x, offset);
    return count > 0 ? count : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* From here on the time of the answer counts. A fixed body is handed over whole: its size sets the
 * time. */
static void start_sending(struct exchange *x)
{
    const bool streamed = x->response.body == HTTPD_BODY_STREAM;

    x->since_ms = clock_now_ms();
    link_set_deadline(x->link,
                      x->since_ms + HTTPD_STALL_MS +
                          (streamed ? 0 : (int64_t)(x->response.size / HTTPD_BYTES_PER_MS_MIN)));
}

/* MHD's response borrows everything: the exchange outlives it, and releases it in
 * exchange_on_completed. */
static struct MHD_Response *make_response(struct exchange *x)
{
    enum { STREAM_BLOCK = 64 * 1024 };
    const void *bytes = httpd_response_bytes(&x->response);

    if (x->response.body == HTTPD_BODY_STREAM)
        return MHD_create_response_from_callback(x->response.size, STREAM_BLOCK, read_stream, x,
                                                 NULL);
    /* MHD's parameter is not const, but persistent memory is never written to. */
    union {
        const void *borrowed;
        void *given;
    } body = {bytes != NULL ? bytes : ""};
    return MHD_create_response_from_buffer((size_t)x->response.size, body.given,
                                           MHD_RESPMEM_PERSISTENT);
}

/* RFC 9110 13.1.2: a list of tags or "*"; weak comparison, so a leading W/ does not matter. */
static bool etag_matches(const char *list, const char *etag)
{
    return list != NULL && (strcmp(list, "*") == 0 || strstr(list, etag) != NULL);
}

/* Queue x->response. */
static enum MHD_Result respond(struct exchange *x)
{
    wait_leave_gate(x);
    if (x->response.etag != NULL && x->response.status == 200 &&
        etag_matches(x->none_match, x->response.etag)) {
        httpd_response_fini(&x->response);
        x->response.status = 304;
        x->response.type = NULL;
    }
    struct MHD_Response *out = make_response(x);
    if (out == NULL)
        return MHD_NO;
    enum MHD_Result ok = add_headers(x, out);
    start_sending(x);
    if (ok == MHD_YES)
        ok = MHD_queue_response(x->connection, x->response.status, out);
    MHD_destroy_response(out);
    if (ok == MHD_YES)
        x->status = x->response.status;
    return ok;
}

static void format_date(char *text, size_t size)
{
    const time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(text, size, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

/* Say no at once on the socket while the body still comes in, close our direction, and read on.
 * Nothing else can be under way on this socket: the request before it is answered, this one is not.
 */
static enum MHD_Result refuse_during_body(struct exchange *x)
{
    const struct httpd_response *response = &x->response;
    const int fd =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    char text[1024];
    char date[64];

    format_date(date, sizeof(date));
    int used = snprintf(text, sizeof(text),
                        "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: close\r\nContent-Type: %s\r\n"
                        "Content-Length: %llu\r\n",
                        response->status, MHD_get_reason_phrase_for(response->status), date,
                        response->type, (unsigned long long)response->size);
    for (size_t i = 0; i < response->header_count; i++)
        used += snprintf(text + used, sizeof(text) - (size_t)used, "%s: %s\r\n",
                         response->headers[i].name, response->headers[i].value);
    used += snprintf(text + used, sizeof(text) - (size_t)used, "\r\n%.*s",
                     x->head ? 0 : (int)response->size, response->bytes);
    x->phase = PHASE_LINGER;
    x->status = response->status;
    if (send(fd, text, (size_t)used, MSG_NOSIGNAL | MSG_DONTWAIT) != used)
        return MHD_NO;
    shutdown(fd, SHUT_WR);
    return MHD_YES;
}

static enum MHD_Result
on_head(struct exchange *x, const char *target, const char *method, const char *version)
{
    struct head head;

    x->phase = PHASE_BODY;
    x->head = strcmp(method, "HEAD") == 0;
    x->request.path = path_of_target(target);
    head_read(x, method, version, &head);
    if (!x->bad_line)
        x->request.method = x->head ? "GET" : method;
    x->none_match = head.none_match;
    link_set_deadline(x->link, x->since_ms + HTTPD_STALL_MS);
    if (accept_head(x, &head))
        return MHD_YES;
    x->phase = PHASE_REFUSED;
    if (!x->has_body)
        return MHD_YES;
    /* A client that waits for our "100 Continue" sends nothing more: the ordinary way will do. */
    return head.expects_continue ? respond(x) : refuse_during_body(x);
}

static enum MHD_Result on_chunk(struct exchange *x, const char *bytes, size_t size)
{
    if (x->phase == PHASE_LINGER) {
        x->lingered_bytes += size;
        return x->lingered_bytes <= HTTPD_LINGER_BYTES ? MHD_YES : MHD_NO;
    }
    if (x->phase == PHASE_REFUSED) /* MHD saw a body where the head is ambiguous */
        return refuse_during_body(x);
    x->request.body_bytes += size;
    if (x->request.body_bytes > x->route->body_max) {
        stats_refused(x->worker->httpd, REFUSED_TOO_LARGE);
        httpd_reply_error(&x->response, 413, "too_large", "a body may have at most %llu bytes",
                          (unsigned long long)x->route->body_max);
        return refuse_during_body(x);
    }
    if (x->route->chunk(&x->request, bytes, size) != 0) {
        httpd_reply_error(&x->response, 500, "internal", "the body could not be taken in");
        return refuse_during_body(x);
    }
    allow_time(x, x->request.body_bytes);
    return MHD_YES;
}

static enum MHD_Result run_handler(struct exchange *x)
{
    if (x->turned_away) {
        stats_refused(x->worker->httpd, REFUSED_DRAINING);
        httpd_reply_error(&x->response, 503, "draining", "this server is stopping");
        return respond(x);
    }
    if (x->route->handle(&x->request, &x->response) == HTTPD_ANSWER)
        return respond(x);
    if (!wait_for_ticket(x))
        return MHD_YES;
    wait_take_answer(x);
    return respond(x);
}

static void forget_suspension(struct exchange *x)
{
    if (x->suspended)
        x->worker->suspended--;
    x->suspended = false;
}

/* The whole request is in, or a suspension is over. */
static enum MHD_Result on_complete(struct exchange *x)
{
    forget_suspension(x);
    switch (x->phase) {
    case PHASE_HEAD: return MHD_NO;
    case PHASE_BODY: return wait_at_gate(x) ? run_handler(x) : MHD_YES;
    case PHASE_REFUSED: return respond(x);
    case PHASE_LINGER: return MHD_NO;
    case PHASE_GATED: return run_handler(x);
    case PHASE_LATER: wait_take_answer(x); return respond(x);
    }
    return MHD_NO;
}

enum MHD_Result exchange_on_request(void *unused,
                                    struct MHD_Connection *connection,
                                    const char *path,
                                    const char *method,
                                    const char *version,
                                    const char *bytes,
                                    size_t *size,
                                    void **slot)
{
    struct exchange *x = *slot;

    (void)unused;
    (void)connection;
    if (x == NULL)
        return MHD_NO;
    if (x->phase == PHASE_HEAD)
        return on_head(x, path, method, version);
    if (*size == 0)
        return on_complete(x);
    const size_t taken = *size;
    *size = 0;
    return on_chunk(x, bytes, taken);
}

void exchange_on_completed(void *argument,
                           struct MHD_Connection *connection,
                           void **slot,
                           enum MHD_RequestTerminationCode code)
{
    struct worker *worker = argument;
    struct exchange *x = *slot;
    const int64_t now_us = clock_now_us();

    (void)connection;
    (void)code;
    if (x == NULL)
        return;
    *slot = NULL;
    if (x->phase == PHASE_HEAD) {
        /* MHD refused the head, or the connection broke off within it. */
        stats_refused(worker->httpd, REFUSED_MALFORMED);
        x->status = 400;
    }
    forget_suspension(x); /* the client may have gone meanwhile */
    wait_leave_gate(x);
    wait_forget_ticket(x);
    if (x->request.state != NULL && x->route->end != NULL)
        x->route->end(&x->request);
    stats_record(x, now_us - x->start_us);
    httpd_response_fini(&x->response);
    link_set_deadline(x->link, now_us / 1000 + HTTPD_IDLE_MS);
    link_set_idle(x->link, true);
    x->next = worker->spare;
    worker->spare = x;
    count_in_flight(worker, -1);
}
