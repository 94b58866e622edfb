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
        .outcome = (enum wire_outcome)head->outcome,
        .flags = (head->flags & CHANNEL_FINAL) != 0 ? WIRE_ATTEMPT_FINAL : 0,
        .run_us = head->run_us,
        .bytes = bytes,
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
    append(r, &attempt);
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
