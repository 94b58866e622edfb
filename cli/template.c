#include "template.h"

#include "base/wire.h"
#include "quote.h"

#include <stdio.h>
#include <string.h>

/* One word with one of these is a line for a shell. */
#define SHELL_CHARACTERS " \t\n|&;<>()$`\\\"'*?[~"

static char shell_name[] = "sh";
static char shell_option[] = "-c";

/* ---- places ---- */

enum part { PART_ALL, PART_STEM, PART_BASE, PART_FOLDER, PART_BASE_STEM, PART_NUMBER };

struct place {
    enum part part;
    size_t list;   /* from 1; 0: all lists */
    size_t length; /* in the text; 0: this is no place */
};

static struct place read_place(const char *text)
{
    static const struct {
        const char *text;
        enum part part;
    } parts[] = {
        {"}", PART_ALL},      {".}", PART_STEM},       {"/}", PART_BASE},
        {"//}", PART_FOLDER}, {"/.}", PART_BASE_STEM}, {"#}", PART_NUMBER},
    };
    struct place place = {.length = 0};
    const char *at = text + 1;

    if (*text != '{')
        return place;
    if (*at >= '1' && *at <= '0' + INPUT_LISTS_MAX)
        place.list = (size_t)(*at++ - '0');
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const size_t length = strlen(parts[i].text);

        if (strncmp(at, parts[i].text, length) != 0)
            continue;
        if (parts[i].part == PART_NUMBER && place.list != 0)
            continue;
        place.part = parts[i].part;
        place.length = (size_t)(at - text) + length;
    }
    return place;
}

void template_init(struct template *template, char *const *words, size_t count)
{
    *template = (struct template){.words = words, .count = count};
    for (size_t i = 0; i < count; i++) {
        for (const char *at = strchr(words[i], '{'); at != NULL; at = strchr(at + 1, '{')) {
            const struct place place = read_place(at);

            template->has_place = template->has_place || place.length > 0;
            if (place.length > 0 && place.list > template->highest)
                template->highest = place.list;
        }
    }
    template->is_shell = count == 1 && strpbrk(words[0], SHELL_CHARACTERS) != NULL;
}

/* ---- filling ---- */

/* Begin and length of this part of a value. */
static const char *cut(const char *value, enum part part, size_t *length)
{
    const char *slash = strrchr(value, '/');
    const char *base = slash != NULL ? slash + 1 : value;
    const char *dot = strrchr(base, '.');
    const char *begin = part == PART_BASE || part == PART_BASE_STEM ? base : value;

    *length = strlen(begin);
    if ((part == PART_STEM || part == PART_BASE_STEM) && dot != NULL)
        *length = (size_t)(dot - begin);
    if (part != PART_FOLDER)
        return begin;
    if (slash == NULL) {
        *length = 1;
        return ".";
    }
    *length = slash > value ? (size_t)(slash - value) : 1;
    return value;
}

static int put_bytes(struct blob *out, const char *bytes, size_t length)
{
    if (blob_reserve(out, length) != 0)
        return -ENOMEM;
    wire_put_bytes(out, bytes, length);
    return 0;
}

static int put_value(struct blob *out, const char *value, enum part part, bool quoted)
{
    size_t length = 0;
    const char *begin = cut(value, part, &length);

    if (!quoted)
        return put_bytes(out, begin, length);
    char *copy CLEANUP(free_p) = strndup(begin, length);
    return copy != NULL ? quote_word(out, copy) : -ENOMEM;
}

struct filling {
    const struct input_item *item;
    uint64_t number;
    bool quoted;
    struct blob *text;
};

static int put_place(const struct filling *f, const struct place *place)
{
    char number[24];
    int error = 0;

    if (place->part == PART_NUMBER) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)f->number);
        return put_bytes(f->text, number, strlen(number));
    }
    if (place->list != 0)
        return put_value(f->text, f->item->values[place->list - 1], place->part, f->quoted);
    for (size_t i = 0; error == 0 && i < f->item->count; i++) {
        if (i > 0)
            error = put_bytes(f->text, " ", 1);
        if (error == 0)
            error = put_value(f->text, f->item->values[i], place->part, f->quoted);
    }
    return error;
}

static int put_word(const struct filling *f, const char *word)
{
    int error = 0;

    while (error == 0 && *word != '\0') {
        const struct place place = read_place(word);
        /* A brace that is no place stands for itself. */
        const size_t plain = place.length > 0 ? 0 : 1 + strcspn(word + 1, "{");

        error = plain > 0 ? put_bytes(f->text, word, plain) : put_place(f, &place);
        word += plain + place.length;
    }
    return error;
}

static int end_word(const struct filling *f, struct words *out)
{
    out->count++;
    return put_bytes(f->text, "", 1);
}

/* Every value as a word of its own. */
static int put_values(const struct filling *f, struct words *out)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < f->item->count; i++) {
        error = put_value(f->text, f->item->values[i], PART_ALL, false);
        if (error == 0)
            error = end_word(f, out);
    }
    return error;
}

static int fill_words(const struct template *template, const struct filling *f, struct words *out)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < template->count; i++) {
        if (strcmp(template->words[i], "{}") == 0) {
            error = put_values(f, out);
            continue;
        }
        error = put_word(f, template->words[i]);
        if (error == 0)
            error = end_word(f, out);
    }
    return error == 0 && !template->has_place ? put_values(f, out) : error;
}

static int fill_shell(const struct template *template, const struct filling *f, struct words *out)
{
    const struct place all = {.part = PART_ALL};
    int error = put_word(f, template->words[0]);

    if (error == 0 && !template->has_place) {
        error = put_bytes(f->text, " ", 1);
        if (error == 0)
            error = put_place(f, &all);
    }
    return error == 0 ? end_word(f, out) : error;
}

/* Point at the words in the text, behind the shell's own two. */
static int index_words(struct words *words, bool is_shell)
{
    char *text = (char *)words->text->data;
    const size_t shell_words = is_shell ? 2 : 0;
    size_t n = 0;

    words->at = calloc(words->count + shell_words + 1, sizeof(*words->at));
    if (words->at == NULL)
        return -ENOMEM;
    if (is_shell) {
        words->at[n++] = shell_name;
        words->at[n++] = shell_option;
    }
    for (; n < words->count + shell_words; text += strlen(text) + 1)
        words->at[n++] = text;
    words->count = n;
    return 0;
}

int template_fill(const struct template *template,
                  const struct input_item *item,
                  uint64_t number,
                  struct words *out)
{
    struct words words = {.text = blob_new(256)};
    const struct filling filling = {
        .item = item,
        .number = number,
        .quoted = template->is_shell,
        .text = words.text,
    };

    if (words.text == NULL)
        return -ENOMEM;
    int error = (template->is_shell ? fill_shell : fill_words)(template, &filling, &words);
    if (error == 0)
        error = index_words(&words, template->is_shell);
    if (error == 0)
        *out = words;
    else
        words_fini(&words);
    return error;
}

int template_show(const struct template *template, const struct words *words, struct blob *out)
{
    /* A shell's line is shown as it was given, unless it would become several. */
    if (template->is_shell && strpbrk(words->at[2], "\n\r\t") == NULL)
        return put_bytes(out, words->at[2], strlen(words->at[2]));
    return quote_line(out, words->at, words->count);
}

void words_fini(struct words *words)
{
    free(words->at);
    blob_unref(words->text);
    *words = (struct words){.at = NULL};
}
