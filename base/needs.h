/* What a worker has, and what a task needs of it: names, each with a quantity or as a bare tag.
 *
 *     gpu=1,ram=4G,ssd
 *
 * A name has letters, digits, '-', '_' and '.'; a quantity is a whole number of at least 1, with K, M, G
 * or T behind it for powers of 1024. As text it is *canonical* when needs_text() wrote it: sorted by name,
 * quantities with the largest unit that fits. Pure; any thread. Source: docs/PROTOCOL.md section 5. */
#ifndef BASE_NEEDS_H
#define BASE_NEEDS_H

#include "err.h"
#include "problem.h"

#include <stddef.h>
#include <stdint.h>

#define NEEDS_ITEMS_MAX    16
#define NEEDS_NAME_MAX     31
#define NEEDS_QUANTITY_MAX ((uint64_t)1 << 60)

/* Longest text of what one worker has, without its zero byte. */
#define NEEDS_TEXT_MAX 255

struct needs_item {
    char name[NEEDS_NAME_MAX + 1];
    uint64_t quantity; /* 0: a tag */
};

/* Sorted by name. Zeroed is empty. */
struct needs {
    unsigned count;
    struct needs_item items[NEEDS_ITEMS_MAX];
};

/* Read a text; NULL and "" are empty. -EINVAL with *problem (may be NULL) naming the text and what is
 * wrong with it; *out is untouched. */
NODISCARD int needs_parse(const char *text, struct needs *out, struct problem *problem);

/* Write the canonical text, cut to what fits; it is no longer than the text that was read. Returns
 * `text`. */
const char *needs_text(const struct needs *needs, char *text, size_t size);

/* The item of this name. NULL: there is none. Borrowed from `needs`. */
const struct needs_item *needs_find(const struct needs *needs, const char *name);

#endif
