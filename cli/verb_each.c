/* scoop each: a command once on every worker. */
#include "base/blob.h"
#include "base/command.h"
#include "cluster_json.h"
#include "options.h"
#include "outcome.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>

struct each_options {
    struct broker_options broker;
    uint64_t limit_ms;
    bool json;
};

static const struct setting rows[] = {
    {
        .flag = "timeout",
        .type = SETTING_SECONDS,
        .offset = offsetof(struct each_options, limit_ms),
        .min = 1,
        .max = 4000000000,
        .help = "kill a command that runs longer",
    },
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct each_options, json),
        .help = "print a JSON array",
    },
    BROKER_ROWS(struct each_options, broker),
};

static const struct settings settings = {
    .program = "scoop each",
    .about =
        "Runs COMMAND once on every worker of the cluster, as soon as a slot is free there. Each "
        "line of output\nfollows the worker's host and a tab. The exit code is the number of "
        "workers where it failed, at most 101.",
    .operands = "COMMAND...",
    .example = "scoop each uname -r",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

#define FAILED_MAX 101

/* One worker's run. */
struct run {
    const struct scoop_worker *worker; /* borrowed from the cluster */
    scoop_future *future;              /* owned; NULL: it could not be submitted */
};

static bool takes_tasks(const struct scoop_worker *worker)
{
    return strcmp(worker->state, "ready") == 0 || strcmp(worker->state, "silent") == 0;
}

/* Start it everywhere. *count becomes the number of workers; NULL: said on stderr. */
static struct run *start(const struct each_options *options,
                         scoop_session *session,
                         const struct scoop_cluster *cluster,
                         const struct blob *command,
                         size_t *count)
{
    const struct scoop_function *function =
        scoop_builtin("command", SCOOP_VARIABLE, SCOOP_VARIABLE);
    struct run *runs = calloc(cluster->worker_count + 1, sizeof(*runs));

    *count = 0;
    for (size_t i = 0; runs != NULL && function != NULL && i < cluster->worker_count; i++) {
        const struct scoop_worker *worker = &cluster->workers[i];
        const struct scoop_options where = {
            .limit_ms = (uint32_t)options->limit_ms,
            .worker = worker->incarnation,
        };

        if (!takes_tasks(worker))
            continue;
        scoop_future *future =
            scoop_submit_with(session, &where, function, command->data, command->size);
        if (future == NULL)
            fprintf(stderr, "%s: %s: %s\n", settings.program, worker->host, scoop_last_error());
        runs[(*count)++] = (struct run){worker, future};
    }
    return runs;
}

/* ---- output ---- */

static void print_lines(FILE *file, const char *host, struct wire_bytes bytes)
{
    while (bytes.size > 0) {
        const uint8_t *newline = memchr(bytes.data, '\n', bytes.size);
        const size_t length = newline != NULL ? (size_t)(newline - bytes.data) : bytes.size;
        const size_t used = newline != NULL ? length + 1 : length;

        fprintf(file, "%s\t%.*s\n", host, (int)length, (const char *)bytes.data);
        bytes.data += used;
        bytes.size -= used;
    }
}

/* Every worker has a line, also when its command says nothing. */
static void print_outcome(const char *host, const struct outcome *outcome)
{
    const struct command_result *result = &outcome->result;

    print_lines(stdout, host, result->out);
    if (outcome->ran && result->out.size == 0)
        printf("%s\t\n", host);
    fflush(stdout);
    print_lines(stderr, host, result->err);
    if (outcome->text[0] != '\0')
        fprintf(stderr, "%s: %s: %s\n", settings.program, host, outcome->text);
    else if (result->signal != 0)
        fprintf(stderr, "%s: %s: killed by signal %u\n", settings.program, host, result->signal);
    else if (result->code != 0)
        fprintf(stderr, "%s: %s: exit code %u\n", settings.program, host, result->code);
}

/* Bytes that are no UTF-8 become null. */
static json_t *text_json(struct wire_bytes bytes)
{
    json_t *text = json_stringn((const char *)bytes.data, bytes.size);

    return text != NULL ? text : json_null();
}

static json_t *outcome_json(const char *host, const struct outcome *outcome)
{
    const struct command_result *result = &outcome->result;

    return json_pack("{s:s, s:i, s:i, s:o, s:o, s:s}", "host", host, "code", (int)result->code,
                     "signal", (int)result->signal, "stdout", text_json(result->out), "stderr",
                     text_json(result->err), "error", outcome->text);
}

/* Wait for a run and print it. True: it ended well. */
static bool finish(const struct run *run, json_t *list)
{
    struct outcome outcome = {.failed = true, .text = "it could not be submitted"};
    const int error = run->future != NULL ? outcome_read(run->future, &outcome) : -EIO;

    if (list != NULL)
        json_array_append_new(list, outcome_json(run->worker->host, &outcome));
    else if (run->future != NULL)
        print_outcome(run->worker->host, &outcome);
    return error == 0 && !outcome.failed;
}

static int finish_all(const struct each_options *options, struct run *runs, size_t count)
{
    json_t *list = options->json ? json_array() : NULL;
    int failed = 0;

    for (size_t i = 0; i < count; i++) {
        failed += !finish(&runs[i], list);
        scoop_future_free(runs[i].future);
    }
    if (list != NULL)
        print_json(list);
    return failed < FAILED_MAX ? failed : FAILED_MAX;
}

static int
each(const struct each_options *options, scoop_session *session, const struct blob *command)
{
    struct scoop_cluster *cluster = options_ask(session, settings.program);
    size_t count = 0;
    int code = EXIT_FAILED;

    if (cluster == NULL)
        return EXIT_FAILED;
    struct run *runs = start(options, session, cluster, command, &count);
    if (runs == NULL)
        fprintf(stderr, "%s: out of memory\n", settings.program);
    else if (count == 0)
        fprintf(stderr, "%s: the cluster has no workers\n", settings.program);
    else
        code = finish_all(options, runs, count);
    free(runs);
    scoop_cluster_free(cluster);
    return code;
}

static int run_verb(int argc, char **argv)
{
    struct each_options options = {.json = false};
    struct blob *command CLEANUP(blob_unref_p) = blob_new(256);
    int first = 0;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    if (first >= argc || command == NULL ||
        command_put_words(command, argv + first, (size_t)(argc - first)) != 0) {
        fprintf(stderr, "%s: which command? see '%s --help'\n", settings.program, settings.program);
        return EXIT_USAGE;
    }
    int code = EXIT_FAILED;
    scoop_session *session = options_session(&options.broker, settings.program, &code);
    if (session == NULL)
        return code;
    code = each(&options, session, command);
    scoop_close(session);
    return code;
}

const struct verb verb_each = {
    .name = "each",
    .about = "run a command once on every worker",
    .settings = &settings,
    .run = run_verb,
};
