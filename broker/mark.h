/* A file that remembers which journal this broker used: Redis alone cannot tell an empty journal
 * from a lost one. Main thread, then the journal's. */
#ifndef BROKER_MARK_H
#define BROKER_MARK_H

#include "base/err.h"
#include "base/problem.h"

#define MARK_IDENTITY_BYTES 32

struct mark {
    char path[256];                         /* "": none is kept */
    char identity[MARK_IDENTITY_BYTES + 1]; /* "": none was used yet */
};

/* Read the file; a missing one is a first start. `path` NULL or "": no file. 0 or a negative errno
 * with *problem. */
NODISCARD int mark_read(struct mark *mark, const char *path, struct problem *problem);

/* Remember this identity: the file has it, whole, when this returns 0. Else a negative errno with
 * *problem. */
NODISCARD int mark_write(struct mark *mark, const char *identity, struct problem *problem);

#endif
