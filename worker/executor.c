/* Feeding and collecting; the start of the process is in spawn.c. Invariants: `flying` mirrors
 * exactly what is in the ring of tasks or being run; own positions and counts live in private
 * memory; every number that comes out of the shared memory is copied first and judged then. */
#include "executor.h"

#include "base/clock.h"
#include "spawn.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Kept free for CHANNEL_RESUME. */
#define RESERVE_BYTES (4 * CHANNEL_ALIGNMENT)

/* Longest failure record: code, two texts with their lengths. */
#define FAILURE_BYTES_MAX (4 + 2 * (2 + WIRE_TEXT_MAX))

static const uint8_t zeros[CHANNEL_ALIGNMENT];

/* A line belongs to a session: that of the tasks under way, see executor_takes(). What comes while
 * there is none stays in the log alone. */
static void tell_line(void *context, const struct output *output, const char *line, size_t bytes)
{
    const struct executor *const e = context;
    const bool is_error = output == &e->err;

    if (e->report != NULL && e->flying.count != 0)
        report_note(e->report, task_queue_at(&e->flying, 0),
                    is_error ? WIRE_NOTE_STDERR : WIRE_NOTE_STDOUT,
                    (struct wire_bytes){(const uint8_t *)line, bytes});
}

int executor_start(struct program *program, int epoll_fd, int64_t now_ms, struct executor **out)
{
    struct executor *const e = calloc(1, sizeof(*e));

    if (e == NULL)
        return -ENOMEM;
    *e = (struct executor){
        .program = program,
        .bell = -1,
        .epoll_fd = epoll_fd,
        .since_ms = now_ms,
        .out =
            {.fd = -1, .epoll_fd = epoll_fd, .stream = "stdout", .tell = tell_line, .context = e},
        .err =
            {.fd = -1, .epoll_fd = epoll_fd, .stream = "stderr", .tell = tell_line, .context = e},
    };
    const int result = spawn_executor(e);
    if (result != 0) {
        executor_free(e);
        return result;
    }
    *out = e;
    return 0;
}

void executor_free(struct executor *e)
{
    if (e == NULL)
        return;
    channel_unmap(&e->channel);
    if (e->bell >= 0) {
        /* Closing is not enough: a child that is about to exec may hold a copy, which goes on ringing. */
        (void)epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, e->bell, NULL);
        close(e->bell);
    }
    output_close(&e->out);
    output_close(&e->err);
    free(e->numbers);
    task_queue_fini(&e->flying);
    blob_unref(e->large);
    free(e);
}

/* ---- feeding ---- */

static uint64_t cost_of(const struct function *function)
{
    return function->mean_ns > FUNCTION_COST_MIN_NS ? function->mean_ns : FUNCTION_COST_MIN_NS;
}

/* Room in the ring of tasks; 0 when the executor wrote nonsense there: the next collect finds out.
 */
static size_t room_of(struct executor *e)
{
    size_t room = 0;

    return ring_room(&e->channel.tasks, &room) == 0 ? room : 0;
}

bool executor_takes(struct executor *e, const struct task *task)
{
    const struct function *const function = task->function;

    if (e->blame != EXECUTOR_ALIVE)
        return false;
    if (e->flying.count == 0)
        return true;
    /* So that what is printed belongs to one session. */
    if (task->session != task_queue_at(&e->flying, 0)->session)
        return false;
    if (e->stuck || e->rest_bytes != 0 || !e->ready || !function->measured ||
        e->flying.count >= EXECUTOR_AHEAD_TASKS ||
        e->cost_ns + cost_of(function) > EXECUTOR_AHEAD_NS)
        return false;
    /* The definition of its function may have to go before it. */
    return room_of(e) >= channel_record_bytes(task->argument_bytes) +
                             channel_record_bytes(WIRE_TEXT_MAX) + RESERVE_BYTES;
}

/* Put a whole record; the caller knows that there is room. */
static void put_record(struct executor *e, const struct channel_task *head, const void *body)
{
    struct ring *const ring = &e->channel.tasks;

    memcpy(ring_put_at(ring), head, sizeof(*head));
    if (head->bytes != 0)
        memcpy(ring_put_at(ring) + sizeof(*head), body, head->bytes);
    ring_put(ring, channel_record_bytes(head->bytes));
    e->unpublished = true;
}

static int grow_numbers(struct executor *e)
{
    const uint32_t count = e->program->function_count;
    uint16_t *const numbers = realloc(e->numbers, count * sizeof(*numbers));

    if (numbers == NULL)
        return -ENOMEM;
    memset(numbers + e->number_count, 0, (count - e->number_count) * sizeof(*numbers));
    e->numbers = numbers;
    e->number_count = count;
    return 0;
}

/* Tell it of this function, if it does not know it yet. -EPROTO: it knows too many already, or
 * there is no room in a ring that is all but empty. */
