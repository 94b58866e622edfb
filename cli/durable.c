#include "durable.h"

#include "verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long the broker may take to answer: a journal that is away is given up before. */
#define ANSWER_MS 60000

void durable_id_text(uint64_t id, char text[DURABLE_ID_TEXT])
{
    snprintf(text, DURABLE_ID_TEXT, "%016" PRIx64, id);
}

/* 0: it is not one. */
static uint64_t read_id(const char *word, size_t length)
{
    if (length != DURABLE_ID_TEXT - 1 || strspn(word, "0123456789abcdefABCDEF") < length)
        return 0;
    return strtoull(word, NULL, 16);
}

static void complain(const char *program, const char *word, size_t length)
{
    fprintf(stderr, "%s: \"%.*s\" is not an id, 16 hex digits as 'scoop submit' prints them\n",
            program, (int)(length < 40 ? length : 40), word);
}

uint64_t *durable_read_ids(char **words, size_t count, const char *program)
{
    uint64_t *ids = count > 0 ? calloc(count, sizeof(*ids)) : NULL;

    if (ids == NULL) {
        fprintf(stderr, "%s: which task? see '%s --help'\n", program, program);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = read_id(words[i], strlen(words[i]));
        if (ids[i] != 0)
            continue;
        complain(program, words[i], strlen(words[i]));
        free(ids);
        return NULL;
    }
    return ids;
}

uint64_t *durable_split_ids(const char *text, size_t *count, const char *program)
{
    uint64_t *ids = calloc(strlen(text) / DURABLE_ID_TEXT + 2, sizeof(*ids));
    bool more = ids != NULL;

    for (*count = 0; more; ++*count) {
        const size_t length = strcspn(text, ",");

        ids[*count] = read_id(text, length);
        if (ids[*count] == 0) {
            complain(program, text, length);
            free(ids);
            return NULL;
        }
        more = text[length] == ',';
        text += length + more;
    }
    if (ids == NULL)
        fprintf(stderr, "%s: out of memory\n", program);
    return ids;
}

static int act_on(scoop_session *session,
                  const uint64_t *ids,
                  size_t count,
                  const char *program,
                  enum scoop_status (*act)(scoop_session *session, uint64_t id, int deadline_ms))
{
    int code = EXIT_DONE;

    for (size_t i = 0; i < count; i++) {
        if (act(session, ids[i], ANSWER_MS) == SCOOP_OK)
            continue;
        fprintf(stderr, "%s: %s\n", program, scoop_last_error());
        code = EXIT_FAILED;
    }
    return code;
}

int durable_each(int argc,
                 char **argv,
                 const struct settings *settings,
                 enum scoop_status (*act)(scoop_session *session, uint64_t id, int deadline_ms))
{
    struct durable_options options = {.broker = {.broker = NULL}};
    int first = 0;
    int code = EXIT_USAGE;
    const enum settings_outcome outcome = settings_read(settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    const size_t count = (size_t)(argc - first);
    uint64_t *ids CLEANUP(free_p) = durable_read_ids(argv + first, count, settings->program);
    if (ids == NULL)
        return EXIT_USAGE;
    scoop_session *session = options_session(&options.broker, settings->program, &code);
    if (session == NULL)
        return code;
    code = act_on(session, ids, count, settings->program, act);
    scoop_close(session);
    return code;
}
