/* Invariants: an input hangs on its source exactly while it is OPEN and that task has not ended; `open`
 * and `failed` count the list; the session's `kept` is the sum of its tasks' `bytes`. */
#include "inputs.h"

#include "state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* Of a task that has some. */
static struct inputs *inputs_of(const struct task *task)
{
    return task->terms->inputs;
}

/* A source needs terms to hang on. */
static int need_terms(struct task *task)
{
    if (task->terms == NULL)
        task->terms = terms_new(&(struct wire_options){.retries = 0});
    return task->terms != NULL ? 0 : -ENOMEM;
}

/* ---- one place ---- */

/* It is open again, and hangs nowhere. */
static void clear(struct input *input)
{
    struct inputs *all = inputs_of(input->taker);

    if (input->source != NULL)
        DL_DELETE(input->source->terms->takers, input);
    input->source = NULL;
    if (input->state == INPUT_OPEN)
        return;
    all->open++;
    all->failed -= input->state == INPUT_FAILED;
    all->bytes -= input->size;
    if (input->taker->session != NULL)
        input->taker->session->kept -= input->size;
    blob_unref(steal(&input->blob));
    input->data = NULL;
    input->size = 0;
    input->state = INPUT_OPEN;
}

static void fail(struct input *input)
{
    struct inputs *all = inputs_of(input->taker);

    clear(input);
    input->state = INPUT_FAILED;
    all->open--;
    all->failed++;
}

static void fill(struct input *input, struct blob *blob, struct wire_bytes bytes)
{
    struct inputs *all = inputs_of(input->taker);

    clear(input);
    input->state = INPUT_GOOD;
    input->blob = bytes.size != 0 ? blob_ref(blob) : NULL;
    input->data = bytes.data;
    input->size = (uint32_t)bytes.size;
    all->open--;
    all->bytes += bytes.size;
    input->taker->session->kept += bytes.size;
}

/* ---- what follows for the task ---- */

static void overflow(struct core *core, struct task *task)
{
    char text[160];

    snprintf(text, sizeof(text),
             "its argument and the results it waits for are more than %zu MiB, or those kept for "
             "all tasks of its session more than %llu MiB",
             WIRE_PAYLOAD_MAX >> 20, (unsigned long long)INPUTS_KEPT_BYTES >> 20);
    const struct wire_failure failure = {.text = {(const uint8_t *)text, strlen(text)}};

    settle_failure(core, task, TASK_OVERFLOW, WIRE_REFUSED_TASK, &failure);
}

/* What durable tasks wait for is kept anyway, and bounded there. */
static bool is_too_much(const struct core *core, const struct task *task)
{
    const struct session *s = task->session;

    return (s != core->durables.session && s->kept > INPUTS_KEPT_BYTES) ||
           inputs_bundle_bytes(task) > WIRE_PAYLOAD_MAX;
}

void inputs_changed(struct core *core, struct task *task)
{
    const struct inputs *all = inputs_of(task);
    const bool blocked = task->state == TASK_BLOCKED;

    if (is_too_much(core, task))
        overflow(core, task);
    else if (all->failed != 0 && !blocked)
        settle(core, task, TASK_BLOCK, NULL);
    else if (all->failed == 0 && all->open == 0)
        settle(core, task, TASK_RELEASE, NULL);
    else if (all->failed == 0 && blocked)
        settle(core, task, TASK_UNBLOCK, NULL);
}

/* ---- from the client ---- */

/* The source has ended, and its result has been sent: the client has it. */
static int ask_client(struct core *core, struct input *input)
{
    struct session *s = input->taker->session;
    const struct wire_place place = {
        .no = input->taker->no,
        .index = (uint32_t)(input - inputs_of(input->taker)->list),
    };

    if (s->needs == NULL)
        s->needs = wire_frame_new(WIRE_NEED, s->peer->link.id, WIRE_PLACE_BYTES);
    if (s->needs == NULL || wire_put_place(s->needs, &place) != 0)
        return -ENOMEM;
    wire_frame_add_count(s->needs, 1);
    peer_touch(core, s->peer);
    return 0;
}

static int hang(struct core *core, struct input *input, uint64_t no)
{
    const struct session *s = input->taker->session;
    const struct session_task *entry = roster_find(&s->tasks, no);

    clear(input);
    if (no == 0 || no >= s->tasks.next_no || no == input->taker->no)
        return -EPROTO;
    if (entry == NULL)
        return ask_client(core, input);
    if (need_terms(entry->task) != 0)
        return -ENOMEM;
    input->source = entry->task;
    DL_APPEND(input->source->terms->takers, input);
    return 0;
}

static int
set_input(struct core *core, struct input *input, const struct wire_input *wire, struct blob *frame)
{
    if (wire->kind == WIRE_INPUT_TASK)
        return hang(core, input, wire->no);
    if (wire->kind == WIRE_INPUT_VALUE)
        fill(input, frame, wire->bytes);
    else
        fail(input);
    return 0;
}

