/* Feeding, recall and the end; the start of the process is in spawn.c, collecting in collect.c.
 * Invariants: `flying` mirrors exactly what is in the ring of tasks or running and never set aside; own positions and counts live in private
 * memory; every number that comes out of the shared memory is copied first and judged then. */
#include "executor.h"

#include "base/clock.h"
#include "base/fdpass.h"
#include "cargo.h"
#include "spawn.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Kept free for CHANNEL_RESUME. */
#define RESERVE_BYTES ((size_t)4 * CHANNEL_ALIGNMENT)

static const uint8_t zeros[CHANNEL_ALIGNMENT];

/* A line belongs to a session: that of the tasks under way, see executor_takes(). What comes while
 * there is none stays in the log alone. */
static void tell_line(void *context, const struct output *output, const char *line, size_t bytes)
{
    struct executor *const e = context;
    const struct task *const task = executor_running(e);
    const bool is_error = output == &e->err;

    if (e->report != NULL && task != NULL)
        report_note(e->report, task, is_error ? WIRE_NOTE_STDERR : WIRE_NOTE_STDOUT,
                    (struct wire_bytes){(const uint8_t *)line, bytes});
}

int executor_start(struct program *program,
                   const struct bounds *bounds,
                   int epoll_fd,
                   int64_t now_ms,
                   struct executor **out)
{
    struct executor *const e = calloc(1, sizeof(*e));

