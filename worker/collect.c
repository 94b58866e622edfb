/* What an executor says. Every number that comes out of the shared memory is copied first and judged
 * then. Invariant: a task that was set aside is in `held` until it ends. */
#include "executor.h"

#include "base/fdpass.h"
#include "base/needs.h"
#include "cargo.h"
#include "news.h"
#include "transfers.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

/* Longest failure record: code, two texts with their lengths. */
#define FAILURE_BYTES_MAX (4 + 2 * (2 + WIRE_TEXT_MAX))

/* A task whose result travels in pieces is not short, however fast it ran: not many are fed ahead. */
#define MOVED_US 10000

/* Of a record, head included; most results are small. */
#define COPY_BYTES 256

/* What a record is taken in with. */
struct taking {
    struct executor *executor;
    struct report *report;
    int64_t now_ms;
};

static bool is_running(struct executor *e, uint32_t low)
{
    const struct task *const task = executor_running(e);

    return task != NULL && (uint32_t)task->id == low;
}

static struct held *find_waiting(const struct executor *e, uint32_t low)
{
    struct held *held = NULL;

    HASH_FIND(hh, e->held, &low, sizeof(low), held);
    return held;
}

const struct task *executor_task(struct executor *e, uint32_t low)
{
    if (is_running(e, low))
        return executor_running(e);
    const struct held *const held = find_waiting(e, low);

    return held != NULL ? &held->task : NULL;
}

/* Another task runs from now on. */
static void turn_over(struct executor *e, int64_t now_ms)
{
    e->since_ms = now_ms;
    e->stuck = false;
    e->shown.task = 0;
}

/* ---- outcomes ---- */

static bool is_answer(uint16_t outcome)
{
    return outcome == WIRE_OK || outcome == WIRE_FAILED || outcome == WIRE_REFUSED_TASK;
}

/* Can this be the answer to the task that runs? */
static bool answer_is_possible(struct executor *e, const struct channel_outcome *head)
{
    const struct task *const task = executor_running(e);

    if (task == NULL || (uint32_t)task->id != head->id)
        return false;
    if (channel_kind(head) != WIRE_OK)
        return head->bytes <= FAILURE_BYTES_MAX;
    return head->bytes <= WIRE_PAYLOAD_MAX && (task->function->result_bytes == WIRE_VARIABLE ||
                                               head->bytes == task->function->result_bytes);
}

/* The running task was answered with these bytes, which may change under our eyes. */
static int
take_answer(const struct taking *t, const struct channel_outcome *head, const uint8_t *bytes)
{
    struct executor *const e = t->executor;
    uint8_t copy[FAILURE_BYTES_MAX];
    struct wire_bytes view = {bytes, head->bytes};
    struct wire_failure failure;

    if (channel_kind(head) != WIRE_OK) {
        memcpy(copy, bytes, head->bytes);
        view.data = copy;
        if (wire_get_failure(view, &failure) != 0)
            return -EPROTO;
    }
    struct task task = executor_remove(e, executor_running(e));
    if (channel_kind(head) == WIRE_OK)
        function_measured(task.function, head->run_us);
    e->answered++;
    turn_over(e, t->now_ms);
    report_answer(t->report, &task, head, view);
    blob_unref(task.frame);
    return 0;
}

/* The running task was answered with a file that it has passed. */
static int take_moved(const struct taking *t, const struct channel_outcome *head)
{
    struct executor *const e = t->executor;
    uint64_t size = 0;
    int fd = -1;

    if (fdpass_take(e->files, head->id, &fd) != 0 || !cargo_accept(fd, WIRE_LARGE_MAX, &size))
        return -EPROTO;
    struct blob *const file = cargo_wrap(fd, size, &e->transfers->held);
    if (file == NULL)
        return -ENOMEM;
    const struct task task = executor_remove(e, executor_running(e));
    function_measured(task.function, head->run_us > MOVED_US ? head->run_us : MOVED_US);
    e->answered++;
    turn_over(e, t->now_ms);
    report_ran(t->report, &task, head);
    transfers_offer(e->transfers, &task, head->run_us, file);
    return 0;
}

