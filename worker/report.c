#include "report.h"

#include <string.h>

static bool make_room(struct report *r, size_t bytes)
{
    if (r->frame != NULL && r->frame->size + bytes > WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        report_flush(r);
    if (r->frame == NULL)
        r->frame = dialler_frame(r->dialler, WIRE_OUTCOMES, bytes > 512 ? bytes : 512);
    return r->frame != NULL;
}

void report_outcome(struct report *r,
                    const struct task *task,
                    enum wire_outcome outcome,
                    uint32_t run_us,
                    struct wire_bytes bytes)
{
    const struct wire_attempt attempt = {
        .id = task->id,
        .attempt = task->attempt,
        .outcome = outcome,
        .run_us = run_us,
        .bytes = bytes,
    };

    r->total++;
    r->counts[outcome]++;
    if (!make_room(r, WIRE_ATTEMPT_BYTES + bytes.size) || wire_put_attempt(r->frame, &attempt) != 0)
        r->out_of_memory = true;
    else
        wire_frame_add_count(r->frame, 1);
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
    report_outcome(r, task, outcome, 0, (struct wire_bytes){bytes->data, bytes->size});
}

void report_flush(struct report *r)
{
    if (r->frame != NULL && dialler_send(r->dialler, steal(&r->frame)) == -ENOMEM)
        r->out_of_memory = true;
}

void report_fini(struct report *r)
{
    blob_unref(r->frame);
    r->frame = NULL;
}
