/* Attributes and small ownership helpers that every file may use.
 *
 * Errors of calls are `int`: 0, or a negative errno value with all outputs untouched. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODISCARD                 __attribute__((warn_unused_result))
#define PRINTF(text_at, first_at) __attribute__((format(printf, text_at, first_at)))
#define CLEANUP(function)         __attribute__((cleanup(function)))

/* Number of elements of an array (never of a pointer). */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* CLEANUP(free_p) frees the pointer when it goes out of scope; steal() hands it out instead. The
 * pointer may be of any type, so its bytes are copied: to read it as a `void *` is not allowed. */
static inline void free_p(void *pointer_address)
{
    void *pointer = NULL;

    memcpy(&pointer, pointer_address, sizeof(pointer));
    free(pointer);
}

static inline void *steal(void *pointer_address)
{
    void *const none = NULL;
    void *pointer = NULL;

    memcpy(&pointer, pointer_address, sizeof(pointer));
    memcpy(pointer_address, &none, sizeof(none));
    return pointer;
}

#endif
