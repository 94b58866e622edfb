#include "news.h"

/* Bytes on their way to the broker beyond which pieces are dropped: few enough to hold up neither outcomes
 * nor the lease on a slow line. */
#define UNACKED_BYTES ((size_t)1 << 20)

static void tell_running(struct executor *e, struct task *task, int64_t start_ms, int64_t now_ms)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(4);

    if (bytes == NULL || wire_put_running_ms(bytes, (uint32_t)(now_ms - start_ms)) != 0)
        return;
    report_note(e->report, task, WIRE_NOTE_RUNNING, (struct wire_bytes){bytes->data, bytes->size});
    task->told = true;
}

static void tell_if_new(struct executor *e, const struct task *task, struct channel_progress now)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(WIRE_PROGRESS_BYTES);
    const struct wire_progress progress = {.done = now.done, .total = now.total};

    if (e->shown.task == task->id && e->shown.progress.done == now.done &&
        e->shown.progress.total == now.total)
        return;
    if (bytes == NULL || wire_put_progress(bytes, &progress) != 0)
        return;
    report_note(e->report, task, WIRE_NOTE_PROGRESS, (struct wire_bytes){bytes->data, bytes->size});
    e->shown.task = task->id;
    e->shown.progress = now;
}

static int64_t start_of(const struct executor *e)
{
    return e->resumed != NULL ? e->resumed->start_ms : e->since_ms;
}

int64_t news_check(struct executor *e, int64_t now_ms)
{
    struct task *const task = executor_running(e);
    struct channel_progress progress;

    if (task == NULL || e->report == NULL || !e->ready || e->blame != EXECUTOR_ALIVE)
        return INT64_MAX;
    if (!task->told && now_ms < e->since_ms + NEWS_FIRST_MS)
        return e->since_ms + NEWS_FIRST_MS;
    if (task->told && now_ms < e->look_ms)
        return e->look_ms;
    if (!task->told)
        tell_running(e, task, start_of(e), now_ms);
    if (channel_see_progress(&e->channel, (uint32_t)task->id, &progress))
        tell_if_new(e, task, progress);
    e->look_ms = now_ms + NEWS_EVERY_MS;
    return e->look_ms;
}

void news_take_progress(struct executor *e, struct channel_progress progress)
{
    const struct task *const task = executor_running(e);

    if (e->report != NULL && task != NULL)
        tell_if_new(e, task, progress);
}

void news_take_partial(struct executor *e, const struct channel_outcome *head, const uint8_t *bytes)
{
    struct blob *note CLEANUP(blob_unref_p) = NULL;
    const struct wire_partial partial = {.index = head->run_us, .bytes = {bytes, head->bytes}};

    if (e->report == NULL || report_backlog(e->report) >= UNACKED_BYTES)
        return;
    note = blob_new(4 + head->bytes);
    if (note != NULL && wire_put_partial(note, &partial) == 0)
        report_note(e->report, executor_running(e), WIRE_NOTE_PARTIAL,
                    (struct wire_bytes){note->data, note->size});
}
