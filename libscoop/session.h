/* A session: one client of one broker. Callers hand over jobs and wait for them; who drives its
 * loop is settled inside, see session_state.h. Not part of the public header.
 *
 * Deadlines are times of clock_now_ms(); INT64_MAX: none. */
#ifndef LIBSCOOP_SESSION_H
#define LIBSCOOP_SESSION_H

#include "base/err.h"
#include "base/problem.h"
#include "config.h"
#include "job.h"
#include "libscoop/include/scoop.h"
#include "watch.h"

#include <pthread.h>

/* Start a session's thread with these settings (copied). *out is owned by the caller:
 * session_close(). -ENOMEM, -EAGAIN: no thread; -EINVAL: the address is not usable, see *problem.
 */
NODISCARD int
session_new(const struct config *config, scoop_session **out, struct problem *problem);

/* The program whose functions this session calls. Borrowed while the session is open. */
const struct identity *session_program(const scoop_session *session);

/* The session of a function that runs on this strand: see nested.h. It has no thread and is used by
 * the strand's task alone. NULL: no memory. */
NODISCARD scoop_session *session_new_nested(struct strand *strand);

/* As scoop_close(). */
void session_close(scoop_session *session);

/* Keep what watches need after scoop_close(), which ends all jobs: for owners of watches that may
 * outlive the session. NULL is accepted. */
void session_ref(scoop_session *session);
void session_unref(scoop_session *session);

/* Wait until the broker is there: no longer than connect_ms, nor than `deadline`. Sets the last
 * error. SCOOP_OK, SCOOP_NO_BROKER, SCOOP_DENIED, SCOOP_TIMEOUT. */
enum scoop_status session_await(scoop_session *session, int64_t deadline);

/* Hand over a job, and watch and wait for it at once; it is the session's until done. */
void session_add(scoop_session *session, struct job *job);

/* The same for a job whose argument of `bytes` this process keeps: waits while what it keeps
 * already uses up the broker's credit. SCOOP_TIMEOUT: not handed over. session_add() takes no part
 * in that count. */
enum scoop_status
session_add_held(scoop_session *session, struct job *job, size_t bytes, int64_t deadline);

/* Where one caller waits, for any number of jobs. */
struct waiter {
    struct tray tray; /* first */
    pthread_cond_t condition;
    struct strand *strand; /* of the function that waits; NULL: a thread */
};

void waiter_init(struct waiter *waiter);

/* All its watches were taken or have left. */
void waiter_fini(struct waiter *waiter);

/* Have `waiter` told when `job` is done. The watch belongs to the caller. */
void session_watch(scoop_session *session,
                   struct watch *watch,
                   struct waiter *waiter,
                   struct job *job);

/* Take n watches back, told or not. */
void session_unwatch(scoop_session *session, struct watch *watches, size_t n);

/* The next watch whose job is done: of the calling thread's desk, or else of `waiter`; waits for
 * it. NULL: the deadline passed. */
struct watch *session_wait(scoop_session *session, struct waiter *waiter, int64_t deadline);

/* Without waiting, take what has come meanwhile: for callers who only look whether a job is done.
 */
void session_look(scoop_session *session);

/* The descriptor that becomes readable when a job of session_add_held() is done; made by the first
 * call, and readable then. -1: see errno. */
int session_descriptor(scoop_session *session);

/* As session_look(); the descriptor is readable again after the next end. */
void session_process(scoop_session *session);

/* Hang a watch on the calling thread's desk. It keeps the session until it is taken back. -ENOMEM.
 */
NODISCARD int session_watch_at_desk(scoop_session *session, struct watch *watch, struct job *job);

/* The next watch of the desk whose job is done. NULL: there is none. Never waits. It keeps the
 * session still. */
struct watch *session_take_from_desk(scoop_session *session);

/* Nobody will be called any more for what has ended: the function whose session it is has returned.
 */
void session_clear_desk(scoop_session *session);

/* Take back a watch of a desk, of whichever thread, taken or not. */
void session_unwatch_at_desk(scoop_session *session, struct watch *watch);

/* Leave a job that may not be done. Returns when its places are not touched any more; `release` is
 * called for it by whoever is last. The job must not be used afterwards. */
void session_abandon(scoop_session *session, struct job *job, void (*release)(struct job *));

/* The same without waiting, for a job whose places are its own. */
void session_forget(scoop_session *session, struct job *job, void (*release)(struct job *));

/* Ask for the end of a job of one task; its outcome says what became of it. Returns when the request
 * was taken: the job may be left then. */
void session_cancel(scoop_session *session, struct job *job);

/* Returns when all that was handed over has been taken in. */
void session_settle(scoop_session *session);

/* Is it that of a function that runs on a worker? */
bool session_is_nested(const scoop_session *session);

/* Let those that wait for this job, which did not end well, go on. */
void session_forgive(scoop_session *session, struct job *job);

struct query {
    struct blob *status; /* the STATUS frame; owned by the asker */
    struct query *next;
};

/* Ask the broker for its status. SCOOP_OK: query->status is set; SCOOP_TIMEOUT, SCOOP_NO_BROKER,
 * SCOOP_DENIED. */
enum scoop_status session_ask(scoop_session *session, struct query *query, int64_t deadline);

#endif
