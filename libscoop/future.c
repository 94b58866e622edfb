/* Futures: a job of one task whose places are inside the future itself. */
#include "future.h"

#include "after.h"
#include "await.h"
#include "error.h"
#include "options.h"
#include "program.h"
#include "serial.h"
#include "session.h"
#include "unique.h"

#include <string.h>

void future_destroy(struct job *job)
{
    struct scoop_future *future = (struct scoop_future *)job;

    job_fini(job);
    scoop_bytes_free(&future->result, 1);
    free(future);
}

enum scoop_status future_check(const struct scoop_function *function, size_t size)
{
    if (function == NULL)
        return error_set(SCOOP_NO_FUNCTION, "scoop_submit: there is no such function");
    const size_t limit =
        function->argument_bytes == SCOOP_VARIABLE ? SCOOP_LARGE_MAX : SCOOP_PAYLOAD_MAX;
    if (size > limit)
        return error_set(SCOOP_TOO_LARGE, "%s: an argument of %zu bytes; the limit is %zu",
                         function->name, size, limit);
    if (function->argument_bytes != SCOOP_VARIABLE && function->argument_bytes != size)
        return error_set(SCOOP_MISUSE, "%s: an argument of %zu bytes; the function takes %u",
                         function->name, size, function->argument_bytes);
    return SCOOP_OK;
}

static struct scoop_future *
future_new(const struct scoop_function *function, const void *argument, size_t size)
{
    const bool fixed = function->result_bytes != SCOOP_VARIABLE;
    struct scoop_future *future =
        malloc(sizeof(*future) + size + (fixed ? function->result_bytes : 0));

    if (future == NULL)
        return NULL;
    *future = (struct scoop_future){
        .job = {.function = function, .count = 1, .references = 1},
        .argument = {future->data, size},
    };
    if (size != 0)
        memcpy(future->data, argument, size);
    if (function->argument_bytes != SCOOP_VARIABLE)
        future->job.in = future->data;
    else
        future->job.in_each = &future->argument;
    if (fixed)
        future->job.out = future->data + size;
    else
        future->job.out_each = &future->result;
    return future;
}

/* Hand the future's job to its session, or compute it here. */
static enum scoop_status start(struct scoop_future *future, int64_t deadline)
{
    if (future->session == NULL) {
        serial_run(&future->job);
        serial_raise();
        return SCOOP_OK;
    }
    const enum scoop_status status = session_await(future->session, deadline);
    if (status != SCOOP_OK)
        return status;
    return session_add_held(future->session, &future->job, future->argument.size, deadline);
}

/* Have it wait for the futures of its options. */
static enum scoop_status wait_after(struct scoop_future *future,
                                    const struct scoop_options *options)
{
    const size_t count = options != NULL ? options->after_count : 0;

    if (count != 0 && session_is_nested(future->session))
        return error_set(SCOOP_MISUSE,
                         "%s: option after is not for functions on workers: wait there",
                         future->job.function->name);
    for (size_t i = 0; i < count; i++) {
        if (options->after[i] == NULL || options->after[i]->session != future->session)
            return error_set(SCOOP_MISUSE, "%s: after[%zu] is %s", future->job.function->name, i,
                             options->after[i] == NULL ? "NULL" : "of another session");
    }
    if (count != 0 && after_set(&future->job, options->after, (uint32_t)count) != 0)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", future->job.function->name);
    return SCOOP_OK;
}

/* Where an argument has to go in one. */
static enum scoop_status check_place(const scoop_session *session,
                                     const struct scoop_options *options,
                                     const struct scoop_function *function,
                                     size_t size)
{
    const bool nested = session_is_nested(session);

    if (size <= SCOOP_PAYLOAD_MAX || (!nested && (options == NULL || options->after_count == 0)))
        return SCOOP_OK;
    return error_set(SCOOP_TOO_LARGE, "%s: an argument of %zu bytes; the limit %s is %zu",
                     function->name, size, nested ? "inside a function" : "with option after",
                     SCOOP_PAYLOAD_MAX);
}