static int define(struct executor *e, const struct function *f)
{
    const struct channel_task head = {
        .bytes = (uint32_t)strlen(f->name),
        .function = CHANNEL_DEFINE,
        .id = (uint64_t)f->argument_bytes << 32 | f->result_bytes,
    };

    if (f->index >= e->number_count && grow_numbers(e) != 0)
        return -ENOMEM;
    if (e->numbers[f->index] != 0)
        return 0;
    if (e->defined == CHANNEL_FUNCTIONS_MAX ||
        room_of(e) < channel_record_bytes(head.bytes) + RESERVE_BYTES)
        return -EPROTO;
    put_record(e, &head, f->name);
    e->numbers[f->index] = ++e->defined;
    return 0;
}

/* Go on with a task that the ring had no room for. */
static void put_rest(struct executor *e)
{
    struct ring *const ring = &e->channel.tasks;
    size_t room = 0;

    while (e->rest_bytes != 0 && (room = room_of(e)) != 0) {
        const bool padding = e->rest_bytes <= e->rest_padding;
        const size_t left = padding ? e->rest_bytes : e->rest_bytes - e->rest_padding;
        const size_t piece = room < left ? room : left;

        memcpy(ring_put_at(ring), padding ? zeros : e->rest, piece);
        ring_put(ring, piece);
        e->rest += piece;
        e->rest_bytes -= piece;
        e->unpublished = true;
    }
}

static void put_task(struct executor *e, const struct task *task)
{
    const struct channel_task head = {
        .bytes = task->argument_bytes,
        .function = (uint16_t)(e->numbers[task->function->index] - 1),
        .attempt = task->attempt,
        .id = task->id,
    };
    const size_t total = channel_record_bytes(head.bytes);

    if (room_of(e) >= total + RESERVE_BYTES) {
        put_record(e, &head, task->argument);
        return;
    }
    memcpy(ring_put_at(&e->channel.tasks), &head, sizeof(head));
    ring_put(&e->channel.tasks, sizeof(head));
    e->unpublished = true;
    e->rest = task->argument;
    e->rest_bytes = total - sizeof(head);
    e->rest_padding = e->rest_bytes - head.bytes;
    put_rest(e);
}

int executor_feed(struct executor *e, const struct task *task, int64_t now_ms)
{
    struct task fed = *task;

    fed.lane = e->lane;
    fed.cost_ns = task->function->measured ? (uint32_t)cost_of(task->function) : EXECUTOR_AHEAD_NS;
    const int result = define(e, task->function);
    if (result != 0)
        return result;
    if (room_of(e) < RESERVE_BYTES)
        return -EPROTO;
    if (task_queue_push_back(&e->flying, &fed) != 0)
        return -ENOMEM;
    if (e->flying.count == 1)
        e->since_ms = now_ms;
    e->cost_ns += fed.cost_ns;
    put_task(e, &fed);
    return 0;
}

void executor_publish(struct executor *e)
{
    struct ring *const ring = &e->channel.tasks;

    if (!e->unpublished)
        return;
    e->unpublished = false;
    if (ring_publish(ring))
        ring_wake(&ring->shared->reader_parked);
}

/* ---- collecting ---- */

static bool is_answer(uint16_t outcome)
{
    return outcome == WIRE_OK || outcome == WIRE_FAILED || outcome == WIRE_REFUSED_TASK;
}

/* Can this be the answer to the oldest task? */
static bool is_possible(const struct executor *e, const struct channel_outcome *head)
{
    if (e->flying.count == 0 || !is_answer(head->outcome))
        return false;
    const struct task *const task = task_queue_at(&e->flying, 0);
    if (head->id != (uint32_t)task->id)
        return false;
    if (head->outcome != WIRE_OK)
        return head->bytes <= FAILURE_BYTES_MAX;
    return head->bytes <= WIRE_PAYLOAD_MAX && (task->function->result_bytes == WIRE_VARIABLE ||
                                               head->bytes == task->function->result_bytes);
}

/* The oldest task was answered with these bytes, which may change under our eyes. */
static int answer(struct executor *e,
                  struct report *report,
                  const struct channel_outcome *head,
                  const uint8_t *bytes,
                  int64_t now_ms)
{
    uint8_t copy[FAILURE_BYTES_MAX];
    struct wire_bytes view = {bytes, head->bytes};
    struct wire_failure failure;

    if (head->outcome != WIRE_OK) {
        memcpy(copy, bytes, head->bytes);
        view.data = copy;
        if (wire_get_failure(view, &failure) != 0)
            return -EPROTO;
    }
    struct task task = task_queue_pop_front(&e->flying);
    if (head->outcome == WIRE_OK)
        function_measured(task.function, head->run_us);
    e->answered++;
    e->cost_ns -= task.cost_ns;
    e->since_ms = now_ms;
    e->stuck = false;
    report_answer(report, &task, head, view);
    blob_unref(task.frame);
    return 0;
}

