#include "config.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Longest wait of one exchange with Redis. */
#define REDIS_TIMEOUT_MS 2000

struct values {
    struct service_values service;
    const char *rng;
    const char *hasher;
    struct redis_options redis;
    uint64_t delay_ms;
    uint64_t concurrency;
    uint64_t timeout_ms;
};

#define FIELD(member) offsetof(struct values, member)

static const struct setting rows[] = {
    SERVICE_SETTINGS(struct values, service, "127.0.0.1:8003"),
    {
        .flag = "rng",
        .variable = "RNG_URL",
        .type = SETTING_URL,
        .offset = FIELD(rng),
        .fallback = "http://rng",
        .help = "where random bytes come from",
    },
    {
        .flag = "hasher",
        .variable = "HASHER_URL",
        .type = SETTING_URL,
        .offset = FIELD(hasher),
        .fallback = "http://hasher",
        .help = "where they are hashed",
    },
    REDIS_SETTINGS(struct values, redis, "counts and coins"),
    {
        .flag = "delay-ms",
        .variable = "MINER_DELAY_MS",
        .type = SETTING_NUMBER,
        .offset = FIELD(delay_ms),
        .fallback = "0",
        .max = 60000,
        .unit = "ms",
        .help = "rest before each loop, as the lesson does",
    },
    {
        .flag = "concurrency",
        .variable = "MINER_CONCURRENCY",
        .type = SETTING_NUMBER,
        .offset = FIELD(concurrency),
        .fallback = "1",
        .min = 1,
        .max = MINER_CONCURRENCY_MAX,
        .help = "loops under way at a time",
    },
    {
        .flag = "timeout-ms",
        .variable = "MINER_TIMEOUT_MS",
        .type = SETTING_NUMBER,
        .offset = FIELD(timeout_ms),
        .fallback = "30000",
        .min = 100,
        .max = 600000,
        .unit = "ms",
        .help = "longest wait for an answer, the queue of the service included",
    },
};

static const struct settings table = {
    .program = "miner",
    .about = "The DockerCoins worker: random bytes from rng, hashed by hasher, counted in Redis.",
    .example = "miner --rng http://127.0.0.1:8001 --hasher http://127.0.0.1:8002 "
               "--redis redis://127.0.0.1:6379",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* One clear line for a URL that is well formed but not for us. */
static bool read_url(const char *variable, const char *text, struct url *out)
{
    if (parse_url(text, 80, out) == 0 && strcmp(out->scheme, "http") == 0)
        return true;
    fprintf(stderr, "miner: %s: \"%.200s\" is not http://HOST[:PORT][/PATH]\n", variable, text);
    return false;
}

bool config_read(int argc, char **argv, struct config *out, int *code)
{
    struct values values = {.redis.timeout_ms = REDIS_TIMEOUT_MS};

    if (!service_begin(&table, argc, argv, &values, &values.service, code))
        return false;
    *out = (struct config){
        .service = values.service,
        .miner.delay_ms = (int64_t)values.delay_ms,
        .miner.concurrency = values.concurrency,
        .miner.timeout_ms = (int64_t)values.timeout_ms,
        .redis = values.redis,
    };
    *code = 2;
    return read_url("RNG_URL", values.rng, &out->miner.rng) &&
           read_url("HASHER_URL", values.hasher, &out->miner.hasher) &&
           redis_options_check(&values.redis, table.program);
}
