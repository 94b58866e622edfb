/* Callbacks. Invariant: a callback hangs on its thread's desk, or is due there, exactly as long as
 * it is in its future's list; it leaves both before it is called, so that it may free the future.
 */
#include "await.h"

#include "error.h"

#include <stdlib.h>

struct callback {
    struct watch watch; /* first */
    scoop_future *future;
    scoop_callback *call;
    void *context;
    struct callback *next; /* of the same future */
};

static void unlink_callback(struct callback *callback)
{
    struct callback **place = &callback->future->callbacks;

    while (*place != callback)
        place = &(*place)->next;
    *place = callback->next;
}

static void run_callback(struct watch *watch)
{
    const struct callback callback = *(struct callback *)watch;

    unlink_callback((struct callback *)watch);
    session_unwatch_at_desk(callback.future->session, watch);
    free(watch);
    callback.call(callback.future, callback.context);
}

void callbacks_drop(scoop_future *future)
{
    while (future->callbacks != NULL) {
        struct callback *callback = future->callbacks;

        unlink_callback(callback);
        session_unwatch_at_desk(future->session, &callback->watch);
        free(callback);
    }
}

void await_callbacks(scoop_session *session)
{
    struct watch *watch = NULL;

    while (session != NULL && (watch = session_take_from_desk(session)) != NULL)
        run_callback(watch);
}

struct watch *await_watch(scoop_session *session, struct waiter *waiter, int64_t deadline)
{
    /* Computed serially: all is done. */
    if (session == NULL)
        return tray_take(&waiter->tray);
    for (;;) {
        struct watch *watch = session_wait(session, waiter, deadline);

        if (watch == NULL || watch->tray == &waiter->tray)
            return watch;
        run_callback(watch);
    }
}

static bool await(scoop_session *session,
                  struct job *job,
                  bool patient,
                  enum curiosity curiosity,
                  int64_t deadline)
{
    struct waiter waiter;
    struct watch watch = {.index = 0};

    if (session == NULL)
        return true; /* computed serially: it is done, or blocked */
    waiter_init(&waiter);
    waiter.tray.patient = patient;
    waiter.tray.curiosity = curiosity;
    session_watch(session, &watch, &waiter, job);
    const bool told = await_watch(session, &waiter, deadline) != NULL;
    if (!told)
        session_unwatch(session, &watch, 1);
    waiter_fini(&waiter);
    return told;
}

bool await_job(scoop_session *session, struct job *job, int64_t deadline)
{
    return await(session, job, true, CURIOUS_OF_NOTHING, deadline);
}

/* What was blocked may be no more when its waiter wakes. */
bool await_future(scoop_future *future, int64_t deadline)
{
    bool told = true;

    if (future_is_done(future) && future->callbacks == NULL)
        return true;
    do {
        told = await(future->session, &future->job, false, CURIOUS_OF_NOTHING, deadline);
    } while (told && !future_is_done(future) && !atomic_load(&future->job.blocked));
    return told;
}

bool await_news(scoop_future *future, enum curiosity curiosity, int64_t deadline)
{
    return await(future->session, &future->job, false, curiosity, deadline);
}

bool await_end(scoop_future *future, int64_t deadline)
{
    return future_is_done(future) ||
           await(future->session, &future->job, true, CURIOUS_OF_NOTHING, deadline);
}

enum scoop_status scoop_then(scoop_future *future, scoop_callback *call, void *context)
{
    if (future == NULL || call == NULL)
        return error_set(SCOOP_MISUSE, "scoop_then: there is no %s",
                         future == NULL ? "future" : "function to call");
    if (future_is_done(future)) {
        if (future->callbacks != NULL)
            await_callbacks(future->session);
        call(future, context);
        return SCOOP_OK;
    }
    if (future->session == NULL)
        return error_set(SCOOP_BLOCKED, "scoop_then: %s is blocked", future->job.function->name);
    struct callback *callback = malloc(sizeof(*callback));
    if (callback == NULL)
        return error_set(SCOOP_NO_MEMORY, "scoop_then: out of memory");
    *callback = (struct callback){
        .future = future,
        .call = call,
        .context = context,
        .next = future->callbacks,
    };
    if (session_watch_at_desk(future->session, &callback->watch, &future->job) != 0) {
        free(callback);
        return error_set(SCOOP_NO_MEMORY, "scoop_then: out of memory");
    }
    future->callbacks = callback;
    return SCOOP_OK;
}
