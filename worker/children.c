#include "children.h"

#include "base/clock.h"
#include "base/strays.h"

#include <sys/wait.h>

#define LOOK_MS 5

static bool is_known(const void *context, pid_t pid)
{
    (void)context;
    (void)pid;
    return false;
}

void children_kill(int64_t patience_ms)
{
    const int64_t until_ms = clock_now_ms() + patience_ms;

    for (;;) {
        pid_t pid = 0;

        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0 || clock_now_ms() >= until_ms)
            return;
        strays_kill(is_known, NULL);
        clock_sleep_ms(LOOK_MS);
    }
}
