/* Invariant: a child stands in both tables, that of all and that of its executor, or in none. */
#include "nested.h"

#include "base/clock.h"
#include "executor.h"
#include "values.h"

#include <stdio.h>
#include <string.h>

void nested_open(struct nested *n, const struct wire_welcome *welcome)
{
    n->next_no = 1;
    n->credit_tasks = welcome->credit_tasks;
    n->credit_bytes = welcome->credit_bytes;
}

static void forget(struct nested *n, struct child *child)
{
    n->bytes -= child->bytes;
    HASH_DELETE(hh, n->children, child);
    HASH_DELETE(own, child->executor->children, child);
    free(child);
}

void nested_reset(struct nested *n)
{
    struct child *child = NULL;
    struct child *next_child = NULL;
    struct callee *callee = NULL;
    struct callee *next_callee = NULL;

    HASH_ITER (hh, n->children, child, next_child)
        forget(n, child);
    HASH_ITER (hh, n->callees, callee, next_callee) {
        HASH_DEL(n->callees, callee);
        free(callee);
    }
    blob_unref(n->frame);
    blob_unref(n->cancels);
    n->frame = NULL;
    n->cancels = NULL;
    n->run_at = 0;
}

static void send(struct nested *n, struct blob *frame)
{
    /* Without a link all children are forgotten soon. */
    if (dialler_send(n->dialler, frame) == -ENOMEM)
        n->out_of_memory = true;
}

static void flush_children(struct nested *n)
{
    if (n->frame != NULL)
        send(n, steal(&n->frame));
    n->run_at = 0;
}

/* What is cancelled was submitted before. */
void nested_flush(struct nested *n)
{
    flush_children(n);
    if (n->cancels != NULL)
        send(n, steal(&n->cancels));
}

/* ---- functions ---- */

/* Tell the broker what `wire->number` means from now on. */
static int define(struct nested *n, const struct wire_function *wire)
{
    struct blob *frame = dialler_frame(n->dialler, WIRE_FUNCTION, 128);

    if (frame == NULL || wire_put_function(frame, wire) != 0) {
        blob_unref(frame);
        return -ENOMEM;
    }
    wire_frame_add_count(frame, 1);
    send(n, frame);
    return 0;
}

static struct callee *
callee_new(struct nested *n, struct wire_function *wire, const struct blob *key)
{
    struct callee *const callee = malloc(sizeof(*callee) + key->size);

    wire->number = HASH_COUNT(n->callees);
    if (callee == NULL || wire->number == WIRE_FUNCTIONS_MAX || define(n, wire) != 0) {
        free(callee);
        return NULL;
    }
    *callee = (struct callee){
        .number = (uint16_t)wire->number,
        .argument_bytes = wire->argument_bytes,
        .key_bytes = key->size,
    };
    memcpy(callee->key, key->data, key->size);
    HASH_ADD_KEYPTR(hh, n->callees, callee->key, callee->key_bytes, callee);
    return callee;
}

/* What the agent answers itself. */
static struct callee value_callee = {.argument_bytes = WIRE_VARIABLE};

static bool is_for_the_agent(const struct channel_outcome *head, const char *name)
{
    return (head->flags & CHANNEL_BUILTIN) != 0 && head->run_us == WIRE_VARIABLE &&
           strcmp(name, CHANNEL_VALUE_FUNCTION) == 0;
}

struct callee *nested_callee(struct nested *n,
                             const struct executor *e,
                             const struct channel_outcome *head,
                             const char *name)
{
    struct wire_function wire = {
        .argument_bytes = head->run_us,
        .result_bytes = head->id,
        .name = {(const uint8_t *)name, strlen(name)},
    };
    struct blob *key CLEANUP(blob_unref_p) = blob_new(256);
    struct callee *callee = NULL;

    if (is_for_the_agent(head, name) && n->values != NULL)
        return &value_callee;
    if ((head->flags & CHANNEL_BUILTIN) == 0) {
        memcpy(wire.sha256, e->program->sha256, sizeof(wire.sha256));
        wire.program =
            (struct wire_bytes){(const uint8_t *)e->program->name, strlen(e->program->name)};
    }
    if (key == NULL || wire_put_function(key, &wire) != 0)
        return NULL;
    HASH_FIND(hh, n->callees, key->data, key->size, callee);
    return callee != NULL ? callee : callee_new(n, &wire, key);
}

