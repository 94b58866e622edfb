/* miner: settings, signals, run, flush. */
#include "miner.h"

#include "base/log.h"
#include "base/settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Longest wait of one exchange with Redis. */
#define REDIS_TIMEOUT_MS 2000

/* At the end: a service has a second, so this leaves room for the rest. */
#define FLUSH_LIMIT_MS 800

struct values {
    const char *rng;
    const char *hasher;
    const char *redis;
    const char *redis_password_file;
    uint64_t delay_ms;
    uint64_t concurrency;
    uint64_t timeout_ms;
};

#define FIELD(member) offsetof(struct values, member)

/* clang-format off: one setting is one thought, not one row of a wide table */
static const struct setting rows[] = {
    {.flag = "rng", .variable = "RNG_URL", .type = SETTING_URL, .offset = FIELD(rng),
     .fallback = "http://rng", .help = "where random bytes come from"},
    {.flag = "hasher", .variable = "HASHER_URL", .type = SETTING_URL, .offset = FIELD(hasher),
     .fallback = "http://hasher", .help = "where they are hashed"},
    {.flag = "redis", .variable = "REDIS_URL", .type = SETTING_TEXT, .offset = FIELD(redis),
     .fallback = "redis://redis:6379", .min = 1, .max = 512,
     .help = "where counts and coins go: redis://[:PASSWORD@]HOST[:PORT][/DATABASE]"},
    {.flag = "redis-password", .variable = "REDIS_PASSWORD_FILE", .type = SETTING_TEXT,
     .offset = FIELD(redis_password_file), .fallback = "", .max = 4096,
     .help = "file with the password of Redis"},
    {.flag = "delay-ms", .variable = "MINER_DELAY_MS", .type = SETTING_NUMBER,
     .offset = FIELD(delay_ms), .fallback = "0", .max = 60000, .unit = "ms",
     .help = "rest before each loop"},
    {.flag = "concurrency", .variable = "MINER_CONCURRENCY", .type = SETTING_NUMBER,
     .offset = FIELD(concurrency), .fallback = "1", .min = 1, .max = MINER_CONCURRENCY_MAX,
     .help = "loops under way at a time"},
    {.flag = "timeout-ms", .variable = "MINER_TIMEOUT_MS", .type = SETTING_NUMBER,
     .offset = FIELD(timeout_ms), .fallback = "30000", .min = 100, .max = 600000, .unit = "ms",
     .help = "longest wait for an answer, the queue of the service included"},
};
/* clang-format on */

static const struct settings settings = {
    .program = "miner",
    .about = "The DockerCoins worker: random bytes from rng, hashed by hasher, counted in Redis.",
    .example = "miner --rng http://127.0.0.1:8001 --hasher http://127.0.0.1:8002 "
               "--redis redis://127.0.0.1:6379",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* One clear line for a URL that is well formed but not for us. */
static bool check_scheme(const char *variable, const char *text, struct url *out)
{
    if (parse_url(text, 80, out) == 0 && strcmp(out->scheme, "http") == 0)
        return true;
    fprintf(stderr, "miner: %s: \"%.200s\" is not http://HOST[:PORT][/PATH]\n", variable, text);
    return false;
}

static bool check_values(const struct values *values, struct miner_options *options)
{
    if (!check_scheme("RNG_URL", values->rng, &options->rng) ||
        !check_scheme("HASHER_URL", values->hasher, &options->hasher))
        return false;
    /* The text may hold a password, so it is not shown. */
    if (!redis_url_is_valid(values->redis)) {
        fprintf(stderr, "miner: REDIS_URL: the value given is not "
                        "redis://[:PASSWORD@]HOST[:PORT][/DATABASE]\n");
        return false;
    }
    options->delay_ms = (int64_t)values->delay_ms;
    options->concurrency = values->concurrency;
    options->timeout_ms = (int64_t)values->timeout_ms;
    return true;
}

/* SIGTERM and SIGINT as a descriptor; SIGPIPE ignored, as base/redis.h wants it. -errno. */
static int open_signals(void)
{
    sigset_t ends;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0)
        return -errno;
    const int fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Write out what is not counted yet and say how it ended. */
static int flush(struct ledger *ledger)
{
    struct ledger_totals totals;
    const int rc = ledger_stop(ledger, FLUSH_LIMIT_MS);

    ledger_read(ledger, &totals);
    log_event(rc == 0 ? LOG_INFO : LOG_ERROR, "stopped",
              "loops_done=%llu loops_counted=%llu coins_found=%llu coins_stored=%llu",
              (unsigned long long)totals.loops_done, (unsigned long long)totals.loops_counted,
              (unsigned long long)totals.coins_found, (unsigned long long)totals.coins_stored);
    return rc;
}

static int mine(const struct values *values, const struct miner_options *options)
{
    const int stop_fd = open_signals();
    struct ledger *ledger = NULL;
    struct miner *miner = NULL;
    int rc = stop_fd < 0 ? stop_fd : 0;

    if (rc == 0)
        rc = ledger_start(&(struct redis_options){.url = values->redis,
                                                  .password_file = values->redis_password_file,
                                                  .timeout_ms = REDIS_TIMEOUT_MS},
                          &ledger);
    if (rc == 0)
        rc = miner_new(options, ledger, &miner);
    if (rc == 0)
        rc = miner_run(miner, stop_fd);
    if (rc != 0)
        log_error("miner_failed", "reason=\"%s\"", strerrordesc_np(-rc));
    if (ledger != NULL && flush(ledger) != 0)
        rc = -ETIMEDOUT;
    miner_free(miner);
    ledger_free(ledger);
    if (stop_fd >= 0)
        close(stop_fd);
    return rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct values values = {0};
    struct miner_options options = {0};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &values, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? 0 : 2;
    if (!check_values(&values, &options))
        return 2;
    log_init("miner");
    log_info("miner_started", "rng=%s:%u hasher=%s:%u concurrency=%zu delay_ms=%lld",
             options.rng.authority.host, options.rng.authority.port, options.hasher.authority.host,
             options.hasher.authority.port, options.concurrency, (long long)options.delay_ms);
    return mine(&values, &options);
}
