/* `scoop-worker run`: an agent by hand, for a broker on the same machine. */
#include "agent.h"
#include "base/log.h"
#include "options.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

struct options {
    const char *broker;
    struct agent_options agent;
};

static const struct setting rows[] = {
    {
        .flag = "broker",
        .variable = "WORKER_BROKER",
        .type = SETTING_ENDPOINT,
        .offset = offsetof(struct options, broker),
        .help = "the broker's endpoint for workers: ipc:///PATH",
    },
    AGENT_SETTINGS(struct options, agent),
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
    struct problem problem;
    if (agent_options_check(&options.agent, &problem) != 0) {
        fprintf(stderr, "scoop-worker run: %s\n", problem.text);
        return 2;
    }
    const struct agent_config config = {
        .endpoint = options.broker,
        .slots = agent_options_slots(&options.agent),
        .programs = options.agent.programs,
        .task_memory = options.agent.task_memory,
        .executor_tasks = (uint32_t)options.agent.executor_tasks,
        .resources = options.agent.resources,
        .may = agent_options_may(&options.agent),
        .hide = options.agent.hide,
        .grace_ms = (uint32_t)options.agent.grace_ms,
    };

    log_init("worker");
    return agent_run(&config);
}
