/* Words as a shell reads them. Pure. */
#ifndef CLI_QUOTE_H
#define CLI_QUOTE_H

#include "base/blob.h"
#include "base/err.h"

#include <stddef.h>

/* Append `word` so that any POSIX shell reads it as one word: as it is when no character needs it,
 * else in single quotes. -ENOMEM. */
NODISCARD int quote_word(struct blob *out, const char *word);

/* Append words for people, one line whatever they hold: quoted as above and separated by blanks;
 * one with control characters becomes $'...', which bash reads back. -ENOMEM. */
NODISCARD int quote_line(struct blob *out, char *const *words, size_t count);

#endif
