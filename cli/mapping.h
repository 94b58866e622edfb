/* Runs one command per item of input on a session: at most MAPPING_WINDOW at a time, outputs whole,
 * in input order or in that of completion. One thread. */
#ifndef CLI_MAPPING_H
#define CLI_MAPPING_H

#include "base/err.h"
#include "input.h"
#include "joblog.h"
#include "progress.h"
#include "template.h"

#include <scoop.h>

/* Commands under way or waiting to be written: enough for hundreds of hosts, little enough to hold
 * the outputs of. */
#define MAPPING_WINDOW 8192

/* One command: from its submission until its output is written. */
struct mapping_job;

struct mapping {
    scoop_session *session;
    const struct scoop_function *command;
    struct template template;
    struct input *input;
    struct joblog *joblog;
    struct progress progress;
    bool (*ended)(void *context); /* asked while waiting: should everything stop? */
    void *context;
    const char *program; /* begins messages */
    uint32_t limit_ms;   /* of the run time of each try; 0: none */
    const char *needs;   /* what each needs of its worker; NULL: nothing */
    unsigned tries;      /* of a command that fails, at most; at least 1 */
    bool as_completed;   /* write each when it has ended, and not in input order */
    bool tag;            /* begin each line of output with the arguments and a tab */

    struct mapping_job *first; /* in input order: linked, owned */
    struct mapping_job **last; /* where the next one goes */
    uint64_t read;             /* items of the input */
    uint64_t skipped;          /* of those, done in an earlier run */
    uint64_t submitted;        /* commands */
    uint64_t written;          /* of those, done with */
    uint64_t failed;           /* of those */
    uint64_t first_failed;     /* the number of the first of them that was written, from 1 */
    uint32_t first_code;       /* how it ended; both 0: it never ran, and that was said at once */
    uint32_t first_signal;
    bool no_more_input;
    int64_t start_ms;
    bool told_waiting;
};

/* Run them all. 0: all commands ended with 0; -ECHILD: `failed` did not, or could not be run
 * (stderr says how many); -ECANCELED: `ended` said so; otherwise what went wrong with input, output
 * or cluster, said on stderr. */
NODISCARD int mapping_run(struct mapping *mapping);

/* Only print the commands, one a line. Needs no session. Errors as above. */
NODISCARD int mapping_show(struct mapping *mapping);

#endif
