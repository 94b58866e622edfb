/* COMMAND and the arguments to run it for, as `scoop map` and `scoop submit` take them: behind ":::",
 * or the lines of a file. Main thread. */
#ifndef CLI_OPERANDS_H
#define CLI_OPERANDS_H

#include "base/err.h"
#include "input.h"
#include "template.h"

#include <stdbool.h>
#include <stddef.h>

struct operands_options {
    const char *program;   /* begins messages */
    const char *file;      /* lines are read from it, "-" is standard input; NULL: none is named */
    bool null_ends;        /* lines end in a zero byte */
    bool lines_by_default; /* no ":::" and no file means standard input, and not: no arguments */
};

/* Split `words` at the first ":::". *template borrows them; *input is to be ended by input_fini(), and
 * is left alone where there are no arguments: *has_input tells. -EINVAL: one line on stderr says what
 * is wrong. */
NODISCARD int operands_read(const struct operands_options *options,
                            char **words,
                            size_t count,
                            struct template *template,
                            struct input *input,
                            bool *has_input);

#endif
