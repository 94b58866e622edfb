#include "hasher.h"

#include "base/fence.h"
#include "base/log.h"
#include "base/service.h"

#include <string.h>

struct values {
    struct service_values service;
    struct gate_values gate;
    uint64_t body_max;
};

static const struct setting rows[] = {
    SERVICE_SETTINGS(struct values, service, "127.0.0.1:8002"),
    GATE_SETTINGS(struct values, gate, "HASHER", "POST"),
    {
        .flag = "max-bytes",
        .variable = "HASHER_MAX_BYTES",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct values, body_max),
        .fallback = "1073741824",
        .max = 1ULL << 40,
        .unit = "bytes",
        .help = "the largest body; a larger one is refused",
    },
};

static const struct settings table = {
    .program = "hasher",
    .about = "A web service of SHA-256: POST / answers the digest of the body.",
    .example =
        "hasher --listen 127.0.0.1:8002 & curl -s --data-binary @FILE http://127.0.0.1:8002/",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int serve(const struct values *values)
{
    struct httpd_route routes[HASHER_ROUTES];
    struct hasher hasher;
    struct metrics *metrics = metrics_new("hasher");

    if (metrics == NULL) {
        log_error("start_failed", "error=\"out of memory\"");
        return EXIT_FAILURE;
    }
    const int error = hasher_init(&hasher, values->body_max, values->gate.concurrency,
                                  (int64_t)values->gate.delay_ms);
    if (error != 0) {
        log_error("digest_missing", "error=\"%s\"", strerror(-error));
        metrics_free(metrics);
        return EXIT_FAILURE;
    }
    hasher_routes(&hasher, routes);
    const int code = httpd_serve(&(struct httpd_options){
        .listen = values->service.listen,
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .metrics = metrics,
        .access_log = values->service.access_log,
        .alone = true,
    });
    hasher_fini(&hasher);
    metrics_free(metrics);
    return code;
}

int main(int argc, char **argv)
{
    struct values values = {0};
    int code = EXIT_FAILURE;

    if (!service_begin(&table, argc, argv, &values, &values.service, &code))
        return code;
    fence_raise(&(struct fence){.rights = FENCE_SOCKETS});
    return serve(&values);
}
