/* Tasks of a session that have a name: who submits one that is there already gets the same future. All
 * threads share one table; a call waits here only for another thread that is just submitting this key. */
#ifndef LIBSCOOP_UNIQUE_H
#define LIBSCOOP_UNIQUE_H

#include "libscoop/include/scoop.h"

#include <stdbool.h>
#include <stdint.h>

struct unique; /* one key of one session */

/* Look for a key. SCOOP_OK: *out is its future, which has one more user, or NULL: then *claim is the
 * caller's, to be given back by unique_settle(). SCOOP_MISUSE: not a key, or that of another function;
 * SCOOP_TIMEOUT: another thread is submitting it still; SCOOP_NO_MEMORY. */
enum scoop_status unique_find(const scoop_session *session,
                              const struct scoop_function *function,
                              const char *key,
                              int64_t deadline,
                              scoop_future **out,
                              struct unique **claim);

/* The task has been submitted; NULL: that failed, and the key is free. */
void unique_settle(struct unique *claim, scoop_future *future);

/* One user less of a future whose job is `named`. True: it was the last one, and the future may go. */
bool unique_leave(const scoop_future *future);

/* The session ends: its keys mean nothing any more. */
void unique_close(const scoop_session *session);

#endif
