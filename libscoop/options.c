#include "options.h"

#include "error.h"

_Static_assert(SCOOP_RETRIES_MAX == WIRE_RETRIES_MAX, "as the broker takes them");
_Static_assert(SCOOP_PRIORITY_MAX == WIRE_PRIORITY_MAX, "as the broker takes them");

static enum scoop_status
out_of_range(const struct job *job, const char *name, long long value, int min, int max)
{
    return error_set(SCOOP_MISUSE, "%s: option %s is %lld, must be between %d and %d",
                     job->function->name, name, value, min, max);
}

enum scoop_status options_apply(struct job *job, const struct scoop_options *options)
{
    if (options == NULL)
        return SCOOP_OK;
    if (options->after_count > WIRE_INPUTS_MAX)
        return error_set(SCOOP_MISUSE, "%s: option after_count is %zu, must be at most %d",
                         job->function->name, options->after_count, WIRE_INPUTS_MAX);
    if (options->after_count != 0 && job->references == 0)
        return error_set(SCOOP_MISUSE, "%s: option after is for single tasks", job->function->name);
    if (options->unique != NULL)
        return error_set(SCOOP_MISUSE, "%s: option unique is for scoop_submit()",
                         job->function->name);
    if (options->after_id_count != 0)
        return error_set(SCOOP_MISUSE, "%s: option after_ids is for durable tasks; see after",
                         job->function->name);
    if (options->retries > SCOOP_RETRIES_MAX)
        return out_of_range(job, "retries", options->retries, 0, SCOOP_RETRIES_MAX);
    if (options->backoff_ms > WIRE_BACKOFF_MAX)
        return out_of_range(job, "backoff_ms", options->backoff_ms, 0, WIRE_BACKOFF_MAX);
    if (options->priority < -SCOOP_PRIORITY_MAX || options->priority > SCOOP_PRIORITY_MAX)
        return out_of_range(job, "priority", options->priority, -SCOOP_PRIORITY_MAX,
                            SCOOP_PRIORITY_MAX);
    job->limit_ms = options->limit_ms;
    job->options = (struct wire_options){
        .retries = (uint16_t)options->retries,
        .backoff_ms = options->backoff_ms,
        .priority = (int8_t)options->priority,
        .expires_ms = options->expires_ms,
        .worker = options->worker,
    };
    return SCOOP_OK;
}
