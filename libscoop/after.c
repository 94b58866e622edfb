/* Invariants: an after is linked from client_add() of its taker until that has ended; job->ties->failed_after
 * counts those that are `failed`, and `blocked` says whether there is one. Chains of jobs may be long:
 * nothing here calls itself. */
#include "after.h"

#include "future.h"

#include <utlist.h>

int ties_make(struct job *job)
{
    if (job->ties == NULL)
        job->ties = calloc(1, sizeof(*job->ties));
    return job->ties != NULL ? 0 : -ENOMEM;
}

int after_set(struct job *job, scoop_future *const *sources, uint32_t count)
{
    if (ties_make(job) != 0)
        return -ENOMEM;
    job->ties->after = calloc(count, sizeof(struct after));
    if (job->ties->after == NULL)
        return -ENOMEM;
    job->ties->after_count = count;
    for (uint32_t i = 0; i < count; i++) {
        job->ties->after[i] = (struct after){.taker = job, .source = &sources[i]->job, .index = i};
        atomic_fetch_add(&sources[i]->job.references, 1);
    }
    return 0;
}

int after_copy(struct job *job, const struct job *old)
{
    const uint32_t count = after_count(old);
    struct after *after = count != 0 ? calloc(count, sizeof(*after)) : NULL;

    if (count == 0)
        return 0;
    if (after == NULL || ties_make(job) != 0) {
        free(after);
        return -ENOMEM;
    }
    job->ties->after = after;
    job->ties->after_count = count;
    for (uint32_t i = 0; i < count; i++) {
        after[i] = (struct after){
            .taker = job,
            .source = old->ties->after[i].source,
            .index = i,
            .forgiven = old->ties->after[i].forgiven,
        };
        atomic_fetch_add(&after[i].source->references, 1);
    }
    return 0;
}

void after_stand_in(struct job *job, struct job *old)
{
    job->ties->retry_of = old;
    atomic_fetch_add(&old->references, 1);
}

/* Drop one hold; a job that nobody holds goes to *dead. */
static void drop(struct job *job, struct job **dead)
{
    if (atomic_fetch_sub(&job->references, 1) != 1)
        return;
    job->next = *dead;
    *dead = job;
}

static void drop_sources(struct job *job, struct job **dead)
{
    for (uint32_t i = 0; i < job->ties->after_count; i++)
        drop(job->ties->after[i].source, dead);
    free(job->ties->after);
    job->ties->after = NULL;
    job->ties->after_count = 0;
}

static void unlink_all(struct job *job)
{
    for (uint32_t i = 0; i < job->ties->after_count; i++) {
        struct after *after = &job->ties->after[i];

        if (after->linked)
            DL_DELETE(after->source->ties->takers, after);
        after->linked = false;
    }
}

static void destroy_all(struct job *dead)
{
    while (dead != NULL) {
        struct job *job = dead;

        dead = job->next;
        if (job->ties != NULL) {
            unlink_all(job);
            drop_sources(job, &dead);
            if (job->ties->retry_of != NULL)
                drop(job->ties->retry_of, &dead);
            free(job->ties);
        }
        future_destroy(job);
    }
}

void job_unref(struct job *job)
{
    struct job *dead = NULL;

    drop(job, &dead);
    destroy_all(dead);
}

static bool has_ended(const struct job *job)
{
    return job->ended == job->count;
}

/* Will nothing good come of it, as things are? */
static bool is_bad(const struct job *job)
{
    if (has_ended(job))
        return job->failures != 0;
    return job->ties != NULL && job->ties->failed_after != 0;
}

/* Look at the source again. True: the taker has become blocked, or is it no more. */
static bool update(struct after *after)
{
    struct job *taker = after->taker;
    const bool failed = !after->forgiven && is_bad(after->source);
    const bool was_blocked = taker->ties->failed_after != 0;

    if (failed == after->failed)
        return false;
    after->failed = failed;
    taker->ties->failed_after += failed ? 1U : -1U;
    atomic_store(&taker->blocked, taker->ties->failed_after != 0);
    return (taker->ties->failed_after != 0) != was_blocked;
}

