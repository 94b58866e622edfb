/* From a login to an agent. Invariants: nothing is started before the configuration has come
 * whole; the secret half of the key pair is never written anywhere; of two agents on a host the
 * newer one stays. */
#include "agent.h"
#include "attached.h"
#include "base/bootstrap.h"
#include "base/clock.h"
#include "base/curve.h"
#include "base/log.h"
#include "base/rundir.h"
#include "base/settings.h"
#include "options.h"
#include "sshd.h"
#include "takeover.h"
#include "verbs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MS   5000 /* for the whole configuration to come */
#define ADMITTED_MS 5000 /* for the broker to take note of our key */
#define TAKEOVER_MS 1500 /* for the agent before this one, whose key is admitted no more */

struct options {
    const char *run_dir;
    struct agent_options agent;
};

static const struct setting rows[] = {
    RUN_DIR_SETTING(struct options, run_dir),
    AGENT_SETTINGS(struct options, agent),
};

static const struct settings settings = {
    .program = "scoop-worker serve",
    .about =
        "Becomes the agent of this host; run by sshd, configured by the broker on standard input.",
    .example = "ssh -p 2222 worker < configuration",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

struct service {
    const struct options *options;
    char folder[RUNDIR_PATH_MAX];
    struct bootstrap_config config;
    struct curve_pair pair;
    uint32_t slots;
};

/* ---- configuration ---- */

/* One read with a deadline. Returns the bytes, 0 at the end, or a negative errno. */
static ssize_t read_until(int fd, char *bytes, size_t size, int64_t until_ms)
{
    const int64_t left_ms = until_ms - clock_now_ms();
    struct pollfd input = {.fd = fd, .events = POLLIN};
    const int ready = poll(&input, 1, left_ms > 0 ? (int)left_ms : 0);

    if (ready < 0)
        return -errno;
    if (ready == 0)
        return -ETIMEDOUT;
    const ssize_t n = read(fd, bytes, size);
    return n >= 0 ? n : -errno;
}

/* Read until the line "end", the end of the stream, or the deadline. `text` ends in a zero byte. */
static int read_text(char text[BOOTSTRAP_CONFIG_MAX], struct problem *problem)
{
    const int64_t until_ms = clock_now_ms() + CONFIG_MS;
    size_t used = 0;

    text[0] = '\0';
    while (!bootstrap_config_complete(text)) {
        const size_t room = BOOTSTRAP_CONFIG_MAX - 1 - used;
        if (room == 0)
            return problem_set(problem, -EFBIG, "configuration: longer than %d bytes",
                               BOOTSTRAP_CONFIG_MAX);
        const ssize_t n = read_until(STDIN_FILENO, text + used, room, until_ms);
        if (n == -EINTR || n == -EAGAIN)
            continue;
        if (n == -ETIMEDOUT)
            return problem_set(problem, -ETIMEDOUT, "configuration: not complete within %d ms",
                               CONFIG_MS);
        if (n < 0)
            return problem_set(problem, (int)n, "configuration: %s", strerror((int)-n));
        if (n == 0 || memchr(text + used, '\0', (size_t)n) != NULL)
            break;
        used += (size_t)n;
        text[used] = '\0';
    }
    text[used] = '\0';
    return 0;
}

static int read_config(struct service *service, struct problem *problem)
{
    char text[BOOTSTRAP_CONFIG_MAX];
    const int rc = read_text(text, problem);

    if (rc != 0)
        return rc;
    return bootstrap_read_config(text, &service->config, problem);
}

/* ---- answer ---- */

static int write_answer(const struct service *service, struct problem *problem)
{
    struct bootstrap_answer answer = {.key = service->pair.public_half, .slots = service->slots};
    char text[BOOTSTRAP_ANSWER_MAX];

    snprintf(answer.version, sizeof(answer.version), "%s", settings_version());
    if (gethostname(answer.host, sizeof(answer.host) - 1) != 0)
        return problem_set(problem, -errno, "this host has no name: %s", strerror(errno));
    const int length = bootstrap_write_answer(&answer, text);
    if (length < 0)
        return problem_set(problem, length, "the host's name \"%s\" is not a printable word",
                           answer.host);
    if (write(STDOUT_FILENO, text, (size_t)length) != length)
        return problem_set(problem, -EPIPE, "the broker does not take the answer");
    return 0;
}

/* Wait until the broker has admitted our key. */
static int await_admission(struct problem *problem)
{
    const int64_t until_ms = clock_now_ms() + ADMITTED_MS;
    char line[sizeof(BOOTSTRAP_ADMITTED)] = "";
    size_t used = 0;

    while (used < sizeof(line) - 1) {
        const ssize_t n = read_until(STDIN_FILENO, line + used, sizeof(line) - 1 - used, until_ms);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    if (strcmp(line, BOOTSTRAP_ADMITTED) != 0)
        return problem_set(problem, -EPROTO, "the broker did not say that it admitted this worker");
    return 0;
}

/* From here on nobody is at the other end of standard input and output, and logs belong to the
 * container. sshd ends its session when the last copy of its pipe is closed, so one stays, and
 * no child inherits it. */
static int leave_session(const struct service *service, struct problem *problem)
{
    char path[RUNDIR_PATH_MAX];
    const int rc = rundir_path(service->folder, SSHD_LOG, path, problem);
    int log = -1;

    if (rc != 0)
        return rc;
    if (fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) < 0)
        return problem_set(problem, -errno, "no descriptor left: %s", strerror(errno));
    log = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(log >= 0 ? log : null, STDOUT_FILENO) < 0 ||
        dup2(log >= 0 ? log : STDERR_FILENO, STDERR_FILENO) < 0)
        return problem_set(problem, -errno, "standard streams: %s", strerror(errno));
    close(null);
    if (log >= 0)
        close(log);
    setsid();
    return 0;
}

