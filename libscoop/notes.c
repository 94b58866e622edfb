#include "notes.h"

#include "job.h"
#include "news.h"
#include "printer.h"
#include "trace.h"
#include "watch.h"

#include <stdio.h>
#include <string.h>

/* A reader who does not read for so long is not waited for. */
#define DRAIN_MS 500
#define CLOSE_MS 1000

struct notes {
    struct printer *printer; /* NULL: lines are not wanted */
    struct trace *trace;     /* NULL: no trace */
    const char *trace_path;  /* borrowed from the config */
};

uint32_t notes_wanted(const struct notes *notes)
{
    uint32_t wanted = 1U << WIRE_NOTE_RUNNING | 1U << WIRE_NOTE_PROGRESS | 1U << WIRE_NOTE_PARTIAL;

    if (notes != NULL && notes->printer != NULL)
        wanted |= 1U << WIRE_NOTE_STDOUT | 1U << WIRE_NOTE_STDERR;
    return wanted;
}

int notes_open(const struct config *config, struct notes **out, struct problem *problem)
{
    struct notes *notes = NULL;
    int error = 0;

    *out = NULL;
    if (!config->output && config->trace[0] == '\0')
        return 0;
    notes = calloc(1, sizeof(*notes));
    if (notes == NULL)
        return -ENOMEM;
    notes->trace_path = config->trace;
    if (config->output) {
        notes->printer = printer_new(stdout, stderr);
        error = notes->printer != NULL ? 0 : -ENOMEM;
    }
    if (error == 0 && config->trace[0] != '\0')
        error = trace_open(config->trace, &notes->trace);
    if (error == 0) {
        *out = notes;
        return 0;
    }
    printer_close(notes->printer, 0);
    free(notes);
    return problem_set(problem, error, "trace %s: %s", config->trace, strerror(-error));
}

void notes_close(struct notes *notes)
{
    if (notes == NULL)
        return;
    const int error = trace_close(notes->trace);
    if (error != 0)
        fprintf(stderr, "%s: trace %s: %s\n", program_invocation_short_name, notes->trace_path,
                strerror(-error));
    printer_close(notes->printer, CLOSE_MS);
    free(notes);
}

static void trace_task(struct notes *notes, const struct wire_note *note, const struct job *job)
{
    struct wire_span span;
    char function[256];

    if (notes->trace == NULL || wire_get_span(note->bytes, &span) != 0)
        return;
    trace_write(notes->trace,
                &(struct trace_span){
                    .function = wire_text_copy(span.function, function, sizeof(function)),
                    .outcome = wire_outcome_name(span.outcome),
                    .host = note->host,
                    .task = note->task,
                    .queued_us = job != NULL ? job->queued_us : 0,
                    .start_us = (int64_t)span.start_us,
                    .run_us = span.run_us,
                    .lane = note->lane,
                    .attempt = note->attempt,
                });
}

static void tell_dropped(struct notes *notes, const struct wire_note *note)
{
    struct wire_cursor at = wire_cursor_of(note->bytes.data, note->bytes.size);
    const uint64_t count = wire_get_u64(&at);

    if (notes->printer != NULL && !at.bad)
        printer_lost(notes->printer, count);
}

/* What a future's holder may ask for. */
static void
take_news(struct job *job, pthread_mutex_t *lock, uint64_t link, const struct wire_note *note)
{
    if (atomic_load(&job->references) == 0 || job->abandoned || job->forgotten)
        return;
    pthread_mutex_lock(lock);
    if (news_take(&job->news, link, note))
        job_tell_news(job);
    pthread_mutex_unlock(lock);
}

static void take_note(struct notes *notes,
                      const struct ledger *ledger,
                      pthread_mutex_t *lock,
                      uint64_t link,
                      const struct wire_note *note)
{
    const struct ledger_entry *entry = ledger_find(ledger, note->task);

    switch (note->kind) {
    case WIRE_NOTE_STDOUT:
    case WIRE_NOTE_STDERR:
        if (notes != NULL && notes->printer != NULL)
            printer_line(notes->printer, note->kind == WIRE_NOTE_STDERR, note->host, note->lane,
                         note->bytes);
        return;
    case WIRE_NOTE_SPAN:
        if (notes != NULL)
            trace_task(notes, note, entry != NULL ? entry->job : NULL);
        return;
    case WIRE_NOTE_DROPPED:
        if (notes != NULL)
            tell_dropped(notes, note);
        return;
    case WIRE_NOTE_RUNNING:
    case WIRE_NOTE_PROGRESS:
    case WIRE_NOTE_PARTIAL:
        if (entry != NULL)
            take_news(entry->job, lock, link, note);
        return;
    case WIRE_NOTE_END: return;
    }
}

int notes_take(struct notes *notes,
               const struct ledger *ledger,
               pthread_mutex_t *lock,
               const struct wire_header *header,
               struct wire_cursor *body)
{
    struct wire_note note;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_note(body, &note) != 0)
            return -EPROTO;
        take_note(notes, ledger, lock, header->link, &note);
    }
    return wire_read_ok(body);
}

void notes_drain(struct notes *notes)
{
    if (notes != NULL && notes->printer != NULL)
        printer_drain(notes->printer, DRAIN_MS);
}
