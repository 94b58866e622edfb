/* Where the arguments of `scoop map` come from: the lists of words behind ":::", combined each with
 * each, or the lines of a descriptor. One thread. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line: it must fit an argument of a task. */
#define INPUT_LINE_MAX ((size_t)8 << 20)

/* Most lists of words. */
#define INPUT_LISTS_MAX 9

/* The arguments of one command: one word of each list, or one line. Borrowed until the next call.
 */
struct input_item {
    const char *values[INPUT_LISTS_MAX];
    size_t count;
};

struct input_list {
    char *const *words;
    size_t count;
    size_t next; /* the word of the next item */
};

struct input {
    struct input_list lists[INPUT_LISTS_MAX];
    size_t list_count; /* 0: read lines */
    int fd;
    char end_byte; /* of a line */
    char *buffer;  /* bytes read and not yet handed out: begin ... end */
    size_t capacity;
    size_t begin;
    size_t end;
    size_t looked; /* bytes from `begin` on that hold no end of a line */
    bool at_end;   /* of the file, or of the words */
};

/* Take words, split into lists at each ":::". The last list's words alternate fastest.
 * -E2BIG: more than INPUT_LISTS_MAX lists. */
NODISCARD int input_of_words(struct input *input, char *const *words, size_t count);

/* Take what is read from `fd`, whose lines end in `end_byte`. */
void input_of_lines(struct input *input, int fd, char end_byte);

void input_fini(struct input *input);

/* The next item. Waits for a line no longer than wait_ms (-1: until there is one). 0: *item is it;
 * -EAGAIN: none yet; -ENODATA: there are no more; -E2BIG: a line is longer than INPUT_LINE_MAX;
 * -EILSEQ: it holds a zero byte; -ENOMEM; or what read() gave. */
NODISCARD int input_next(struct input *input, int wait_ms, struct input_item *item);

/* What an error of input_next() means, for people. */
const char *input_strerror(int error);

/* How many items there are in all; 0: not known. */
uint64_t input_total(const struct input *input);

#endif
