/* The same calls, outcomes and messages as on workers, so that a program can be tested without any.
 */
#include "serial.h"

#include "after.h"

#include "base/blob.h"
#include "function.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

static const char *host_name(void)
{
    static _Thread_local char name[256];

    if (name[0] == '\0' && gethostname(name, sizeof(name) - 1) != 0)
        return "localhost";
    return name;
}

static struct wire_bytes bytes_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

/* As an executor would report it. */
static bool end_badly(struct job *job,
                      uint32_t index,
                      enum wire_outcome outcome,
                      uint16_t attempts,
                      const struct scoop_output *output)
{
    const struct wire_failure failure = {
        .code = output->code,
        .host = bytes_of(host_name()),
        .text = bytes_of(output->text),
    };
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(64);

    if (bytes == NULL || wire_put_failure(bytes, &failure) != 0)
        return job_fail_task(job, index, SCOOP_NO_MEMORY, "no memory to keep the failure");
    const struct wire_result result = {
        .outcome = outcome,
        .attempts = attempts,
        .bytes = {bytes->data, bytes->size},
    };
    return job_end_task(job, index, &result);
}

/* Retries are made without their pauses: nothing else could run meanwhile. */
static void run_task(struct job *job, uint32_t index, struct scoop_output *output)
{
    struct blob *bundle CLEANUP(blob_unref_p) = NULL;
    struct wire_bytes argument = job_argument(job, index);
    enum wire_outcome outcome = WIRE_FAILED;
    uint16_t attempts = 0;

    if (after_count(job) != 0) {
        bundle = after_bundle(job);
        if (bundle == NULL) {
            job_fail_task(job, index, SCOOP_NO_MEMORY, "no memory for its inputs");
            return;
        }
        if (bundle->size > WIRE_PAYLOAD_MAX) {
            job_fail_task(job, index, SCOOP_TOO_LARGE, AFTER_TOO_LARGE);
            return;
        }
        argument = (struct wire_bytes){bundle->data, bundle->size};
    }
    do {
        attempts++;
        output->attempt = attempts;
        output->partials = 0;
        outcome = bundle != NULL
                      ? function_call_bundle(job->function, argument.data, argument.size, output)
                      : function_call(job->function, argument.data, argument.size, output);
    } while (outcome == WIRE_FAILED && !output->forever && attempts <= job->options.retries);
    const struct wire_result result = {
        .outcome = WIRE_OK,
        .attempts = attempts,
        .bytes = {output->data, output->size},
    };

    if (outcome == WIRE_OK)
        job_end_task(job, index, &result);
    else
        end_badly(job, index, outcome, attempts, output);
}

/* All of its tasks end. */
static void compute(struct job *job)
{
    struct scoop_output *output = malloc(sizeof(*output));

    if (output == NULL || job->function->builtin) {
        job_refuse(job, output == NULL ? SCOOP_NO_MEMORY : SCOOP_NO_BROKER,
                   output == NULL ? "no memory to compute" : "only workers have this function");
        free(output);
        return;
    }
    output_init(output);
    output->told = atomic_load(&job->references) != 0 ? job : NULL;
    for (uint32_t i = 0; i < job->count; i++)
        run_task(job, i, output);
    output_fini(output);
    free(output);
}

/* ---- jobs that wait for each other ---- */

/* Held while ties are looked at, and by the functions of jobs that have some. */
static pthread_mutex_t ties_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* Put those that wait for this job, and for nothing else, in front of *ready. */
static void collect_ready(struct job *job, struct job **ready)
{
    struct job *blocked = NULL;
    struct after *after = NULL;

    after_tell(job, &blocked);
    for (; blocked != NULL; blocked = blocked->ties->next_blocked)
        blocked->ties->told_blocked = false;
    DL_FOREACH (job->ties->takers, after) {
        struct job *taker = after->taker;

        if (taker->sent || atomic_load(&taker->blocked) || taker->ended == taker->count)
            continue;
        taker->sent = true;
        taker->next = *ready;
        *ready = taker;
    }
}

/* The job has ended. */
static void finish(struct job *job, struct job **ready)
{
    collect_ready(job, ready);
    after_end(job);
    atomic_store(&job->done, true);
}

static void run_ready(struct job *ready)
{
    while (ready != NULL) {
        struct job *job = ready;

        ready = job->next;
        compute(job);
        finish(job, &ready);
    }
}

/* Run it, unless it is blocked, and what waits for it. */
static void run_tied(struct job *job)
{
    struct job *blocked = NULL;
    struct job *ready = NULL;

    if (job->ties->retry_of != NULL) {
        struct job *old = steal(&job->ties->retry_of);

        after_replace(old, job);
        job_unref(old);
    }
    if (after_link(job, &blocked) != 0) {
        job_refuse(job, SCOOP_NO_MEMORY, "no memory to wait for others");
        finish(job, &ready);
    } else if (blocked == NULL) {
        job->sent = true;
        job->next = NULL;
        ready = job;
    } else {
        job->ties->told_blocked = false;
    }
    run_ready(ready);
}

void serial_run(struct job *job)
{
    if (job->ties == NULL) {
        compute(job);
        atomic_store(&job->done, true);
        return;
    }
    pthread_mutex_lock(&ties_lock);
    run_tied(job);
    pthread_mutex_unlock(&ties_lock);
}

void serial_forgive(struct job *job)
{
    struct job *ready = NULL;
    struct after *after = NULL;

    pthread_mutex_lock(&ties_lock);
    if (job->ties != NULL) {
        DL_FOREACH (job->ties->takers, after)
            after->forgiven = true;
        collect_ready(job, &ready);
        run_ready(ready);
    }
    pthread_mutex_unlock(&ties_lock);
}

void serial_cancel(struct job *job)
{
    struct job *ready = NULL;

    pthread_mutex_lock(&ties_lock);
    if (job->ended != job->count) {
        job_cancel_task(job, 0, WIRE_NEVER_RAN);
        finish(job, &ready);
        run_ready(ready);
    }
    pthread_mutex_unlock(&ties_lock);
}

void serial_drop(struct job *job)
{
    pthread_mutex_lock(&ties_lock);
    job_unref(job);
    pthread_mutex_unlock(&ties_lock);
}

/* ---- for programs that poll ---- */

static pthread_mutex_t descriptor_lock = PTHREAD_MUTEX_INITIALIZER;
static int descriptor = -1;

int serial_descriptor(void)
{
    pthread_mutex_lock(&descriptor_lock);
    if (descriptor < 0)
        descriptor = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    const int fd = descriptor;
    pthread_mutex_unlock(&descriptor_lock);
    return fd;
}

/* -1: nobody asked for it. */
static int descriptor_in_use(void)
{
    pthread_mutex_lock(&descriptor_lock);
    const int fd = descriptor;
    pthread_mutex_unlock(&descriptor_lock);
    return fd;
}

void serial_process(void)
{
    const int fd = descriptor_in_use();
    eventfd_t count = 0;

    if (fd >= 0)
        eventfd_read(fd, &count);
}

void serial_raise(void)
{
    const int fd = descriptor_in_use();

    if (fd >= 0)
        eventfd_write(fd, 1);
}
