/* What the fuzz targets share. A target is a file fuzz_NAME.c with LLVMFuzzerTestOneInput(): it takes any
 * bytes, and fails by a sanitizer's report or by FUZZ_CHECK. Built by clang with -fsanitize=fuzzer (preset
 * "fuzz") it searches; built otherwise it is linked with replay.c and tries the files that it is given:
 * the corpus of the tree, and every finding. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "base/wire.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it holds in every build. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Any outcome will do. */
#define FUZZ_ANY(call)                                                                             \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            break;                                                                                 \
    } while (0)

/* The input is read by a cursor: what is read past its end is zero. */
static inline size_t fuzz_left(const struct wire_cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* At most `most` of the bytes that are left. */
static inline struct wire_bytes fuzz_take(struct wire_cursor *c, size_t most)
{
    return wire_get_bytes(c, fuzz_left(c) < most ? fuzz_left(c) : most);
}

/* The rest as text, up to a zero byte. Owned by the caller: free(). */
static inline char *fuzz_text(struct wire_cursor *c)
{
    const struct wire_bytes rest = fuzz_take(c, SIZE_MAX);
    char *text = calloc(1, rest.size + 1);

    FUZZ_CHECK(text != NULL);
    if (rest.size != 0)
        memcpy(text, rest.data, rest.size);
    return text;
}

#endif