enum scoop_status future_submit(scoop_session *session,
                                const struct scoop_options *options,
                                const struct scoop_function *function,
                                struct scoop_bytes argument,
                                int64_t deadline,
                                scoop_future **out)
{
    enum scoop_status status = check_place(session, options, function, argument.size);
    if (status != SCOOP_OK)
        return status;
    struct scoop_future *future = future_new(function, argument.data, argument.size);
    if (future == NULL)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", function->name);
    future->session = session;
    status = options_apply(&future->job, options);
    if (status == SCOOP_OK)
        status = wait_after(future, options);
    if (status == SCOOP_OK)
        status = start(future, deadline);
    if (status == SCOOP_OK)
        *out = future;
    else
        job_unref(&future->job);
    return status;
}

/* The first one of its name is submitted, the others are it. */
static enum scoop_status submit_unique(scoop_session *session,
                                       const struct scoop_options *options,
                                       const struct scoop_function *function,
                                       struct scoop_bytes argument,
                                       scoop_future **out)
{
    struct scoop_options others = *options;
    const int64_t deadline = program_deadline_of(options);
    struct unique *claim = NULL;

    others.unique = NULL;
    if (session_is_nested(session))
        return error_set(SCOOP_MISUSE, "%s: option unique is not for functions on workers",
                         function->name);
    enum scoop_status status =
        unique_find(session, function, options->unique, deadline, out, &claim);
    if (status != SCOOP_OK || claim == NULL)
        return status;
    status = future_submit(session, &others, function, argument, deadline, out);
    unique_settle(claim, *out);
    return status;
}

scoop_future *scoop_submit_with(scoop_session *session,
                                const struct scoop_options *options,
                                const struct scoop_function *function,
                                const void *argument,
                                size_t size)
{
    scoop_session *chosen = NULL;
    scoop_future *future = NULL;

    if (future_check(function, size) != SCOOP_OK || program_session(session, &chosen) != SCOOP_OK)
        return NULL;
    const struct scoop_bytes bytes = {argument, size};
    if (options != NULL && options->unique != NULL)
        submit_unique(chosen, options, function, bytes, &future);
    else
        future_submit(chosen, options, function, bytes, program_deadline_of(options), &future);
    return future;
}

bool scoop_done(scoop_future *future)
{
    if (future == NULL)
        return false;
    if (!future_is_done(future) && future->session != NULL)
        session_look(future->session);
    return future_is_done(future);
}

enum scoop_status scoop_wait(scoop_future *future, int deadline_ms)
{
    if (future == NULL)
        return error_set(SCOOP_MISUSE, "scoop_wait: there is no future");
    const bool told = await_future(future, program_deadline(deadline_ms));
    if (future_is_done(future))
        return SCOOP_OK;
    if (told)
        return error_set(SCOOP_BLOCKED, "%s: blocked, as a task that it waits for did not end well",
                         future->job.function->name);
    return error_set(SCOOP_TIMEOUT, "%s: not done within %d ms", future->job.function->name,
                     deadline_ms);
}

/* Wait for the end, and for a good one. */
static enum scoop_status finish(scoop_future *future)
{
    const enum scoop_status status = scoop_wait(future, SCOOP_FOREVER);

    return status == SCOOP_OK ? error_of_job(&future->job) : status;
}

enum scoop_status scoop_result_bytes(scoop_future *future, struct scoop_bytes *out)
{
    const enum scoop_status status = finish(future);

    if (status != SCOOP_OK)
        return status;
    if (future->job.out_each != NULL)
        *out = future->result;
    else
        *out = (struct scoop_bytes){future->job.out, future->job.function->result_bytes};
    return SCOOP_OK;
}

enum scoop_status scoop_result_copy(scoop_future *future, void *result, size_t size)
{
    struct scoop_bytes bytes;
    const enum scoop_status status = scoop_result_bytes(future, &bytes);

    if (status != SCOOP_OK)
        return status;
    if (bytes.size != size)
        return error_set(SCOOP_MISUSE, "%s: its result has %zu bytes, not %zu",
                         future->job.function->name, bytes.size, size);
    memcpy(result, bytes.data, size);
    return SCOOP_OK;
}

