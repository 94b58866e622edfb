/* webui: settings, the two watchers, the server. */
#include "webui.h"

#include "base/fence.h"
#include "base/log.h"
#include "base/service.h"
#include "base/signals.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Longest wait of one look at Redis. */
#define REDIS_TIMEOUT_MS 1000

struct values {
    struct service_values service;
    struct redis_options redis;
    const char *broker;
    const char *client_key_file;
    const char *broker_key_file;
};

#define FIELD(member) offsetof(struct values, member)

static const struct setting rows[] = {
    SERVICE_SETTINGS(struct values, service, "127.0.0.1:8000"),
    REDIS_SETTINGS(struct values, redis, "counts and coins"),
    {
        .flag = "broker",
        .variable = "SCOOP_BROKER",
        .type = SETTING_ENDPOINT,
        .offset = FIELD(broker),
        .fallback = "tcp://broker:5555",
        .help = "the broker: tcp://HOST:PORT or ipc:///PATH",
    },
    {
        .flag = "client-key",
        .variable = "SCOOP_CLIENT_KEY_FILE",
        .type = SETTING_TEXT,
        .offset = FIELD(client_key_file),
        .fallback = "/run/secrets/client_curve_key",
        .max = 4096,
        .help = "file with the secret CURVE key of clients, for tcp",
    },
    {
        .flag = "broker-key",
        .variable = "SCOOP_BROKER_KEY_FILE",
        .type = SETTING_TEXT,
        .offset = FIELD(broker_key_file),
        .fallback = "/run/secrets/broker_curve_key.pub",
        .max = 4096,
        .help = "file with the public CURVE key of the broker, for tcp",
    },
};

static const struct settings table = {
    .program = "webui",
    .about = "The page: DockerCoins live, the workers of scoop, and GET /scoop.",
    .example = "webui --redis redis://127.0.0.1:6379 --broker ipc:///tmp/scoop/client",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int start(const struct values *values, struct metrics *metrics, struct webui *webui)
{
    const int rc = counts_start(&values->redis, metrics, &webui->counts);

    if (rc != 0)
        return rc;
    return cluster_start(&(struct cluster_options){.broker = values->broker,
                                                   .client_key_file = values->client_key_file,
                                                   .broker_key_file = values->broker_key_file},
                         metrics, &webui->cluster);
}

static int serve(const struct values *values)
{
    struct httpd_route routes[WEBUI_ROUTES_MAX];
    struct webui webui = {.counts = NULL};
    /* Never freed: a watcher that still waits for its peer uses it until the exit. */
    static struct metrics *metrics;
    metrics = metrics_new("webui");
    const int rc = metrics != NULL ? start(values, metrics, &webui) : -ENOMEM;
    int code = EXIT_FAILURE;

    if (rc == 0)
        code = httpd_serve(&(struct httpd_options){
            .listen = values->service.listen,
            .routes = routes,
            .route_count = webui_routes(&webui, routes),
            .metrics = metrics,
            .access_log = values->service.access_log,
        });
    else
        log_error("start_failed", "error=\"%s\"", strerrordesc_np(-rc));
    cluster_stop(webui.cluster);
    counts_stop(webui.counts);
    return code;
}

int main(int argc, char **argv)
{
    struct values values = {.redis.timeout_ms = REDIS_TIMEOUT_MS};
    int code = EXIT_FAILURE;

    if (!service_begin(&table, argc, argv, &values, &values.service, &code))
        return code;
    if (!redis_options_check(&values.redis, table.program))
        return 2;
    fence_raise(&(struct fence){
        .rights = FENCE_SOCKETS,
        .files = {values.redis.password_file, values.client_key_file, values.broker_key_file},
    });
    (void)signals_block(0);   /* both watchers start threads */
    signal(SIGPIPE, SIG_IGN); /* as base/redis.h wants it */
    return serve(&values);
}
