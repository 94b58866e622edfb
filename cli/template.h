/* A command line with places for one argument. Pure. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include "base/blob.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct template
{
    char *const *words; /* borrowed */
    size_t count;
    bool has_place; /* some word contains "{}" */
};

void template_init(struct template *template, char *const *words, size_t count);

/* Append the argument of the builtin "command" for the command line with `argument` in place of
 * each "{}", or behind the last word when there is none. Errors: command_put_words(). */
NODISCARD int
template_fill(const struct template *template, const char *argument, struct blob *out);

#endif
