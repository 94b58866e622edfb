/* The functions that this program can run as tasks, by name.
 *
 * SCOOP_FUNCTION and its relatives define one `struct scoop_function` with static storage each and register it
 * from a constructor, before main(). From then on the registry is only read: any thread. */
#ifndef LIBSCOOP_FUNCTION_H
#define LIBSCOOP_FUNCTION_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* As a size of arguments or results: each has its own length (the same value as WIRE_VARIABLE). */
#define SCOOP_VARIABLE UINT32_MAX

/* Bytes of variable size. As a result: `data` comes from malloc() and the caller of `invoke` frees it. */
struct scoop_bytes {
    void *data;
    size_t size;
};

struct scoop_function {
    const char *name;
    uint32_t argument_bytes; /* or SCOOP_VARIABLE */
    uint32_t result_bytes;   /* or SCOOP_VARIABLE */
    /* Run it once. `argument` is aligned to 16 bytes and valid during the call. Fixed size: `result` has room
     * for result_bytes, aligned to 16. Variable size: `result` is a zeroed struct scoop_bytes to fill in. */
    void (*invoke)(const void *argument, size_t argument_bytes, void *result);
    struct scoop_function *next; /* of the registry */
};

/* Add a function; borrowed for ever. A second one of the same name ends the program with one line on
 * stderr (exit 2): which of the two a task meant could not be known. */
void function_register(struct scoop_function *function);

/* The function of that name (`length` bytes), NULL if there is none. */
const struct scoop_function *function_find(const char *name, size_t length);

#endif
