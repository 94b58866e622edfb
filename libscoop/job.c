#include "job.h"

#include "news.h"

#include <stdio.h>
#include <string.h>

static const enum scoop_status status_of[WIRE_OUTCOME_END] = {
    [WIRE_OK] = SCOOP_OK,
    [WIRE_FAILED] = SCOOP_FAILED,
    [WIRE_CRASHED] = SCOOP_CRASHED,
    [WIRE_LOST] = SCOOP_LOST,
    [WIRE_TIMEOUT] = SCOOP_OVERTIME,
    [WIRE_CANCELLED] = SCOOP_CANCELLED,
    [WIRE_REFUSED_TASK] = SCOOP_REFUSED,
    [WIRE_EXPIRED] = SCOOP_EXPIRED,
    [WIRE_BLOCKED] = SCOOP_BLOCKED,
};

enum scoop_status job_status_of(enum wire_outcome outcome)
{
    return status_of[outcome];
}

/* Stands for a failure that there was no memory to keep. */
static struct failure no_memory = {
    .status = SCOOP_NO_MEMORY,
    .host = "",
    .text = "no memory to keep the reason of a failure",
};

struct wire_bytes job_argument(const struct job *job, uint32_t index)
{
    if (job->in_each != NULL)
        return (struct wire_bytes){job->in_each[index].data, job->in_each[index].size};
    const size_t size = job->function->argument_bytes;
    return (struct wire_bytes){job->in + index * size, size};
}

struct wire_bytes job_value(const struct job *job)
{
    if (job->out_each != NULL)
        return (struct wire_bytes){job->out_each[0].data, job->out_each[0].size};
    return (struct wire_bytes){job->out, job->function->result_bytes};
}

static struct failure *
failure_new(uint32_t index, enum scoop_status status, const struct wire_failure *wire)
{
    struct failure *failure = malloc(sizeof(*failure) + wire->host.size + wire->text.size + 2);

    if (failure == NULL)
        return &no_memory;
    char *host = (char *)(failure + 1);
    char *text = host + wire->host.size + 1;
    *failure = (struct failure){
        .status = status,
        .index = index,
        .code = wire->code,
        .host = wire_text_copy(wire->host, host, wire->host.size + 1),
        .text = wire_text_copy(wire->text, text, wire->text.size + 1),
    };
    return failure;
}

static void failure_free(struct failure *failure)
{
    if (failure != &no_memory)
        free(failure);
}

/* Only the failure of the lowest index is kept. */
static void note_failure(struct job *job,
                         uint32_t index,
                         enum scoop_status status,
                         const struct wire_failure *wire)
{
    job->failures++;
    if (job->abandoned || (job->failure != NULL && job->failure->index < index))
        return;
    failure_free(job->failure);
    job->failure = failure_new(index, status, wire);
}

static struct wire_bytes bytes_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void note_reason(struct job *job, uint32_t index, enum scoop_status status, const char *text)
{
    const struct wire_failure wire = {.host = bytes_of(""), .text = bytes_of(text)};

    note_failure(job, index, status, &wire);
}

static void store_bytes(struct job *job, uint32_t index, struct wire_bytes bytes)
{
    /* A result of no bytes is a result: its data is not NULL. */
    void *copy = malloc(bytes.size != 0 ? bytes.size : 1);

    if (copy == NULL) {
        note_reason(job, index, SCOOP_NO_MEMORY, "no memory for the result");
        return;
    }
    if (bytes.size != 0)
        memcpy(copy, bytes.data, bytes.size);
    job->out_each[index] = (struct scoop_bytes){copy, bytes.size};
}

static void store_result(struct job *job, uint32_t index, struct wire_bytes bytes)
{
    const size_t size = job->function->result_bytes;
    char text[128];

    if (job->out_each != NULL) {
        store_bytes(job, index, bytes);
    } else if (bytes.size == size) {
        memcpy(job->out + index * size, bytes.data, size);
    } else {
        snprintf(text, sizeof(text), "a result of %zu bytes came instead of %zu", bytes.size, size);
        note_reason(job, index, SCOOP_REFUSED, text);
    }
}

static void store_failure(struct job *job, uint32_t index, const struct wire_result *result)
{
    struct wire_failure wire;

    if (wire_get_failure(result->bytes, &wire) == 0)
        note_failure(job, index, status_of[result->outcome], &wire);
    else
        note_reason(job, index, status_of[result->outcome], "the reason is not readable");
}

bool job_end_task(struct job *job, uint32_t index, const struct wire_result *result)
{
    if (!job->abandoned) {
        job->attempts = result->attempts;
        job->run_us = result->run_us;
        if (result->outcome == WIRE_OK)
            store_result(job, index, result->bytes);
        else
            store_failure(job, index, result);
    }
    return ++job->ended == job->count;
}

bool job_end_moved(
    struct job *job, uint32_t index, const struct wire_result *result, uint8_t *data, size_t size)
{
    if (job->abandoned || job->out_each == NULL || data == NULL) {
        free(data);
        if (!job->abandoned)
            note_reason(job, index, SCOOP_NO_MEMORY, "no memory for the result");
        return ++job->ended == job->count;
    }
    job->attempts = result->attempts;
    job->run_us = result->run_us;
    job->out_each[index] = (struct scoop_bytes){data, size};
    return ++job->ended == job->count;
}

bool job_fail_task(struct job *job, uint32_t index, enum scoop_status status, const char *text)
{
    note_reason(job, index, status, text);
    return ++job->ended == job->count;
}

bool job_cancel_task(struct job *job, uint32_t index, enum wire_cancelled answer)
{
    const struct wire_failure wire = {
        .code = answer,
        .host = bytes_of(""),
        .text = bytes_of(wire_cancelled_text(answer)),
    };

    note_failure(job, index, SCOOP_CANCELLED, &wire);
    return ++job->ended == job->count;
}

void job_refuse(struct job *job, enum scoop_status status, const char *text)
{
    note_reason(job, 0, status, text);
    job->failures = job->count;
    job->ended = job->count;
}

void job_fini(struct job *job)
{
    failure_free(job->failure);
    job->failure = NULL;
    news_free(job->news);
    job->news = NULL;
}
