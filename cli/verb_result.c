/* scoop result: the outcome of a durable task, which is forgotten then. */
#include "durable.h"
#include "outcome.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>

/* How long the broker may take to forget it. */
#define FORGET_MS 60000

struct result_options {
    struct broker_options broker;
    const char *output;
    bool keep;
    bool raw;
};

static const struct setting rows[] = {
    {
        .flag = "output",
        .type = SETTING_TEXT,
        .offset = offsetof(struct result_options, output),
        .min = 1,
        .help = "write its standard output to this file",
        .letter = 'o',
    },
    {
        .flag = "keep",
        .type = SETTING_FLAG,
        .offset = offsetof(struct result_options, keep),
        .help = "do not forget it: it can be asked for again",
    },
    {
        .flag = "raw",
        .type = SETTING_FLAG,
        .offset = offsetof(struct result_options, raw),
        .help = "the task is no command but a function: write the bytes of its result",
    },
    BROKER_ROWS(struct result_options, broker),
};

static const struct settings settings = {
    .program = "scoop result",
    .about = "Waits until a durable task has ended and writes what its command wrote. The broker "
             "forgets\n"
             "the task after that, if all could be written. The exit code is 0 when it ended well.",
    .operands = "ID",
    .example = "scoop result -o big.log.gz 5f0c3a9e17b2d486",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s%s%s\n", settings.program, what, what[0] != '\0' ? ": " : "", why);
    return EXIT_FAILED;
}

/* 0 or a negative errno. */
static int write_all(const char *path, const void *data, size_t size)
{
    FILE *file = path != NULL ? fopen(path, "we") : stdout;
    int error = 0;

    if (file == NULL)
        return -errno;
    if (fwrite(data, 1, size, file) != size || fflush(file) != 0)
        error = errno != 0 ? -errno : -EIO;
    if (path != NULL && fclose(file) != 0 && error == 0)
        error = errno != 0 ? -errno : -EIO;
    return error;
}

static int write_output(const struct result_options *options, const void *data, size_t size)
{
    const int error = write_all(options->output, data, size);

    if (error == 0)
        return EXIT_DONE;
    return complain(options->output != NULL ? options->output : "standard output",
                    strerror(-error));
}

/* *told: the outcome is where it belongs, and need not be kept. */
static int show_raw(scoop_future *future, const struct result_options *options, bool *told)
{
    struct scoop_error error = {.status = SCOOP_NO_BROKER};
    struct scoop_bytes bytes;

    if (scoop_result_bytes(future, &bytes) == SCOOP_OK) {
        const int code = write_output(options, bytes.data, bytes.size);

        *told = code == EXIT_DONE;
        return code;
    }
    complain("", scoop_last_error());
    *told = scoop_error(future, &error) && error.status < SCOOP_REFUSED;
    return EXIT_FAILED;
}

static int show_command(scoop_future *future, const struct result_options *options, bool *told)
{
    struct outcome outcome;
    struct scoop_error error = {.status = SCOOP_NO_BROKER};
    const int rc = outcome_read(future, &outcome);

    if (rc == -EPROTO)
        return complain("", "its result is not that of a command: --raw writes it as it is");
    if (rc != 0 || !outcome.ran) {
        complain("", outcome.text[0] != '\0' ? outcome.text : scoop_last_error());
        *told = rc == 0 && scoop_error(future, &error) && error.status < SCOOP_REFUSED;
        return EXIT_FAILED;
    }
    fwrite(outcome.result.err.data, 1, outcome.result.err.size, stderr);
    const int code = write_output(options, outcome.result.out.data, outcome.result.out.size);
    *told = code == EXIT_DONE;
    if (code == EXIT_DONE && outcome.result.signal != 0)
        fprintf(stderr, "%s: the command was ended by signal %u\n", settings.program,
                outcome.result.signal);
    else if (code == EXIT_DONE && outcome.result.code != 0)
        fprintf(stderr, "%s: the command ended with exit code %u\n", settings.program,
                outcome.result.code);
    return outcome.failed ? EXIT_FAILED : code;
}

static int show_result(scoop_session *session, const struct result_options *options, uint64_t id)
{
    scoop_future *future = scoop_attach(session, id);
    bool told = false;

    if (future == NULL)
        return complain("", scoop_last_error());
    int code =
        options->raw ? show_raw(future, options, &told) : show_command(future, options, &told);
    if (told && !options->keep && scoop_durable_forget(session, id, FORGET_MS) != SCOOP_OK)
        code = complain("it is still kept", scoop_last_error());
    scoop_future_free(future);
    return code;
}

static int run(int argc, char **argv)
{
    struct result_options options = {.output = NULL};
    int first = 0;
    int code = EXIT_USAGE;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    if (argc - first > 1) {
        fprintf(stderr, "%s: one task at a time, not %d\n", settings.program, argc - first);
        return EXIT_USAGE;
    }
    uint64_t *ids CLEANUP(free_p) =
        durable_read_ids(argv + first, (size_t)(argc - first), settings.program);
    if (ids == NULL)
        return EXIT_USAGE;
    scoop_session *session = options_session(&options.broker, settings.program, &code);
    if (session == NULL)
        return code;
    code = show_result(session, &options, ids[0]);
    scoop_close(session);
    return code;
}

const struct verb verb_result = {
    .name = "result",
    .about = "what a durable task has written",
    .settings = &settings,
    .run = run,
};
