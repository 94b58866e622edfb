#include "report.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static void flush_notes(struct report *r)
{
    if (r->notes != NULL && dialler_send(r->dialler, steal(&r->notes)) == -ENOMEM)
        r->out_of_memory = true;
}

static void append_note(struct report *r, const struct wire_note *note)
{
    if (r->notes != NULL &&
        r->notes->size + note->bytes.size > WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        flush_notes(r);
    if (r->notes == NULL)
        r->notes = dialler_frame(r->dialler, WIRE_NOTES, 512);
    if (r->notes != NULL && wire_put_note(r->notes, note) == 0)
        wire_frame_add_count(r->notes, 1);
}

void report_note_of_child(struct report *r, const struct task *task, const struct wire_note *note)
{
    struct wire_note own = *note;

    own.task = task->id;
    own.attempt = task->attempt;
    append_note(r, &own);
}

void report_note(struct report *r,
                 const struct task *task,
                 enum wire_note_kind kind,
                 struct wire_bytes bytes)
{
    const struct wire_note note = {
        .task = task->id,
        .attempt = task->attempt,
        .kind = kind,
        .lane = task->lane,
        .host = {(const uint8_t *)r->host, strlen(r->host)},
        .bytes = bytes,
    };

    append_note(r, &note);
}

/* Spans that touch each other shall do so by the wall clock, too: its small corrections wait until they
 * make a millisecond. */
static int64_t wall_ahead_us(struct report *r)
{
    const int64_t now_us = clock_now_us();

    if (now_us >= r->ahead_until_us) {
        const int64_t ahead_us = clock_wall_ahead_us();

        if (llabs(ahead_us - r->ahead_us) >= 1000)
            r->ahead_us = ahead_us;
        r->ahead_until_us = now_us + 1000000;
    }
    return r->ahead_us;
}

static void note_span(struct report *r,
                      const struct task *task,
                      enum wire_outcome outcome,
                      uint32_t run_us,
                      int64_t end_us)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(64);
    const struct wire_span span = {
        .start_us = (uint64_t)(wall_ahead_us(r) + end_us - run_us),
        .run_us = run_us,
        .outcome = outcome,
        .function = {(const uint8_t *)task->function->name, strlen(task->function->name)},
    };

    if (bytes != NULL && wire_put_span(bytes, &span) == 0)
        report_note(r, task, WIRE_NOTE_SPAN, (struct wire_bytes){bytes->data, bytes->size});
}

static void note_ran(struct report *r,
                     const struct task *task,
                     enum wire_outcome outcome,
                     const struct channel_outcome *head)
{
    note_span(r, task, outcome, head->run_us, channel_ended_us(head, clock_now_us()));
}

static bool make_room(struct report *r, size_t bytes)
{
    if (r->frame != NULL && r->frame->size + bytes > WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        report_flush(r);
    if (r->frame == NULL)
        r->frame = dialler_frame(r->dialler, WIRE_OUTCOMES, bytes > 512 ? bytes : 512);
    return r->frame != NULL;
}

static void append(struct report *r, const struct wire_attempt *attempt)
{
    r->total++;
    r->counts[attempt->outcome]++;
    if (!make_room(r, WIRE_ATTEMPT_BYTES + attempt->bytes.size) ||
        wire_put_attempt(r->frame, attempt) != 0)
        r->out_of_memory = true;
    else
        wire_frame_add_count(r->frame, 1);
}

void report_answer(struct report *r,
                   const struct task *task,
                   const struct channel_outcome *head,
                   struct wire_bytes bytes)
{
    const struct wire_attempt attempt = {
        .id = task->id,
        .attempt = task->attempt,
        .outcome = (enum wire_outcome)channel_kind(head),
        .flags = (head->flags & CHANNEL_FINAL) != 0 ? WIRE_ATTEMPT_FINAL : 0,
        .run_us = head->run_us,
        .bytes = bytes,
    };

    if (task->traced)
        note_ran(r, task, attempt.outcome, head);
    append(r, &attempt);
}

void report_ran(struct report *r, const struct task *task, const struct channel_outcome *head)
{
    if (task->traced)
        note_ran(r, task, WIRE_OK, head);
}

void report_moved(struct report *r, const struct task *task, uint32_t run_us, uint64_t size)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(sizeof(size));

    if (bytes == NULL) {
        r->out_of_memory = true;
        return;
    }
    wire_put_u64(bytes, size);
    const struct wire_attempt attempt = {
        .id = task->id,
        .attempt = task->attempt,
        .outcome = WIRE_OK,
        .flags = WIRE_ATTEMPT_MOVED,
        .run_us = run_us,
        .bytes = {bytes->data, bytes->size},
    };
    append(r, &attempt);
}

void report_failure(struct report *r,
                    const struct task *task,
                    enum wire_outcome outcome,
                    uint32_t code,
                    const char *text)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(512);
    const struct wire_failure failure = {
        .code = code,
        .host = {(const uint8_t *)r->host, strlen(r->host)},
        .text = {(const uint8_t *)text, strlen(text)},
    };

    if (bytes == NULL || wire_put_failure(bytes, &failure) != 0) {
        r->out_of_memory = true;
        return;
    }
    const struct wire_attempt attempt = {
        .id = task->id,
        .attempt = task->attempt,
        .outcome = outcome,
        .bytes = {bytes->data, bytes->size},
    };
    if (task->traced)
        note_span(r, task, outcome, 0, clock_now_us());
    append(r, &attempt);
}

void report_parked(struct report *r, const struct task *task, bool parked)
{
    const struct wire_parked record = {.id = task->id, .parked = parked};

    if (r->parked == NULL)
        r->parked = dialler_frame(r->dialler, WIRE_PARKED, 8 * (size_t)WIRE_PARKED_BYTES);
    if (r->parked == NULL || wire_put_parked(r->parked, &record) != 0)
        r->out_of_memory = true;
    else
        wire_frame_add_count(r->parked, 1);
}

static void send(struct report *r, struct blob *frame)
{
    if (frame != NULL && dialler_send(r->dialler, frame) == -ENOMEM)
        r->out_of_memory = true;
}

/* The outcome of a task comes after what was said of it before. */
void report_flush(struct report *r)
{
    flush_notes(r);
    send(r, steal(&r->parked));
    send(r, steal(&r->frame));
}

size_t report_backlog(const struct report *r)
{
    return dialler_unacked_bytes(r->dialler) + (r->notes != NULL ? r->notes->size : 0);
}

void report_fini(struct report *r)
{
    blob_unref(r->frame);
    blob_unref(r->notes);
    blob_unref(r->parked);
    r->frame = NULL;
    r->notes = NULL;
    r->parked = NULL;
}
