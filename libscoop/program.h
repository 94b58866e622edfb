/* The program as a whole: scoop_init(), its default session, and where a call goes. */
#ifndef LIBSCOOP_PROGRAM_H
#define LIBSCOOP_PROGRAM_H

#include "libscoop/include/scoop.h"

/* Which session a call that names `given` works on. SCOOP_OK: *session is it, or NULL: compute
 * serially. Inside a function it is that of its task. SCOOP_MISUSE: before scoop_init(); or what
 * scoop_init() returned.
 * Sets the last error. */
enum scoop_status program_session(scoop_session *given, scoop_session **session);

/* The same for `call`, which cannot be made inside a function: there SCOOP_MISUSE. */
enum scoop_status
program_root_session(const char *call, scoop_session *given, scoop_session **session);

/* The time (clock_now_ms) at which a call with this deadline ends; INT64_MAX: never. */
int64_t program_deadline(int deadline_ms);

/* The same for a call with these options; NULL is accepted. */
int64_t program_deadline_of(const struct scoop_options *options);

#endif
