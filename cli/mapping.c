/* Invariants: the jobs of the list were submitted and not yet written; each is written once, then
 * freed. In input order only the first is looked at. */
#include "mapping.h"

#include "base/clock.h"
#include "base/command.h"
#include "outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How long one wait lasts before `ended` is asked again, and before input or jobs other than the
 * first are looked at again. */
#define SLICE_MS 50
#define LOOK_MS  5

/* Without any result for so long, look whether there are workers at all. */
#define TELL_MS 3000

struct mapping_job {
    struct mapping_job *next;
    scoop_future *future;
    uint64_t number;
    unsigned tries;    /* begun */
    struct blob *sent; /* for another try; NULL: there is none */
    struct blob *tag;  /* NULL: none is wanted */
    struct blob *line; /* for the log; NULL: there is none */
    uint64_t sent_bytes;
};

static int complain(const struct mapping *m, int error, const char *what)
{
    fprintf(stderr, "%s: %s\n", m->program, what);
    return error;
}

static void job_free(struct mapping_job *job)
{
    if (job == NULL)
        return;
    scoop_future_free(job->future);
    blob_unref(job->sent);
    blob_unref(job->tag);
    blob_unref(job->line);
    free(job);
}

static void job_free_p(struct mapping_job **job)
{
    job_free(*job);
}

/* ---- input to jobs ---- */

static int input_error(const struct mapping *m, int error)
{
    return complain(m, error, input_strerror(error));
}

/* Begin a try. */
static int submit(struct mapping *m, struct mapping_job *job, const struct blob *words)
{
    const struct scoop_options options = {.limit_ms = m->limit_ms, .needs = m->needs};

    job->tries++;
    job->future = scoop_submit_with(m->session, &options, m->command, words->data, words->size);
    return job->future != NULL ? 0 : complain(m, -EIO, scoop_last_error());
}

/* The arguments and a tab. NULL: out of memory. */
static struct blob *make_tag(const struct input_item *item)
{
    struct blob *tag CLEANUP(blob_unref_p) = blob_new(64);

    for (size_t i = 0; tag != NULL && i < item->count; i++) {
        const size_t length = strlen(item->values[i]);

        if (blob_reserve(tag, length + 1) != 0)
            return NULL;
        wire_put_bytes(tag, item->values[i], length);
        wire_put_bytes(tag, i + 1 < item->count ? " " : "\t", 1);
    }
    return steal(&tag);
}

/* The command for people. NULL: out of memory. */
static struct blob *make_line(const struct template *template, const struct words *words)
{
    struct blob *line CLEANUP(blob_unref_p) = blob_new(128);

    if (line == NULL || template_show(template, words, line) != 0)
        return NULL;
    return steal(&line);
}

/* Make and submit the job of an item. */
static int add_job(struct mapping *m, const struct input_item *item, const struct words *words)
{
    struct mapping_job *job CLEANUP(job_free_p) = calloc(1, sizeof(*job));
    struct blob *sent CLEANUP(blob_unref_p) = blob_new(256);

    if (job == NULL || sent == NULL || (m->tag && (job->tag = make_tag(item)) == NULL) ||
        (m->joblog->fd >= 0 && (job->line = make_line(&m->template, words)) == NULL))
        return complain(m, -ENOMEM, "out of memory");
    job->number = m->read;
    if (command_put_words(sent, words->at, words->count) != 0)
        return complain(m, -E2BIG, "a command line is too long");
    job->sent_bytes = sent->size;
    const int error = submit(m, job, sent);
    if (error != 0)
        return error;
    if (m->tries > 1)
        job->sent = steal(&sent);
    m->submitted++;
    *m->last = job;
    m->last = &job->next;
    job = NULL;
    return 0;
}

static int take_item(struct mapping *m, const struct input_item *item)
{
    struct words words CLEANUP(words_fini) = {.at = NULL};

    m->read++;
    if (joblog_has(m->joblog, m->read)) {
        m->skipped++;
        return 0;
    }
    if (template_fill(&m->template, item, m->read, &words) != 0)
        return complain(m, -ENOMEM, "out of memory");
    return add_job(m, item, &words);
}

