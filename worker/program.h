/* Programs that tasks ask for: found in the program path by base name, and the same file as the client's, which the
 * SHA-256 decides. One thread. */
#ifndef WORKER_PROGRAM_H
#define WORKER_PROGRAM_H

#include "base/err.h"
#include "base/wire.h"
#include "task.h"

#include <limits.h>
#include <stdint.h>
#include <time.h>

#define PROGRAM_NAME_MAX     255
#define PROGRAM_SHA256_BYTES 32

struct executor;

struct program {
    char name[PROGRAM_NAME_MAX + 1]; /* base name; "" means scoop-worker itself */
    uint8_t sha256[PROGRAM_SHA256_BYTES];
    char path[PATH_MAX];         /* of the file to run, once found */
    char refusal[1024];          /* why it cannot run here: one line; "" means that it can */
    int64_t looked_ms;           /* when it was looked for last */
    struct function **functions; /* owned, by index */
    uint32_t function_count;
    struct executor *idle; /* utlist DL of executors, see pool.h */
    struct executor *busy;
    struct program *next;
};

/* A program that was not looked for yet. NULL: out of memory, or the name is too long or has a '/'. */
NODISCARD struct program *program_new(struct wire_bytes name,
                                      const uint8_t sha256[PROGRAM_SHA256_BYTES]);

/* With its functions. NULL is accepted. */
void program_free(struct program *program);

/* Its function with this name and these sizes, made if new. NULL: out of memory, or too many. Borrowed. */
NODISCARD struct function *program_function(struct program *program,
                                            const struct wire_function *wire);

/* Look for the file in `folders` ("DIR:DIR"); the first one of that name counts. Sets path, or refusal (host, path and
 * both hashes, or the folders). Returns 0, or -ENOENT with the refusal set. A file that has not changed since (inode,
 * size, time) is not hashed again. Reads the whole file: milliseconds. */
NODISCARD int
program_look(struct program *program, const char *folders, const char *host, int64_t now_ms);

#endif
