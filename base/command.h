/* What the builtin function "command" of scoop-worker takes and gives: a command line, and what it
 * wrote. Used by `scoop map` and by the worker. Integers are big-endian as everywhere on the wire.
 *
 * Argument: u32 count, then each word as u32 length and bytes (no zero byte). The first word is the
 * program, looked up in PATH. Result: u32 exit code, u32 signal, u64 start, u64 run time, text host,
 * u32 length and bytes of stdout, the same of stderr.
 *
 * A command that ran is a task that ended well, whatever its exit code. One that could not be
 * started fails its task (WIRE_FAILED) with code 127 (not found) or 126 and a text that names the
 * command. "command_strict" is the same, but one with another exit code than 0, or that a signal ended,
 * fails its task: with that code, or 128 + signal, and the last line of its stderr.
 *
 * The results that its task waits for are the command's stdin, one behind the other: of a command what
 * it wrote to stdout, any other as it is. Without any, stdin is empty. */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "blob.h"
#include "err.h"
#include "wire.h"

#include <stdint.h>

#define COMMAND_WORDS_MAX 65536

/* Append the argument for `count` words. -EINVAL: no word, or more than COMMAND_WORDS_MAX; -E2BIG:
 * above WIRE_PAYLOAD_MAX; -ENOMEM. */
NODISCARD int command_put_words(struct blob *b, char *const *words, size_t count);

/* Decode an argument into a NULL-terminated array for execvp(), one allocation, owned by the caller
 * (free()). -EPROTO: malformed; -ENOMEM. */
NODISCARD int command_get_words(const uint8_t *data, size_t size, char ***words);

struct command_result {
    uint32_t code;          /* exit code; 0 when a signal ended it */
    uint32_t signal;        /* that ended it; 0: none */
    uint64_t start_us;      /* by the worker's wall clock, since 1970-01-01 UTC */
    uint64_t run_us;        /* from start to end */
    struct wire_bytes host; /* text: the worker's */
    struct wire_bytes out;
    struct wire_bytes err;
};

NODISCARD int command_put_result(struct blob *b, const struct command_result *result);

/* Decode a result; the views point into `data`. -EPROTO: malformed. */
NODISCARD int command_get_result(const uint8_t *data, size_t size, struct command_result *out);

#endif
