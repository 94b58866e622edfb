/* scoop wait: wait for durable tasks, and say how each ended. */
#include "base/clock.h"
#include "base/command.h"
#include "durable.h"
#include "verb.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct wait_options {
    struct broker_options broker;
    uint64_t timeout_ms;
    bool json;
};

static const struct setting rows[] = {
    {
        .flag = "timeout-ms",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct wait_options, timeout_ms),
        .max = INT32_MAX,
        .unit = "ms",
        .help = "how long to wait for all of them; 0: as long as it takes",
    },
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct wait_options, json),
        .help = "print a JSON array of objects",
    },
    BROKER_ROWS(struct wait_options, broker),
};

static const struct settings settings = {
    .program = "scoop wait",
    .about = "Waits until durable tasks have ended and prints how, a line each. The exit code is 0 "
             "only\n"
             "when all of them ended well. Their outcomes stay where they are: see 'scoop result'.",
    .operands = "ID...",
    .example = "scoop wait 5f0c3a9e17b2d486 && echo done",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* How one ended. */
struct end {
    bool ended;
    bool well;
    struct scoop_error error;
    struct command_result command; /* code and signal; all zero when it was no command */
    char text[400];                /* in words */
};

static void describe(struct end *end)
{
    const struct scoop_error *error = &end->error;

    if (!end->ended)
        snprintf(end->text, sizeof(end->text), "has not ended");
    else if (error->status != SCOOP_OK)
        snprintf(end->text, sizeof(end->text), "%s%s%s", scoop_strerror(error->status),
                 error->text[0] != '\0' ? ": " : "", error->text);
    else if (end->command.signal != 0)
        snprintf(end->text, sizeof(end->text), "signal %" PRIu32, end->command.signal);
    else if (end->command.code != 0)
        snprintf(end->text, sizeof(end->text), "exit code %" PRIu32, end->command.code);
    else
        snprintf(end->text, sizeof(end->text), "ok");
}

static void read_end(scoop_future *future, int left_ms, struct end *end)
{
    struct scoop_bytes bytes;

    *end = (struct end){.error = {.text = ""}};
    end->ended = scoop_wait(future, left_ms) == SCOOP_OK && scoop_error(future, &end->error);
    if (end->ended && scoop_result_bytes(future, &bytes) == SCOOP_OK) {
        /* A task that is no command has a result that does not decode as one, and is well. */
        if (command_get_result(bytes.data, bytes.size, &end->command) != 0)
            end->command = (struct command_result){.code = 0};
        end->well = end->command.code == 0 && end->command.signal == 0;
    }
    describe(end);
}

static void
show(const struct wait_options *options, json_t *list, uint64_t id, const struct end *end)
{
    char text[DURABLE_ID_TEXT];

    durable_id_text(id, text);
    if (!options->json) {
        printf("%s %s\n", text, end->text);
        fflush(stdout);
        return;
    }
    json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:s, s:I, s:I, s:I, s:I}", "id", text,
                                          "ended", end->ended, "ok", end->well, "text", end->text,
                                          "attempts", (json_int_t)end->error.attempts, "run_us",
                                          (json_int_t)end->error.run_us, "code",
                                          (json_int_t)end->command.code, "signal",
                                          (json_int_t)end->command.signal));
}

static int wait_for(scoop_session *session,
                    const struct wait_options *options,
                    const uint64_t *ids,
                    size_t count,
                    json_t *list)
{
    const int64_t end_ms = clock_now_ms() + (int64_t)options->timeout_ms;
    scoop_future **futures = calloc(count, sizeof(scoop_future *));
    bool well = futures != NULL;

    for (size_t i = 0; futures != NULL && i < count; i++)
        futures[i] = scoop_attach(session, ids[i]);
    for (size_t i = 0; futures != NULL && i < count; i++) {
        const int64_t left_ms = end_ms - clock_now_ms();
        struct end end;

        if (futures[i] == NULL) {
            fprintf(stderr, "%s: %s\n", settings.program, scoop_last_error());
            well = false;
            break;
        }
        read_end(futures[i],
                 options->timeout_ms == 0 ? SCOOP_FOREVER : (int)(left_ms > 0 ? left_ms : 0), &end);
        show(options, list, ids[i], &end);
        well = well && end.well;
    }
    for (size_t i = 0; futures != NULL && i < count; i++)
        scoop_future_free(futures[i]);
    free(futures);
    return well ? EXIT_DONE : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    struct wait_options options = {.json = false};
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
    json_t *list = json_array();
    code = wait_for(session, &options, ids, count, list);
    if (options.json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        printf("\n");
    }
    json_decref(list);
    scoop_close(session);
    return code;
}

const struct verb verb_wait = {
    .name = "wait",
    .about = "wait for durable tasks",
    .settings = &settings,
    .run = run,
};
