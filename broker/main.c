/* scoop-broker: settings, sockets, signals, run, exit code. */
#include "base/log.h"
#include "base/settings.h"
#include "loop.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

struct options {
    const char *client_listen;
    const char *worker_listen;
};

static const struct setting rows[] = {
    {
        .flag = "client-listen",
        .variable = "BROKER_CLIENT_LISTEN",
        .type = SETTING_TEXT,
        .offset = offsetof(struct options, client_listen),
        .fallback = "tcp://*:5555",
        .min = 7,
        .help = "endpoint for clients: tcp://ADDRESS:PORT or ipc://PATH",
    },
    {
        .flag = "worker-listen",
        .variable = "BROKER_WORKER_LISTEN",
        .type = SETTING_TEXT,
        .offset = offsetof(struct options, worker_listen),
        .fallback = "tcp://*:5556",
        .min = 7,
        .help = "endpoint for agents of workers",
    },
};

static const struct settings settings = {
    .program = "scoop-broker",
    .about = "Takes tasks from clients and leases them to the agents of workers.",
    .example = "scoop-broker --client-listen ipc:///run/me/client --worker-listen ipc:///run/me/worker",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int open_stop_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

static int run(const struct options *options, void *context, int stop_fd)
{
    const struct loop_config config = {
        .context = context,
        .client_listen = options->client_listen,
        .worker_listen = options->worker_listen,
    };
    struct loop *loop = NULL;
    const char *endpoint = "";
    int result = loop_new(&config, &loop, &endpoint);

    if (result != 0) {
        fprintf(stderr, "scoop-broker: cannot listen on %s: %s\n", endpoint, zmq_strerror(-result));
        return EXIT_FAILURE;
    }
    log_info("listening", "clients=%s workers=%s", options->client_listen, options->worker_listen);
    result = loop_run(loop, stop_fd);
    loop_free(loop);
    log_info("stopped", "result=%d", result);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct options options = {0};

    log_init("broker");
    switch (settings_read(&settings, argc, argv, &options, NULL)) {
    case SETTINGS_DONE:
        return EXIT_SUCCESS;
    case SETTINGS_USAGE:
        return 2;
    case SETTINGS_RUN:
        break;
    }
    const int stop_fd = open_stop_signals();
    void *context = zmq_ctx_new();

    if (stop_fd < 0 || context == NULL) {
        fprintf(stderr, "scoop-broker: cannot start: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    const int code = run(&options, context, stop_fd);
    zmq_ctx_term(context);
    close(stop_fd);
    return code;
}
