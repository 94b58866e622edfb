/* Command lines and their results on the wire, lists of durable tasks, and the templates of `scoop map`. */
#include "fuzz.h"

#include "base/command.h"
#include "base/durable_list.h"
#include "cli/template.h"

#define WORDS_MAX 8

static void try_words(struct wire_cursor *c)
{
    const struct wire_bytes bytes = fuzz_take(c, SIZE_MAX);
    char **words = NULL;
    size_t count = 0;

    if (command_get_words(bytes.data, bytes.size, &words) != 0)
        return;
    while (words[count] != NULL)
        count++;
    struct blob *again = blob_new(64);
    FUZZ_CHECK(again != NULL && command_put_words(again, words, count) == 0);
    FUZZ_CHECK(again->size == bytes.size && memcmp(again->data, bytes.data, bytes.size) == 0);
    blob_unref(again);
    free(words);
}

static void try_result(struct wire_cursor *c)
{
    const struct wire_bytes bytes = fuzz_take(c, SIZE_MAX);
    struct command_result result;

    if (command_get_result(bytes.data, bytes.size, &result) != 0)
        return;
    struct blob *again = blob_new(64);
    FUZZ_CHECK(again != NULL && command_put_result(again, &result) == 0);
    FUZZ_CHECK(again->size == bytes.size && memcmp(again->data, bytes.data, bytes.size) == 0);
    blob_unref(again);
}

static void try_query(struct wire_cursor *c)
{
    struct durable_query query;

    FUZZ_ANY(durable_get_query(fuzz_take(c, SIZE_MAX), &query));
}

/* The first line is the command, its words separated by tabs; the others are its arguments. */
static void try_template(struct wire_cursor *c)
{
    char *text = fuzz_text(c);
    char *rest = strchr(text, '\n');
    char *saved = NULL;
    char *words[WORDS_MAX];
    size_t count = 0;
    struct template template;
    struct input_item item = {.count = 0};
    struct words filled = {.at = NULL};
    struct blob *shown = blob_new(64);

    if (rest != NULL)
        *rest++ = '\0';
    for (char *word = strtok_r(text, "\t", &saved); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, "\t", &saved))
        words[count++] = word;
    for (char *value = rest != NULL ? strtok_r(rest, "\n", &saved) : NULL;
         value != NULL && item.count < INPUT_LISTS_MAX; value = strtok_r(NULL, "\n", &saved))
        item.values[item.count++] = value;
    FUZZ_CHECK(shown != NULL);
    if (count > 0 && item.count > 0) {
        template_init(&template, words, count);
        if (template.highest <= item.count && template_fill(&template, &item, 1, &filled) == 0) {
            FUZZ_CHECK(filled.count > 0 && filled.at[filled.count] == NULL);
            FUZZ_CHECK(template_show(&template, &filled, shown) == 0);
        }
    }
    words_fini(&filled);
    blob_unref(shown);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct wire_cursor * c) = {try_words, try_result, try_query,
                                                              try_template};
    struct wire_cursor c = wire_cursor_of(data, size);
    const uint8_t which = wire_get_u8(&c);

    readers[which % 4](&c);
    return 0;
}
