/* The verbs of the `scoop` command: one file each, one row each in verbs.c. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include "base/err.h"
#include "base/settings.h"

/* Exit codes of all verbs, unless a verb says otherwise. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

struct verb {
    const char *name;
    const char *about;               /* one line */
    const struct settings *settings; /* for completion */
    /* argv[0] is "scoop NAME". Returns the exit code. */
    int (*run)(int argc, char **argv);
};

extern const struct verb verb_run;
extern const struct verb verb_map;
extern const struct verb verb_each;
extern const struct verb verb_submit;
extern const struct verb verb_wait;
extern const struct verb verb_result;
extern const struct verb verb_cancel;
extern const struct verb verb_retry;
extern const struct verb verb_forgive;
extern const struct verb verb_tasks;
extern const struct verb verb_const;
extern const struct verb verb_info;
extern const struct verb verb_workers;
extern const struct verb verb_status;
extern const struct verb verb_keys;
extern const struct verb verb_completion;

/* All of them, in the order of the help text; NULL ends it. */
extern const struct verb *const verbs[];

/* NULL: there is none of this name. */
const struct verb *verb_find(const char *name);

#endif
