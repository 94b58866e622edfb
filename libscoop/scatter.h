/* Values that were scattered: those of this process, which hosts fetch when a function of theirs reads one;
 * and on an executor those that its functions have read. Source: docs/PROTOCOL.md section 4, "Values".
 *
 * Each session of a root has a table of its own; bytes stay the caller's. On an executor a value is mapped
 * once, for all its tasks, and let go when none uses it and there is nothing else to do. */
#ifndef LIBSCOOP_SCATTER_H
#define LIBSCOOP_SCATTER_H

#include "base/wire.h"
#include "libscoop/include/scoop.h"

#include <stdbool.h>
#include <uthash.h>

struct scattered {
    struct scoop_ref ref;
    const uint8_t *data; /* borrowed */
    bool lent;           /* hosts may have it */
    UT_hash_handle hh;   /* by ref.id */
};

struct value_use; /* of a value, by a task */

/* Read at most `size` bytes of the value with this key: as a client_lend. The session's lock is not held. */
size_t scattered_lend(scoop_session *session,
                      const struct wire_cargo *cargo,
                      uint8_t *data,
                      size_t size,
                      uint64_t *total,
                      const char **why);

/* What hosts may let go, as a FORGET without its header: owned by the caller, and taken out. NULL: nothing. The
 * lock is held. */
struct blob *scattered_take_freed(scoop_session *session);

/* Forget all of a table. */
void scattered_clear(struct scattered **table);

/* On an executor: the task whose session this is has ended. */
void values_release(scoop_session *session);

/* On an executor: unmap what no task uses. */
void values_let_go(void);

#endif
