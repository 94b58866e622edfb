#include "options.h"

#include "base/needs.h"
#include "error.h"

#include <pthread.h>
#include <string.h>

_Static_assert(SCOOP_RETRIES_MAX == WIRE_RETRIES_MAX, "as the broker takes them");
_Static_assert(SCOOP_PRIORITY_MAX == WIRE_PRIORITY_MAX, "as the broker takes them");
_Static_assert(SCOOP_BATCH_MAX == WIRE_BATCH_MAX, "as the broker takes them");
_Static_assert(SCOOP_NEEDS_MAX == WIRE_NEEDS_MAX, "as the broker takes them");

/* What tasks of this process ever needed. Kept for ever, so that a job has a mere number, and tasks with the
 * same needs the same one. */
static struct {
    pthread_mutex_t lock;
    const char *texts[4096];
    unsigned count;
} asked = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum scoop_status
out_of_range(const struct job *job, const char *name, long long value, int min, int max)
{
    return error_set(SCOOP_MISUSE, "%s: option %s is %lld, must be between %d and %d",
                     job->function->name, name, value, min, max);
}

/* Find the text among those that were asked for before, or add it. */
static enum scoop_status keep_needs(struct job *job, const char *text)
{
    enum scoop_status status = SCOOP_OK;
    unsigned i = 0;

    pthread_mutex_lock(&asked.lock);
    while (i < asked.count && strcmp(asked.texts[i], text) != 0)
        i++;
    if (i == COUNT_OF(asked.texts))
        status = error_set(SCOOP_TOO_LARGE, "%s: option needs has another text than %u before",
                           job->function->name, i);
    else if (i == asked.count && (asked.texts[i] = strdup(text)) == NULL)
        status = error_set(SCOOP_NO_MEMORY, "%s: out of memory", job->function->name);
    else
        asked.count += i == asked.count;
    if (status == SCOOP_OK)
        job->needs = (uint16_t)(i + 1);
    pthread_mutex_unlock(&asked.lock);
    return status;
}

const char *options_needs(const struct job *job)
{
    return job->needs != 0 ? asked.texts[job->needs - 1] : "";
}

/* What a task needs, in one spelling, so that the broker sees what is the same. */
static enum scoop_status take_needs(struct job *job, const struct scoop_options *options)
{
    struct problem problem = {.text = ""};
    struct needs needs;
    char text[SCOOP_NEEDS_MAX + 1];

    if (options->needs == NULL || options->needs[0] == '\0')
        return SCOOP_OK;
    if (strlen(options->needs) > SCOOP_NEEDS_MAX)
        return error_set(SCOOP_MISUSE, "%s: option needs has %zu characters, must be at most %d",
                         job->function->name, strlen(options->needs), SCOOP_NEEDS_MAX);
    if (needs_parse(options->needs, &needs, &problem) != 0)
        return error_set(SCOOP_MISUSE, "%s: option needs is %s", job->function->name, problem.text);
    if (options->worker != 0)
        return error_set(SCOOP_MISUSE, "%s: option needs is not for tasks of one worker",
                         job->function->name);
    return keep_needs(job, needs_text(&needs, text, sizeof(text)));
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
    if (options->batch > SCOOP_BATCH_MAX)
        return out_of_range(job, "batch", options->batch, 0, SCOOP_BATCH_MAX);
    job->limit_ms = options->limit_ms;
    job->options = (struct wire_options){
        .retries = (uint16_t)options->retries,
        .backoff_ms = options->backoff_ms,
        .priority = (int8_t)options->priority,
        .expires_ms = options->expires_ms,
        .worker = options->worker,
        .batch = (uint16_t)options->batch,
        .rerun_ms = options->rerun_after_ms,
    };
    return take_needs(job, options);
}
