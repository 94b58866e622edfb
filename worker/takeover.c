#include "takeover.h"

#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KILLED_MS 1000 /* a killed process is gone after so long, or never */
#define LOOK_MS   10

static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

/* Who keeps us from locking; 0: nobody any more. */
static pid_t holder_of(int fd)
{
    struct flock found = whole_file;

    if (fcntl(fd, F_GETLK, &found) != 0 || found.l_type == F_UNLCK)
        return 0;
    return found.l_pid;
}

/* Each holder is asked once, for in a drain a second SIGTERM means something else. */
static void press(pid_t holder, pid_t *asked, bool kill_it)
{
    if (holder <= 0)
        return;
    if (kill_it)
        kill(holder, SIGKILL);
    else if (holder != *asked)
        kill(holder, SIGTERM);
    *asked = holder;
}

static int lock(int fd, int64_t patience_ms)
{
    const int64_t start_ms = clock_now_ms();
    pid_t asked = 0;

    while (fcntl(fd, F_SETLK, &whole_file) != 0) {
        const int64_t waited_ms = clock_now_ms() - start_ms;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -errno;
        if (waited_ms >= patience_ms + KILLED_MS)
            return -EBUSY;
        press(holder_of(fd), &asked, waited_ms >= patience_ms);
        clock_sleep_ms(LOOK_MS);
    }
    return 0;
}

int takeover_acquire(const char *path, int64_t patience_ms, struct problem *problem)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0)
        return problem_set(problem, -errno, "lock file %s cannot be opened: %s", path,
                           strerror(errno));
    const int rc = lock(fd, patience_ms);
    if (rc != 0) {
        problem_set(problem, rc, "lock file %s: the agent before this one (pid %d) does not end",
                    path, (int)holder_of(fd));
        close(fd);
    }
    /* The descriptor stays open on purpose: closing it would give the lock back. */
    return rc;
}

pid_t takeover_holder(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return 0;
    const pid_t holder = holder_of(fd);
    close(fd);
    return holder;
}
