/* The verbs of the `scoop` command: one file each, one row each in main.c. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include "base/err.h"

/* Exit codes of all verbs, unless a verb says otherwise. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

struct verb {
    const char *name;
    const char *about; /* one line */
    /* argv[0] is "scoop NAME". Returns the exit code. */
    int (*run)(int argc, char **argv);
};

int verb_run(int argc, char **argv);
int verb_map(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_workers(int argc, char **argv);
int verb_status(int argc, char **argv);

#endif
