#include "monitor.h"

#include "base/clock.h"
#include "base/health.h"
#include "base/httpd.h"
#include "meter.h"

#include <stdio.h>
#include <string.h>

/* Where --health asks when LISTEN is not set: nobody outside gets there. */
#define LOCAL_LISTEN "127.0.0.1:5557"

/* A loop without a turn for so long is hung. */
#define HUNG_MS 5000

#define DRAIN_MS 100

struct monitor {
    struct metrics *metrics;
    struct meter *meter;
    struct httpd *httpd; /* NULL: not serving */
    const struct loop *loop;
    const struct trust *trust;
};

struct monitor *monitor_new(void)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));

    if (monitor == NULL)
        return NULL;
    monitor->metrics = metrics_new("broker");
    if (monitor->metrics != NULL)
        monitor->meter = meter_new(monitor->metrics);
    if (monitor->meter == NULL) {
        monitor_free(monitor);
        return NULL;
    }
    return monitor;
}

struct meter *monitor_meter(const struct monitor *monitor)
{
    return monitor->meter;
}

struct metrics *monitor_metrics(const struct monitor *monitor)
{
    return monitor->metrics;
}

static bool is_healthy(void *context, char *detail, size_t size)
{
    const struct monitor *monitor = context;
    const int64_t silent_ms = clock_now_ms() - loop_beat(monitor->loop);

    if (silent_ms >= HUNG_MS) {
        snprintf(detail, size, "the loop has not gone round for %lld ms", (long long)silent_ms);
        return false;
    }
    if (!trust_is_alive(monitor->trust)) {
        snprintf(detail, size, "the admission of peers is dead");
        return false;
    }
    return true;
}

static const char *listen_of(const struct options *options)
{
    if (options->listen != NULL)
        return options->listen;
    return strncmp(options->client_listen, "tcp://", 6) == 0 ? LOCAL_LISTEN : NULL;
}

int monitor_begin(struct monitor *monitor,
                  const struct options *options,
                  const struct loop *loop,
                  const struct trust *trust)
{
    const struct httpd_options http = {
        .listen = listen_of(options),
        .metrics = monitor->metrics,
        .threads = 1,
        .healthy = is_healthy,
        .health_context = monitor,
    };

    monitor->loop = loop;
    monitor->trust = trust;
    return http.listen != NULL ? httpd_start(&http, &monitor->httpd) : 0;
}

void monitor_end(struct monitor *monitor)
{
    httpd_stop(monitor->httpd, DRAIN_MS);
    monitor->httpd = NULL;
}

void monitor_free(struct monitor *monitor)
{
    if (monitor == NULL)
        return;
    monitor_end(monitor);
    meter_free(monitor->meter);
    metrics_free(monitor->metrics);
    free(monitor);
}

int monitor_ask(const struct options *options)
{
    const char *listen = listen_of(options);

    if (listen != NULL)
        return health_ask("scoop-broker", listen);
    fprintf(stderr,
            "scoop-broker: --health: set LISTEN; with ipc endpoints nothing listens by itself\n");
    return EXIT_FAILURE;
}
