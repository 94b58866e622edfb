/* Invariants: the supervisor is the parent of broker and worker, in a process group of its own, so
 * that Ctrl-C reaches the program only; both die with it (PR_SET_PDEATHSIG), and it ends with the
 * process that started it. */
#include "local.h"

#include "base/bootstrap.h"
#include "base/clock.h"
#include "base/curve.h"
#include "base/rundir.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 10000   /* for the broker to listen */
#define STOP_MS  3000    /* for broker and worker to end by themselves */
#define GONE_MS  "10000" /* workers elsewhere end without a link for so long */
#define POLL_MS  2       /* between looks at what has no descriptor to wait on */

#define PATH_LENGTH 512

/* What the supervisor knows. */
struct supervisor {
    char folder[64];
    char programs_beside[PATH_LENGTH]; /* folder of this executable */
    const struct local_config *config;
    pid_t broker;
    pid_t worker;
    int lifeline;
    int signals; /* signalfd */
};

/* ---- the folder ---- */

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);

    if (dir == NULL)
        return;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    rmdir(folder);
}

static int make_folder(char folder[64], struct problem *problem)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const bool usable = runtime != NULL && strlen(runtime) < 32 && access(runtime, W_OK) == 0;

    snprintf(folder, 64, "%s/scoop-XXXXXX", usable ? runtime : "/tmp");
    if (mkdtemp(folder) == NULL)
        return problem_set(problem, -errno, "%s: %s", folder, strerror(errno));
    return 0;
}

static int folder_of_self(char *folder, struct problem *problem)
{
    const ssize_t length = readlink("/proc/self/exe", folder, PATH_LENGTH - 1);

    if (length < 0)
        return problem_set(problem, -errno, "/proc/self/exe: %s", strerror(errno));
    folder[length] = '\0';
    *strrchr(folder, '/') = '\0';
    return 0;
}

/* ---- the supervisor's children ---- */

/* In the child: its output goes to a file that is shown when it fails; but what a broker of hosts
 * says about them on stdout is for the user. */
static void redirect(const struct supervisor *s, const char *name)
{
    char path[PATH_LENGTH];
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

    snprintf(path, sizeof(path), "%s/%s.log", s->folder, name);
    const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const int out = s->config->hosts != NULL ? STDERR_FILENO : log;
    if (nothing < 0 || log < 0 || dup2(nothing, STDIN_FILENO) < 0)
        _exit(127);
    if (getenv("DEBUG") == NULL && (dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0))
        _exit(127);
}

