/* scoop submit: a command as a durable task; prints its id. */
#include "base/blob.h"
#include "base/command.h"
#include "durable.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>

struct submit_options {
    struct broker_options broker;
    const char *key;
    uint64_t limit_ms;
    uint64_t retries;
    uint64_t timeout_ms;
    bool durable;
};

static const struct setting rows[] = {
    {
        .flag = "durable",
        .type = SETTING_FLAG,
        .offset = offsetof(struct submit_options, durable),
        .help = "may be left out: that is what it always does",
    },
    {
        .flag = "key",
        .type = SETTING_TEXT,
        .offset = offsetof(struct submit_options, key),
        .min = 1,
        .max = 4096,
        .help = "a name for the task: submitted again under the same name, it is the same task",
    },
    {
        .flag = "limit-ms",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct submit_options, limit_ms),
        .max = UINT32_MAX,
        .unit = "ms",
        .help = "the command is killed after so long; 0: never",
    },
    {
        .flag = "retries",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct submit_options, retries),
        .max = SCOOP_RETRIES_MAX,
        .help = "tries after one that could not be started",
    },
    {
        .flag = "timeout-ms",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct submit_options, timeout_ms),
        .fallback = "60000",
        .min = 1,
        .max = INT32_MAX,
        .unit = "ms",
        .help = "how long to wait for the broker to accept it",
    },
    BROKER_ROWS(struct submit_options, broker),
};

static const struct settings settings = {
    .program = "scoop submit",
    .about =
        "Runs COMMAND on the cluster as a durable task: once its id is printed it outlives this\n"
        "client, the broker and its host. See 'scoop wait' and 'scoop result'.",
    .operands = "COMMAND...",
    .example = "scoop submit gzip -9 big.log",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int complain(void)
{
    fprintf(stderr, "%s: %s\n", settings.program, scoop_last_error());
    return EXIT_FAILED;
}

/* Wait until it is accepted, and print the id. */
static int finish(scoop_future *future, uint64_t id, int timeout_ms)
{
    struct scoop_bytes nothing;
    char text[DURABLE_ID_TEXT];

    if (scoop_wait(future, timeout_ms) != SCOOP_OK) {
        fprintf(stderr, "%s: not accepted within %d ms; with --key it can be submitted again\n",
                settings.program, timeout_ms);
        return EXIT_FAILED;
    }
    if (scoop_result_bytes(future, &nothing) != SCOOP_OK)
        return complain();
    durable_id_text(id, text);
    puts(text);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int
submit(scoop_session *session, const struct submit_options *options, char **words, size_t count)
{
    const struct scoop_options limits = {
        .deadline_ms = (int)options->timeout_ms,
        .limit_ms = (uint32_t)options->limit_ms,
        .retries = (uint32_t)options->retries,
    };
    struct blob *argument CLEANUP(blob_unref_p) = blob_new(256);
    uint64_t id = options->key != NULL ? scoop_durable_id(options->key) : 0;

    if (argument == NULL || command_put_words(argument, words, count) != 0) {
        fprintf(stderr, "%s: the command is too long\n", settings.program);
        return EXIT_FAILED;
    }
    scoop_future *future = scoop_submit_durable(
        session, &limits, scoop_builtin("command", SCOOP_VARIABLE, SCOOP_VARIABLE), argument->data,
        argument->size, &id);
    if (future == NULL)
        return complain();
    const int code = finish(future, id, (int)options->timeout_ms);
    scoop_future_free(future);
    return code;
}

static int run(int argc, char **argv)
{
    struct submit_options options = {.key = NULL};
    int first = 0;
    int code = EXIT_FAILED;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    if (first >= argc) {
        fprintf(stderr, "%s: which command? see '%s --help'\n", settings.program, settings.program);
        return EXIT_USAGE;
    }
    scoop_session *session = durable_open(&options.broker, settings.program, &code);
    if (session == NULL)
        return code;
    code = submit(session, &options, argv + first, (size_t)(argc - first));
    scoop_close(session);
    return code;
}

const struct verb verb_submit = {
    .name = "submit",
    .about = "run a command as a durable task, which outlives this client",
    .settings = &settings,
    .run = run,
};
