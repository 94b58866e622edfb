/* scoop tasks: the durable tasks that the broker keeps. */
#include "durable.h"
#include "verb.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* How long the broker may take to answer. */
#define ANSWER_MS 60000

struct tasks_options {
    struct broker_options broker;
    uint64_t most;
    bool failed;
    bool ids;
    bool json;
};

static const struct setting rows[] = {
    {
        .flag = "failed",
        .type = SETTING_FLAG,
        .offset = offsetof(struct tasks_options, failed),
        .help = "only those that did not end well",
    },
    {
        .flag = "ids",
        .type = SETTING_FLAG,
        .offset = offsetof(struct tasks_options, ids),
        .help = "print their ids and nothing else",
    },
    {
        .flag = "most",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct tasks_options, most),
        .fallback = "1000",
        .min = 1,
        .max = 50000,
        .help = "list so many at most",
    },
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct tasks_options, json),
        .help = "print a JSON array of objects",
    },
    BROKER_ROWS(struct tasks_options, broker),
};

static const struct settings settings = {
    .program = "scoop tasks",
    .about =
        "Lists the durable tasks that the broker keeps, those that ended and were not fetched "
        "included.\n"
        "Tasks of programs and of 'scoop map' are not among them: they belong to their client.",
    .example = "scoop tasks --failed",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* "ended" alone says too little. */
static const char *state_of(const struct scoop_durable *task)
{
    return strcmp(task->state, "ended") != 0 ? task->state : scoop_strerror(task->status);
}

static void print_json(const struct scoop_durables *all)
{
    json_t *list = json_array();
    char id[DURABLE_ID_TEXT];

    for (size_t i = 0; i < all->count; i++) {
        const struct scoop_durable *task = &all->list[i];
        char waits_for[DURABLE_ID_TEXT] = "";

        durable_id_text(task->id, id);
        if (task->waits_for != 0)
            durable_id_text(task->waits_for, waits_for);
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I}", "id", id, "state",
                      task->state, "status", scoop_strerror(task->status), "program", task->program,
                      "function", task->function, "attempts", (json_int_t)task->attempts, "run_us",
                      (json_int_t)task->run_us, "waits_for", waits_for, "done",
                      (json_int_t)task->done, "total", (json_int_t)task->total));
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(list);
}

/* Of one that says of how much it is to be done. */
static int percent_of(const struct scoop_durable *task)
{
    return task->done < task->total ? (int)(100.0 * (double)task->done / (double)task->total) : 100;
}

static void print_line(const struct scoop_durable *task, const char *id)
{
    char other[DURABLE_ID_TEXT];

    printf("%s  %-10s %5u %8.3f s  %s%s%s", id, state_of(task), task->attempts, task->run_us / 1e6,
           task->program, task->program[0] != '\0' ? ":" : "", task->function);
    if (task->waits_for != 0) {
        durable_id_text(task->waits_for, other);
        printf(" after %s", other);
    }
    if (task->total != 0)
        printf(" %d%%", percent_of(task));
    printf("\n");
}

static void print_lines(const struct scoop_durables *all, bool ids_only)
{
    char id[DURABLE_ID_TEXT];

    if (!ids_only)
        printf("%-16s  %-10s %5s %10s  %s\n", "ID", "STATE", "TRIES", "RUN TIME", "FUNCTION");
    for (size_t i = 0; i < all->count; i++) {
        const struct scoop_durable *task = &all->list[i];

        durable_id_text(task->id, id);
        if (ids_only)
            puts(id);
        else
            print_line(task, id);
    }
}

static int show(const struct tasks_options *options, scoop_session *session)
{
    struct scoop_durables *all = NULL;

    if (scoop_durables(session, options->failed, (uint32_t)options->most, ANSWER_MS, &all) !=
        SCOOP_OK) {
        fprintf(stderr, "%s: %s\n", settings.program, scoop_last_error());
        return EXIT_FAILED;
    }
    if (options->json)
        print_json(all);
    else
        print_lines(all, options->ids);
    if (all->count == options->most && all->kept > all->count)
        fprintf(stderr, "%s: %" PRIu64 " tasks are kept; --most shows more\n", settings.program,
                all->kept);
    scoop_durables_free(all);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    struct tasks_options options = {.json = false};
    int code = EXIT_USAGE;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, NULL);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    scoop_session *session = options_session(&options.broker, settings.program, &code);
    if (session == NULL)
        return code;
    code = show(&options, session);
    scoop_close(session);
    return code;
}

const struct verb verb_tasks = {
    .name = "tasks",
    .about = "list the durable tasks",
    .settings = &settings,
    .run = run,
};