bool scoop_error(scoop_future *future, struct scoop_error *out)
{
    if (future == NULL || !future_is_done(future))
        return false;
    const struct failure *failure = future->job.failure;
    *out = (struct scoop_error){
        .status = failure != NULL ? failure->status : SCOOP_OK,
        .code = failure != NULL ? failure->code : 0,
        .attempts = future->job.attempts,
        .run_us = future->job.run_us,
        .function = future->job.function->name,
        .host = failure != NULL ? failure->host : "",
        .text = failure != NULL ? failure->text : "",
    };
    return true;
}

_Static_assert((int)SCOOP_NEVER_RAN == WIRE_NEVER_RAN && (int)SCOOP_STOPPED == WIRE_STOPPED &&
                   (int)SCOOP_DISCARDED == WIRE_DISCARDED,
               "answers as the broker gives them");

enum scoop_cancelled scoop_cancel(scoop_future *future, int deadline_ms)
{
    if (future == NULL) {
        error_set(SCOOP_MISUSE, "scoop_cancel: there is no future");
        return SCOOP_UNANSWERED;
    }
    if (future->session == NULL)
        serial_cancel(&future->job);
    else if (!future_is_done(future))
        session_cancel(future->session, &future->job);
    if (!await_end(future, program_deadline(deadline_ms))) {
        error_set(SCOOP_TIMEOUT, "%s: it is not known within %d ms what became of it",
                  future->job.function->name, deadline_ms);
        return SCOOP_UNANSWERED;
    }
    const struct failure *failure = future->job.failure;
    return failure != NULL && failure->status == SCOOP_CANCELLED
               ? (enum scoop_cancelled)failure->code
               : SCOOP_TOO_LATE;
}

/* A future that did not end well. */
static enum scoop_status check_failed(const scoop_future *future, const char *call)
{
    if (future == NULL)
        return error_set(SCOOP_MISUSE, "%s: there is no future", call);
    if (!future_is_done(future))
        return error_set(SCOOP_MISUSE, "%s: %s has not ended", call, future->job.function->name);
    if (future->job.failures == 0)
        return error_set(SCOOP_MISUSE, "%s: %s ended well", call, future->job.function->name);
    return SCOOP_OK;
}

/* The same task once more, with what it waited for. NULL: the last error is set. */
static struct scoop_future *twin_of(scoop_future *failed)
{
    const struct job *old = &failed->job;
    struct scoop_future *twin =
        future_new(old->function, failed->argument.data, failed->argument.size);

    if (twin == NULL || ties_make(&twin->job) != 0 || after_copy(&twin->job, old) != 0) {
        error_set(SCOOP_NO_MEMORY, "%s: out of memory", old->function->name);
        if (twin != NULL)
            job_unref(&twin->job);
        return NULL;
    }
    twin->session = failed->session;
    twin->job.limit_ms = old->limit_ms;
    twin->job.options = old->options;
    twin->job.needs = old->needs;
    after_stand_in(&twin->job, &failed->job);
    return twin;
}

scoop_future *scoop_retry(scoop_future *failed)
{
    if (check_failed(failed, "scoop_retry") != SCOOP_OK)
        return NULL;
    struct scoop_future *twin = twin_of(failed);

    if (twin == NULL)
        return NULL;
    if (start(twin, INT64_MAX) != SCOOP_OK) {
        job_unref(&twin->job);
        return NULL;
    }
    /* From now on nobody finds blocked what waits for it. */
    if (twin->session != NULL)
        session_settle(twin->session);
    return twin;
}

enum scoop_status scoop_forgive(scoop_future *failed)
{
    const enum scoop_status status = check_failed(failed, "scoop_forgive");

    if (status != SCOOP_OK)
        return status;
    if (failed->session != NULL)
        session_forgive(failed->session, &failed->job);
    else
        serial_forgive(&failed->job);
    return SCOOP_OK;
}

void scoop_future_free(scoop_future *future)
{
    if (future == NULL || (future->job.named && !unique_leave(future)))
        return;
    callbacks_drop(future);
    if (future->session == NULL)
        serial_drop(&future->job);
    else if (future_is_done(future))
        job_unref(&future->job);
    else
        session_forget(future->session, &future->job, job_unref);
}
