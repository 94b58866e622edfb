/* Between fork and exec only async-signal-safe calls are made: the agent has ZeroMQ's threads. */
#include "spawn.h"

#include "base/channel.h"
#include "base/fdpass.h"
#include "bounds.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors as the executor finds them. */
enum { FD_MEMORY = 3, FD_BELL = 4, FD_FILES = 5, FD_FIRST_UNUSED = 6 };

#define STRINGIFY(x) #x
#define STRING_OF(x) STRINGIFY(x)

static char channel_variable[] = CHANNEL_VARIABLE "=3,4," STRING_OF(CHANNEL_VERSION) ",5";

/* Descriptors of the agent for one executor, and for everything else. */
#define FILES_PER_EXECUTOR 9
#define FILES_BESIDE       512

/* The limit as it was before spawn_expect(): executors get it back, because select() fails above
 * 1024. */
static struct rlimit inherited_files;

/* Everything that the child needs, made before the fork. */
struct launch {
    const char *path;
    char *argv[2];
    char **environment; /* owned; the strings are borrowed */
    pid_t parent;
    const struct bounds *bounds;
    bool own;                  /* it is scoop-worker itself */
    int asks;                  /* its end of the pair, see bounds_enter() */
    int ends[FD_FIRST_UNUSED]; /* by the number that the executor finds it at */
};

static char **make_environment(void)
{
    size_t count = 0;

    while (environ[count] != NULL)
        count++;
    char **const all = calloc(count + 2, sizeof(*all));
    if (all == NULL)
        return NULL;
    memcpy(all, environ, count * sizeof(*all));
    all[count] = channel_variable;
    return all;
}

/* ---- in the child ---- */

_Noreturn static void die(const char *path, const char *step)
{
    const char *const words[] = {"executor: cannot ",    step, " ", path, ": ",
                                 strerrordesc_np(errno), "\n"};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (words[i] != NULL && write(STDERR_FILENO, words[i], strlen(words[i])) < 0)
            break;
    }
    _exit(126);
}

/* Move all ends out of the way of each other, then to their places. */
static bool place_ends(struct launch *launch)
{
    launch->asks = fcntl(launch->asks, F_DUPFD_CLOEXEC, 64);
    if (launch->asks < 0)
        return false;
    for (int i = 0; i < FD_FIRST_UNUSED; i++) {
        launch->ends[i] = fcntl(launch->ends[i], F_DUPFD_CLOEXEC, 64);
        if (launch->ends[i] < 0)
            return false;
    }
    for (int i = 0; i < FD_FIRST_UNUSED; i++) {
        if (dup2(launch->ends[i], i) < 0)
            return false;
    }
    /* All of ours close by themselves; this is for what we have inherited. Older seccomp
     * profiles do not know it. */
    (void)close_range(FD_FIRST_UNUSED, ~0U, CLOSE_RANGE_CLOEXEC);
    return true;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whoever dies first when memory runs out, it should not be the agent. */
static void volunteer(void)
{
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        const ssize_t written = write(fd, "500", 3);

        (void)written; /* not permitted: as before */
        close(fd);
    }
}

_Noreturn static void run_child(struct launch *launch)
{
    const struct rlimit no_core = {0, 0};

    setsid();
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->parent)
        _exit(126); /* it died before the line above */
    setrlimit(RLIMIT_CORE, &no_core);
    if (inherited_files.rlim_cur != 0)
        setrlimit(RLIMIT_NOFILE, &inherited_files);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* So that it sees what its functions leave behind. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    volunteer();
    bounds_confine(launch->bounds);
    if (!place_ends(launch))
        die(launch->path, "prepare");
    bounds_enter(launch->bounds, launch->own, launch->asks);
    execve(launch->path, launch->argv, launch->environment);
    die(launch->path, "run");
}

/* ---- in the agent ---- */

void spawn_expect(uint32_t executors)
{
    const rlim_t needed = (rlim_t)executors * FILES_PER_EXECUTOR + FILES_BESIDE;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    inherited_files = files;
    if (files.rlim_cur >= needed)
        return;
    files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int watch(struct executor *e, enum executor_end end, int fd)
{
    e->watches[end] = (struct executor_watch){e, end};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &e->watches[end]};

    return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

/* A pipe: our end is non-blocking and watched, the other goes to the child. */
static int open_pipe(struct executor *e, struct output *output, enum executor_end end, int *other)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    output->fd = ends[0];
    *other = ends[1];
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return -errno;
    return watch(e, end, ends[0]);
}

/* Ours does not block. */
static int open_files(struct executor *e, int *other)
{
    int ends[2];
    const int result = fdpass_open(ends);

    if (result != 0)
        return result;
    e->files = ends[0];
    *other = ends[1];
    return 0;
}

/* Likewise. */
static int open_asks(struct executor *e, int *other)
{
    int ends[2];
    const int result = fdpass_open(ends);

    if (result != 0)
        return result;
    e->asks = ends[0];
    *other = ends[1];
    return watch(e, EXECUTOR_ASKS, ends[0]);
}

static int open_ends(struct executor *e, int ends[FD_FIRST_UNUSED])
{
    int result = 0;

    ends[STDIN_FILENO] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (ends[STDIN_FILENO] < 0)
        return -errno;
    e->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->bell < 0)
        return -errno;
    ends[FD_BELL] = e->bell;
    result = watch(e, EXECUTOR_BELL, e->bell);
    if (result == 0)
        result = open_pipe(e, &e->out, EXECUTOR_STDOUT, &ends[STDOUT_FILENO]);
    if (result == 0)
        result = open_pipe(e, &e->err, EXECUTOR_STDERR, &ends[STDERR_FILENO]);
    if (result == 0)
        result = open_files(e, &ends[FD_FILES]);
    if (result == 0)
        result = channel_file(CHANNEL_CAPACITY, &ends[FD_MEMORY]);
    if (result == 0)
        result = channel_map(&e->channel, ends[FD_MEMORY]);
    return result;
}

static int start_process(struct executor *e, struct launch *launch)
{
    launch->environment = make_environment();
    if (launch->environment == NULL)
        return -ENOMEM;
    const pid_t pid = fork();
    if (pid == 0)
        run_child(launch);
    free(launch->environment);
    if (pid < 0)
        return -errno;
    e->pid = pid;
    e->out.pid = e->err.pid = pid;
    e->out.program = e->err.program = program_label(e->program);
    return 0;
}

int spawn_executor(struct executor *e)
{
    struct launch launch = {
        .path = e->program->path,
        .argv = {(char *)(uintptr_t)program_label(e->program), NULL},
        .parent = getpid(),
        .bounds = e->bounds,
        .own = e->program->name[0] == '\0',
        .asks = -1,
        .ends = {-1, -1, -1, -1, -1, -1},
    };
    int result = open_ends(e, launch.ends);

    if (result == 0)
        result = open_asks(e, &launch.asks);
    if (result == 0)
        result = start_process(e, &launch);
    for (int i = 0; i < FD_FIRST_UNUSED; i++) {
        if (i != FD_BELL && launch.ends[i] >= 0)
            close(launch.ends[i]);
    }
    if (launch.asks >= 0)
        close(launch.asks);
    return result;
}