/* ---- children ---- */

/* End a child without having submitted it. */
static void refuse(struct nested *n, struct executor *e, uint32_t number, const char *text)
{
    struct blob *frame CLEANUP(blob_unref_p) = blob_new(256);
    const struct wire_failure failure = {
        .host = {(const uint8_t *)n->host, strlen(n->host)},
        .text = {(const uint8_t *)text, strlen(text)},
    };
    struct wire_result result = {.outcome = WIRE_REFUSED_TASK};

    if (frame == NULL || wire_put_failure(frame, &failure) != 0) {
        n->out_of_memory = true;
        return;
    }
    result.bytes = (struct wire_bytes){frame->data, frame->size};
    if (executor_answer(e, number, &result, frame) != 0)
        n->out_of_memory = true;
}

/* The same text? */
static bool has_needs(const struct nested *n, const struct wire_run *run)
{
    return strlen(n->needs) == run->needs.size &&
           (run->needs.size == 0 || memcmp(n->needs, run->needs.data, run->needs.size) == 0);
}

static bool continues_run(const struct nested *n, const struct wire_run *run)
{
    return n->run_at != 0 && n->run.function == run->function && n->run.limit_ms == run->limit_ms &&
           wire_options_equal(&n->run.options, &run->options) && has_needs(n, run);
}

