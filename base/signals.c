#include "signals.h"

#include <sys/signalfd.h>

sigset_t signals_block(int also)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (also != 0)
        sigaddset(&set, also);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return set;
}

int signals_open(int also)
{
    const sigset_t set = signals_block(also);
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

    return fd >= 0 ? fd : -errno;
}
