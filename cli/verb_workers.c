/* scoop workers: a table of hosts. */
#include "cluster_json.h"
#include "options.h"
#include "verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct workers_options {
    struct broker_options broker;
    bool json;
};

static const struct setting rows[] = {
    BROKER_ROWS(struct workers_options, broker),
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct workers_options, json),
        .help = "print a JSON array",
    },
};

static const struct settings settings = {
    .program = "scoop workers",
    .about = "Lists the hosts of the cluster. Those that were lost or left are shown for a minute.",
    .example = "scoop workers --json",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static void print_resources(const struct scoop_worker *w)
{
    if (w->taken[0] != '\0')
        printf("  %s (%s)\n", w->resources, w->taken);
    else
        printf("%s%s\n", w->resources[0] != '\0' ? "  " : "", w->resources);
}

static void print_table(const struct scoop_cluster *cluster)
{
    int width = 4;
    bool any = false; /* has one of them something to show? */

    for (size_t i = 0; i < cluster->worker_count; i++) {
        const int length = (int)strlen(cluster->workers[i].host);

        width = length > width ? length : width;
        any = any || cluster->workers[i].resources[0] != '\0';
    }
    printf("%-*s  %-8s %5s %5s %10s %8s %9s  %s%s\n", width, "HOST", "STATE", "SLOTS", "BUSY",
           "DONE", "FAILED", "LAST SEEN", "VERSION", any ? "  RESOURCES (TAKEN)" : "");
    for (size_t i = 0; i < cluster->worker_count; i++) {
        const struct scoop_worker *w = &cluster->workers[i];

        printf("%-*s  %-8s %5u %5u %10" PRIu64 " %8" PRIu64 " %7.1f s  %-7s", width, w->host,
               w->state, w->slots, w->busy, w->done, w->failed, w->silent_ms / 1000.0, w->version);
        print_resources(w);
    }
}

static int run_verb(int argc, char **argv)
{
    struct workers_options options = {.json = false};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    int code = EXIT_FAILED;
    struct scoop_cluster *cluster = options_cluster(&options.broker, settings.program, &code);
    if (cluster == NULL)
        return code;
    if (options.json)
        print_json(workers_json(cluster));
    else
        print_table(cluster);
    scoop_cluster_free(cluster);
    return EXIT_DONE;
}

const struct verb verb_workers = {
    .name = "workers",
    .about = "list the hosts of the cluster",
    .settings = &settings,
    .run = run_verb,
};
