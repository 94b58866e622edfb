#include "rng.h"

#include "base/harden.h"
#include "base/health.h"
#include "base/log.h"
#include "base/settings.h"

#include <stdio.h>

struct values {
    const char *listen;
    uint64_t delay_ms;
    uint64_t concurrency;
    uint64_t bytes_max;
    bool access_log;
    bool health;
};

static const struct setting rows[] = {
    {
     .flag = "listen",
     .variable = "LISTEN",
     .type = SETTING_ADDRESS,
     .offset = offsetof(struct values,            listen),
     .fallback = "127.0.0.1:8001",
     .help = "where to listen; port 0 takes any free one",
     },
    {
     .flag = "delay-ms",
     .variable = "RNG_DELAY_MS",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct values,                                                 delay_ms),
     .fallback = "0",
     .max = 60000,
     .unit = "ms",
     .help = "hold each byte request for so long, as the lesson does",
     },
    {
     .flag = "concurrency",
     .variable = "RNG_CONCURRENCY",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct values,concurrency),
     .fallback = "0",
     .max = 1000000,
     .help = "requests served at a time, the others queue; 0 does not limit them",
     },
    {
     .flag = "max-bytes",
     .variable = "RNG_MAX_BYTES",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct values,                                           bytes_max),
     .fallback = "67108864",
     .max = 1ULL << 40,
     .unit = "bytes",
     .help = "the most that one request may ask for",
     },
    {
     .flag = "access-log",
     .variable = "ACCESS_LOG",
     .type = SETTING_FLAG,
     .offset = offsetof(struct values,            access_log),
     .fallback = "yes",
     .help = "write a line for each request; ACCESS_LOG=no turns it off",
     },
    {
     .flag = "health",
     .type = SETTING_HEALTH,
     .offset = offsetof(struct values, health),
     .help = "ask the running instance whether it is well, exit 0 or 1",
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
    rng_init(&rng, values->bytes_max, values->concurrency, (int64_t)values->delay_ms);
    rng_routes(&rng, routes);
    const int code = httpd_serve(&(struct httpd_options){
        .listen = values->listen,
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .metrics = metrics,
        .access_log = values->access_log,
    });
    metrics_free(metrics);
    return code;
}

int main(int argc, char **argv)
{
    struct values values = {0};
    struct problem problem = {0};

    if (harden_process(&problem) != 0) {
        fprintf(stderr, "rng: %s\n", problem.text);
        return EXIT_FAILURE;
    }
    switch (settings_read(&table, argc, argv, &values, NULL)) {
    case SETTINGS_DONE: return EXIT_SUCCESS;
    case SETTINGS_USAGE: return 2;
    case SETTINGS_RUN: break;
    }
    if (values.health)
        return health_ask("rng", values.listen);
    log_init("rng");
    return serve(&values);
}
