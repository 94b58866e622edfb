/* A progress bar on stderr, for people: nothing is written unless stderr is a terminal. One thread.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool shown; /* stderr is a terminal */
    bool drawn; /* the line holds a bar now */
    int64_t start_ms;
    int64_t drawn_ms;
};

void progress_init(struct progress *progress);

/* Draw the bar anew, at most ten times a second. total 0: not known (yet). */
void progress_update(struct progress *progress, size_t done, size_t failed, size_t total);

/* Take the bar away, before something else is written or at the end. */
void progress_clear(struct progress *progress);

#endif