/* In the child: no handler of this process may swallow a signal before exec. */
static void reset_signals(void)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    const struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        sigaction(numbers[i], &normal, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Start a program that dies with the supervisor. -errno of fork. */
static pid_t start(const struct supervisor *s, const char *name, const char *const *argv)
{
    char path[PATH_LENGTH + 32];
    const pid_t parent = getpid();

    snprintf(path, sizeof(path), "%s/%s", s->programs_beside, name);
    const pid_t pid = fork();
    if (pid != 0)
        return pid < 0 ? -errno : pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    reset_signals();
    redirect(s, name);
    execv(path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(127);
}

static int start_local_broker(struct supervisor *s, const char *clients)
{
    char workers[128];
    const char *argv[] = {"scoop-broker",    "--client-listen", clients,
                          "--worker-listen", workers,           NULL};

    snprintf(workers, sizeof(workers), "ipc://%s/worker", s->folder);
    s->broker = start(s, "scoop-broker", argv);
    return s->broker < 0 ? s->broker : 0;
}

/* One that was free a moment ago; when it is not any more, the broker says so and ends. */
static uint16_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        address.sin_port = 0;
    if (fd >= 0)
        close(fd);
    return ntohs(address.sin_port);
}

/* The key of a broker that is reached by TCP, for this run only. */
static int write_key(const struct supervisor *s, char path[RUNDIR_PATH_MAX])
{
    struct curve_pair pair CLEANUP(curve_wipe) = {0};
    struct problem problem = {.text = "this libzmq was built without CURVE"};
    int error = curve_make(&pair);

    if (error == 0)
        error = rundir_write(s->folder, "curve_key", pair.secret_half.text, 0400, &problem);
    if (error == 0)
        error = rundir_path(s->folder, "curve_key", path, &problem);
    if (error != 0)
        fprintf(stderr, "scoop: %s\n", problem.text);
    return error;
}

static int start_remote_broker(struct supervisor *s, const char *clients)
{
    const struct local_hosts *hosts = s->config->hosts;
    const char *external = hosts->external != NULL ? hosts->external : BOOTSTRAP_ORIGIN;
    const char *listen = hosts->tunnel ? "127.0.0.1" : "*";
    const uint16_t port = find_port();
    char workers[32];
    char advertise[256];
    char key[RUNDIR_PATH_MAX];
    const char *argv[] = {
        "scoop-broker",
        "--client-listen",
        clients,
        "--worker-listen",
        workers,
        "--advertise",
        advertise,
        "--curve-key",
        key,
        "--hosts",
        hosts->list,
        "--ssh",
        hosts->ssh,
        "--remote",
        hosts->remote,
        "--programs",
        s->config->programs != NULL ? s->config->programs : "",
        "--gone-ms",
        GONE_MS,
        /* Its clients are this user's own, who may run anything there by ssh. */
        "--allow-upload",
        hosts->tunnel ? "--tunnel" : NULL,
        NULL,
    };

    snprintf(workers, sizeof(workers), "tcp://%s:%u", listen, port);
    snprintf(advertise, sizeof(advertise), "tcp://%s:%u", external, port);
    const int error = write_key(s, key);
    if (error != 0)
        return error;
    s->broker = start(s, "scoop-broker", argv);
    return s->broker < 0 ? s->broker : 0;
}

static int start_broker(struct supervisor *s)
{
    char clients[128];

    snprintf(clients, sizeof(clients), "ipc://%s/client", s->folder);
    return s->config->hosts != NULL ? start_remote_broker(s, clients)
                                    : start_local_broker(s, clients);
}

static int start_worker(struct supervisor *s)
{
    char broker[128];
    char slots[16];
    /* Nothing is waited for at the end: by then the program is gone. */
    const char *argv[12] = {"scoop-worker", "run", "--broker", broker, "--grace-ms", "0"};
    size_t n = 6;

    snprintf(broker, sizeof(broker), "ipc://%s/worker", s->folder);
    if (s->config->slots != 0) {
        snprintf(slots, sizeof(slots), "%u", s->config->slots);
        argv[n++] = "--slots";
        argv[n++] = slots;
    }
    if (s->config->programs != NULL) {
        argv[n++] = "--programs";
        argv[n++] = s->config->programs;
    }
    s->worker = start(s, "scoop-worker", argv);
    return s->worker < 0 ? s->worker : 0;
}

/* The end of a failed child's log, on stderr, in whole lines. */
static void show_log(const struct supervisor *s, const char *name)
{
    char path[PATH_LENGTH];
    char tail[1024];
    const char *from = tail;

    snprintf(path, sizeof(path), "%s/%s.log", s->folder, name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const bool cut = lseek(fd, -(off_t)sizeof(tail), SEEK_END) > 0;
    if (!cut)
        lseek(fd, 0, SEEK_SET);
    const ssize_t length = read(fd, tail, sizeof(tail));
    if (cut && length > 0 && memchr(tail, '\n', (size_t)length) != NULL)
        from = (const char *)memchr(tail, '\n', (size_t)length) + 1;
    if (length > 0)
        fprintf(stderr, "%.*s", (int)(tail + length - from), from);
    close(fd);
}

/* One of them ended by itself: that is a failure, whatever its exit code. */
static void tell_end(const struct supervisor *s, pid_t pid, int status)
{
    const char *name = pid == s->broker ? "scoop-broker" : "scoop-worker";

    if (s->config->hosts != NULL && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        fprintf(stderr, "scoop: none of the hosts can be used\n");
        return;
    }
    show_log(s, name);
    if (WIFSIGNALED(status))
        fprintf(stderr, "scoop: %s was killed by signal %d\n", name, WTERMSIG(status));
    else
        fprintf(stderr, "scoop: %s ended with exit code %d\n", name, WEXITSTATUS(status));
}

static void stop_child(pid_t pid, int64_t end_ms)
{
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_now_ms() >= end_ms)
            kill(pid, SIGKILL);
        clock_sleep_ms(POLL_MS);
    }
}

