/* The parent holds the login's input and watches; the child is the agent. Invariant: the child dies
 * with the parent (PR_SET_PDEATHSIG), however that ends. */
#include "attached.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAVE_MS 2000 /* for an agent that was told to leave */
#define POLL_MS  5

static _Noreturn void
be_agent(const struct agent_config *config, pid_t parent, const sigset_t *mask)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0)
        _exit(EXIT_FAILURE);
    close(null);
    sigprocmask(SIG_SETMASK, mask, NULL);
    exit(agent_run(config));
}

/* Wait for the end of the child, of the input, or for a signal. True: the child has ended. */
static bool watch(pid_t child, int signals, int *status)
{
    struct pollfd fds[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
    };
    struct signalfd_siginfo info;
    char ignored[64];

    for (;;) {
        if (poll(fds, COUNT_OF(fds), -1) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents != 0 && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
            return false;
        if ((fds[1].revents & POLLIN) == 0 || read(signals, &info, sizeof(info)) < 0)
            continue;
        if (info.ssi_signo != SIGCHLD)
            return false;
        if (waitpid(child, status, WNOHANG) == child)
            return true;
    }
}

static void end_child(pid_t child, int *status)
{
    const int64_t until_ms = clock_now_ms() + LEAVE_MS;

    kill(child, SIGTERM);
    while (waitpid(child, status, WNOHANG) == 0) {
        if (clock_now_ms() >= until_ms)
            kill(child, SIGKILL);
        clock_sleep_ms(POLL_MS);
    }
}

int attached_run(const struct agent_config *config)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    const pid_t parent = getpid();
    sigset_t wanted;
    sigset_t before;
    int status = 0;

    sigemptyset(&wanted);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        sigaddset(&wanted, numbers[i]);
    sigprocmask(SIG_BLOCK, &wanted, &before);
    const int signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    const pid_t child = signals >= 0 ? fork() : -1;
    if (child == 0)
        be_agent(config, parent, &before);
    if (child < 0) {
        log_error("agent_not_started", "error=\"%s\"", strerror(errno));
        return EXIT_FAILURE;
    }
    if (!watch(child, signals, &status))
        end_child(child, &status);
    close(signals);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