/* Append it to the frame, in the run there if it belongs to it. */
static int append(struct nested *n, const struct wire_run *run, struct wire_bytes argument)
{
    if (n->frame != NULL && n->frame->size + argument.size > WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        flush_children(n);
    if (n->frame == NULL)
        n->frame = dialler_frame(n->dialler, WIRE_SUBMIT, 512 + argument.size);
    if (n->frame == NULL ||
        blob_reserve(n->frame, WIRE_RUN_BYTES + WIRE_RUN_OPTIONS_BYTES + 4 + argument.size) != 0)
        return -ENOMEM;
    if (continues_run(n, run)) {
        wire_run_add_count(n->frame, n->run_at, 1);
    } else {
        n->run_at = n->frame->size;
        n->run = *run;
        wire_text_copy(run->needs, n->needs, sizeof(n->needs));
        if (wire_put_run(n->frame, run) != 0)
            return -ENOMEM;
    }
    wire_frame_add_count(n->frame, 1);
    if (run->argument_bytes == WIRE_VARIABLE)
        wire_put_u32(n->frame, (uint32_t)argument.size);
    wire_put_bytes(n->frame, argument.data, argument.size);
    return 0;
}

void nested_submit(struct nested *n,
                   struct executor *e,
                   const struct callee *callee,
                   uint32_t number,
                   const struct channel_child *record,
                   struct wire_bytes argument)
{
    if (callee == NULL) {
        refuse(n, e, number, "the functions of this host call too many different functions");
        return;
    }
    if (callee == &value_callee) {
        values_ask(n->values, e, number, executor_task(e, record->parent), argument,
                   clock_now_ms());
        return;
    }
    const struct wire_run run = {
        .function = callee->number,
        .count = 1,
        .argument_bytes = callee->argument_bytes,
        .limit_ms = record->limit_ms,
        .first_no = n->next_no,
        .options = record->options,
        .needs = {(const uint8_t *)record->needs, strlen(record->needs)},
    };

    if (HASH_COUNT(n->children) >= n->credit_tasks || n->bytes + argument.size > n->credit_bytes) {
        refuse(n, e, number, "the functions of this host have too many unfinished children");
        return;
    }
    struct child *const child = malloc(sizeof(*child));
    if (child == NULL || append(n, &run, argument) != 0) {
        free(child);
        n->out_of_memory = true;
        return;
    }
    *child = (struct child){
        .no = n->next_no++,
        .number = number,
        .parent = record->parent,
        .bytes = (uint32_t)argument.size,
        .executor = e,
    };
    n->bytes += child->bytes;
    HASH_ADD(hh, n->children, no, sizeof(child->no), child);
    HASH_ADD(own, e->children, number, sizeof(child->number), child);
}

const struct task *nested_parent(const struct nested *n, uint64_t no)
{
    const struct child *child = NULL;

    HASH_FIND(hh, n->children, &no, sizeof(no), child);
    return child != NULL ? executor_task(child->executor, child->parent) : NULL;
}

static bool is_news(enum wire_note_kind kind)
{
    return kind == WIRE_NOTE_RUNNING || kind == WIRE_NOTE_PROGRESS || kind == WIRE_NOTE_PARTIAL;
}

/* News are for who holds the child's future. */
static void tell_holder(const struct nested *n, const struct wire_note *note)
{
    const struct child *child = NULL;

    HASH_FIND(hh, n->children, &note->task, sizeof(note->task), child);
    if (child != NULL)
        executor_tell(child->executor, child->number, note);
}

int nested_notes(struct nested *n, struct report *report, struct dialler_input *in)
{
    for (uint32_t i = 0; i < in->header.count; i++) {
        struct wire_note note;

        if (wire_get_note(&in->body, &note) != 0)
            return -EPROTO;
        const struct task *const parent = nested_parent(n, note.task);
        if (is_news(note.kind))
            tell_holder(n, &note);
        else if (parent != NULL)
            report_note_of_child(report, parent, &note);
    }
    return wire_read_ok(&in->body);
}

int nested_results(struct nested *n, struct dialler_input *in)
{
    for (uint32_t i = 0; i < in->header.count; i++) {
        struct wire_result result;
        struct child *child = NULL;

        if (wire_get_result(&in->body, &result) != 0)
            return -EPROTO;
        HASH_FIND(hh, n->children, &result.no, sizeof(result.no), child);
        if (child == NULL)
            continue; /* it was abandoned */
        if (executor_answer(child->executor, child->number, &result, in->blob) != 0)
            return -ENOMEM;
        forget(n, child);
    }
    return wire_read_ok(&in->body);
}

static void cancel(struct nested *n, const struct child *child)
{
    if (n->cancels == NULL)
        n->cancels = dialler_frame(n->dialler, WIRE_CANCEL, 64);
    if (n->cancels == NULL || blob_reserve(n->cancels, 8) != 0)
        return; /* it runs to its end */
    wire_put_u64(n->cancels, child->no);
    wire_frame_add_count(n->cancels, 1);
}

void nested_cancel(struct nested *n, struct executor *e, uint32_t number)
{
    const struct child *child = NULL;

    HASH_FIND(own, e->children, &number, sizeof(number), child);
    if (child != NULL)
        cancel(n, child);
}

static void abandon(struct nested *n, struct child *child)
{
    cancel(n, child);
    forget(n, child);
}

void nested_abandon(struct nested *n, struct executor *e, uint32_t number)
{
    struct child *child = NULL;

    HASH_FIND(own, e->children, &number, sizeof(number), child);
    if (child != NULL)
        abandon(n, child);
    else if (n->values != NULL)
        values_drop(n->values, e, number);
}

void nested_abandon_all(struct nested *n, struct executor *e)
{
    struct child *child = NULL;
    struct child *next = NULL;

    HASH_ITER (own, e->children, child, next)
        abandon(n, child);
    if (n->values != NULL)
        values_drop_all(n->values, e);
}
