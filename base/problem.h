/* One line for people, carried up beside an error number: what is wrong with which thing, and what
 * is allowed. Who decides (a program's main, a loop) prints it, once. */
#ifndef BASE_PROBLEM_H
#define BASE_PROBLEM_H

#include "err.h"

struct problem {
    char text[512]; /* one line, no newline; cut to what fits */
};

/* Write the line and return `error`, so that a refusal is one statement. `problem` may be NULL. */
int problem_set(struct problem *problem, int error, const char *format, ...) PRINTF(3, 4);

#endif