    if (e == NULL)
        return -ENOMEM;
    *e = (struct executor){
        .program = program,
        .bell = -1,
        .files = -1,
        .asks = -1,
        .bounds = bounds,
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

/* ---- feeding ---- */

static uint64_t cost_of(const struct function *function)
{
    return function->mean_ns > FUNCTION_COST_MIN_NS ? function->mean_ns : FUNCTION_COST_MIN_NS;
}

/* Room in a ring; 0 when the executor wrote nonsense there: it never gets more. */
static size_t room_of(struct ring *ring)
{
    size_t room = 0;

    return ring_room(ring, &room) == 0 ? room : 0;
}

bool executor_is_spent(const struct executor *e)
{
    return e->retiring || (e->tasks_max != 0 && e->begun + e->flying.count >= e->tasks_max);
}

bool executor_takes(struct executor *e, const struct task *task)
{
    const struct function *const function = task->function;

    if (e->blame != EXECUTOR_ALIVE || e->timed != 0 || executor_is_spent(e))
        return false;
    if ((e->flying.count != 0 || e->held != NULL) && e->victims != (task->setbacks != 0))
        return false;
    if (executor_running(e) == NULL)
        return true;
    /* One with a large argument is given when it can begin, so that few files are under way. */
    if (task->cargo != NULL)
        return false;
    /* So that what is printed belongs to one session. */
    if (task->session != executor_running(e)->session)
        return false;
    if (e->stuck || e->rest.bytes != 0 || !e->ready || !function->measured ||
        e->flying.count >= EXECUTOR_AHEAD_TASKS ||
        e->cost_ns + cost_of(function) > EXECUTOR_AHEAD_NS)
        return false;
    /* The definition of its function may have to go before it. */
    return room_of(&e->channel.tasks) >= channel_record_bytes(task->argument_bytes) +
                                             channel_record_bytes(WIRE_TEXT_MAX) + RESERVE_BYTES;
}

/* Put a whole record; the caller knows that there is room. */
static void put_record(struct executor *e, const struct channel_task *head, const void *body)
{
    struct ring *const ring = &e->channel.tasks;

    memcpy(ring_put_at(ring), head, sizeof(*head));
    if (body != NULL)
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
        room_of(&e->channel.tasks) < channel_record_bytes(head.bytes) + RESERVE_BYTES)
        return -EPROTO;
    put_record(e, &head, f->name);
    e->numbers[f->index] = ++e->defined;
    return 0;
}

/* Go on with a record that the ring had no room for. True: all of it is there. */
static bool put_rest(struct ring *ring, struct rest *rest)
{
    size_t room = 0;

    while (rest->bytes != 0 && (room = room_of(ring)) != 0) {
        const bool padding = rest->bytes <= rest->padding;
        const size_t left = padding ? rest->bytes : rest->bytes - rest->padding;
        const size_t piece = room < left ? room : left;

        memcpy(ring_put_at(ring), padding ? zeros : rest->at, piece);
        ring_put(ring, piece);
        rest->at += padding ? 0 : piece;
        rest->bytes -= piece;
    }
    return rest->bytes == 0;
}

static void put_task(struct executor *e, const struct task *task)
{
    const struct channel_task head = {
        .bytes = task->cargo != NULL ? 0 : task->argument_bytes,
        .function = (uint16_t)(e->numbers[task->function->index] - 1),
        .attempt = (uint16_t)(task->attempt | (task->bundle ? CHANNEL_BUNDLE : 0) |
                              (e->timed != 0 ? CHANNEL_ANYWAY : 0) |
                              (task->cargo != NULL ? CHANNEL_MAPPED : 0) |
                              (task->moves && e->transfers != NULL ? CHANNEL_MOVES : 0)),
        .id = task->id,
    };
    const size_t total = channel_record_bytes(head.bytes);

    if (room_of(&e->channel.tasks) >= total + RESERVE_BYTES) {
        put_record(e, &head, task->argument);
        return;
    }
    memcpy(ring_put_at(&e->channel.tasks), &head, sizeof(head));
    ring_put(&e->channel.tasks, sizeof(head));
    e->unpublished = true;
    e->rest = (struct rest){.at = task->argument, .bytes = total - sizeof(head)};
    e->rest.padding = e->rest.bytes - head.bytes;
    (void)put_rest(&e->channel.tasks, &e->rest);
}

int executor_feed(struct executor *e, const struct task *task, int64_t now_ms)
{
    struct task fed = *task;

    fed.lane = e->lane;
    fed.told = false;
    e->anyway = e->timed != 0;
    fed.cost_ns = task->function->measured ? (uint32_t)cost_of(task->function) : EXECUTOR_AHEAD_NS;
    const int result = define(e, task->function);
    if (result != 0)
        return result;
    if (room_of(&e->channel.tasks) < RESERVE_BYTES)
        return -EPROTO;
    if (task->cargo != NULL && fdpass_send(e->files, (uint32_t)task->id, task->cargo->fd) != 0)
        return -EPROTO;
    if (task_queue_push_back(&e->flying, &fed) != 0)
        return -ENOMEM;
    if (executor_running(e) == task_queue_at(&e->flying, 0) && e->flying.count == 1)
        e->since_ms = now_ms;
    if (e->flying.count == 1 && e->held == NULL)
        e->victims = task->setbacks != 0;
    e->cost_ns += fed.cost_ns;
    put_task(e, &fed);
    return 0;
}

void executor_publish(struct executor *e)
{
    if (!e->unpublished)
        return;
    e->unpublished = false;
    channel_publish_tasks(&e->channel);
}

/* ---- results of children ---- */

static void put_answer(struct executor *e, const struct channel_result *head, const uint8_t *bytes)
{
    struct ring *const ring = &e->channel.results;

    memcpy(ring_put_at(ring), head, sizeof(*head));
    if (head->bytes != 0)
        memcpy(ring_put_at(ring) + sizeof(*head), bytes, head->bytes);
    ring_put(ring, channel_record_bytes(head->bytes));
}

static void drop_answer(struct executor *e)
{
    struct answer *const answer = e->answers;

    e->answers = answer->next;
    blob_unref(answer->frame);
    free(answer);
}

/* Begin a record that is larger than the room. False: not even its head has room. */
static bool begin_answer(struct executor *e, const struct answer *answer, size_t room)
{
    struct ring *const ring = &e->channel.results;

    if (room < sizeof(answer->head))
        return false;
    memcpy(ring_put_at(ring), &answer->head, sizeof(answer->head));
    ring_put(ring, sizeof(answer->head));
    e->answer_rest = (struct rest){
        .at = answer->bytes,
        .bytes = channel_record_bytes(answer->head.bytes) - sizeof(answer->head),
    };
    e->answer_rest.padding = e->answer_rest.bytes - answer->head.bytes;
    return true;
}

static void put_answers(struct executor *e)
{
    struct ring *const ring = &e->channel.results;

    while (e->answers != NULL) {
        const struct answer *const answer = e->answers;
        const size_t room = room_of(ring);
        const size_t total = channel_record_bytes(answer->head.bytes);

        if (e->answer_rest.bytes == 0 && room >= total)
            put_answer(e, &answer->head, answer->bytes);
        else if (e->answer_rest.bytes == 0 &&
                 (total <= ring->capacity || !begin_answer(e, answer, room)))
            break;
        if (!put_rest(ring, &e->answer_rest))
            break;
        drop_answer(e);
    }
    channel_publish_results(&e->channel);
}

int executor_answer(struct executor *e,
                    uint32_t child,
                    const struct wire_result *result,
                    struct blob *frame)
{
    const struct channel_result head = {
        .bytes = (uint32_t)result->bytes.size,
        .child = child,
        .run_us = result->run_us,
        .outcome = (uint16_t)result->outcome,
        .attempts = result->attempts,
    };