static void list_blocked(struct job *job, struct job **blocked)
{
    if (job->ties->told_blocked)
        return;
    job->ties->told_blocked = true;
    job->ties->next_blocked = *blocked;
    *blocked = job;
}

int after_link(struct job *job, struct job **blocked)
{
    for (uint32_t i = 0; i < job->ties->after_count; i++) {
        struct after *after = &job->ties->after[i];

        if (ties_make(after->source) != 0)
            return -ENOMEM;
        DL_APPEND(after->source->ties->takers, after);
        after->linked = true;
        update(after);
    }
    if (job->ties->failed_after != 0)
        list_blocked(job, blocked);
    return 0;
}

void after_end(struct job *job)
{
    struct job *dead = NULL;

    unlink_all(job);
    /* One that failed may be tried again, and needs them then. */
    if (job->failures == 0)
        drop_sources(job, &dead);
    destroy_all(dead);
}

void after_tell(struct job *job, struct job **blocked)
{
    struct job *changed = job;
    struct after *after = NULL;

    job->ties->next_changed = NULL;
    while (changed != NULL) {
        const struct job *source = changed;

        changed = source->ties->next_changed;
        DL_FOREACH (source->ties->takers, after) {
            if (!update(after))
                continue;
            after->taker->ties->next_changed = changed;
            changed = after->taker;
            if (after->taker->ties->failed_after != 0)
                list_blocked(after->taker, blocked);
        }
    }
}

void after_replace(struct job *old, struct job *job)
{
    struct after *after = NULL;

    DL_FOREACH (old->ties->takers, after) {
        after->source = job;
        after->forgiven = false;
        atomic_fetch_add(&job->references, 1);
    }
    DL_CONCAT(job->ties->takers, old->ties->takers);
    old->ties->takers = NULL;
    DL_FOREACH (job->ties->takers, after)
        job_unref(old); /* whoever replaces it holds it as well */
}

bool after_is_sendable(const struct job *job)
{
    for (uint32_t i = 0; i < after_count(job); i++) {
        const struct after *after = &job->ties->after[i];

        if (!after->forgiven && !has_ended(after->source) && after->source->no == 0)
            return false;
    }
    return true;
}

struct wire_input after_input(const struct after *after)
{
    const struct job *source = after->source;

    if (after->forgiven)
        return (struct wire_input){.kind = WIRE_INPUT_VALUE};
    if (!has_ended(source))
        return (struct wire_input){.kind = WIRE_INPUT_TASK, .no = source->no};
    if (source->failures != 0)
        return (struct wire_input){.kind = WIRE_INPUT_FAILED};
    return (struct wire_input){.kind = WIRE_INPUT_VALUE, .bytes = job_value(source)};
}

size_t after_value_bytes(const struct job *job)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < after_count(job); i++)
        bytes += after_input(&job->ties->after[i]).bytes.size;
    return bytes;
}

size_t after_record_bytes(const struct job *job)
{
    return (size_t)after_count(job) * WIRE_INPUT_BYTES + after_value_bytes(job);
}

struct blob *after_bundle(const struct job *job)
{
    const struct wire_bytes argument = job_argument(job, 0);
    const uint32_t count = after_count(job);
    const size_t head_bytes = 4 * ((size_t)count + 2);
    struct blob *bundle = blob_new(argument.size + after_value_bytes(job) + head_bytes);

    if (bundle == NULL)
        return NULL;
    wire_put_u32(bundle, count);
    wire_put_u32(bundle, (uint32_t)argument.size);
    for (uint32_t i = 0; i < count; i++)
        wire_put_u32(bundle, (uint32_t)after_input(&job->ties->after[i]).bytes.size);
    wire_put_bytes(bundle, argument.data, argument.size);
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_bytes bytes = after_input(&job->ties->after[i]).bytes;

        wire_put_bytes(bundle, bytes.data, bytes.size);
    }
    return bundle;
}
