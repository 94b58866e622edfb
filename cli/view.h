/* The cluster as lines of text: what `scoop status` shows. Pure. */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "base/blob.h"
#include "base/err.h"

#include <scoop.h>
#include <stdint.h>

struct view {
    const char *broker;                /* its address, without scheme */
    const struct scoop_cluster *now;   /* NULL: it never answered */
    const struct scoop_cluster *since; /* an older state, for the rates; NULL: there is none */
    int64_t since_ms;                  /* how much older */
    const char *trouble;               /* why there is no newer state; "": there is */
    unsigned rows;                     /* of the screen; 0: as many as it takes */
    unsigned columns;                  /* lines are cut there; 0: they are not */
    const char *line_end;              /* of all but the last line */
};

/* Append the lines. -ENOMEM. */
NODISCARD int view_write(const struct view *view, struct blob *out);

#endif
