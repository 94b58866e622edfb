/* Runs one command per argument on a session: at most MAPPING_WINDOW at a time, outputs whole and
 * in input order. One thread. */
#ifndef CLI_MAPPING_H
#define CLI_MAPPING_H

#include "base/err.h"
#include "input.h"
#include "progress.h"
#include "template.h"

#include <scoop.h>

/* Commands under way or waiting to be written: enough for hundreds of hosts, little enough to hold
 * the outputs of. */
#define MAPPING_WINDOW 8192

struct mapping {
    scoop_session *session;
    const struct scoop_function *command;
    struct template template;
    struct input *input;
    struct progress progress;
    bool (*ended)(void *context); /* asked while waiting: should everything stop? */
    void *context;
    const char *program; /* begins messages */

    scoop_future **window; /* ring of MAPPING_WINDOW */
    uint64_t submitted;
    uint64_t written;
    uint64_t failed;
    uint64_t first_failed; /* the number of the first command that failed, from 1 */
    uint32_t first_status; /* how it ended; 0: it never ran, and that was said at once */
    bool no_more_input;
    int64_t start_ms;
    bool told_waiting;
};

/* Run them all. 0: all commands ended with 0; -ECHILD: some did not, or could not be run (stderr
 * says how many); -ECANCELED: `ended` said so; otherwise what went wrong with input or output, said
 * on stderr. */
NODISCARD int mapping_run(struct mapping *mapping);

#endif
