#include "durable.h"

#include "verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void durable_id_text(uint64_t id, char text[DURABLE_ID_TEXT])
{
    snprintf(text, DURABLE_ID_TEXT, "%016" PRIx64, id);
}

/* 0: it is not one. */
static uint64_t read_id(const char *word)
{
    const size_t length = strlen(word);

    if (length != DURABLE_ID_TEXT - 1 || strspn(word, "0123456789abcdefABCDEF") != length)
        return 0;
    return strtoull(word, NULL, 16);
}

uint64_t *durable_read_ids(char **words, size_t count, const char *program)
{
    uint64_t *ids = count > 0 ? calloc(count, sizeof(*ids)) : NULL;

    if (ids == NULL) {
        fprintf(stderr, "%s: which task? see '%s --help'\n", program, program);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = read_id(words[i]);
        if (ids[i] != 0)
            continue;
        fprintf(stderr, "%s: \"%.40s\" is not an id, 16 hex digits as 'scoop submit' prints them\n",
                program, words[i]);
        free(ids);
        return NULL;
    }
    return ids;
}

scoop_session *durable_open(struct broker_options *options, const char *program, int *code)
{
    options_complete(options);
    *code = EXIT_FAILED;
    if (options->broker != NULL)
        return options_open(options, program);
    fprintf(stderr, "%s: no broker is set; name one with --broker or SCOOP_BROKER\n", program);
    *code = EXIT_USAGE;
    return NULL;
}
