/* Invariants: futures written ... submitted - 1 are in the window; each is written once, in order,
 * then freed. */
#include "mapping.h"

#include "base/clock.h"
#include "base/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* 128 + this is the last code that stands for a signal; greater ones are a command's own. */
#define SIGNAL_MAX 64

/* How long one wait lasts before `ended` is asked again. */
#define SLICE_MS 50

/* Without any result for so long, look whether there are workers at all. */
#define TELL_MS 3000

static scoop_future **place(const struct mapping *m, uint64_t number)
{
    return &m->window[number % MAPPING_WINDOW];
}

static int complain(const struct mapping *m, int error, const char *what)
{
    fprintf(stderr, "%s: %s\n", m->program, what);
    return error;
}

/* ---- input to tasks ---- */

static int input_error(const struct mapping *m, int error)
{
    if (error == -E2BIG)
        return complain(m, error, "an input line is longer than 8 MiB");
    if (error == -EILSEQ)
        return complain(m, error, "an input line holds a zero byte");
    fprintf(stderr, "%s: standard input: %s\n", m->program, strerror(-error));
    return error;
}

static int submit(struct mapping *m, const char *argument)
{
    struct blob *words CLEANUP(blob_unref_p) = blob_new(256);

    if (words == NULL || template_fill(&m->template, argument, words) != 0)
        return complain(m, -E2BIG, "a command line is too long");
    scoop_future *future =
        scoop_submit_with(m->session, NULL, m->command, words->data, words->size);
    if (future == NULL)
        return complain(m, -EIO, scoop_last_error());
    *place(m, m->submitted++) = future;
    return 0;
}

/* Submit what the input has, until the window is full. Waits for input only when nothing is under
 * way. */
static int fill_window(struct mapping *m)
{
    const char *argument = NULL;

    while (!m->no_more_input && m->submitted - m->written < MAPPING_WINDOW) {
        const int wait_ms = m->submitted == m->written ? SLICE_MS : 0;
        int error = input_next(m->input, wait_ms, &argument);

        if (error == -EAGAIN)
            return 0;
        m->no_more_input = error == -ENODATA;
        if (error == 0)
            error = submit(m, argument);
        else if (error != -ENODATA)
            input_error(m, error);
        if (error != 0 && error != -ENODATA)
            return error;
        if (m->submitted > m->written && scoop_done(*place(m, m->written)))
            return 0;
    }
    return 0;
}

/* ---- results to output ---- */

static int output_error(const struct mapping *m, int number)
{
    fprintf(stderr, "%s: cannot write output: %s\n", m->program, strerror(number));
    return -number;
}

static int write_bytes(struct mapping *m, FILE *file, struct wire_bytes bytes)
{
    if (bytes.size == 0)
        return 0;
    progress_clear(&m->progress);
    return fwrite(bytes.data, 1, bytes.size, file) == bytes.size ? 0 : output_error(m, errno);
}

static void note_failure(struct mapping *m, uint32_t status)
{
    if (m->failed++ == 0) {
        m->first_failed = m->written;
        m->first_status = status;
    }
}

/* A command may fail without a word: say that some did, and how the first of them ended. */
static void report_failures(const struct mapping *m)
{
    if (m->failed == 0)
        return;
    fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " commands failed", m->program, m->failed,
            m->written);
    if (m->first_status > 128 && m->first_status <= 128 + SIGNAL_MAX)
        fprintf(stderr, "; number %" PRIu64 " was killed by signal %" PRIu32, m->first_failed,
                m->first_status - 128);
    else if (m->first_status != 0)
        fprintf(stderr, "; number %" PRIu64 " ended with exit code %" PRIu32, m->first_failed,
                m->first_status);
    fputc('\n', stderr);
}

static int write_result(struct mapping *m, scoop_future *future)
{
    struct command_result result;
    struct scoop_bytes bytes;

    if (scoop_result_bytes(future, &bytes) != SCOOP_OK) {
        note_failure(m, 0);
        progress_clear(&m->progress);
        return complain(m, 0, scoop_last_error());
    }
    if (command_get_result(bytes.data, bytes.size, &result) != 0)
        return complain(m, -EPROTO, "a worker's answer is not readable");
    if (result.status != 0)
        note_failure(m, result.status);
    const int error = write_bytes(m, stdout, result.out);
    return error != 0 ? error : write_bytes(m, stderr, result.err);
}

/* Write everything that is next in order and done. */
static int write_done(struct mapping *m)
{
    bool wrote = false;

    while (m->written < m->submitted && scoop_done(*place(m, m->written))) {
        scoop_future *future = *place(m, m->written++);
        const int error = write_result(m, future);

        scoop_future_free(future);
        if (error != 0)
            return error;
        wrote = true;
    }
    /* What is there is shown before waiting again. */
    return wrote && fflush(stdout) != 0 ? output_error(m, errno) : 0;
}

static void wait_for_next(struct mapping *m)
{
    /* While input may still come, look at it often: a slow producer must not delay its own lines.
     */
    const bool may_grow = !m->no_more_input && m->submitted - m->written < MAPPING_WINDOW;

    if (m->written < m->submitted)
        scoop_wait(*place(m, m->written), may_grow ? SLICE_MS / 10 : SLICE_MS);
}

/* A cluster without workers is worth a word: it may be meant, but nothing will come until one
 * joins. */
static void tell_waiting(struct mapping *m)
{
    struct scoop_cluster *cluster = NULL;

    if (m->told_waiting || m->written > 0 || clock_now_ms() < m->start_ms + TELL_MS)
        return;
    m->told_waiting = true;
    if (scoop_cluster(m->session, TELL_MS, &cluster) == SCOOP_OK && cluster->alive == 0)
        complain(m, 0, "waiting: the cluster has no workers");
    scoop_cluster_free(cluster);
}

static int turn(struct mapping *m)
{
    int error = fill_window(m);

    if (error != 0)
        return error;
    wait_for_next(m);
    tell_waiting(m);
    if (m->ended(m->context))
        return -ECANCELED;
    error = write_done(m);
    progress_update(&m->progress, m->written, m->failed, input_total(m->input));
    return error;
}

int mapping_run(struct mapping *m)
{
    int error = 0;

    m->window = calloc(MAPPING_WINDOW, sizeof(scoop_future *));
    if (m->window == NULL)
        return complain(m, -ENOMEM, "out of memory");
    progress_init(&m->progress);
    m->start_ms = clock_now_ms();
    while (error == 0 && (!m->no_more_input || m->written < m->submitted))
        error = turn(m);
    progress_clear(&m->progress);
    report_failures(m);
    while (m->written < m->submitted)
        scoop_future_free(*place(m, m->written++));
    free(m->window);
    return error == 0 && m->failed > 0 ? -ECHILD : error;
}
