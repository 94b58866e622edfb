#include "template.h"

#include "base/command.h"

#include <string.h>

#define PLACE "{}"

void template_init(struct template *template, char *const *words, size_t count)
{
    *template = (struct template){.words = words, .count = count};
    for (size_t i = 0; i < count; i++)
        template->has_place = template->has_place || strstr(words[i], PLACE) != NULL;
}

/* `word` with its places filled; owned by the caller. NULL: out of memory. */
static char *fill_word(const char *word, const char *argument)
{
    const size_t length = strlen(argument);
    size_t size = strlen(word) + 1;

    for (const char *at = strstr(word, PLACE); at != NULL; at = strstr(at + 2, PLACE))
        size += length;
    char *filled = malloc(size);
    if (filled == NULL)
        return NULL;
    char *to = filled;
    for (const char *at = strstr(word, PLACE); at != NULL; at = strstr(word, PLACE)) {
        memcpy(to, word, (size_t)(at - word));
        to += at - word;
        memcpy(to, argument, length);
        to += length;
        word = at + 2;
    }
    memcpy(to, word, strlen(word) + 1);
    return filled;
}

static int
put_filled(const struct template *template, const char *argument, char **words, struct blob *out)
{
    for (size_t i = 0; i < template->count; i++) {
        words[i] = fill_word(template->words[i], argument);
        if (words[i] == NULL)
            return -ENOMEM;
    }
    return command_put_words(out, words, template->count);
}

static int
put_appended(const struct template *template, const char *argument, char **words, struct blob *out)
{
    for (size_t i = 0; i < template->count; i++)
        words[i] = template->words[i];
    words[template->count] = (char *)(uintptr_t)argument;
    return command_put_words(out, words, template->count + 1);
}

int template_fill(const struct template *template, const char *argument, struct blob *out)
{
    char **words = calloc(template->count + 1, sizeof(*words));
    int error = -ENOMEM;

    if (words == NULL)
        return -ENOMEM;
    if (template->has_place) {
        error = put_filled(template, argument, words, out);
        for (size_t i = 0; i < template->count; i++)
            free(words[i]);
    } else {
        error = put_appended(template, argument, words, out);
    }
    free(words);
    return error;
}
