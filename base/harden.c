#include "harden.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The leak checker of the sanitizers reads its own process by ptrace. */
#if defined(__SANITIZE_ADDRESS__)
#define TRACEABLE 1UL
#else
#define TRACEABLE 0UL
#endif

bool harden_refuses(uid_t uid, const char *mark)
{
    return uid == 0 && access(mark, F_OK) == 0;
}

void harden_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* open() takes the lowest free number, which is this one. */
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(EXIT_FAILURE);
    }
}

int harden_process(struct problem *problem)
{
    const struct rlimit no_core = {0};

    harden_standard_files();
    if (harden_refuses(geteuid(), HARDEN_IMAGE_MARK))
        return problem_set(problem, -EPERM,
                           "this is root in a container: set another user (uid 10001)");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 ||
        prctl(PR_SET_DUMPABLE, TRACEABLE, 0UL, 0UL, 0UL) != 0 ||
        setrlimit(RLIMIT_CORE, &no_core) != 0)
        return problem_set(problem, -errno, "the kernel refused to protect this process: %s",
                           strerror(errno));
    return 0;
}
