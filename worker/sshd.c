/* Invariants: sshd runs before anybody can connect and never after this process; every line of
 * it and of the agent ends in this process's stderr, whole. */
#include "sshd.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rundir.h"
#include "base/secret.h"
#include "base/settings.h"
#include "base/signals.h"
#include "base/sshkey.h"
#include "children.h"
#include "options.h"
#include "sshd_config.h"
#include "takeover.h"
#include "verbs.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SSHD_PROGRAM     "/usr/sbin/sshd"
#define LOOK_MS          20  /* between two looks at an agent that is to end */
#define KILL_MS          500 /* what is left is gone so long after SIGKILL, or stays */
#define HEALTH_MS        2000
#define LINES_PER_SECOND 20U /* of sshd, in our log */

/* What a pipe can hold: one read takes all, so lines that were written whole stay whole. */
#define PIPE_BYTES 65536

struct options {
    const char *listen;
    uint64_t port;
    const char *host_key;
    const char *client_key;
    const char *run_dir;
    uint64_t grace_ms;
    bool health;
};

static const struct setting rows[] = {
    {
        .flag = "listen",
        .variable = "WORKER_SSH_LISTEN",
        .type = SETTING_TEXT,
        .offset = offsetof(struct options, listen),
        .fallback = "0.0.0.0",
        .min = 1,
        .max = 64,
        .help = "address that sshd listens on",
    },
    {
        .flag = "port",
        .variable = "WORKER_SSH_PORT",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct options, port),
        .fallback = "2222",
        .min = 1,
        .max = 65535,
        .help = "port that sshd listens on",
    },
    {
        .flag = "host-key",
        .variable = "WORKER_HOST_KEY_FILE",
        .type = SETTING_TEXT,
        .offset = offsetof(struct options, host_key),
        .fallback = "/run/secrets/ssh_host_rsa_key",
        .min = 1,
        .help = "file with the private ssh host key of the workers",
    },
    {
        .flag = "client-key",
        .variable = "WORKER_CLIENT_KEY_FILE",
        .type = SETTING_TEXT,
        .offset = offsetof(struct options, client_key),
        .fallback = "/run/secrets/ssh_client_rsa_key.pub",
        .min = 1,
        .help = "file with the public ssh key(s) of the broker",
    },
    RUN_DIR_SETTING(struct options, run_dir),
    GRACE_SETTING(struct options, grace_ms),
    {
        .flag = "health",
        .type = SETTING_HEALTH,
        .offset = offsetof(struct options, health),
        .help = "ask a running instance; exit 0 or 1",
    },
};

