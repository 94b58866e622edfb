/* scoop submit: commands as durable tasks; prints their ids. */
#include "durable.h"
#include "operands.h"
#include "submission.h"
#include "verb.h"

#include <stdio.h>

struct submit_options {
    struct broker_options broker;
    const char *key;
    const char *file;
    bool null_ends;
    uint64_t limit_ms;
    uint64_t retries;
    uint64_t timeout_ms;
    bool durable;
    bool strict;
    const char *after;
    const char *needs;
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
        .help = "a name for the task: submitted again under the same name, it is the same task; "
                "of many\n"
                "tasks, that of the Nth is VALUE/N",
    },
    {
        .flag = "arg-file",
        .type = SETTING_TEXT,
        .offset = offsetof(struct submit_options, file),
        .min = 1,
        .help = "one task for each line of this file; -: of standard input",
        .letter = 'a',
    },
    {
        .flag = "null",
        .type = SETTING_FLAG,
        .offset = offsetof(struct submit_options, null_ends),
        .help = "one task for each argument that is read and ends in a zero byte",
        .letter = '0',
    },
    {
        .flag = "after",
        .type = SETTING_TEXT,
        .offset = offsetof(struct submit_options, after),
        .min = 1,
        .help =
            "ids of durable tasks, with commas: wait until these have ended well, and read what "
            "they\n"
            "have written from stdin. One that fails blocks it: 'scoop retry', 'scoop forgive'",
    },
    {
        .flag = "strict",
        .type = SETTING_FLAG,
        .offset = offsetof(struct submit_options, strict),
        .help = "a command that ends with another exit code than 0 has failed: it may be tried "
                "again,\n"
                "and blocks what waits for it",
    },
    {
        .flag = "needs",
        .type = SETTING_TEXT,
        .offset = offsetof(struct submit_options, needs),
        .min = 1,
        .max = SCOOP_NEEDS_MAX,
        .help = "what each needs of its worker: gpu=1,ram=4G,ssd",
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
        .help = "tries after one that could not be started, or, with --strict, failed",
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
        "client, the broker and its host. With arguments, one task for each, as 'scoop map' has\n"
        "them. See 'scoop wait' and 'scoop result'.",
    .operands = "COMMAND... [::: ARGUMENT...]...",
    .example = "scoop submit gzip -9 ::: *.log | xargs scoop wait",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* What the tasks wait for. */
struct after {
    const uint64_t *ids;
    size_t count;
};

static int submit(scoop_session *session,
                  const struct submit_options *options,
                  const struct after *after,
                  const struct template *template,
                  struct input *input)
{
    const struct submission submission = {
        .session = session,
        .program = settings.program,
        .key = options->key,
        .strict = options->strict,
        .options =
            {
                .deadline_ms = (int)options->timeout_ms,
                .limit_ms = (uint32_t)options->limit_ms,
                .retries = (uint32_t)options->retries,
                .after_ids = after->ids,
                .after_id_count = after->count,
                .needs = options->needs,
            },
    };
    const int error = input != NULL ? submission_each(&submission, template, input)
                                    : submission_one(&submission, template->words, template->count);

    return error == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    struct submit_options options = {.key = NULL};
    int first = 0;
    int code = EXIT_FAILED;
    bool has_input = false;
    struct template template;
    struct input input = {.fd = -1};
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    const struct operands_options operands = {
        .program = settings.program,
        .file = options.file,
        .null_ends = options.null_ends,
    };
    if (operands_read(&operands, argv + first, (size_t)(argc - first), &template, &input,
                      &has_input) != 0)
        return EXIT_USAGE;
    struct after after = {.count = 0};
    uint64_t *ids CLEANUP(free_p) = NULL;
    if (options.after != NULL) {
        ids = durable_split_ids(options.after, &after.count, settings.program);
        if (ids == NULL)
            return EXIT_USAGE;
        after.ids = ids;
    }
    scoop_session *session = options_session(&options.broker, settings.program, &code);
    if (session != NULL)
        code = submit(session, &options, &after, &template, has_input ? &input : NULL);
    scoop_close(session);
    input_fini(&input);
    return code;
}

const struct verb verb_submit = {
    .name = "submit",
    .about = "run a command as a durable task, which outlives this client",
    .settings = &settings,
    .run = run,
};
