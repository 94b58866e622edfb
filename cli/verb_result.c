/* scoop result: the outcomes of durable tasks, which are forgotten then. */
#include "durable.h"
#include "outcome.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>

/* How long the broker may take to forget it. */
#define FORGET_MS 60000

/* Outcomes that are asked for ahead of the one that is written: the way there and back is paid once
 * for many, and few are held at a time. */
#define AHEAD 64

struct result_options {
    struct broker_options broker;
    const char *output;
    bool keep;
    bool raw;
};

/* Where outputs go. */
struct sink {
    const char *path; /* NULL: standard output */
    FILE *file;       /* NULL: nothing was written yet */
};

static const struct setting rows[] = {
    {
        .flag = "output",
        .type = SETTING_TEXT,
        .offset = offsetof(struct result_options, output),
        .min = 1,
        .help = "write standard output to this file",
        .letter = 'o',
    },
    {
        .flag = "keep",
        .type = SETTING_FLAG,
        .offset = offsetof(struct result_options, keep),
        .help = "do not forget them: they can be asked for again",
    },
    {
        .flag = "raw",
        .type = SETTING_FLAG,
        .offset = offsetof(struct result_options, raw),
        .help = "the tasks are no commands but functions: write the bytes of their results",
    },
    BROKER_ROWS(struct result_options, broker),
};

static const struct settings settings = {
    .program = "scoop result",
    .about =
        "Waits until durable tasks have ended and writes what their commands wrote, in the order "
        "of\n"
        "the ids. The broker forgets a task after that, if all could be written. The exit code is "
        "0\n"
        "only when all of them ended well.",
    .operands = "ID...",
    .example = "scoop result -o big.log.gz 5f0c3a9e17b2d486",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s%s%s\n", settings.program, what, what[0] != '\0' ? ": " : "", why);
    return EXIT_FAILED;
}

/* Append; 0 or a negative errno. */
static int sink_write(struct sink *sink, const void *data, size_t size)
{
    if (sink->file == NULL)
        sink->file = sink->path != NULL ? fopen(sink->path, "we") : stdout;
    if (sink->file == NULL)
        return -errno;
    if (fwrite(data, 1, size, sink->file) != size || fflush(sink->file) != 0)
        return errno != 0 ? -errno : -EIO;
    return 0;
}

static int write_output(struct sink *sink, const void *data, size_t size)
{
    const int error = sink_write(sink, data, size);

    if (error == 0)
        return EXIT_DONE;
    return complain(sink->path != NULL ? sink->path : "standard output", strerror(-error));
}

static int sink_close(struct sink *sink)
{
    if (sink->path == NULL || sink->file == NULL || fclose(sink->file) == 0)
        return EXIT_DONE;
    return complain(sink->path, strerror(errno));
}

/* *told: the outcome is where it belongs, and need not be kept. */
static int show_raw(scoop_future *future, struct sink *sink, bool *told)
{
    struct scoop_error error = {.status = SCOOP_NO_BROKER};
    struct scoop_bytes bytes;

    if (scoop_result_bytes(future, &bytes) == SCOOP_OK) {
        const int code = write_output(sink, bytes.data, bytes.size);

        *told = code == EXIT_DONE;
        return code;
    }
    complain("", scoop_last_error());
    *told = scoop_error(future, &error) && error.status < SCOOP_REFUSED;
    return EXIT_FAILED;
}

static int show_command(scoop_future *future, struct sink *sink, bool *told)
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
    const int code = write_output(sink, outcome.result.out.data, outcome.result.out.size);
    *told = code == EXIT_DONE;
    if (code == EXIT_DONE && outcome.result.signal != 0)
        fprintf(stderr, "%s: the command was ended by signal %u\n", settings.program,
                outcome.result.signal);
    else if (code == EXIT_DONE && outcome.result.code != 0)
        fprintf(stderr, "%s: the command ended with exit code %u\n", settings.program,
                outcome.result.code);
    return outcome.failed ? EXIT_FAILED : code;
}

static int show_result(scoop_session *session,
                       scoop_future *future,
                       uint64_t id,
                       const struct result_options *options,
                       struct sink *sink)
{
    bool told = false;

    if (future == NULL)
        return EXIT_FAILED;
    int code = options->raw ? show_raw(future, sink, &told) : show_command(future, sink, &told);
    if (told && !options->keep && scoop_durable_forget(session, id, FORGET_MS) != SCOOP_OK)
        code = complain("it is still kept", scoop_last_error());
    scoop_future_free(future);
    return code;
}

/* NULL: said on stderr. */
static scoop_future *ask(scoop_session *session, uint64_t id)
{
    scoop_future *future = scoop_attach(session, id);

    if (future == NULL)
        complain("", scoop_last_error());
    return future;
}

static int show_results(scoop_session *session,
                        const uint64_t *ids,
                        size_t count,
                        const struct result_options *options)
{
    struct sink sink = {.path = options->output};
    scoop_future *ahead[AHEAD];
    size_t asked = 0;
    int code = EXIT_DONE;

    for (size_t i = 0; i < count; i++) {
        for (; asked < count && asked - i < AHEAD; asked++)
            ahead[asked % AHEAD] = ask(session, ids[asked]);
        if (show_result(session, ahead[i % AHEAD], ids[i], options, &sink) != EXIT_DONE)
            code = EXIT_FAILED;
    }
    return sink_close(&sink) == EXIT_DONE ? code : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    struct result_options options = {.output = NULL};
    int first = 0;
    int code = EXIT_USAGE;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    const size_t count = (size_t)(argc - first);
    uint64_t *ids CLEANUP(free_p) = durable_read_ids(argv + first, count, settings.program);
    if (ids == NULL)
        return EXIT_USAGE;
    scoop_session *session = options_session(&options.broker, settings.program, &code);
    if (session == NULL)
        return code;
    code = show_results(session, ids, count, &options);
    scoop_close(session);
    return code;
}

const struct verb verb_result = {
    .name = "result",
    .about = "what durable tasks have written",
    .settings = &settings,
    .run = run,
};