int inputs_hold(struct core *core, struct task *task, uint32_t count)
{
    struct inputs *all = NULL;

    if (need_terms(task) == 0)
        all = calloc(1, sizeof(*all) + count * sizeof(all->list[0]));
    if (all == NULL)
        return -ENOMEM;
    task->terms->inputs = all;
    all->count = count;
    all->open = count;
    for (uint32_t i = 0; i < count; i++)
        all->list[i].taker = task;
    settle(core, task, TASK_HOLD, NULL);
    return 0;
}

void inputs_fill(struct task *task, uint32_t index, struct blob *blob, struct wire_bytes bytes)
{
    fill(&inputs_of(task)->list[index], blob, bytes);
}

void inputs_fail(struct task *task, uint32_t index)
{
    fail(&inputs_of(task)->list[index]);
}

void inputs_reopen(struct task *task, uint32_t index)
{
    clear(&inputs_of(task)->list[index]);
}

int inputs_give(struct core *core,
                struct task *task,
                const struct wire_run *run,
                struct blob *frame)
{
    struct wire_cursor body = run->inputs;
    struct wire_input wire;
    int result = inputs_hold(core, task, run->input_count);

    if (result != 0)
        return result;
    for (uint32_t i = 0; i < run->input_count; i++) {
        if (wire_get_input(&body, &wire) != 0)
            return -EPROTO;
        result = set_input(core, &inputs_of(task)->list[i], &wire, frame);
        if (result != 0)
            return result;
    }
    inputs_changed(core, task);
    return 0;
}

int inputs_take(struct core *core,
                struct session *s,
                const struct wire_header *header,
                struct wire_cursor *body,
                struct blob *frame)
{
    struct wire_place place;
    struct wire_input wire;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_place(body, &place) != 0 || wire_get_input(body, &wire) != 0)
            return -EPROTO;
        const struct session_task *entry = roster_find(&s->tasks, place.no);
        struct task *task = entry != NULL ? entry->task : NULL;

        /* One that waits no more has got what it asked for, or has ended. */
        if (task == NULL || (task->state != TASK_HELD && task->state != TASK_BLOCKED))
            continue;
        if (place.index >= inputs_of(task)->count)
            return -EPROTO;
        const int result = set_input(core, &inputs_of(task)->list[place.index], &wire, frame);
        if (result != 0)
            return result;
        inputs_changed(core, task);
    }
    return wire_read_ok(body);
}

/* ---- from the source ---- */

/* The result in a block of its own, so that it does not keep a whole frame. NULL: out of memory. */
static struct blob *copy_of(struct wire_bytes bytes)
{
    struct blob *copy = blob_new(bytes.size);

    if (copy != NULL)
        wire_put_bytes(copy, bytes.data, bytes.size);
    return copy;
}

/* The client has the result already, and is asked for it; unless it is too large to be an input. */
static void source_moved(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    struct wire_cursor at = {.at = outcome->bytes.data,
                             .end = outcome->bytes.data + outcome->bytes.size};
    const uint64_t size = wire_get_u64(&at);

    while (task->terms->takers != NULL) {
        struct input *input = task->terms->takers;

        clear(input);
        if (inputs_bundle_bytes(input->taker) + size > WIRE_PAYLOAD_MAX)
            overflow(core, input->taker);
        else if (ask_client(core, input) != 0) {
            fail(input);
            inputs_changed(core, input->taker);
        }
    }
}

void inputs_source_ended(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    if (task->terms == NULL || task->terms->takers == NULL)
        return;
    if (outcome_is_moved(outcome)) {
        source_moved(core, task, outcome);
        return;
    }
    struct blob *copy CLEANUP(blob_unref_p) =
        outcome->outcome == WIRE_OK ? copy_of(outcome->bytes) : NULL;

    while (task->terms->takers != NULL) {
        struct input *input = task->terms->takers;

        /* Without memory it is as if it had failed: its client may give it again. */
        if (copy != NULL)
            fill(input, copy, (struct wire_bytes){copy->data, copy->size});
        else
            fail(input);
        inputs_changed(core, input->taker);
    }
}

/* ---- the end ---- */

void inputs_drop(struct task *task)
{
    if (task->terms == NULL)
        return;
    struct inputs *all = task->terms->inputs;

    while (task->terms->takers != NULL)
        clear(task->terms->takers);
    for (uint32_t i = 0; all != NULL && i < all->count; i++)
        clear(&all->list[i]);
    free(all);
    task->terms->inputs = NULL;
}

/* ---- to the agent ---- */

size_t inputs_bundle_bytes(const struct task *task)
{
    const struct inputs *all = inputs_of(task);

    return (all->count + 2) * sizeof(uint32_t) + task->argument_bytes + all->bytes;
}

void inputs_put_bundle(struct blob *frame, const struct task *task)
{
    const struct inputs *all = inputs_of(task);

    wire_put_u32(frame, all->count);
    wire_put_u32(frame, task->argument_bytes);
    for (uint32_t i = 0; i < all->count; i++)
        wire_put_u32(frame, all->list[i].size);
    wire_put_bytes(frame, task->argument, task->argument_bytes);
    for (uint32_t i = 0; i < all->count; i++)
        wire_put_bytes(frame, all->list[i].data, all->list[i].size);
}
