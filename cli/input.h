/* Where the arguments of `scoop map` come from: the words behind ":::", or the lines of a
 * descriptor. One thread. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest line: it must fit an argument of a task. */
#define INPUT_LINE_MAX ((size_t)8 << 20)

struct input {
    char *const *words; /* NULL: read lines */
    size_t word_count;
    size_t next_word;
    int fd;
    char *buffer; /* bytes read and not yet handed out: begin ... end */
    size_t capacity;
    size_t begin;
    size_t end;
    size_t looked; /* bytes from `begin` on that hold no newline */
    bool at_end;   /* of the file */
};

void input_of_words(struct input *input, char *const *words, size_t count);
void input_of_lines(struct input *input, int fd);
void input_fini(struct input *input);

/* The next argument, without its newline; borrowed until the next call. Waits for a line no longer
 * than wait_ms (-1: until there is one). 0: *text is it; -EAGAIN: none yet; -ENODATA: there are no
 * more; -E2BIG: a line is longer than INPUT_LINE_MAX; -EILSEQ: it holds a zero byte; -ENOMEM; or
 * what read() gave. */
NODISCARD int input_next(struct input *input, int wait_ms, const char **text);

/* How many arguments there are in all; 0: not known. */
size_t input_total(const struct input *input);

#endif
