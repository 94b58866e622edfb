/* scoop info: <Client: broker=... workers=N threads=N> */
#include "cluster_json.h"
#include "options.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>

struct info_options {
    struct broker_options broker;
    bool json;
};

static const struct setting rows[] = {
    BROKER_ROWS(struct info_options, broker),
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct info_options, json),
        .help = "print a JSON object",
    },
};

static const struct settings settings = {
    .program = "scoop info",
    .about =
        "One line about the cluster: its broker, its hosts, the tasks that they run at a time.",
    .example = "scoop info",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int run_verb(int argc, char **argv)
{
    struct info_options options = {.json = false};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    int code = EXIT_FAILED;
    struct scoop_cluster *cluster = options_cluster(&options.broker, settings.program, &code);
    if (cluster == NULL)
        return code;
    const char *broker = strstr(options.broker.broker, "://") + 3;
    if (options.json)
        print_json(cluster_json(cluster, broker));
    else
        printf("<Client: broker=%s workers=%u threads=%u>\n", broker, cluster->alive,
               cluster->slots);
    scoop_cluster_free(cluster);
    return EXIT_DONE;
}

const struct verb verb_info = {
    .name = "info",
    .about = "one line about the cluster",
    .settings = &settings,
    .run = run_verb,
};