/* Can a file be the answer to the task that runs? */
static bool may_move(struct executor *e, const struct channel_outcome *head)
{
    const struct task *const task = executor_running(e);

    return e->transfers != NULL && head->bytes == 0 && task != NULL && is_running(e, head->id) &&
           task->moves && task->function->result_bytes == WIRE_VARIABLE;
}

static int
take_ready(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    (void)body;
    t->executor->ready = true;
    t->executor->wants = head->run_us;
    t->executor->since_ms = t->now_ms;
    return 0;
}

/* ---- waiting ---- */

static int
take_parked(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    struct executor *const e = t->executor;
    struct held *held = e->resumed;

    (void)body;
    if (held == NULL) {
        held = calloc(1, sizeof(*held));
        if (held == NULL)
            return -ENOMEM;
        held->task = executor_remove(e, executor_running(e));
        held->low = head->id;
        held->start_ms = e->since_ms;
        HASH_ADD(hh, e->held, low, sizeof(held->low), held);
        e->limited += held->task.limit_ms != 0 || held->task.revoked;
    }
    e->resumed = NULL;
    held->timed = (head->flags & CHANNEL_TIMED) != 0;
    e->timed += held->timed;
    if (held->timed)
        e->anyway = false;
    report_parked(t->report, &held->task, true);
    turn_over(e, t->now_ms);
    return 0;
}

static int
take_resumed(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    struct executor *const e = t->executor;

    struct held *const held = find_waiting(e, head->id);

    (void)body;
    if (held == NULL)
        return -EPROTO;
    e->resumed = held;
    e->timed -= held->timed;
    held->timed = false;
    report_parked(t->report, &held->task, false);
    turn_over(e, t->now_ms);
    return 0;
}

/* ---- while it runs ---- */

static int
take_progress(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    struct channel_progress progress;

    (void)head;
    memcpy(&progress, body, sizeof(progress));
    news_take_progress(t->executor, progress);
    return 0;
}

static int
take_partial(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    news_take_partial(t->executor, head, body);
    return 0;
}

/* ---- children ---- */

static int
take_name(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    struct executor *const e = t->executor;
    char name[WIRE_TEXT_MAX + 1] = {0};

    memcpy(name, body, head->bytes);
    if (e->callee_count % 16 == 0) {
        struct callee **const callees =
            realloc(e->callees, (e->callee_count + 16) * sizeof(struct callee *));

        if (callees == NULL)
            return -ENOMEM;
        e->callees = callees;
    }
    /* One that cannot be had is NULL: its children end at once. */
    e->callees[e->callee_count++] = nested_callee(e->nested, e, head, name);
    return 0;
}

/* As the broker wants them. */
static bool are_needs(const struct channel_child *child)
{
    struct needs needs;

    if (child->needs[0] == '\0')
        return true;
    return memchr(child->needs, '\0', sizeof(child->needs)) != NULL && child->options.worker == 0 &&
           needs_parse(child->needs, &needs, NULL) == 0;
}

static bool are_possible(const struct wire_options *options)
{
    return options->batch <= WIRE_BATCH_MAX && options->retries <= WIRE_RETRIES_MAX &&
           options->backoff_ms <= WIRE_BACKOFF_MAX && options->priority >= -WIRE_PRIORITY_MAX &&
           options->priority <= WIRE_PRIORITY_MAX;
}

