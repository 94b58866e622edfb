#include "quote.h"

#include "base/wire.h"

#include <stdio.h>
#include <string.h>

#define PLAIN                                                                                      \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"                               \
    "_@%+=:,./-"

static bool is_plain(const char *word)
{
    if (*word == '\0')
        return false;
    for (; *word != '\0'; word++) {
        /* The bytes of characters beyond ASCII mean nothing to a shell. */
        if ((unsigned char)*word < 0x80 && strchr(PLAIN, *word) == NULL)
            return false;
    }
    return true;
}

static bool has_control(const char *word)
{
    for (; *word != '\0'; word++) {
        if ((unsigned char)*word < ' ' || *word == 0x7f)
            return true;
    }
    return false;
}

static void put(struct blob *out, const char *text)
{
    wire_put_bytes(out, text, strlen(text));
}

int quote_word(struct blob *out, const char *word)
{
    const size_t length = strlen(word);

    /* At worst every character is a quote, which takes four. */
    if (blob_reserve(out, 4 * length + 2) != 0)
        return -ENOMEM;
    if (is_plain(word)) {
        wire_put_bytes(out, word, length);
        return 0;
    }
    put(out, "'");
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            put(out, "'\\''");
        else
            wire_put_bytes(out, word, 1);
    }
    put(out, "'");
    return 0;
}

static int escape_word(struct blob *out, const char *word)
{
    if (blob_reserve(out, 4 * strlen(word) + 3) != 0)
        return -ENOMEM;
    put(out, "$'");
    for (; *word != '\0'; word++) {
        char octal[5];

        if (*word == '\n')
            put(out, "\\n");
        else if (*word == '\t')
            put(out, "\\t");
        else if (*word == '\'' || *word == '\\')
            wire_put_bytes(out, (const char[]){'\\', *word}, 2);
        else if ((unsigned char)*word < ' ' || *word == 0x7f) {
            snprintf(octal, sizeof(octal), "\\%03o", (unsigned)*word & 0xff);
            put(out, octal);
        } else
            wire_put_bytes(out, word, 1);
    }
    put(out, "'");
    return 0;
}

int quote_line(struct blob *out, char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (blob_reserve(out, 1) != 0)
            return -ENOMEM;
        if (i > 0)
            put(out, " ");
        if ((has_control(words[i]) ? escape_word : quote_word)(out, words[i]) != 0)
            return -ENOMEM;
    }
    return 0;
}
