#include "rng.h"

#include "base/fence.h"
#include "base/log.h"
#include "base/service.h"

struct values {
    struct service_values service;
    struct gate_values gate;
    uint64_t bytes_max;
};

static const struct setting rows[] = {
    SERVICE_SETTINGS(struct values, service, "127.0.0.1:8001"),
    GATE_SETTINGS(struct values, gate, "RNG", "byte request"),
    {
        .flag = "max-bytes",
        .variable = "RNG_MAX_BYTES",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct values, bytes_max),
        .fallback = "67108864",
        .max = 1ULL << 40,
        .unit = "bytes",
        .help = "the most that one request may ask for",
    },
};

static const struct settings table = {
    .program = "rng",
    .about = "A web service of random bytes: GET /N answers N of them.",
    .example = "rng --listen 127.0.0.1:8001 & curl -s http://127.0.0.1:8001/32 | od -x",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int serve(const struct values *values)
{
    struct httpd_route routes[RNG_ROUTES];
    struct rng rng;
    struct metrics *metrics = metrics_new("rng");

    if (metrics == NULL) {
        log_error("start_failed", "error=\"out of memory\"");
        return EXIT_FAILURE;
    }
    rng_init(&rng, values->bytes_max, values->gate.concurrency, (int64_t)values->gate.delay_ms);
    rng_routes(&rng, routes);
    const int code = httpd_serve(&(struct httpd_options){
        .listen = values->service.listen,
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .metrics = metrics,
        .access_log = values->service.access_log,
        .alone = true,
    });
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
