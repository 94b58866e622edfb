/* How one try of a command ended. */
#ifndef CLI_OUTCOME_H
#define CLI_OUTCOME_H

#include "base/command.h"
#include "base/err.h"

#include <scoop.h>
#include <stdbool.h>

/* Borrowed from the future, and `text` until the thread's next call of libscoop. */
struct outcome {
    bool ran;    /* to its end: `result` is the command's */
    bool failed; /* exit code, signal, or it did not run to its end */
    /* When it did not run to its end: a code or signal that stands for why, and no output. */
    struct command_result result;
    const char *text; /* then: why, for people; else "" */
};

/* Wait for the end of the task and read it. 0, or what will be so for all further commands, with
 * only `text` set: -EIO, the cluster is gone; -EPROTO, its answer is not readable. */
NODISCARD int outcome_read(scoop_future *future, struct outcome *out);

#endif