static int
take_child(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    struct executor *const e = t->executor;
    struct channel_child child;

    memcpy(&child, body, sizeof(child));
    const struct wire_bytes argument = {body + sizeof(child), head->bytes - sizeof(child)};
    /* One of many may be submitted when others have ended, while their parent waits. */
    if (executor_task(e, child.parent) == NULL || child.function >= e->callee_count ||
        !are_possible(&child.options) || !are_needs(&child))
        return -EPROTO;
    const struct callee *const callee = e->callees[child.function];
    if (callee != NULL && callee->argument_bytes != WIRE_VARIABLE &&
        callee->argument_bytes != argument.size)
        return -EPROTO;
    child.options.traced = executor_task(e, child.parent)->traced;
    nested_submit(e->nested, e, callee, head->id, &child, argument);
    return 0;
}

static int
take_cancel(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    (void)body;
    nested_cancel(t->executor->nested, t->executor, head->id);
    return 0;
}

static int
take_abandon(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    (void)body;
    nested_abandon(t->executor->nested, t->executor, head->id);
    return 0;
}

/* ---- records ---- */

/* Can this record come now, with these bytes behind its head? */
static bool is_possible(struct executor *e, const struct channel_outcome *head)
{
    if (head->outcome == CHANNEL_READY)
        return !e->ready && head->bytes == 0;
    if (!e->ready)
        return false;
    if (is_answer(channel_kind(head)))
        return answer_is_possible(e, head);
    switch (head->outcome) {
    case CHANNEL_MOVED: return may_move(e, head);
    case CHANNEL_PARKED: return head->bytes == 0 && is_running(e, head->id);
    case CHANNEL_RESUMED:
        return head->bytes == 0 && e->resumed == NULL && find_waiting(e, head->id) != NULL;
    case CHANNEL_NAME:
        return e->nested != NULL && head->bytes <= WIRE_TEXT_MAX &&
               e->callee_count < CHANNEL_NAMES_MAX;
    case CHANNEL_SUBMIT:
        return e->nested != NULL && head->bytes >= sizeof(struct channel_child) &&
               head->bytes <= sizeof(struct channel_child) + WIRE_PAYLOAD_MAX;
    case CHANNEL_CANCEL:
    case CHANNEL_ABANDON: return e->nested != NULL && head->bytes == 0;
    case CHANNEL_PROGRESS:
        return head->bytes == sizeof(struct channel_progress) && is_running(e, head->id);
    case CHANNEL_PARTIAL: return head->bytes <= WIRE_PARTIAL_MAX && is_running(e, head->id);
    default: return false;
    }
}

static int
take_record(const struct taking *t, const struct channel_outcome *head, const uint8_t *body)
{
    if (is_answer(channel_kind(head)))
        return take_answer(t, head, body);
    switch (head->outcome) {
    case CHANNEL_READY: return take_ready(t, head, body);
    case CHANNEL_MOVED: return take_moved(t, head);
    case CHANNEL_PARKED: return take_parked(t, head, body);
    case CHANNEL_RESUMED: return take_resumed(t, head, body);
    case CHANNEL_NAME: return take_name(t, head, body);
    case CHANNEL_SUBMIT: return take_child(t, head, body);
    case CHANNEL_CANCEL: return take_cancel(t, head, body);
    case CHANNEL_ABANDON: return take_abandon(t, head, body);
    case CHANNEL_PROGRESS: return take_progress(t, head, body);
    case CHANNEL_PARTIAL: return take_partial(t, head, body);
    default: return -EPROTO;
    }
}

/* A record larger than the ring: take what has come. 1: there was something, 0: nothing. */
static int collect_large(const struct taking *t, size_t ready)
{
    struct executor *const e = t->executor;
    struct ring *const ring = &e->channel.outcomes;
    const size_t total = channel_record_bytes(e->large_head.bytes) - sizeof(e->large_head);
    const size_t left = total - e->large->size;
    const size_t piece = ready < left ? ready : left;

    if (piece == 0)
        return 0;
    wire_put_bytes(e->large, ring_take_at(ring), piece);
    ring_take(ring, piece);
    if (piece < left)
        return 1;
    struct blob *body CLEANUP(blob_unref_p) = steal(&e->large);
    const int result = take_record(t, &e->large_head, body->data);
    return result != 0 ? result : 1;
}

