#include "worker/takeover.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/scoop-test-lock-XXXXXX";
static struct problem problem;

static void make_file(void)
{
    const int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
}

static void remove_file(void)
{
    unlink(path);
}

TestSuite(takeover, .init = make_file, .fini = remove_file);

/* A process that holds the lock until it is told to end, or, when stubborn, killed. */
static pid_t given_holder(bool stubborn)
{
    int ready[2];
    char c = 0;

    cr_assert_eq(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, stubborn ? SIG_IGN : SIG_DFL);
        if (takeover_acquire(path, 0, NULL) != 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    cr_assert_eq(read(ready[0], &c, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static int signal_of(pid_t pid)
{
    int status = 0;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(takeover, names_the_holder)
{
    const pid_t holder = given_holder(false);

    cr_assert_eq(takeover_holder(path), holder);
    kill(holder, SIGKILL);
    cr_assert_eq(signal_of(holder), SIGKILL);
    cr_assert_eq(takeover_holder(path), 0);
    cr_assert_eq(takeover_holder("/tmp/scoop-test-no-such-file"), 0);
}

Test(takeover, asks_the_holder_to_leave)
{
    const pid_t holder = given_holder(false);

    cr_assert_eq(takeover_acquire(path, 5000, &problem), 0, "%s", problem.text);
    cr_assert_eq(signal_of(holder), SIGTERM);
}

Test(takeover, kills_a_holder_that_does_not_leave)
{
    const pid_t holder = given_holder(true);
    const int64_t start_ms = clock_now_ms();

    cr_assert_eq(takeover_acquire(path, 100, &problem), 0, "%s", problem.text);
    cr_assert_geq(clock_now_ms() - start_ms, 100);
    cr_assert_eq(signal_of(holder), SIGKILL);
}