/* An outcome larger than the ring: take what has come. 1: there was something, 0: nothing. */
static int collect_large(struct executor *e, struct report *report, size_t ready, int64_t now_ms)
{
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
    const int result = answer(e, report, &e->large_head, body->data, now_ms);
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

static int take_ready(struct executor *e, const struct channel_outcome *head, int64_t now_ms)
{
    if (e->ready || head->bytes != 0)
        return -EPROTO;
    e->ready = true;
    e->since_ms = now_ms;
    ring_take(&e->channel.outcomes, sizeof(*head));
    return 1;
}

/* One record, or a piece of one. 1: done, 0: it is not there yet, else an error. */
static int collect_one(struct executor *e, struct report *report, int64_t now_ms)
{
    struct ring *const ring = &e->channel.outcomes;
    struct channel_outcome head;
    size_t ready = 0;

    if (ring_ready(ring, &ready) != 0)
        return -EPROTO;
    if (e->large != NULL)
        return collect_large(e, report, ready, now_ms);
    if (ready < sizeof(head))
        return 0;
    memcpy(&head, ring_take_at(ring), sizeof(head));
    if (head.outcome == CHANNEL_READY)
        return take_ready(e, &head, now_ms);
    if (!e->ready || !is_possible(e, &head))
        return -EPROTO;
    const size_t total = channel_record_bytes(head.bytes);
    if (total > ring->capacity)
        return begin_large(e, &head);
    if (ready < total)
        return 0;
    const int result = answer(e, report, &head, ring_take_at(ring) + sizeof(head), now_ms);
    ring_take(ring, total);
    return result != 0 ? result : 1;
}

static bool is_recall_over(const struct executor *e)
{
    return (atomic_load(&e->channel.shared->claim) & CHANNEL_CLOSED) == 0;
}

static void read_lines(struct executor *e, int64_t now_ms)
{
    if (e->out.fd >= 0)
        (void)output_read(&e->out, now_ms);
    if (e->err.fd >= 0)
        (void)output_read(&e->err, now_ms);
}

int executor_collect(struct executor *e, struct report *report, int64_t now_ms)
{
    struct ring *const ring = &e->channel.outcomes;
    const uint64_t before = ring->own;
    size_t ready = 0;
    int result = ring_ready(ring, &ready) == 0 ? 1 : -EPROTO;

    /* What was printed before these outcomes were put is in the pipes by now. */
    if (result == 1 && ready != 0)
        read_lines(e, now_ms);
    /* Only what was there when we looked: an executor cannot keep us here, and later outcomes come
     * with later lines. */
    while (result == 1 && ring->own - before < ready)
        result = collect_one(e, report, now_ms);
    if (ring->own != before && ring_release(ring))
        ring_wake(&ring->shared->writer_parked);
    if (result < 0)
        return result;
    if (e->recalling && is_recall_over(e))
        e->recalling = false;
    if (e->rest_bytes != 0) {
        put_rest(e);
        executor_publish(e);
    }
    return 0;
}

/* ---- recall ---- */

int executor_recall(struct executor *e, struct task_queue *queue)
{
    const struct channel_task resume = {.function = CHANNEL_RESUME};

    if (e->recalling || e->rest_bytes != 0 || e->flying.count < 2 || e->blame != EXECUTOR_ALIVE)
        return 0;
    const uint64_t claimed = atomic_fetch_or(&e->channel.shared->claim, CHANNEL_CLOSED);
    if (claimed < e->answered || claimed > e->answered + e->flying.count ||
        room_of(e) < channel_record_bytes(0))
        return -EPROTO;
    while (e->answered + e->flying.count > claimed) {
        const struct task task = task_queue_pop_back(&e->flying);

        e->cost_ns -= task.cost_ns;
        if (task_queue_push_front(queue, &task) != 0) {
            blob_unref(task.frame);
            return -ENOMEM;
        }
    }
    put_record(e, &resume, NULL);
    executor_publish(e);
    e->recalling = true;
    return 0;
}

/* ---- parking and the end ---- */

bool executor_park(struct executor *e)
{
    /* Both at once: for outcomes, and for room when a task is not wholly put. */
    const bool idle = ring_park_reader(&e->channel.outcomes);

    return e->rest_bytes == 0 ? idle : ring_park_writer(&e->channel.tasks) && idle;
}

void executor_unpark(struct executor *e)
{
    ring_unpark_reader(&e->channel.outcomes);
}

void executor_kill(struct executor *e, enum executor_blame blame)
{
    if (e->blame != EXECUTOR_ALIVE)
        return;
    e->blame = blame;
    e->blame_id = e->flying.count != 0 ? task_queue_at(&e->flying, 0)->id : 0;
    kill(-e->pid, SIGKILL);
    kill(e->pid, SIGKILL); /* it may not have its own group yet */
}

bool executor_had_begun(const struct executor *e)
{
    const uint64_t claimed = atomic_load(&e->channel.shared->claim) & ~CHANNEL_CLOSED;

    return claimed > e->answered || e->answered == 0;
}
