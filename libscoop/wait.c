/* Waiting for the first or for all of many futures. */
#include "await.h"
#include "error.h"
#include "program.h"

#include <stdlib.h>

/* The first that is done. n: none is. */
static size_t find_done(scoop_future *const *futures, size_t n)
{
    size_t i = 0;

    while (i < n && (futures[i] == NULL || !future_is_done(futures[i])))
        i++;
    return i;
}

/* *session is that of all of them. SCOOP_END: there is none. */
static enum scoop_status
common_session(scoop_future *const *futures, size_t n, scoop_session **session)
{
    enum scoop_status status = SCOOP_END;

    for (size_t i = 0; i < n; i++) {
        if (futures[i] == NULL)
            continue;
        if (status == SCOOP_OK && futures[i]->session != *session)
            return error_set(SCOOP_MISUSE, "scoop_wait_any: future %zu is of another session", i);
        *session = futures[i]->session;
        status = SCOOP_OK;
    }
    return status;
}

/* None is done. True: *index is. */
static bool wait_for_first(scoop_future *const *futures,
                           size_t n,
                           scoop_session *session,
                           struct watch *watches,
                           int64_t deadline,
                           size_t *index)
{
    struct waiter waiter;

    waiter_init(&waiter);
    for (size_t i = 0; i < n; i++) {
        watches[i] = (struct watch){.index = i};
        if (futures[i] != NULL)
            session_watch(session, &watches[i], &waiter, &futures[i]->job);
    }
    const struct watch *first = await_watch(session, &waiter, deadline);
    session_unwatch(session, watches, n);
    waiter_fini(&waiter);
    if (first != NULL)
        *index = first->index;
    return first != NULL;
}

enum scoop_status
scoop_wait_any(scoop_future *const *futures, size_t n, int deadline_ms, size_t *index)
{
    const int64_t deadline = program_deadline(deadline_ms);
    const size_t done = find_done(futures, n);
    scoop_session *session = NULL;

    if (done < n) {
        *index = done;
        return scoop_wait(futures[done], 0);
    }
    const enum scoop_status status = common_session(futures, n, &session);
    if (status != SCOOP_OK)
        return status;
    struct watch *watches = calloc(n, sizeof(*watches));
    if (watches == NULL)
        return error_set(SCOOP_NO_MEMORY, "scoop_wait_any: no memory for %zu futures", n);
    const bool found = wait_for_first(futures, n, session, watches, deadline, index);
    free(watches);
    if (found)
        return SCOOP_OK;
    return error_set(SCOOP_TIMEOUT, "none of %zu futures was done within %d ms", n, deadline_ms);
}

enum scoop_status
scoop_wait_all(scoop_future *const *futures, size_t n, int deadline_ms, size_t *done)
{
    const int64_t deadline = program_deadline(deadline_ms);
    size_t ended = 0;
    size_t blocked = 0;
    bool in_time = true;

    for (size_t i = 0; i < n; i++) {
        if (futures[i] != NULL && in_time)
            in_time = await_future(futures[i], deadline);
        if (futures[i] == NULL || future_is_done(futures[i]))
            ended++;
        else
            blocked += in_time;
    }
    if (done != NULL)
        *done = ended;
    if (ended == n)
        return SCOOP_OK;
    if (in_time)
        return error_set(SCOOP_BLOCKED, "%zu of %zu futures are blocked", blocked, n);
    return error_set(SCOOP_TIMEOUT, "%zu of %zu futures were not done within %d ms", n - ended, n,
                     deadline_ms);
}