/* Is somebody listening on the socket of this name? */
static bool listens(const char *folder, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
    const bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return connected;
}

/* ---- the supervisor ---- */

/* True: a child ended. */
static bool reap(struct supervisor *s)
{
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);

    if (pid <= 0)
        return false;
    tell_end(s, pid, status);
    if (pid == s->broker)
        s->broker = 0;
    else
        s->worker = 0;
    return true;
}

/* The worker is started when the broker listens, because a connection that is refused is only tried
 * again after a while. False: the broker ended, or takes too long. */
static bool await_worker_socket(struct supervisor *s)
{
    const int64_t end_ms = clock_now_ms() + START_MS;

    while (!listens(s->folder, "worker")) {
        if (reap(s) || clock_now_ms() >= end_ms)
            return false;
        clock_sleep_ms(POLL_MS);
    }
    return true;
}

/* Returns the exit code: 0 when told to end, 1 when a child ended first. */
static int watch(struct supervisor *s)
{
    struct pollfd fds[] = {
        {.fd = s->lifeline, .events = POLLIN},
        {.fd = s->signals, .events = POLLIN},
    };
    struct signalfd_siginfo info;

    for (;;) {
        if (poll(fds, COUNT_OF(fds), -1) < 0 && errno != EINTR)
            return 1;
        if (fds[0].revents != 0)
            return 0;
        if ((fds[1].revents & POLLIN) == 0 || read(s->signals, &info, sizeof(info)) < 0)
            continue;
        if (info.ssi_signo != SIGCHLD)
            return 0;
        if (reap(s))
            return 1;
    }
}

static _Noreturn void supervise(struct supervisor *s, pid_t parent)
{
    sigset_t wanted;
    int code = 1;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals >= 0 && getppid() == parent && start_broker(s) == 0 &&
        (s->config->hosts != NULL || (await_worker_socket(s) && start_worker(s) == 0)))
        code = watch(s);
    stop_child(s->worker, clock_now_ms() + STOP_MS);
    stop_child(s->broker, clock_now_ms() + STOP_MS);
    remove_folder(s->folder);
    _exit(code);
}

/* ---- this process ---- */

static int await_broker(struct local *local, const char *folder, struct problem *problem)
{
    const int64_t end_ms = clock_now_ms() + START_MS;

    while (!listens(folder, "client")) {
        if (local_has_ended(local))
            return problem_set(problem, -ECHILD, "the private cluster did not start");
        if (clock_now_ms() >= end_ms)
            return problem_set(problem, -ETIMEDOUT, "the broker did not listen within %d ms",
                               START_MS);
        clock_sleep_ms(POLL_MS);
    }
    return 0;
}

/* Fork the supervisor. -errno: there is none. */
static int launch(struct supervisor *s, struct local *out, struct problem *problem)
{
    const pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return problem_set(problem, -errno, "pipe: %s", strerror(errno));
    out->supervisor = fork();
    if (out->supervisor == 0) {
        close(ends[1]);
        s->lifeline = ends[0];
        supervise(s, parent);
    }
    close(ends[0]);
    out->lifeline = ends[1];
    if (out->supervisor > 0)
        return 0;
    close(ends[1]);
    return problem_set(problem, -errno, "fork: %s", strerror(errno));
}

int local_start(const struct local_config *config, struct local *out, struct problem *problem)
{
    struct supervisor s = {.config = config};
    int error = folder_of_self(s.programs_beside, problem);

    if (error == 0)
        error = make_folder(s.folder, problem);
    if (error != 0)
        return error;
    error = launch(&s, out, problem);
    if (error != 0) {
        remove_folder(s.folder);
        return error;
    }
    snprintf(out->broker, sizeof(out->broker), "ipc://%s/client", s.folder);
    error = await_broker(out, s.folder, problem);
    if (error != 0)
        local_stop(out);
    return error;
}

bool local_has_ended(struct local *local)
{
    if (local->supervisor > 0 && waitpid(local->supervisor, NULL, WNOHANG) != 0)
        local->supervisor = 0;
    return local->supervisor == 0;
}

void local_stop(struct local *local)
{
    close(local->lifeline);
    if (local->supervisor > 0)
        waitpid(local->supervisor, NULL, 0);
    local->supervisor = 0;
}
