#include "harden.h"

#include <stdbool.h>
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

static bool is_container(void)
{
    return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
}

int harden_process(struct problem *problem)
{
    const struct rlimit no_core = {0};

    if (geteuid() == 0 && is_container())
        return problem_set(problem, -EPERM,
                           "this is root in a container: set another user (uid 10001)");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 ||
        prctl(PR_SET_DUMPABLE, TRACEABLE, 0UL, 0UL, 0UL) != 0 ||
        setrlimit(RLIMIT_CORE, &no_core) != 0)
        return problem_set(problem, -errno, "the kernel refused to protect this process: %s",
                           strerror(errno));
    return 0;
}
