#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define TEXT_MAX (WIRE_TEXT_MAX + 512)

static _Thread_local char last_error[TEXT_MAX];

static const char *const words[] = {
    [SCOOP_OK] = "ok",
    [SCOOP_FAILED] = "failed",
    [SCOOP_CRASHED] = "crashed",
    [SCOOP_LOST] = "lost",
    [SCOOP_OVERTIME] = "ran over its time limit",
    [SCOOP_CANCELLED] = "cancelled",
    [SCOOP_REFUSED] = "refused",
    [SCOOP_EXPIRED] = "expired",
    [SCOOP_BLOCKED] = "blocked",
    [SCOOP_TIMEOUT] = "timeout",
    [SCOOP_NO_BROKER] = "no broker",
    [SCOOP_DENIED] = "denied",
    [SCOOP_NO_FUNCTION] = "no such function",
    [SCOOP_TOO_LARGE] = "too large",
    [SCOOP_NO_MEMORY] = "out of memory",
    [SCOOP_MISUSE] = "misuse",
    [SCOOP_SHUT_DOWN] = "shut down",
    [SCOOP_END] = "nothing is left",
};

const char *scoop_strerror(enum scoop_status status)
{
    const size_t index = (size_t)status;

    return index < COUNT_OF(words) ? words[index] : "unknown";
}

const char *scoop_last_error(void)
{
    return last_error;
}

int scoop_report(void)
{
    if (last_error[0] == '\0')
        return 0;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, last_error);
    return 1;
}

enum scoop_status error_set(enum scoop_status status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(last_error, sizeof(last_error), format, arguments);
    va_end(arguments);
    return status;
}

enum scoop_status error_of_job(const struct job *job)
{
    if (job->failure == NULL)
        return SCOOP_OK;
    return error_of_task(job, job->failure->index, job->count);
}

enum scoop_status error_of_task(const struct job *job, size_t index, size_t count)
{
    const struct failure *f = job->failure;
    char which[64] = "";
    char where[300] = "";
    char more[64] = "";

    if (f == NULL)
        return SCOOP_OK;
    if (count > 1)
        snprintf(which, sizeof(which), " task %zu of %zu", index, count);
    if (f->host[0] != '\0')
        snprintf(where, sizeof(where), " on host %.255s", f->host);
    if (job->failures > 1)
        snprintf(more, sizeof(more), " (and %u more did not end well)", job->failures - 1);
    return error_set(f->status, "%s:%s %s%s: %s%s", job->function->name, which,
                     scoop_strerror(f->status), where, f->text, more);
}
