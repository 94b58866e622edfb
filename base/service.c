#include "service.h"

#include "harden.h"
#include "health.h"
#include "log.h"

#include <stdio.h>

bool service_begin(const struct settings *settings,
                   int argc,
                   char **argv,
                   void *values,
                   const struct service_values *common,
                   int *code)
{
    struct problem problem = {0};

    if (harden_process(&problem) != 0) {
        fprintf(stderr, "%s: %s\n", settings->program, problem.text);
        *code = EXIT_FAILURE;
        return false;
    }
    const enum settings_outcome outcome = settings_read(settings, argc, argv, values, NULL);
    if (outcome != SETTINGS_RUN) {
        *code = outcome == SETTINGS_DONE ? EXIT_SUCCESS : 2;
        return false;
    }
    if (common->health) {
        *code = health_ask(settings->program, common->listen);
        return false;
    }
    log_init(settings->program);
    return true;
}
