/* miner: settings, signals, run, flush. */
#include "config.h"

#include "base/fence.h"
#include "base/httpd.h"
#include "base/log.h"
#include "base/signals.h"

#include <stdio.h>
#include <string.h>

/* At the end: a service has a second, so this leaves room for the rest. */
#define FLUSH_LIMIT_MS 800

/* The loop turns every second at the latest; one that does not for so long hangs. */
#define SILENT_LIMIT_MS 5000

/* Peers that are away are not our illness: a restart would only lose what waits for Redis. */
static bool is_healthy(void *context, char *detail, size_t size)
{
    const int64_t silent_ms = miner_silent_ms(context);

    if (silent_ms < SILENT_LIMIT_MS)
        return true;
    snprintf(detail, size, "the loop has not turned for %lld ms", (long long)silent_ms);
    return false;
}

/* Serve /health and /metrics beside the loop, until stop_fd ends it. */
static int
run(struct miner *miner, const struct config *config, struct metrics *metrics, int stop_fd)
{
    struct httpd *httpd = NULL;
    int rc = httpd_start(&(struct httpd_options){.listen = config->service.listen,
                                                 .metrics = metrics,
                                                 .access_log = config->service.access_log,
                                                 .threads = 1,
                                                 .healthy = is_healthy,
                                                 .health_context = miner},
                         &httpd);

    if (rc != 0)
        return rc; /* it has said why */
    rc = miner_run(miner, stop_fd);
    if (rc != 0)
        log_error("miner_failed", "reason=\"%s\"", strerrordesc_np(-rc));
    httpd_stop(httpd, 0);
    return rc;
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

static int mine(const struct config *config, struct metrics *metrics, int stop_fd)
{
    struct ledger *ledger = NULL;
    struct miner *miner = NULL;
    int rc = ledger_start(&config->redis, metrics, &ledger);

    if (rc == 0)
        rc = miner_new(&config->miner, metrics, ledger, &miner);
    if (rc == 0)
        rc = run(miner, config, metrics, stop_fd);
    else
        log_error("start_failed", "reason=\"%s\"", strerrordesc_np(-rc));
    if (ledger != NULL && flush(ledger) != 0)
        rc = -ETIMEDOUT;
    miner_free(miner);
    ledger_free(ledger);
    return rc;
}

int main(int argc, char **argv)
{
    struct config config = {0};
    int code = EXIT_FAILURE;

    if (!config_read(argc, argv, &config, &code))
        return code;
    fence_raise(&(struct fence){
        .rights = FENCE_SOCKETS,
        .files = {config.redis.password_file},
    });
    /* Never freed: a ledger thread that still waits for Redis uses it until the exit. */
    static struct metrics *metrics;
    metrics = metrics_new("miner");
    signal(SIGPIPE, SIG_IGN); /* as base/redis.h wants it */
    const int stop_fd = signals_open(0);
    int rc = stop_fd < 0 ? stop_fd : -ENOMEM;
    if (stop_fd >= 0 && metrics != NULL)
        rc = mine(&config, metrics, stop_fd);
    else
        log_error("start_failed", "reason=\"%s\"", strerrordesc_np(-rc));
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
