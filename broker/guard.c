/* Invariant: at most one broker lives, and nothing that the one before it had started. */
#include "guard.h"

#include "base/clock.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/strays.h"

#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A loop without a turn for so many looks of the guard is hung. Looks are counted, not time: when
 * the whole container stood still, the guard did as well. */
#define LOOK_MS    500
#define HUNG_LOOKS 10

/* From one start to the next, at least: a broker that dies at once shall not fill the machine. */
#define PACE_MS 1000

struct pulse {
    atomic_uint_least64_t turns;
};

struct guard {
    struct pulse *pulse; /* shared with the broker */
    int signals;         /* signalfd: SIGTERM, SIGINT, SIGCHLD */
    pid_t broker;        /* 0: none */
    int status;          /* how it ended */
    int64_t started_ms;
    uint64_t turns; /* at the last look */
    int looks;      /* since they changed */
    bool ending;    /* we were asked to */
};

void guard_beat(struct pulse *pulse)
{
    atomic_fetch_add_explicit(&pulse->turns, 1, memory_order_relaxed);
}

/* ---- the broker's process ---- */

/* In the child: as if it had been started alone. */
static int become_broker(const struct guard *guard, pid_t parent, struct pulse **pulse)
{
    sigset_t set;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    close(guard->signals);
    *pulse = guard->pulse;
    return 0;
}

static pid_t start_broker(struct guard *guard)
{
    atomic_store(&guard->pulse->turns, 0);
    guard->turns = 0;
    guard->looks = 0;
    guard->started_ms = clock_now_ms();
    return fork();
}

/* ---- the guard's ---- */

/* Of a broker that is gone, ssh clients are left. */
static bool is_broker(const void *guard, pid_t pid)
{
    return pid == ((const struct guard *)guard)->broker;
}

static void reap(struct guard *guard)
{
    int status = 0;
    pid_t pid = 0;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != guard->broker)
            continue;
        guard->broker = 0;
        guard->status = status;
        strays_kill(is_broker, guard);
    }
}

/* Whatever asks us to end asks the broker; more than once, too. */
static void take_signals(struct guard *guard)
{
    struct signalfd_siginfo signal;

    while (read(guard->signals, &signal, sizeof(signal)) == sizeof(signal)) {
        if (signal.ssi_signo == SIGCHLD)
            continue;
        guard->ending = true;
        if (guard->broker > 0)
            kill(guard->broker, (int)signal.ssi_signo);
    }
    reap(guard);
}

static void look(struct guard *guard)
{
    const uint64_t turns = atomic_load(&guard->pulse->turns);

    guard->looks = turns == 0 || turns != guard->turns ? 0 : guard->looks + 1;
    guard->turns = turns;
    if (guard->looks < HUNG_LOOKS)
        return;
    log_error("broker_hung", "pid=%d ms=%d effect=\"it is killed\"", (int)guard->broker,
              HUNG_LOOKS * LOOK_MS);
    guard->looks = 0;
    kill(guard->broker, SIGKILL);
}

static void await_signal(struct guard *guard, int64_t patience_ms)
{
    struct pollfd item = {.fd = guard->signals, .events = POLLIN};

    if (poll(&item, 1, (int)patience_ms) > 0)
        take_signals(guard);
}

static void watch(struct guard *guard)
{
    int64_t next_ms = clock_now_ms() + LOOK_MS;

    while (guard->broker > 0) {
        const int64_t left_ms = next_ms - clock_now_ms();
        if (left_ms > 0) {
            await_signal(guard, left_ms);
            continue;
        }
        look(guard);
        next_ms = clock_now_ms() + LOOK_MS;
    }
}

/* Is there to be another one? Waits for its time. */
static bool goes_on(struct guard *guard)
{
    if (!WIFSIGNALED(guard->status) || guard->ending)
        return false;
    log_error("broker_died", "signal=%d (%s) effect=\"it is started anew\"",
              WTERMSIG(guard->status), strsignal(WTERMSIG(guard->status)));
    for (;;) {
        const int64_t left_ms = guard->started_ms + PACE_MS - clock_now_ms();
        if (left_ms <= 0 || guard->ending)
            return !guard->ending;
        await_signal(guard, left_ms);
    }
}

static int open_guard(struct guard *guard, struct problem *problem)
{
    const int rc = harden_process(problem);

    if (rc != 0)
        return rc;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) != 0)
        return problem_set(problem, -errno, "guard: %s", strerror(errno));
    guard->pulse = mmap(NULL, sizeof(*guard->pulse), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (guard->pulse == MAP_FAILED)
        return problem_set(problem, -errno, "guard: no memory: %s", strerror(errno));
    guard->signals = signals_open(SIGCHLD);
    if (guard->signals < 0)
        return problem_set(problem, guard->signals, "guard: no signalfd: %s",
                           strerror(-guard->signals));
    return 0;
}

static int exit_code_of(const struct guard *guard)
{
    if (WIFEXITED(guard->status))
        return WEXITSTATUS(guard->status);
    return WIFSIGNALED(guard->status) ? 128 + WTERMSIG(guard->status) : EXIT_FAILURE;
}

int guard_run(struct pulse **pulse, int *exit_code, struct problem *problem)
{
    struct guard guard = {.signals = -1};
    const pid_t self = getpid();
    const int rc = open_guard(&guard, problem);

    if (rc != 0)
        return rc;
    do {
        guard.broker = start_broker(&guard);
        if (guard.broker == 0)
            return become_broker(&guard, self, pulse);
        if (guard.broker < 0)
            return problem_set(problem, -errno, "guard: no process: %s", strerror(errno));
        watch(&guard);
    } while (goes_on(&guard));
    *exit_code = exit_code_of(&guard);
    return 1;
}
