/* A launcher's beginning and end: what it is told is checked here, by the main thread. */
#include "launcher_state.h"

#include "loop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

/* Signals belong to the main thread; SIGPIPE of a session that has ended is to be an error here. */
static int start_thread(struct launcher *launcher)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&launcher->thread, NULL, launcher_run, launcher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* ---- life ---- */

static void launcher_free(struct launcher *launcher)
{
    for (size_t i = 0; i < launcher->host_count; i++)
        free(launcher->hosts[i]);
    for (size_t i = 0; i < launcher->name_count; i++)
        resolve_stop(launcher->names[i].resolver);
    if (launcher->revoked != NULL)
        zmq_close(launcher->revoked);
    if (launcher->wake_fd >= 0)
        close(launcher->wake_fd);
    if (launcher->stop_fd >= 0)
        close(launcher->stop_fd);
    free(launcher);
}

/* Split "a,b" into names; lookups start later. */
static int split_names(struct launcher *launcher, struct problem *problem)
{
    const char *at = launcher->config.names;

    while (*at != '\0') {
        const size_t length = strcspn(at, ",");
        struct name *name = &launcher->names[launcher->name_count];

        if (launcher->name_count == LAUNCHER_NAMES_MAX)
            return problem_set(problem, -EINVAL, "workers: more than %d names", LAUNCHER_NAMES_MAX);
        if (length == 0 || length >= sizeof(name->text))
            return problem_set(problem, -EINVAL,
                               "workers: \"%s\" is not a list of names separated by commas",
                               launcher->config.names);
        snprintf(name->text, sizeof(name->text), "%.*s", (int)length, at);
        launcher->name_count++;
        at += length;
        if (*at == ',' && *++at == '\0')
            return problem_set(problem, -EINVAL, "workers: \"%s\" ends in a comma",
                               launcher->config.names);
    }
    return 0;
}

static int start_lookups(struct launcher *launcher, struct problem *problem)
{
    for (size_t i = 0; i < launcher->name_count; i++) {
        struct name *name = &launcher->names[i];
        const struct resolve_options options = {
            .name = name->text,
            .port = launcher->config.port,
            .interval_ms = LAUNCHER_LOOKUP_MS,
            .wake_fd = launcher->wake_fd,
        };
        const int rc = resolve_start(&options, &name->resolver);
        if (rc != 0)
            return problem_set(problem, rc, "workers: \"%s\" cannot be looked up: %s", name->text,
                               strerror(-rc));
    }
    return 0;
}

static int make_bootstrap(struct launcher *launcher, struct problem *problem)
{
    const struct launcher_config *given = &launcher->config;
    struct bootstrap_config config = {
        .broker_key = *given->broker_key,
        .gone_ms = given->gone_ms,
        .attached = given->hosts != NULL,
    };
    struct bootstrap_config read;
    char text[BOOTSTRAP_CONFIG_MAX];

    snprintf(config.broker, sizeof(config.broker), "%s", given->broker_endpoint);
    if (strlen(given->programs) >= sizeof(config.programs))
        return problem_set(problem, -EINVAL, "programs: more than %zu characters",
                           sizeof(config.programs) - 1);
    memcpy(config.programs, given->programs, strlen(given->programs) + 1);
    if (bootstrap_write_config(&config, text) < 0)
        return problem_set(problem, -EINVAL,
                           "advertise: \"%s\" is not tcp://HOST:PORT, or programs: \"%s\" is no "
                           "path",
                           config.broker, config.programs);
    launcher->bootstrap = config;
    /* What the agents would refuse is refused here, where somebody reads it. */
    return bootstrap_read_config(text, &read, problem);
}

/* Hosts of the user's own are known at once and for ever. */
static int take_hosts(struct launcher *launcher, struct problem *problem)
{
    const struct hostlist *hosts = launcher->config.hosts;

    launcher->own = (struct login_own){launcher->config.ssh, launcher->config.remote};
    for (size_t i = 0; i < hosts->count; i++) {
        if (launcher_add_named(launcher, &hosts->hosts[i]) != 0)
            return problem_set(problem, -ENOMEM, "hosts: out of memory");
    }
    return 0;
}

static int prepare_logins(struct launcher *launcher, struct problem *problem)
{
    const struct launcher_config *config = &launcher->config;

    if (config->hosts != NULL)
        return take_hosts(launcher, problem);
    const int rc = split_names(launcher, problem);
    if (rc != 0)
        return rc;
    return login_setup_make(config->run_dir, config->user, config->key_file, config->host_key_file,
                            &launcher->setup, problem);
}

static int open_handles(struct launcher *launcher, struct problem *problem)
{
    const int no_linger = 0;

    launcher->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    launcher->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    launcher->revoked = zmq_socket(launcher->config.context, ZMQ_PUSH);
    if (launcher->wake_fd < 0 || launcher->stop_fd < 0 || launcher->revoked == NULL ||
        zmq_setsockopt(launcher->revoked, ZMQ_LINGER, &no_linger, sizeof(no_linger)) != 0 ||
        zmq_connect(launcher->revoked, LOOP_REVOKE_ENDPOINT) != 0)
        return problem_set(problem, -EMFILE, "launcher cannot start: %s",
                           zmq_strerror(zmq_errno()));
    return 0;
}

static void make_metrics(struct launcher *launcher, struct metrics *metrics)
{
    launcher->known =
        metrics_gauge(metrics, "scoop_hosts", "", "Addresses behind the names of workers.");
    launcher->ready =
        metrics_gauge(metrics, "scoop_hosts_ready", "", "Those of them with an admitted agent.");
    launcher->started =
        metrics_counter(metrics, "scoop_logins_total", "", "Sessions of ssh begun.");
    launcher->failed = metrics_counter(metrics, "scoop_logins_failed_total", "",
                                       "Those of them that gave no agent.");
}

int launcher_start(const struct launcher_config *config,
                   struct launcher **out,
                   struct problem *problem)
{
    struct launcher *launcher = calloc(1, sizeof(*launcher));
    int rc = 0;

    if (launcher == NULL)
        return problem_set(problem, -ENOMEM, "launcher cannot start: out of memory");
    launcher->config = *config;
    launcher->wake_fd = -1;
    launcher->stop_fd = -1;
    make_metrics(launcher, config->metrics);
    if ((rc = prepare_logins(launcher, problem)) != 0 ||
        (rc = make_bootstrap(launcher, problem)) != 0 ||
        (rc = open_handles(launcher, problem)) != 0 || (rc = start_lookups(launcher, problem)) != 0)
        goto fail;
    rc = start_thread(launcher);
    if (rc != 0) {
        problem_set(problem, rc, "launcher cannot start: %s", strerror(-rc));
        goto fail;
    }
    *out = launcher;
    return 0;
fail:
    launcher_free(launcher);
    return rc;
}

void launcher_stop(struct launcher *launcher)
{
    const uint64_t one = 1;

    if (launcher == NULL)
        return;
    /* A fresh eventfd always takes one more. */
    (void)!write(launcher->stop_fd, &one, sizeof(one));
    pthread_join(launcher->thread, NULL);
    launcher_free(launcher);
}