    if (e->answers == NULL && room_of(&e->channel.results) >= channel_record_bytes(head.bytes)) {
        put_answer(e, &head, result->bytes.data);
        channel_publish_results(&e->channel);
        return 0;
    }
    struct answer *const answer = malloc(sizeof(*answer));
    if (answer == NULL)
        return -ENOMEM;
    *answer = (struct answer){.frame = blob_ref(frame), .bytes = result->bytes.data, .head = head};
    if (e->answers == NULL)
        e->answers_tail = &e->answers;
    *e->answers_tail = answer;
    e->answers_tail = &answer->next;
    put_answers(e);
    return 0;
}

void executor_tell(struct executor *e, uint32_t child, const struct wire_note *note)
{
    const struct channel_result head = {
        .bytes = (uint32_t)note->bytes.size,
        .child = child,
        .outcome = (uint16_t)(CHANNEL_NEWS + note->kind),
        .attempts = note->attempt,
    };
    const size_t reserve = e->channel.results.capacity / 4;

    if (e->answers != NULL ||
        room_of(&e->channel.results) < channel_record_bytes(head.bytes) + reserve)
        return;
    put_answer(e, &head, note->bytes.data);
    channel_publish_results(&e->channel);
}

void executor_put_more(struct executor *e)
{
    if (e->rest.bytes != 0) {
        (void)put_rest(&e->channel.tasks, &e->rest);
        e->unpublished = true;
        executor_publish(e);
    }
    if (e->answers != NULL)
        put_answers(e);
}

/* ---- recall ---- */

uint32_t executor_behind(const struct executor *e)
{
    if (e->timed != 0 && !e->anyway)
        return e->flying.count;
    return e->flying.count - (e->resumed == NULL && e->flying.count != 0);
}

int executor_recall(struct executor *e, struct task_queue *queue)
{
    const struct channel_task resume = {.function = CHANNEL_RESUME};

    if (e->recalling || e->rest.bytes != 0 || executor_behind(e) == 0 || e->blame != EXECUTOR_ALIVE)
        return 0;
    const uint64_t claimed = atomic_fetch_or(&e->channel.shared->claim, CHANNEL_CLOSED);
    if (claimed < e->begun || claimed > e->begun + e->flying.count ||
        room_of(&e->channel.tasks) < channel_record_bytes(0))
        return -EPROTO;
    while (e->begun + e->flying.count > claimed) {
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
    /* All at once: for outcomes, and for room when a record is not wholly put. */
    bool idle = ring_park_reader(&e->channel.outcomes);

    if (e->rest.bytes != 0)
        idle = ring_park_writer(&e->channel.tasks) && idle;
    if (e->answers != NULL)
        idle = ring_park_writer(&e->channel.results) && idle;
    return idle;
}

void executor_unpark(struct executor *e)
{
    ring_unpark_reader(&e->channel.outcomes);
}

void executor_kill(struct executor *e, enum executor_blame blame, const struct task *task)
{
    if (e->blame != EXECUTOR_ALIVE)
        return;
    e->blame = blame;
    e->blame_id = task != NULL ? task->id : 0;
    kill(-e->pid, SIGKILL);
    kill(e->pid, SIGKILL); /* it may not have its own group yet */
}

struct task *executor_suspect(struct executor *e)
{
    const uint32_t low = (uint32_t)e->blame_id;
    struct held *held = NULL;

    HASH_FIND(hh, e->held, &low, sizeof(low), held);
    return held != NULL && held->task.id == e->blame_id ? &held->task : executor_running(e);
}

static struct task remove_held(struct executor *e, struct held *held)
{
    const struct task task = held->task;

    if (e->resumed == held)
        e->resumed = NULL;
    e->timed -= held->timed;
    e->limited -= (uint32_t)(task.limit_ms != 0) + (task.revoked && task.limit_ms == 0);
    HASH_DEL(e->held, held);
    free(held);
    return task;
}

struct task executor_remove(struct executor *e, const struct task *task)
{
    if (e->flying.count == 0 || task != task_queue_at(&e->flying, 0)) {
        const uint32_t low = (uint32_t)task->id;
        struct held *held = NULL;

        HASH_FIND(hh, e->held, &low, sizeof(low), held);
        assert(held != NULL);
        return remove_held(e, held);
    }
    e->begun++;
    e->cost_ns -= task->cost_ns;
    return task_queue_pop_front(&e->flying);
}

bool executor_remove_waiting(struct executor *e, struct task *out)
{
    if (e->held == NULL)
        return false;
    *out = remove_held(e, e->held);
    return true;
}

bool executor_had_begun(const struct executor *e)
{
    const uint64_t claimed = atomic_load(&e->channel.shared->claim) & ~CHANNEL_CLOSED;

    /* Not "greater": what cannot be was written by the task that ran. */
    return e->resumed != NULL || claimed != e->begun || (e->begun == 0 && e->held == NULL);
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
    if (e->files >= 0)
        close(e->files);
    bounds_leave(e);
    output_close(&e->out);
    output_close(&e->err);
    free(e->numbers);
    struct task task;

    if (e->nested != NULL)
        nested_abandon_all(e->nested, e);
    free(e->callees);
    while (e->answers != NULL)
        drop_answer(e);
    while (executor_remove_waiting(e, &task))
        blob_unref(task.frame);
    task_queue_fini(&e->flying);
    blob_unref(e->large);
    free(e);
}
