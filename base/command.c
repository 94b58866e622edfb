#include "command.h"

#include <string.h>

static size_t words_bytes(char *const *words, size_t count)
{
    size_t bytes = 4;

    for (size_t i = 0; i < count; i++)
        bytes += 4 + strlen(words[i]);
    return bytes;
}

int command_put_words(struct blob *b, char *const *words, size_t count)
{
    if (count == 0 || count > COMMAND_WORDS_MAX)
        return -EINVAL;
    const size_t bytes = words_bytes(words, count);
    if (bytes > WIRE_PAYLOAD_MAX)
        return -E2BIG;
    const int error = blob_reserve(b, bytes);
    if (error != 0)
        return error;
    wire_put_u32(b, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(words[i]);

        wire_put_u32(b, (uint32_t)length);
        wire_put_bytes(b, words[i], length);
    }
    return 0;
}

/* Copies the words behind the pointers. False: malformed. */
static bool copy_words(struct wire_cursor *c, char **words, uint32_t count)
{
    char *text = (char *)(words + count + 1);

    for (uint32_t i = 0; i < count; i++) {
        const struct wire_bytes word = wire_get_bytes(c, wire_get_u32(c));

        if (c->bad || memchr(word.data, '\0', word.size) != NULL)
            return false;
        words[i] = text;
        memcpy(text, word.data, word.size);
        text += word.size;
        *text++ = '\0';
    }
    words[count] = NULL;
    return wire_read_ok(c) == 0;
}

int command_get_words(const uint8_t *data, size_t size, char ***words)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    const uint32_t count = wire_get_u32(&c);

    if (c.bad || count == 0 || count > COMMAND_WORDS_MAX)
        return -EPROTO;
    /* Every word brings a length of 4 bytes, more than the zero byte that its copy needs. */
    char **copy = malloc((count + 1) * sizeof(*copy) + size);
    if (copy == NULL)
        return -ENOMEM;
    if (!copy_words(&c, copy, count)) {
        free(copy);
        return -EPROTO;
    }
    *words = copy;
    return 0;
}

int command_put_result(struct blob *b, const struct command_result *result)
{
    const struct wire_bytes host = result->host;
    const int error = blob_reserve(b, 34 + host.size + result->out.size + result->err.size);

    if (error != 0)
        return error;
    wire_put_u32(b, result->code);
    wire_put_u32(b, result->signal);
    wire_put_u64(b, result->start_us);
    wire_put_u64(b, result->run_us);
    wire_put_u16(b, (uint16_t)host.size);
    wire_put_bytes(b, host.data, host.size);
    wire_put_u32(b, (uint32_t)result->out.size);
    wire_put_bytes(b, result->out.data, result->out.size);
    wire_put_u32(b, (uint32_t)result->err.size);
    wire_put_bytes(b, result->err.data, result->err.size);
    return 0;
}

int command_get_result(const uint8_t *data, size_t size, struct command_result *out)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    struct command_result result;

    result.code = wire_get_u32(&c);
    result.signal = wire_get_u32(&c);
    result.start_us = wire_get_u64(&c);
    result.run_us = wire_get_u64(&c);
    result.host = wire_get_text(&c);
    result.out = wire_get_bytes(&c, wire_get_u32(&c));
    result.err = wire_get_bytes(&c, wire_get_u32(&c));
    const int error = wire_read_ok(&c);
    if (error == 0)
        *out = result;
    return error;
}
