/* Invariant: begin <= begin + looked <= end <= capacity; there is always room for one zero byte
 * behind `end`. */
#include "input.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)64 << 10)

#define INPUT_SEPARATOR ":::"

int input_of_words(struct input *input, char *const *words, size_t count)
{
    size_t at = 0;

    *input = (struct input){.list_count = 0};
    do {
        struct input_list *list = &input->lists[input->list_count];

        if (input->list_count == INPUT_LISTS_MAX)
            return -E2BIG;
        list->words = words + at;
        while (at < count && strcmp(words[at], INPUT_SEPARATOR) != 0)
            at++;
        list->count = (size_t)(words + at - list->words);
        input->at_end |= list->count == 0;
        input->list_count++;
    } while (at++ < count);
    return 0;
}

void input_of_lines(struct input *input, int fd, char end_byte)
{
    *input = (struct input){.fd = fd, .end_byte = end_byte};
}

void input_fini(struct input *input)
{
    free(input->buffer);
    input->buffer = NULL;
}

uint64_t input_total(const struct input *input)
{
    uint64_t total = input->list_count > 0 ? 1 : 0;

    for (size_t i = 0; i < input->list_count; i++) {
        if (__builtin_mul_overflow(total, (uint64_t)input->lists[i].count, &total))
            return 0;
    }
    return total;
}

/* ---- lists of words ---- */

/* As an odometer: the last list advances, and each that comes round advances the one before. */
static int next_words(struct input *input, struct input_item *item)
{
    size_t i = input->list_count;

    if (input->at_end)
        return -ENODATA;
    item->count = input->list_count;
    for (size_t j = 0; j < input->list_count; j++)
        item->values[j] = input->lists[j].words[input->lists[j].next];
    while (i > 0 && ++input->lists[i - 1].next == input->lists[i - 1].count)
        input->lists[--i].next = 0;
    input->at_end = i == 0;
    return 0;
}

/* ---- lines ---- */

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
    const char *end = memchr(line + input->looked, input->end_byte, size - input->looked);
    if (end != NULL)
        return hand_out(input, (size_t)(end - line), 1, text);
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

static int next_line(struct input *input, int wait_ms, const char **text)
{
    int result = buffered_line(input, text);

    while (result == -EAGAIN) {
        const int error = read_more(input, wait_ms);

        if (error != 0)
            return error;
        result = buffered_line(input, text);
    }
    return result;
}

int input_next(struct input *input, int wait_ms, struct input_item *item)
{
    const char *line = NULL;

    if (input->list_count > 0)
        return next_words(input, item);
    const int error = next_line(input, wait_ms, &line);
    if (error == 0)
        *item = (struct input_item){.values = {line}, .count = 1};
    return error;
}

const char *input_strerror(int error)
{
    if (error == -E2BIG)
        return "an input line is longer than 8 MiB";
    if (error == -EILSEQ)
        return "an input line holds a zero byte";
    if (error == -ENOMEM)
        return "out of memory";
    return strerror(-error);
}
