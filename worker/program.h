/* Programs that tasks ask for: found in the program path by base name, and the same file as the
 * client's, which the SHA-256 decides. One thread. */
#ifndef WORKER_PROGRAM_H
#define WORKER_PROGRAM_H

#include "base/err.h"
#include "base/wire.h"
#include "store.h"
#include "task.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PROGRAM_NAME_MAX     255
#define PROGRAM_SHA256_BYTES 32

struct executor;

struct program {
    char name[PROGRAM_NAME_MAX + 1]; /* base name; "" means scoop-worker itself */
    uint8_t sha256[PROGRAM_SHA256_BYTES];
    bool named_badly;  /* not the base name of a file: never found */
    bool stuck;        /* it is refused for another reason than that its file is not here */
    bool sent;         /* the file is one of the store's, and not of the image */
    char *path;        /* owned; of the file to run; NULL: not found yet */
    char *refusal;     /* owned; why it cannot run here: one line; NULL: it can, or nobody looked */
    int64_t looked_ms; /* when it was looked for last */
    struct function **functions; /* owned, by index */
    uint32_t function_count;
    struct task_queue lacking; /* tasks that wait until the file is here */
    struct need need;          /* for the first of them */
    struct executor *idle;     /* utlist DL of executors, see pool.h */
    struct executor *waiting;
    struct executor *busy;
    struct program *next;
};

/* A program that was not looked for yet. The name comes from a client and may be anything. NULL:
 * out of memory. */
NODISCARD struct program *program_new(struct wire_bytes name,
                                      const uint8_t sha256[PROGRAM_SHA256_BYTES]);

/* What to call it in logs and as argv[0]. Borrowed. */
static inline const char *program_label(const struct program *program)
{
    return program->name[0] != '\0' ? program->name : "scoop-worker";
}

/* With its functions. NULL is accepted. */
void program_free(struct program *program);

/* Its function with this name and these sizes, made if new. NULL: out of memory, or too many.
 * Borrowed. */
NODISCARD struct function *program_function(struct program *program,
                                            const struct wire_function *wire);

/* Look for the file in `folders` ("DIR:DIR"); the first one of that name counts. Sets path, or
 * refusal (host, path and both hashes, or the folders). Returns 0; -ENOENT: refused; -ENOMEM. A
 * file that has not changed since (inode, size, time) is not hashed again. Reads the whole file:
 * milliseconds. */
NODISCARD int
program_look(struct program *program, const char *folders, const char *host, int64_t now_ms);

/* Its file is this memory file. -ENOMEM. */
NODISCARD int program_use(struct program *program, int fd);

/* It was found, but cannot run here: `text` says why, until it is looked for again. */
void program_refuse(struct program *program, const char *text, int64_t now_ms);

#endif