static const struct settings settings = {
    .program = "scoop-worker sshd",
    .about = "Runs sshd for the broker, which starts the agent of this host over it.",
    .example = "scoop-worker sshd --port 2222",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

struct server {
    const struct options *options;
    char folder[RUNDIR_PATH_MAX];
    char config[RUNDIR_PATH_MAX];
    char lock[RUNDIR_PATH_MAX];
    pid_t sshd;            /* 0: ended */
    int errors;            /* what sshd says: pipe */
    int log;               /* what the agent says: FIFO, both ends open, so that it never ends */
    int signals;           /* signalfd */
    int64_t end_ms;        /* when we are to be gone; 0: not asked yet */
    unsigned second_lines; /* lines of sshd logged in this second */
    int64_t second_ms;
};

/* ---- files ---- */

static int write_host_key(const struct server *server, struct problem *problem)
{
    const char *file = server->options->host_key;
    struct secret key CLEANUP(secret_wipe) = {0};
    char *text = NULL;
    int rc = secret_load(file, SECRET_PRIVATE, &key, problem);

    if (rc != 0 || (rc = sshkey_check_private(file, key.text, problem)) != 0)
        return rc;
    /* sshd wants a newline behind the last line. */
    const int length = asprintf(&text, "%s\n", key.text);
    if (length < 0)
        return problem_set(problem, -ENOMEM, "%s: out of memory", file);
    rc = rundir_write(server->folder, "host_key", text, S_IRUSR, problem);
    explicit_bzero(text, (size_t)length);
    free(text);
    return rc;
}

static int
write_authorized_keys(const struct server *server, const char *command, struct problem *problem)
{
    const char *file = server->options->client_key;
    struct secret keys CLEANUP(secret_wipe) = {0};
    char *text CLEANUP(free_p) = NULL;
    int rc = secret_load(file, SECRET_PUBLIC, &keys, problem);

    if (rc != 0 || (rc = sshkey_check_public(file, keys.text, problem)) != 0)
        return rc;
    if (sshd_config_keys(keys.text, command, &text) != 0)
        return problem_set(problem, -ENOMEM, "%s: out of memory", file);
    return rundir_write(server->folder, "authorized_keys", text, S_IRUSR, problem);
}

static int write_config(const struct server *server, const char *command, struct problem *problem)
{
    const struct passwd *user = getpwuid(getuid());
    char **environment CLEANUP(free_p) = NULL;
    char *text CLEANUP(free_p) = NULL;
    int rc = 0;

    if (user == NULL)
        return problem_set(problem, -ENOENT, "uid %u has no name in /etc/passwd, which ssh needs",
                           (unsigned)getuid());
    if (sshd_config_environment(environ, &environment) != 0)
        return problem_set(problem, -ENOMEM, "sshd: out of memory");
    const struct sshd_config config = {
        .listen = server->options->listen,
        .port = (uint16_t)server->options->port,
        .user = user->pw_name,
        .folder = server->folder,
        .command = command,
        .environment = environment,
    };
    rc = sshd_config_make(&config, &text, problem);
    if (rc != 0)
        return rc;
    return rundir_write(server->folder, "sshd_config", text, S_IRUSR, problem);
}

/* The forced command: this very program, wherever it lies. */
static int
make_command(const struct options *options, char *command, size_t size, struct problem *problem)
{
    char program[256];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

    if (length < 0)
        return problem_set(problem, -errno, "/proc/self/exe: %s", strerror(errno));
    program[length] = '\0';
    if (strpbrk(program, " \t\"'\\$`;&|<>*?[](){}~#%!\n") != NULL)
        return problem_set(problem, -EINVAL,
                           "%s: a path without blanks and shell characters is wanted", program);
    snprintf(command, size, "exec %s serve --run-dir %s", program, options->run_dir);
    return 0;
}

static int open_log(struct server *server, struct problem *problem)
{
    char path[RUNDIR_PATH_MAX];
    const int rc = rundir_path(server->folder, SSHD_LOG, path, problem);

    if (rc != 0)
        return rc;
    unlink(path);
    if (mkfifo(path, S_IRUSR | S_IWUSR) != 0 ||
        (server->log = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
        return problem_set(problem, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

static int prepare_files(struct server *server, struct problem *problem)
{
    char command[512];
    int rc = 0;

    if ((rc = rundir_make(server->options->run_dir, SSHD_FOLDER, server->folder, problem)) != 0 ||
        (rc = rundir_path(server->folder, "sshd_config", server->config, problem)) != 0 ||
        (rc = rundir_path(server->folder, SSHD_LOCK, server->lock, problem)) != 0 ||
        (rc = make_command(server->options, command, sizeof(command), problem)) != 0 ||
        (rc = write_host_key(server, problem)) != 0 ||
        (rc = write_authorized_keys(server, command, problem)) != 0 ||
        (rc = write_config(server, command, problem)) != 0)
        return rc;
    return open_log(server, problem);
}

/* ---- sshd ---- */

static int spawn_sshd(struct server *server, int errors)
{
    char program[] = SSHD_PROGRAM;
    char flags[] = "-Def";
    char *const argv[] = {program, flags, server->config, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int rc = 0;

    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, errors, STDOUT_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO) != 0 ||
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1) != 0 ||
        posix_spawnattr_setsigmask(&attributes, &none) != 0 ||
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) != 0)
        rc = -ENOMEM;
    else
        rc = -posix_spawn(&server->sshd, program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int start_sshd(struct server *server, struct problem *problem)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return problem_set(problem, -errno, "sshd: no pipe: %s", strerror(errno));
    server->errors = ends[0];
    const int rc = spawn_sshd(server, ends[1]);
    close(ends[1]);
    if (rc != 0)
        return problem_set(problem, rc, "%s cannot be run: %s", SSHD_PROGRAM, strerror(-rc));
    log_info("sshd_started", "listen=%s port=%u pid=%d", server->options->listen,
             (unsigned)server->options->port, (int)server->sshd);
    return 0;
}

/* ---- lines ---- */

/* Our own health check connects from the loopback address and says no more than hello. */
static bool is_noise(const char *line)
{
    return strncmp(line, "Connection closed by 127.0.0.1", 30) == 0 ||
           strncmp(line, "Connection reset by 127.0.0.1", 29) == 0;
}

/* At most LINES_PER_SECOND: whoever can connect could fill the log otherwise. */
static void log_line(struct server *server, const char *line)
{
    const int64_t now_ms = clock_now_ms();
    char quoted[600];

    if (line[0] == '\0' || is_noise(line))
        return;
    if (now_ms - server->second_ms >= 1000) {
        if (server->second_lines > LINES_PER_SECOND)
            log_warn("sshd_lines_dropped", "lines=%u", server->second_lines - LINES_PER_SECOND);
        server->second_ms = now_ms;
        server->second_lines = 0;
    }
    if (++server->second_lines <= LINES_PER_SECOND)
        log_info("sshd", "says=\"%s\"", log_quote(quoted, sizeof(quoted), line));
}

static void read_errors(struct server *server)
{
    char bytes[PIPE_BYTES + 1];
    const ssize_t size = read(server->errors, bytes, PIPE_BYTES);

    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
            close(server->errors);
            server->errors = -1;
        }
        return;
    }
    bytes[size] = '\0';
    for (char *at = bytes; at != NULL;)
        log_line(server, strsep(&at, "\r\n"));
}

static void copy_log(const struct server *server)
{
    char bytes[PIPE_BYTES];
    const ssize_t size = read(server->log, bytes, sizeof(bytes));
    ssize_t done = 0;

    while (done < size) {
        const ssize_t n = write(STDERR_FILENO, bytes + done, (size_t)(size - done));
        if (n < 0 && errno != EINTR)
            return; /* nobody reads our log: nobody is left to tell */
        if (n > 0)
            done += n;
    }
}

/* ---- end ---- */

static void reap(struct server *server)
{
    int status = 0;
    pid_t pid = 0;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != server->sshd)
            continue;
        server->sshd = 0;
        if (server->end_ms == 0)
            log_error("sshd_ended", "exit=%d signal=%d effect=\"this worker ends\"",
                      WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                      WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

/* First signal: no new sessions, and the agent drains. Second: at once. */
static void begin_end(struct server *server)
{
    const int64_t now_ms = clock_now_ms();
    const pid_t agent = takeover_holder(server->lock);

    if (server->end_ms != 0) {
        server->end_ms = now_ms;
        return;
    }
    server->end_ms = now_ms + (int64_t)server->options->grace_ms + KILL_MS;
    log_info("stopping", "agent=%d grace_ms=%llu", (int)agent,
             (unsigned long long)server->options->grace_ms);
    if (server->sshd > 0)
        kill(server->sshd, SIGTERM);
    if (agent > 0)
        kill(agent, SIGTERM);
}

static void take_signals(struct server *server)
{
    struct signalfd_siginfo signal;

    while (read(server->signals, &signal, sizeof(signal)) == sizeof(signal)) {
        if (signal.ssi_signo != SIGCHLD)
            begin_end(server);
    }
    reap(server);
}

/* Is it over: sshd died, or we were asked and the agent has left or took too long? */
static bool is_over(const struct server *server)
{
    if (server->end_ms == 0)
        return server->sshd == 0;
    return takeover_holder(server->lock) == 0 || clock_now_ms() >= server->end_ms;
}

static void supervise(struct server *server)
{
    while (!is_over(server)) {
        struct pollfd fds[] = {
            {.fd = server->signals, .events = POLLIN},
            {.fd = server->errors, .events = POLLIN},
            {.fd = server->log, .events = POLLIN},
        };
        poll(fds, COUNT_OF(fds), server->end_ms != 0 ? LOOK_MS : -1);
        if (fds[1].revents != 0)
            read_errors(server);
        if (fds[2].revents != 0)
            copy_log(server);
        if (fds[0].revents != 0)
            take_signals(server);
    }
    if (server->errors >= 0)
        read_errors(server);
    copy_log(server);
}

/* ---- life ---- */

static int open_signals(struct server *server, struct problem *problem)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) != 0)
        return problem_set(problem, -errno, "sshd: %s", strerror(errno));
    server->signals = signals_open(SIGCHLD);
    if (server->signals < 0)
        return problem_set(problem, server->signals, "sshd: no signalfd: %s",
                           strerror(-server->signals));
    return 0;
}