static int begin_large(struct executor *e, const struct channel_outcome *head)
{
    e->large = blob_new(channel_record_bytes(head->bytes));
    if (e->large == NULL)
        return -ENOMEM;
    e->large_head = *head;
    ring_take(&e->channel.outcomes, sizeof(*head));
    return 1;
}

/* The record as one piece that nobody changes any more, in copy[COPY_BYTES]; larger ones are read where they
 * are. NULL: a function overwrites the ring just now, from its start on: the head is not what it was. */
static const uint8_t *
hold_record(const uint8_t *record, const struct channel_outcome *head, size_t total, uint8_t *copy)
{
    if (total > COPY_BYTES)
        return record;
    memcpy(copy, record, total);
    atomic_signal_fence(memory_order_seq_cst); /* the head is read once more, behind the rest */
    return memcmp(record, head, sizeof(*head)) == 0 ? copy : NULL;
}

/* One record, or a piece of one. 1: done, 0: it is not there yet, else an error. */
static int collect_one(const struct taking *t)
{
    alignas(CHANNEL_ALIGNMENT) uint8_t copy[COPY_BYTES];
    struct executor *const e = t->executor;
    struct ring *const ring = &e->channel.outcomes;
    struct channel_outcome head;
    size_t ready = 0;

    if (ring_ready(ring, &ready) != 0)
        return -EPROTO;
    if (e->large != NULL)
        return collect_large(t, ready);
    if (ready < sizeof(head))
        return 0;
    memcpy(&head, ring_take_at(ring), sizeof(head));
    if (!is_possible(e, &head))
        return -EPROTO;
    const size_t total = channel_record_bytes(head.bytes);
    if (total > ring->capacity)
        return begin_large(e, &head);
    if (ready < total)
        return 0;
    const uint8_t *const record = hold_record(ring_take_at(ring), &head, total, copy);
    const int result = record != NULL ? take_record(t, &head, record + sizeof(head)) : -EPROTO;
    ring_take(ring, total);
    return result != 0 ? result : 1;
}

static void read_lines(struct executor *e, int64_t now_ms)
{
    e->unread = false;
    if (e->out.fd >= 0)
        (void)output_read(&e->out, now_ms);
    if (e->err.fd >= 0)
        (void)output_read(&e->err, now_ms);
}

void executor_lines(struct executor *e, enum executor_end end, int64_t now_ms)
{
    if (e->held != NULL && executor_running(e) == NULL)
        e->unread = true;
    else
        (void)output_read(end == EXECUTOR_STDOUT ? &e->out : &e->err, now_ms);
}

static bool is_recall_over(const struct executor *e)
{
    return (atomic_load(&e->channel.shared->claim) & CHANNEL_CLOSED) == 0;
}

int executor_collect(struct executor *e, struct report *report, int64_t now_ms)
{
    const struct taking t = {e, report, now_ms};
    struct ring *const ring = &e->channel.outcomes;
    const uint64_t before = ring->own;
    size_t ready = 0;
    int result = ring_ready(ring, &ready) == 0 ? 1 : -EPROTO;

    /* What was printed before these records were put is in the pipes by now; it belongs to the first
     * task that runs. Only what was there when we looked: an executor cannot keep us here, and later
     * records come with later lines. */
    e->unread |= ready != 0;
    while (result == 1 && ring->own - before < ready) {
        if (e->unread && executor_running(e) != NULL)
            read_lines(e, now_ms);
        result = collect_one(&t);
    }
    if (e->unread)
        read_lines(e, now_ms);
    if (ring->own != before && ring_release(ring))
        ring_wake(&ring->shared->writer_parked);
    if (result < 0)
        return result;
    if (e->recalling && is_recall_over(e))
        e->recalling = false;
    executor_put_more(e);
    return 0;
}