/* ---- life ---- */

/* The broker may go away at any moment: that is the link's business, not a reason to die. */
static void ignore_hangups(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* Of the host's agents for its stack, the newest is the only one. */
static int replace_older(struct service *service, struct problem *problem)
{
    char lock[RUNDIR_PATH_MAX];
    int rc = 0;

    if ((rc = rundir_make(service->options->run_dir, SSHD_FOLDER, service->folder, problem)) != 0 ||
        (rc = rundir_path(service->folder, SSHD_LOCK, lock, problem)) != 0)
        return rc;
    return takeover_acquire(lock, TAKEOVER_MS, problem);
}

static int prepare(struct service *service, struct problem *problem)
{
    struct bootstrap_config *config = &service->config;
    int rc = 0;

    ignore_hangups();
    if ((rc = agent_options_check(&service->options->agent, problem)) != 0 ||
        (rc = read_config(service, problem)) != 0 ||
        (rc = bootstrap_resolve_origin(config, getenv("SSH_CONNECTION"), problem)) != 0)
        return rc;
    if (!config->attached && (rc = replace_older(service, problem)) != 0)
        return rc;
    if (curve_make(&service->pair) != 0)
        return problem_set(problem, -ENOTSUP, "this libzmq was built without CURVE");
    service->slots = config->slots != 0 ? (uint32_t)config->slots
                                        : agent_options_slots(&service->options->agent);
    if ((rc = write_answer(service, problem)) != 0 || (rc = await_admission(problem)) != 0)
        return rc;
    return config->attached ? 0 : leave_session(service, problem);
}

static void wipe_service(struct service *service)
{
    curve_wipe(&service->pair);
}

static int run(const struct options *options)
{
    struct service service CLEANUP(wipe_service) = {.options = options};
    struct problem problem = {.text = ""};

    if (prepare(&service, &problem) != 0) {
        fprintf(stderr, "scoop-worker: %s\n", problem.text);
        return EXIT_FAILURE;
    }
    const struct agent_config config = {
        .endpoint = service.config.broker,
        .server_key = service.config.broker_key.text,
        .public_key = service.pair.public_half.text,
        .secret_key = service.pair.secret_half.text,
        .slots = service.slots,
        .programs =
            service.config.programs[0] != '\0' ? service.config.programs : options->agent.programs,
        .task_memory = options->agent.task_memory,
        .executor_tasks = (uint32_t)options->agent.executor_tasks,
        .resources = options->agent.resources,
        .may = agent_options_may(&options->agent),
        .hide = options->agent.hide,
        .hide_too = service.folder[0] != '\0' ? service.folder : NULL,
        /* One that is attached has nobody left to work for. */
        .grace_ms = service.config.attached ? 0 : (uint32_t)options->agent.grace_ms,
        .gone_ms = (uint32_t)service.config.gone_ms,
    };
    return service.config.attached ? attached_run(&config) : agent_run(&config);
}

int verb_serve(int argc, char **argv)
{
    struct options options = {0};

    log_init("worker");
    switch (settings_read(&settings, argc, argv, &options, NULL)) {
    case SETTINGS_DONE: return EXIT_SUCCESS;
    case SETTINGS_USAGE: return 2;
    case SETTINGS_RUN: return run(&options);
    }
    return EXIT_FAILURE;
}