static void close_files(struct server *server)
{
    const int fds[] = {server->errors, server->log, server->signals};

    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

static int run(const struct options *options, struct problem *problem)
{
    struct server server = {.options = options, .errors = -1, .log = -1, .signals = -1};
    int rc = 0;

    if (geteuid() == 0)
        return problem_set(problem, -EPERM, "sshd: refuses to run as root: use an ordinary user");
    if ((rc = open_signals(&server, problem)) == 0 && (rc = prepare_files(&server, problem)) == 0 &&
        (rc = start_sshd(&server, problem)) == 0) {
        supervise(&server);
        children_kill(KILL_MS);
        if (server.end_ms == 0)
            rc = problem_set(problem, -ECHILD, "sshd ended");
    }
    close_files(&server);
    return rc;
}

/* ---- health ---- */

static int ask(int fd, const struct options *options)
{
    static const char hello[] = "SSH-2.0-health\r\n";
    const struct timeval wait = {.tv_sec = HEALTH_MS / 1000};
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)options->port),
    };
    char banner[9] = "";

    if (inet_pton(AF_INET, options->listen, &address.sin_addr) != 1)
        return -EINVAL;
    if (address.sin_addr.s_addr == htonl(INADDR_ANY))
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) < 0 ||
        recv(fd, banner, sizeof(banner) - 1, MSG_WAITALL) != sizeof(banner) - 1)
        return -errno;
    return strcmp(banner, "SSH-2.0-") == 0 ? 0 : -EPROTO;
}

static int health(const struct options *options)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int rc = fd >= 0 ? ask(fd, options) : -errno;

    if (fd >= 0)
        close(fd);
    if (rc == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "scoop-worker sshd: no sshd on %s:%u: %s\n", options->listen,
            (unsigned)options->port, strerror(-rc));
    return EXIT_FAILURE;
}

int verb_sshd(int argc, char **argv)
{
    struct options options = {0};
    struct problem problem = {.text = ""};

    log_init("worker");
    switch (settings_read(&settings, argc, argv, &options, NULL)) {
    case SETTINGS_DONE: return EXIT_SUCCESS;
    case SETTINGS_USAGE: return 2;
    case SETTINGS_RUN: break;
    }
    if (options.health)
        return health(&options);
    if (run(&options, &problem) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "scoop-worker: %s\n", problem.text);
    return EXIT_FAILURE;
}
