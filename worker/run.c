/* `scoop-worker run`: an agent by hand, for a broker on the same machine. */
#include "agent.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/wire.h"
#include "cpus.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

struct options {
    const char *broker;
    const char *programs;
    uint64_t slots;
    uint64_t grace_ms;
};

static const struct setting rows[] = {
    {
        .flag = "broker",
        .variable = "WORKER_BROKER",
        .type = SETTING_ENDPOINT,
        .offset = offsetof(struct options, broker),
        .help = "the broker's endpoint for workers: ipc:///PATH",
    },
    {
        .flag = "slots",
        .variable = "WORKER_SLOTS",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct options, slots),
        .fallback = "0",
        .min = 0,
        .max = WIRE_SLOTS_MAX,
        .help = "tasks that run at the same time; 0: one for each usable CPU",
    },
    {
        .flag = "programs",
        .variable = "WORKER_PROGRAMS",
        .type = SETTING_TEXT,
        .offset = offsetof(struct options, programs),
        .fallback = "/usr/libexec/scoop/programs",
        .min = 1,
        .help = "folders of the programs that may be run here, DIR[:DIR]",
    },
    {
        .flag = "grace-ms",
        .variable = "WORKER_GRACE_MS",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct options, grace_ms),
        .fallback = "8000",
        .min = 0,
        .max = 3600000,
        .unit = "ms",
        .help = "how long running tasks may take after SIGTERM",
    },
};

static const struct settings settings = {
    .program = "scoop-worker run",
    .about = "Runs tasks of a broker on this machine.",
    .example = "scoop-worker run --broker ipc:///run/me/workers --slots 2",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

int verb_run(int argc, char **argv)
{
    struct options options = {0};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_SUCCESS : 2;
    if (options.broker == NULL || strncmp(options.broker, "ipc://", 6) != 0) {
        fprintf(
            stderr,
            "scoop-worker run: --broker: \"%s\" is not ipc:///PATH; over tcp:// it is the broker "
            "that starts its workers\n",
            options.broker != NULL ? options.broker : "");
        return 2;
    }
    const struct agent_config config = {
        .endpoint = options.broker,
        .slots = options.slots != 0 ? (uint32_t)options.slots : cpus_usable(""),
        .programs = options.programs,
        .grace_ms = (uint32_t)options.grace_ms,
    };

    log_init("worker");
    return agent_run(&config);
}
