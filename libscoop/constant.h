/* Constants as this process knows them: those that it has set, and those that it has read. Source:
 * docs/PROTOCOL.md section 11.
 *
 * Each session has a table of its own. That of main() grows until the session is closed, for what
 * it hands out is borrowed until then; what main() has set there is set anew when the broker is
 * lost. That of a function is emptied when its task has ended. */
#ifndef LIBSCOOP_CONSTANT_H
#define LIBSCOOP_CONSTANT_H

#include "base/blob.h"
#include "job.h"

#include <uthash.h>

struct constant {
    char name[256];
    struct blob *holder; /* where the value lies */
    const uint8_t *value;
    size_t size;
    bool own; /* set here; the rest is of such ones */
    struct scoop_bytes request;
    struct scoop_bytes answer;
    struct job set;        /* the first time */
    struct job again;      /* under later links */
    struct constant *read; /* what the broker had before it answered that; owned, or NULL */
    UT_hash_handle hh;
};

/* The constants of this table that have been set, one after the other: hands out the job that sets
 * one anew, ready to be added, unless it is under way already. The session's lock is held. */
void constants_set_anew(struct constant *table,
                        void (*add)(void *context, struct job *job),
                        void *context);

/* Forget all of a table, none of which is under way. */
void constants_clear(struct constant **table);

#endif
