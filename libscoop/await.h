/* Waiting as callers of the library know it: while a thread waits, the callbacks that it asked for
 * run in it. Any thread; see session.h for deadlines. */
#ifndef LIBSCOOP_AWAIT_H
#define LIBSCOOP_AWAIT_H

#include "future.h"
#include "session.h"

/* The next watch of `waiter` whose job is done. NULL: the deadline passed. */
struct watch *await_watch(scoop_session *session, struct waiter *waiter, int64_t deadline);

/* Wait until the job is done. False: the deadline passed. */
bool await_job(scoop_session *session, struct job *job, int64_t deadline);

/* Wait until a future is done, or blocked, and run the callbacks of this thread that it has. False: the
 * deadline passed. */
bool await_future(scoop_future *future, int64_t deadline);

/* Wait until it is done, or blocked, or has what the caller is curious of. False: the deadline passed. */
bool await_news(scoop_future *future, enum curiosity curiosity, int64_t deadline);

/* Wait until it is done, be it blocked meanwhile. */
bool await_end(scoop_future *future, int64_t deadline);

/* Run what callbacks of this thread are due. NULL is accepted. */
void await_callbacks(scoop_session *session);

/* Forget the callbacks of a future that will be freed. */
void callbacks_drop(scoop_future *future);

#endif
