/* Invariant: begin <= begin + looked <= end <= capacity; there is always room for one zero byte
 * behind `end`. */
#include "input.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)64 << 10)

void input_of_words(struct input *input, char *const *words, size_t count)
{
    *input = (struct input){.words = words, .word_count = count};
}

void input_of_lines(struct input *input, int fd)
{
    *input = (struct input){.fd = fd};
}

void input_fini(struct input *input)
{
    free(input->buffer);
    input->buffer = NULL;
}

size_t input_total(const struct input *input)
{
    return input->word_count;
}

/* Hand out the `length` bytes at `begin`, which `skip` more bytes end. */
static int hand_out(struct input *input, size_t length, size_t skip, const char **text)
{
    char *line = input->buffer + input->begin;

    line[length] = '\0';
    input->begin += length + skip;
    input->looked = 0;
    *text = line;
    return strlen(line) == length ? 0 : -EILSEQ;
}

/* A line that is here already. -EAGAIN: none. */
static int buffered_line(struct input *input, const char **text)
{
    const size_t size = input->end - input->begin;
    const char *line = input->buffer + input->begin;

    if (size == 0)
        return input->at_end ? -ENODATA : -EAGAIN;
    const char *newline = memchr(line + input->looked, '\n', size - input->looked);
    if (newline != NULL)
        return hand_out(input, (size_t)(newline - line), 1, text);
    input->looked = size;
    if (input->at_end)
        return hand_out(input, size, 0, text);
    return size > INPUT_LINE_MAX ? -E2BIG : -EAGAIN;
}

static int make_room(struct input *input)
{
    if (input->begin > 0) {
        memmove(input->buffer, input->buffer + input->begin, input->end - input->begin);
        input->end -= input->begin;
        input->begin = 0;
    }
    if (input->capacity - input->end > CHUNK / 2)
        return 0;
    const size_t capacity = input->capacity == 0 ? CHUNK : input->capacity * 2;
    char *buffer = realloc(input->buffer, capacity);
    if (buffer == NULL)
        return -ENOMEM;
    input->buffer = buffer;
    input->capacity = capacity;
    return 0;
}

/* Read more. -EAGAIN: nothing came in time. */
static int read_more(struct input *input, int wait_ms)
{
    struct pollfd fd = {.fd = input->fd, .events = POLLIN};
    const int error = make_room(input);

    if (error != 0)
        return error;
    if (poll(&fd, 1, wait_ms) <= 0)
        return -EAGAIN;
    const ssize_t got =
        read(input->fd, input->buffer + input->end, input->capacity - input->end - 1);
    if (got < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    input->at_end = got == 0;
    input->end += (size_t)got;
    return 0;
}

int input_next(struct input *input, int wait_ms, const char **text)
{
    if (input->words != NULL) {
        if (input->next_word == input->word_count)
            return -ENODATA;
        *text = input->words[input->next_word++];
        return 0;
    }
    int result = buffered_line(input, text);
    while (result == -EAGAIN) {
        const int error = read_more(input, wait_ms);

        if (error != 0)
            return error;
        result = buffered_line(input, text);
    }
    return result;
}
