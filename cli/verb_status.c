/* scoop status: the cluster at a glance, once or as a picture that stays up to date. */
#include "base/clock.h"
#include "cluster_json.h"
#include "options.h"
#include "screen.h"
#include "verb.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

/* Answers are awaited no longer while somebody looks on and may press a key. */
#define WATCH_MS 400

struct status_options {
    struct broker_options broker;
    bool watch;
    bool json;
    uint64_t interval_ms;
};

static const struct setting rows[] = {
    {
        .flag = "watch",
        .type = SETTING_FLAG,
        .offset = offsetof(struct status_options, watch),
        .help = "keep it up to date on the terminal until q or Ctrl-C",
        .letter = 'w',
    },
    {
        .flag = "interval",
        .type = SETTING_SECONDS,
        .offset = offsetof(struct status_options, interval_ms),
        .fallback = "1",
        .min = 100,
        .max = 60000,
        .help = "between two looks",
    },
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct status_options, json),
        .help = "print a JSON object",
    },
    BROKER_ROWS(struct status_options, broker),
};

static const struct settings settings = {
    .program = "scoop status",
    .about =
        "Shows the cluster: its queue, its workers, which of their slots are busy (#), what they "
        "have done,\nand the tasks that run longest, with their progress.\nWith -w also the rates, "
        "and lines that stay up to date.",
    .example = "scoop status -w",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int print_view(const struct scoop_cluster *cluster, const char *broker)
{
    const struct view view = {.broker = broker, .now = cluster, .trouble = "", .line_end = "\n"};
    struct blob *text CLEANUP(blob_unref_p) = blob_new(4096);

    if (text == NULL || view_write(&view, text) != 0) {
        fprintf(stderr, "%s: out of memory\n", settings.program);
        return EXIT_FAILED;
    }
    printf("%.*s\n", (int)text->size, (const char *)text->data);
    return EXIT_DONE;
}

/* The address as people say it, without its scheme. */
static const char *address(const struct status_options *options)
{
    return strstr(options->broker.broker, "://") + 3;
}

static int show_once(struct status_options *options)
{
    int code = EXIT_FAILED;
    struct scoop_cluster *cluster = options_cluster(&options->broker, settings.program, &code);

    if (cluster == NULL)
        return code;
    const char *broker = address(options);
    code = EXIT_DONE;
    if (options->json) {
        json_t *root = cluster_json(cluster, broker);

        json_object_set_new(root, "hosts", workers_json(cluster));
        json_object_set_new(root, "running", running_json(cluster));
        print_json(root);
    } else {
        code = print_view(cluster, broker);
    }
    scoop_cluster_free(cluster);
    return code;
}

/* ---- watching ---- */

/* The two states that are compared; owned. */
struct watch {
    scoop_session *session;
    const char *broker;
    struct scoop_cluster *now;
    struct scoop_cluster *since;
    int64_t now_ms;
    int64_t since_ms;
    char trouble[256]; /* "": the last look was answered */
};

static void look(struct watch *watch)
{
    struct scoop_cluster *cluster = NULL;

    if (scoop_cluster(watch->session, WATCH_MS, &cluster) != SCOOP_OK) {
        snprintf(watch->trouble, sizeof(watch->trouble), "%s", scoop_last_error());
        return;
    }
    watch->trouble[0] = '\0';
    scoop_cluster_free(watch->since);
    watch->since = watch->now;
    watch->since_ms = watch->now_ms;
    watch->now = cluster;
    watch->now_ms = clock_now_ms();
}

static void draw(const struct watch *watch)
{
    struct view view = {
        .broker = watch->broker,
        .now = watch->now,
        .since = watch->since,
        .since_ms = watch->now_ms - watch->since_ms,
        .trouble = watch->trouble,
        .line_end = SCREEN_LINE_END,
    };
    struct blob *picture CLEANUP(blob_unref_p) = blob_new(4096);

    screen_size(&view.rows, &view.columns);
    view.columns--; /* what fills the last column may wrap */
    if (picture != NULL && view_write(&view, picture) == 0)
        screen_draw(picture);
}

static int watch_cluster(struct status_options *options)
{
    int code = EXIT_FAILED;
    struct watch watch = {
        .session = options_session(&options->broker, settings.program, &code),
    };
    enum screen_event event = SCREEN_TIME;

    if (watch.session == NULL)
        return code;
    watch.broker = address(options);
    if (screen_open() != 0) {
        scoop_close(watch.session);
        fprintf(stderr, "%s: --watch needs a terminal; without it the state is printed once\n",
                settings.program);
        return EXIT_USAGE;
    }
    while (event != SCREEN_QUIT) {
        if (event == SCREEN_TIME)
            look(&watch);
        draw(&watch);
        event = screen_wait((int)options->interval_ms);
    }
    screen_close();
    scoop_close(watch.session);
    scoop_cluster_free(watch.now);
    scoop_cluster_free(watch.since);
    return EXIT_DONE;
}

static int run_verb(int argc, char **argv)
{
    struct status_options options = {.json = false};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    return options.watch && !options.json ? watch_cluster(&options) : show_once(&options);
}

const struct verb verb_status = {
    .name = "status",
    .about = "the cluster at a glance, once or live",
    .settings = &settings,
    .run = run_verb,
};
