/* Invariant: a reading stands here while its need is in the store. */
#include "values.h"

#include "base/channel.h"
#include "base/fdpass.h"
#include "cargo.h"
#include "executor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct reading {
    struct need need;
    struct values *all;
    struct executor *executor;
    uint32_t number;
    struct reading *prev;
    struct reading *next;
};

/* ---- answers ---- */

static void refuse(struct values *v, struct executor *e, uint32_t number, const char *text)
{
    struct blob *frame CLEANUP(blob_unref_p) = blob_new(256);
    const struct wire_failure failure = {
        .host = {(const uint8_t *)v->host, strlen(v->host)},
        .text = {(const uint8_t *)text, strlen(text)},
    };
    struct wire_result result = {.outcome = WIRE_REFUSED_TASK};

    if (frame == NULL || wire_put_failure(frame, &failure) != 0) {
        v->out_of_memory = true;
        return;
    }
    result.bytes = (struct wire_bytes){frame->data, frame->size};
    if (executor_answer(e, number, &result, frame) != 0)
        v->out_of_memory = true;
}

/* The file goes first. */
static void
hand_over(struct values *v, struct executor *e, uint32_t number, const struct cargo *file)
{
    const struct wire_result result = {.outcome = WIRE_OK};
    struct blob *frame CLEANUP(blob_unref_p) = blob_new(1);
    const int error = fdpass_send(e->files, CHANNEL_VALUE | number, file->fd);
    char text[128];

    if (error != 0) {
        snprintf(text, sizeof(text), "it cannot be handed over: %s", strerrordesc_np(-error));
        refuse(v, e, number, text);
    } else if (frame == NULL || executor_answer(e, number, &result, frame) != 0) {
        v->out_of_memory = true;
    }
}

/* ---- questions ---- */

static void end(struct reading *reading)
{
    DL_DELETE(reading->all->readings, reading);
    free(reading);
}

static void came(struct need *need, struct blob *file, const char *why)
{
    struct reading *const reading = need->owner;

    if (file != NULL)
        hand_over(reading->all, reading->executor, reading->number, cargo_of(file));
    else
        refuse(reading->all, reading->executor, reading->number, why);
    end(reading);
}

static void wait_for(struct values *v,
                     struct executor *e,
                     uint32_t number,
                     const struct task *task,
                     const struct need *what)
{
    struct reading *const reading = malloc(sizeof(*reading));

    if (reading == NULL) {
        v->out_of_memory = true;
        return;
    }
    *reading = (struct reading){.need = *what, .all = v, .executor = e, .number = number};
    reading->need.task = task->id;
    reading->need.attempt = task->attempt;
    reading->need.session = task->session;
    reading->need.direct = task->moves;
    reading->need.done = came;
    reading->need.owner = reading;
    DL_APPEND(v->readings, reading);
    if (store_need(v->store, &reading->need) != 0)
        v->out_of_memory = true;
}

void values_ask(struct values *v,
                struct executor *e,
                uint32_t number,
                const struct task *task,
                struct wire_bytes question,
                int64_t now_ms)
{
    struct wire_cursor c = {.at = question.data, .end = question.data + question.size};
    struct need what = {.what = WIRE_WHAT_VALUE};
    const struct wire_bytes key = wire_get_bytes(&c, WIRE_KEY_BYTES);

    what.size = wire_get_u64(&c);
    if (wire_read_ok(&c) != 0 || what.size == 0 || what.size > WIRE_LARGE_MAX) {
        refuse(v, e, number, "that is no reference to a value");
        return;
    }
    memcpy(what.key, key.data, sizeof(what.key));
    const struct blob *const file = store_find(v->store, what.what, what.key, now_ms);
    if (file != NULL)
        hand_over(v, e, number, cargo_of(file));
    else
        wait_for(v, e, number, task, &what);
}

/* ---- leaving ---- */

static void drop(struct reading *reading)
{
    store_drop(reading->all->store, &reading->need);
    end(reading);
}

void values_drop(struct values *v, const struct executor *e, uint32_t number)
{
    struct reading *reading = NULL;

    DL_FOREACH (v->readings, reading) {
        if (reading->executor == e && reading->number == number)
            break;
    }
    if (reading != NULL)
        drop(reading);
}

void values_drop_all(struct values *v, const struct executor *e)
{
    struct reading *reading = NULL;
    struct reading *next = NULL;

    DL_FOREACH_SAFE (v->readings, reading, next) {
        if (reading->executor == e)
            drop(reading);
    }
}

void values_reset(struct values *v)
{
    while (v->readings != NULL)
        drop(v->readings);
}
