/* A command with places for its arguments, and what becomes of it for one item of input.
 *
 * Places, as GNU parallel has them:
 *   {}    the argument; with several lists all of them, separated by blanks, or as words of their
 *         own where the place is a whole word
 *   {N}   that of the Nth list
 *   {#}   the number of the command, from 1
 *   {.}   without its extension     {/}  without its folders
 *   {//}  its folder ("." is none)  {/.} without both
 *   {N.}, {N/}, {N//}, {N/.}: the same of the Nth list
 * A command without any place gets the arguments behind its last word.
 *
 * A command that is one word with a character that means something to a shell is a command line of
 * `sh -c`: what fills its places is quoted, so that the shell sees it as it was. Pure. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include "base/blob.h"
#include "base/err.h"
#include "input.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct template
{
    char *const *words; /* borrowed */
    size_t count;
    size_t highest; /* N of the places, 0: none has a number */
    bool has_place;
    bool is_shell;
};

/* A filled command; owned by the caller: words_fini(). All zero is empty. */
struct words {
    char **at; /* `count` words, then NULL */
    size_t count;
    struct blob *text; /* of the words */
};

void template_init(struct template *template, char *const *words, size_t count);

/* Fill the places. -ENOMEM. */
NODISCARD int template_fill(const struct template *template,
                            const struct input_item *item,
                            uint64_t number,
                            struct words *out);

/* Append the command for people, one line without its end. -ENOMEM. */
NODISCARD int
template_show(const struct template *template, const struct words *words, struct blob *out);

void words_fini(struct words *words);

#endif
