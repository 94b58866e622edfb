/* What is counted and logged of each request. */
#include "httpd_internal.h"

#include "log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The statuses with a histogram of their own; what else there may be shares the last slot. */
static const unsigned statuses[STATUS_SLOTS - 1] = {200, 204, 304, 400, 404, 405, 408, 409,
                                                    413, 429, 500, 501, 502, 503, 504};

static const char *const refusal_names[REFUSAL_REASONS] = {
    [REFUSED_CONNECTIONS] = "connections", [REFUSED_SLOW] = "slow",
    [REFUSED_MALFORMED] = "malformed",     [REFUSED_TOO_LARGE] = "too_large",
    [REFUSED_DRAINING] = "draining",       [REFUSED_TIMEOUT] = "timeout",
};

int stats_init(struct httpd *httpd)
{
    struct metrics *metrics = httpd->options.metrics;
    char labels[64];

    httpd->route_rows = httpd->options.route_count + BUILTIN_ROUTES + 1;
    httpd->latencies = calloc(httpd->route_rows * STATUS_SLOTS, sizeof(*httpd->latencies));
    if (httpd->latencies == NULL)
        return -ENOMEM;
    pthread_mutex_init(&httpd->stats_mutex, NULL);
    for (size_t i = 0; i < REFUSAL_REASONS; i++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", refusal_names[i]);
        httpd->refused[i] = metrics_counter(metrics, "http_refused_total", labels,
                                            "Requests and connections that met a limit.");
    }
    httpd->open_connections =
        metrics_gauge(metrics, "http_connections", "", "Connections open now.");
    httpd->open_requests = metrics_gauge(metrics, "http_requests", "",
                                         "Requests begun and not answered, waiting ones included.");
    return 0;
}

void stats_fini(struct httpd *httpd)
{
    if (httpd->latencies == NULL)
        return;
    free(httpd->latencies);
    pthread_mutex_destroy(&httpd->stats_mutex);
}

void stats_refused(struct httpd *httpd, enum refusal_reason reason)
{
    metric_add(httpd->refused[reason], 1);
}

static size_t status_slot(unsigned status)
{
    size_t slot = 0;

    while (slot < COUNT_OF(statuses) && statuses[slot] != status)
        slot++;
    return slot;
}

static size_t route_row(const struct httpd *httpd, const struct httpd_route *route)
{
    if (route == NULL)
        return httpd->route_rows - 1;
    if (route >= httpd->builtin && route < httpd->builtin + BUILTIN_ROUTES)
        return httpd->options.route_count + (size_t)(route - httpd->builtin);
    return (size_t)(route - httpd->options.routes);
}

/* The first request of its kind: make the histogram. Later ones find it without a lock. */
static struct metric *make_histogram(const struct exchange *x, struct latency *latency)
{
    struct httpd *httpd = x->worker->httpd;
    const unsigned status = status_slot(x->status) < COUNT_OF(statuses) ? x->status : 0;
    char labels[128];

    pthread_mutex_lock(&httpd->stats_mutex);
    struct metric *histogram = atomic_load(&latency->histogram);
    if (histogram == NULL) {
        snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",status=\"%u\"",
                 x->route != NULL ? x->route->method : "any",
                 x->route != NULL ? x->route->path : "other", status);
        histogram = metrics_histogram(httpd->options.metrics, "http_request_duration_seconds",
                                      labels, "From a request's head to the end of its answer.");
        atomic_store(&latency->histogram, histogram);
    }
    pthread_mutex_unlock(&httpd->stats_mutex);
    return histogram;
}

static void write_access_line(const struct exchange *x, int64_t latency_us)
{
    struct access_lines *lines = &x->worker->access;
    char line[LOG_LINE_MAX + 1];
    char path[512];
    const size_t length = log_format_access(
        line, "method=%s path=\"%s\" status=%u bytes=%llu us=%lld peer=%s",
        x->head ? "HEAD" : x->request.method, log_quote(path, sizeof(path), x->request.path),
        x->status, x->head ? 0ULL : (unsigned long long)x->response.size, (long long)latency_us,
        x->link != NULL ? x->link->peer : "-");

    if (lines->used + length > sizeof(lines->text))
        stats_flush_access(x->worker);
    memcpy(lines->text + lines->used, line, length);
    lines->used += length;
}

void stats_record(struct exchange *x, int64_t latency_us)
{
    const struct httpd *httpd = x->worker->httpd;
    struct latency *latency =
        &httpd->latencies[route_row(httpd, x->route) * STATUS_SLOTS + status_slot(x->status)];
    struct metric *histogram = atomic_load_explicit(&latency->histogram, memory_order_acquire);

    if (histogram == NULL)
        histogram = make_histogram(x, latency);
    metric_observe_us(histogram, latency_us);
    if (httpd->options.access_log)
        write_access_line(x, latency_us);
}

void stats_flush_access(struct worker *worker)
{
    struct access_lines *lines = &worker->access;

    if (lines->used == 0)
        return;
    log_write_access(lines->text, lines->used);
    lines->used = 0;
}

void stats_handle_metrics(struct httpd *httpd, struct httpd_response *response)
{
    size_t size = 0;
    unsigned requests = 0;

    for (unsigned i = 0; i < httpd->worker_count; i++)
        requests += atomic_load_explicit(&httpd->workers[i].in_flight, memory_order_relaxed);
    metric_set(httpd->open_requests, requests);
    metric_set(httpd->open_connections, atomic_load(&httpd->connections));
    char *text = metrics_render(httpd->options.metrics, &size);
    if (text == NULL) {
        httpd_reply_error(response, 503, "out_of_memory", "no memory for the metrics");
        return;
    }
    httpd_reply_owned(response, "text/plain; version=0.0.4", text, size);
}
