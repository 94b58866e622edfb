/* Run a command and catch what it prints. */
#ifndef WORKER_CAPTURE_H
#define WORKER_CAPTURE_H

#include "base/blob.h"
#include "base/err.h"

#include <stdint.h>

/* Most bytes of stdout and of stderr: both fit one result. What is longer is cut, and the note
 * stands at its end, within this limit. */
#define CAPTURE_STREAM_MAX (((size_t)8 << 20) - 64)
#define CAPTURE_CUT_NOTE   "\n[cut: more than 8 MiB]\n"

struct capture {
    uint32_t code;     /* exit code; 0 when a signal ended it */
    uint32_t signal;   /* that ended it; 0: none */
    uint64_t start_us; /* by the wall clock, since 1970-01-01 UTC */
    uint64_t run_us;   /* from start to end */
    struct blob *out;  /* owned */
    struct blob *err;  /* owned */
};

/* Run words[0] (looked up in PATH) with this stdin (borrowed; -1: that of this process, /dev/null), wait for its end, and kill what is
 * left of its process group. The command is killed when the calling thread ends. 0, or a
 * negative errno of exec, pipe, fork or memory; on success the caller frees with capture_fini(). */
NODISCARD int capture_command(char *const *words, int input, struct capture *out);

void capture_fini(struct capture *capture);

#endif
