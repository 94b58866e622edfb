/* scoop info: <Client: broker=... workers=N threads=N> */
#include "options.h"
#include "verb.h"

#include <jansson.h>
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

static void print_json(const struct scoop_cluster *c, const char *broker)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"workers", c->alive}, {"threads", c->slots},     {"uptime_ms", c->uptime_ms},
        {"ready", c->ready},   {"leased", c->leased},     {"done", c->done},
        {"failed", c->failed}, {"requeued", c->requeued}, {"sessions", c->sessions},
    };
    json_t *root = json_pack("{s:s, s:s}", "broker", broker, "version", c->version);

    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        json_object_set_new(root, numbers[i].name, json_integer((json_int_t)numbers[i].value));
    json_dumpf(root, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(root);
}

int verb_info(int argc, char **argv)
{
    struct info_options options = {.json = false};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    options_complete(&options.broker);
    struct scoop_cluster *cluster = options_cluster(&options.broker, settings.program);
    if (cluster == NULL)
        return EXIT_FAILED;
    const char *broker = strstr(options.broker.broker, "://") + 3;
    if (options.json)
        print_json(cluster, broker);
    else
        printf("<Client: broker=%s workers=%u threads=%u>\n", broker, cluster->alive,
               cluster->slots);
    scoop_cluster_free(cluster);
    return EXIT_DONE;
}
