/* The same calls, outcomes and messages as on workers, so that a program can be tested without any.
 */
#include "serial.h"

#include "base/blob.h"
#include "function.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
    const struct wire_bytes argument = job_argument(job, index);
    enum wire_outcome outcome = WIRE_FAILED;
    uint16_t attempts = 0;

    do {
        attempts++;
        outcome = function_call(job->function, argument.data, argument.size, output);
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

void serial_run(struct job *job)
{
    struct scoop_output *output = malloc(sizeof(*output));

    if (output == NULL || job->function->builtin) {
        job_refuse(job, output == NULL ? SCOOP_NO_MEMORY : SCOOP_NO_BROKER,
                   output == NULL ? "no memory to compute" : "only workers have this function");
        free(output);
        atomic_store(&job->done, true);
        return;
    }
    output_init(output);
    for (uint32_t i = 0; i < job->count; i++)
        run_task(job, i, output);
    output_fini(output);
    free(output);
    atomic_store(&job->done, true);
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
