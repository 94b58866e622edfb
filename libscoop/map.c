/* scoop_map() and its relatives: one job for the whole call, its places the caller's own arrays. */
#include "map.h"

#include "await.h"
#include "error.h"
#include "options.h"
#include "program.h"
#include "serial.h"
#include "session.h"

static void job_free(struct job *job)
{
    job_fini(job);
    free(job);
}

enum scoop_status
map_check(const struct scoop_function *function, size_t in_bytes, size_t out_bytes, size_t n)
{
    if (function == NULL)
        return error_set(SCOOP_NO_FUNCTION, "scoop_map: there is no such function");
    if (in_bytes != function->argument_bytes || out_bytes != function->result_bytes)
        return error_set(
            SCOOP_MISUSE, "%s: elements of %zu and %zu bytes; the function takes %u and gives %u",
            function->name, in_bytes, out_bytes, function->argument_bytes, function->result_bytes);
    if (in_bytes > SCOOP_PAYLOAD_MAX && in_bytes != SCOOP_VARIABLE)
        return error_set(SCOOP_TOO_LARGE, "%s: arguments of %zu bytes are above the limit of %zu",
                         function->name, in_bytes, SCOOP_PAYLOAD_MAX);
    if (n > UINT32_MAX)
        return error_set(SCOOP_TOO_LARGE, "%s: %zu tasks; one call takes at most %u",
                         function->name, n, UINT32_MAX);
    return SCOOP_OK;
}

/* Run a job to its end or the deadline; it is freed in every case. */
static enum scoop_status run(scoop_session *session, struct job *job, int64_t deadline)
{
    enum scoop_status status = SCOOP_OK;

    if (session == NULL) {
        serial_run(job);
    } else {
        status = session_await(session, deadline);
        if (status != SCOOP_OK) {
            job_free(job);
            return status;
        }
        session_add(session, job);
        if (!await_job(session, job, deadline)) {
            const char *name = job->function->name;

            session_abandon(session, job, job_free);
            return error_set(SCOOP_TIMEOUT, "%s: not all tasks ended before the deadline", name);
        }
    }
    status = error_of_job(job);
    job_free(job);
    return status;
}

/* Is one of the arguments too large for where the job goes? */
static enum scoop_status check_arguments(const scoop_session *session, const struct job *job)
{
    const bool nested = session_is_nested(session);
    const size_t limit = nested ? SCOOP_PAYLOAD_MAX : SCOOP_LARGE_MAX;
    uint32_t i = 0;

    while (i < job->count && (job->in_each == NULL || job->in_each[i].size <= limit))
        i++;
    if (i == job->count)
        return SCOOP_OK;
    return error_set(SCOOP_TOO_LARGE, "%s: argument %u has %zu bytes; the limit%s is %zu",
                     job->function->name, i, job->in_each[i].size,
                     nested ? " inside a function" : "", limit);
}

static enum scoop_status
map(scoop_session *given, const struct scoop_options *options, const struct job *wanted)
{
    scoop_session *session = NULL;
    struct job checked = *wanted;
    enum scoop_status status = options_apply(&checked, options);

    if (status == SCOOP_OK)
        status = program_session(given, &session);
    if (status == SCOOP_OK)
        status = check_arguments(session, wanted);
    if (status != SCOOP_OK || wanted->count == 0)
        return status;
    struct job *job = malloc(sizeof(*job));
    if (job == NULL)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", wanted->function->name);
    *job = checked;
    return run(session, job, program_deadline_of(options));
}

enum scoop_status scoop_map_with(scoop_session *session,
                                 const struct scoop_options *options,
                                 const struct scoop_function *function,
                                 const void *in,
                                 size_t in_bytes,
                                 void *out,
                                 size_t out_bytes,
                                 size_t n)
{
    const enum scoop_status status = map_check(function, in_bytes, out_bytes, n);

    if (status != SCOOP_OK)
        return status;
    const struct job job = {
        .function = function,
        .count = (uint32_t)n,
        .in = in,
        .out = out,
    };
    return map(session, options, &job);
}

enum scoop_status scoop_map_bytes(scoop_session *session,
                                  const struct scoop_options *options,
                                  const struct scoop_function *function,
                                  const struct scoop_bytes *in,
                                  struct scoop_bytes *out,
                                  size_t n)
{
    /* First of all, so that the caller may free them after any error. */
    for (size_t i = 0; i < n; i++)
        out[i] = (struct scoop_bytes){NULL, 0};
    const enum scoop_status status = map_check(function, SCOOP_VARIABLE, SCOOP_VARIABLE, n);
    if (status != SCOOP_OK)
        return status;
    const struct job job = {
        .function = function,
        .count = (uint32_t)n,
        .in_each = in,
        .out_each = out,
    };
    return map(session, options, &job);
}

void scoop_bytes_free(struct scoop_bytes *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)bytes[i].data);
        bytes[i] = (struct scoop_bytes){NULL, 0};
    }
}