/* Submit what the input has, until the window is full. Waits for input only when nothing is under
 * way. */
static int fill_window(struct mapping *m)
{
    struct input_item item;

    while (!m->no_more_input && m->submitted - m->written < MAPPING_WINDOW) {
        int error = input_next(m->input, m->first == NULL ? SLICE_MS : 0, &item);

        if (error == -EAGAIN)
            return 0;
        m->no_more_input = error == -ENODATA;
        if (error == 0)
            error = take_item(m, &item);
        else if (error != -ENODATA)
            input_error(m, error);
        if (error != 0 && error != -ENODATA)
            return error;
        if (m->first != NULL && scoop_done(m->first->future))
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

/* All bytes, each line of them behind the tag. */
static bool put_tagged(FILE *file, const struct blob *tag, struct wire_bytes bytes)
{
    while (bytes.size > 0) {
        const uint8_t *newline = memchr(bytes.data, '\n', bytes.size);
        const size_t length = newline != NULL ? (size_t)(newline + 1 - bytes.data) : bytes.size;

        if (fwrite(tag->data, 1, tag->size, file) != tag->size ||
            fwrite(bytes.data, 1, length, file) != length)
            return false;
        bytes.data += length;
        bytes.size -= length;
    }
    return true;
}

static int
write_bytes(struct mapping *m, FILE *file, const struct mapping_job *job, struct wire_bytes bytes)
{
    if (bytes.size == 0)
        return 0;
    progress_clear(&m->progress);
    const bool written = job->tag != NULL ? put_tagged(file, job->tag, bytes)
                                          : fwrite(bytes.data, 1, bytes.size, file) == bytes.size;
    return written ? 0 : output_error(m, errno);
}

static void
note_failure(struct mapping *m, const struct mapping_job *job, const struct outcome *outcome)
{
    if (m->failed++ > 0)
        return;
    m->first_failed = job->number;
    m->first_code = outcome->ran ? outcome->result.code : 0;
    m->first_signal = outcome->ran ? outcome->result.signal : 0;
}

/* A command may fail without a word: say that some did, and how the first of them ended. */
static void report_failures(const struct mapping *m)
{
    if (m->failed == 0)
        return;
    fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " commands failed", m->program, m->failed,
            m->written);
    if (m->first_signal != 0)
        fprintf(stderr, "; number %" PRIu64 " was killed by signal %" PRIu32, m->first_failed,
                m->first_signal);
    else if (m->first_code != 0)
        fprintf(stderr, "; number %" PRIu64 " ended with exit code %" PRIu32, m->first_failed,
                m->first_code);
    fputc('\n', stderr);
}

/* The log's line comes last, so that what is in the log was shown. */
static int log_job(struct mapping *m, const struct mapping_job *job, const struct outcome *outcome)
{
    const struct command_result *result = &outcome->result;

    if (job->line == NULL)
        return 0;
    if (fflush(stdout) != 0)
        return output_error(m, errno);
    const struct joblog_line line = {
        .number = job->number,
        .host = result->host,
        .start_us = result->start_us,
        .run_us = result->run_us,
        .sent = job->sent_bytes,
        .received = result->out.size + result->err.size,
        .code = result->code,
        .signal = result->signal,
        .command = {job->line->data, job->line->size},
    };
    const int error = joblog_add(m->joblog, &line);
    if (error != 0)
        fprintf(stderr, "%s: cannot write the job log: %s\n", m->program, strerror(-error));
    return error;
}

static int
write_outcome(struct mapping *m, const struct mapping_job *job, const struct outcome *outcome)
{
    if (outcome->failed)
        note_failure(m, job, outcome);
    if (outcome->text[0] != '\0') {
        progress_clear(&m->progress);
        complain(m, 0, outcome->text);
    }
    int error = write_bytes(m, stdout, job, outcome->result.out);
    if (error == 0)
        error = write_bytes(m, stderr, job, outcome->result.err);
    return error == 0 ? log_job(m, job, outcome) : error;
}

/* Write the job that *at points to, and take it out of the list; or begin another try. */
static int finish(struct mapping *m, struct mapping_job **at)
{
    struct mapping_job *job = *at;
    struct outcome outcome;
    int error = outcome_read(job->future, &outcome);

    if (error != 0)
        return complain(m, error, outcome.text);
    if (outcome.failed && job->tries < m->tries) {
        scoop_future_free(job->future);
        job->future = NULL;
        return submit(m, job, job->sent);
    }
    error = write_outcome(m, job, &outcome);
    *at = job->next;
    if (m->last == &job->next)
        m->last = at;
    m->written++;
    job_free(job);
    return error;
}

/* Has it ended? Other than scoop_done() this does not look for news first, so that it may be asked
 * of thousands. */
static bool is_done(const struct mapping_job *job)
{
    struct scoop_error ignored;

    return scoop_error(job->future, &ignored);
}

/* Write everything that may be written now. */
static int write_done(struct mapping *m)
{
    const uint64_t before = m->written;
    struct mapping_job **at = &m->first;

    while (*at != NULL && (is_done(*at) || m->as_completed)) {
        struct mapping_job *job = *at;

        if (is_done(job)) {
            const int error = finish(m, at);

            if (error != 0)
                return error;
            if (*at != job)
                continue;
        }
        if (!m->as_completed)
            break; /* it is tried again */
        at = &job->next;
    }
    /* What is there is shown before waiting again. */
    return m->written > before && fflush(stdout) != 0 ? output_error(m, errno) : 0;
}

static void wait_for_next(struct mapping *m)
{
    /* While input may still come, look at it often: a slow producer must not delay its own lines.
     */
    const bool may_grow = !m->no_more_input && m->submitted - m->written < MAPPING_WINDOW;
    const bool others_count = m->as_completed && m->first != NULL && m->first->next != NULL;

    if (m->first != NULL)
        scoop_wait(m->first->future, may_grow || others_count ? LOOK_MS : SLICE_MS);
}

/* A cluster without workers is worth a word: it may be meant, but nothing will come until one
 * joins. */
static void tell_waiting(struct mapping *m)
{
    struct scoop_cluster *cluster = NULL;

    if (m->told_waiting || m->written > 0 || m->first == NULL ||
        clock_now_ms() < m->start_ms + TELL_MS)
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
    progress_update(&m->progress, m->skipped + m->written, m->failed, input_total(m->input));
    return error;
}

int mapping_run(struct mapping *m)
{
    int error = 0;

    m->last = &m->first;
    progress_init(&m->progress);
    m->start_ms = clock_now_ms();
    while (error == 0 && (!m->no_more_input || m->first != NULL))
        error = turn(m);
    progress_clear(&m->progress);
    report_failures(m);
    while (m->first != NULL) {
        struct mapping_job *job = m->first;

        m->first = job->next;
        job_free(job);
    }
    return error == 0 && m->failed > 0 ? -ECHILD : error;
}

static int show_item(struct mapping *m, const struct input_item *item)
{
    struct words words CLEANUP(words_fini) = {.at = NULL};
    struct blob *line CLEANUP(blob_unref_p) = NULL;

    if (template_fill(&m->template, item, m->read, &words) != 0 ||
        (line = make_line(&m->template, &words)) == NULL)
        return complain(m, -ENOMEM, "out of memory");
    if (fwrite(line->data, 1, line->size, stdout) != line->size || putchar('\n') == EOF)
        return output_error(m, errno);
    return 0;
}

int mapping_show(struct mapping *m)
{
    struct input_item item;
    int error = 0;

    while (error == 0) {
        error = input_next(m->input, SLICE_MS, &item);
        if (error == -EAGAIN)
            error = m->ended(m->context) ? -ECANCELED : 0;
        else if (error == 0 && !joblog_has(m->joblog, ++m->read))
            error = show_item(m, &item);
        else if (error != 0 && error != -ENODATA)
            input_error(m, error);
    }
    if (error != -ENODATA)
        return error;
    return fflush(stdout) != 0 ? output_error(m, errno) : 0;
}
