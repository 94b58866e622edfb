#include "strays.h"

#include "log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

void strays_kill(bool (*known)(const void *context, pid_t pid), const void *context)
{
    FILE *const file = fopen("/proc/thread-self/children", "re");
    char *line = NULL;
    size_t room = 0;

    if (file == NULL)
        return;
    if (getline(&line, &room, file) > 0) {
        char *end = line;

        for (long pid = strtol(line, &end, 10); pid > 0; pid = strtol(end, &end, 10)) {
            if (known(context, (pid_t)pid))
                continue;
            log_debug("stray_killed", "pid=%ld", pid);
            kill((pid_t)pid, SIGKILL);
        }
    }
    free(line);
    fclose(file);
}
