/* scoop-broker: settings, sockets, signals, run, exit code. */
#include "base/harden.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/signals.h"
#include "confine.h"
#include "guard.h"
#include "journal.h"
#include "loop.h"
#include "monitor.h"
#include "options.h"
#include "trust.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

/* At the end: outcomes that were not written run again, so this is no more than politeness. */
#define JOURNAL_FLUSH_MS 300

/* Without --journal *out stays NULL. */
static int open_journal(const struct options *options,
                        struct metrics *metrics,
                        struct journal **out,
                        struct problem *problem)
{
    const struct journal_config config = {
        .url = options->journal,
        .password_file = options->journal_password,
        .name = options->journal_name,
        .mark_file = options->journal_mark,
        .init = options->journal_init,
        .salvage = options->journal_salvage,
        .metrics = metrics,
    };

    if (options->journal[0] == '\0')
        return 0;
    /* The URL may hold a password, so it is not shown. */
    if (!redis_url_is_valid(options->journal))
        return problem_set(
            problem, -EINVAL,
            "journal: what is set is not redis://[:PASSWORD@]HOST[:PORT][/DATABASE]");
    if (!journal_name_is_valid(options->journal_name))
        return problem_set(problem, -EINVAL,
                           "journal-name: \"%s\" is not 1 to 64 letters, digits, '-', '_', '.'",
                           options->journal_name);
    return journal_start(&config, out, problem);
}

static int serve(const struct options *options,
                 struct journal *journal,
                 struct trust *trust,
                 struct monitor *monitor,
                 struct pulse *pulse,
                 void *context,
                 int stop_fd,
                 struct problem *problem)
{
    struct loop_config config = {
        .context = context,
        .client_listen = options->client_listen,
        .worker_listen = options->worker_listen,
        .secure = trust_secure,
        .secure_data = trust,
        .journal = journal,
        .keep_ms = (int64_t)options->keep_results_s * 1000,
        .uploads = options->allow_upload,
        .pulse = pulse,
        .meter = monitor_meter(monitor),
    };
    struct loop *loop = NULL;
    const char *endpoint = "";
    struct problem why = {.text = ""};
    int rc = needs_parse(options->resources, &config.resources, &why);

    if (rc != 0)
        return problem_set(problem, rc, "--resources: %s", why.text);
    rc = loop_new(&config, &loop, &endpoint);

    if (rc != 0)
        return problem_set(problem, rc, "cannot listen on %s: %s", endpoint, zmq_strerror(-rc));
    rc = trust_begin(trust, problem);
    if (rc == 0)
        rc = monitor_begin(monitor, options, loop, trust);
    if (rc == 0) {
        log_info("listening", "clients=%s workers=%s", options->client_listen,
                 options->worker_listen);
        rc = loop_run(loop, stop_fd);
        log_info("stopped", "result=%d", rc);
        if (rc != 0)
            problem_set(problem, rc, "the loop ended: %s",
                        rc == -ESTALE ? loop_reason(loop) : zmq_strerror(-rc));
    }
    monitor_end(monitor);
    trust_end(trust);
    loop_free(loop);
    return rc;
}

static int run(const struct options *options, struct pulse *pulse, struct problem *problem)
{
    struct trust *trust = NULL;
    struct journal *journal = NULL;
    int rc = harden_process(problem);

    if (rc != 0)
        return rc;
    confine_broker(options);
    const int stop_fd = signals_open(0);
    void *context = zmq_ctx_new();
    struct monitor *monitor = monitor_new();
    if (stop_fd < 0 || context == NULL || monitor == NULL)
        return problem_set(problem, -errno, "cannot start: %s", strerror(errno));
    rc = trust_start(options, context, monitor_metrics(monitor), &trust, problem);
    if (rc == 0)
        rc = open_journal(options, monitor_metrics(monitor), &journal, problem);
    if (rc == 0)
        rc = serve(options, journal, trust, monitor, pulse, context, stop_fd, problem);
    journal_stop(journal, JOURNAL_FLUSH_MS);
    trust_stop(trust);
    monitor_free(monitor);
    zmq_ctx_term(context);
    close(stop_fd);
    return rc;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct problem problem = {.text = ""};

    log_init("broker");
    switch (settings_read(&options_settings, argc, argv, &options, NULL)) {
    case SETTINGS_DONE: return EXIT_SUCCESS;
    case SETTINGS_USAGE: return 2;
    case SETTINGS_RUN: break;
    }
    if (options.health)
        return monitor_ask(&options);
    int code = EXIT_SUCCESS;
    struct pulse *pulse = NULL;
    int rc = options.guard ? guard_run(&pulse, &code, &problem) : 0;

    if (rc == 1)
        return code; /* of the broker that this process has guarded */
    if (rc == 0)
        rc = run(&options, pulse, &problem);
    if (rc != 0 && problem.text[0] != '\0')
        fprintf(stderr, "scoop-broker: %s\n", problem.text);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
