/* Invariants: an executor stands in its program's list `busy` while a task runs in it, in `waiting`
 * while it has others, else in `idle`; `busy` and `parked` count the first two; a task is in
 * `waiting`, in one executor, or reported. */
#include "pool_state.h"

#include "base/log.h"
#include "memory.h"
#include "news.h"
#include "spawn.h"

#include <string.h>
#include <unistd.h>
#include <utlist.h>

/* Processes kept per slot, busy and idle ones together, and at least so many. */
#define EXECUTORS_PER_SLOT 2
#define EXECUTORS_MIN      4

/* So many times that: tasks that have to go on in time lose this privilege. */
#define CROWDED_TIMES 4

/* After fork or memory failed. */
#define START_PAUSE_MS 1000

/* Processes started in one turn: each takes about a millisecond, and the lease wants to be
 * renewed meanwhile. */
#define STARTS_PER_TURN 16

/* More executors than a host ever has. */
#define LANES_MAX (WIRE_SLOTS_MAX * EXECUTORS_PER_SLOT + 1)

/* Tasks put between two looks of the executors. */
#define PUBLISH_EVERY 32

/* ---- executors ---- */

static struct executor **list_of(struct program *program, enum executor_shelf shelf)
{
    switch (shelf) {
    case EXECUTOR_BUSY: return &program->busy;
    case EXECUTOR_WAITING: return &program->waiting;
    case EXECUTOR_IDLE: break;
    }
    return &program->idle;
}

static void count_shelf(struct pool *pool, enum executor_shelf shelf, uint32_t change)
{
    if (shelf == EXECUTOR_BUSY)
        pool->busy += change;
    else if (shelf == EXECUTOR_WAITING)
        pool->parked += change;
}

void pool_move(struct pool *pool, struct executor *e, enum executor_shelf shelf)
{
    struct executor **const from = list_of(e->program, e->shelf);
    struct executor **const to = list_of(e->program, shelf);

    DL_DELETE(*from, e);
    if (shelf == EXECUTOR_IDLE)
        DL_PREPEND(*to, e);
    else
        DL_APPEND(*to, e);
    count_shelf(pool, e->shelf, -1U);
    count_shelf(pool, shelf, 1);
    e->shelf = shelf;
}

/* Put it where it belongs now. One that is being killed stays where it is. */
static void shelve(struct pool *pool, struct executor *e)
{
    const enum executor_shelf shelf = executor_running(e) != NULL ? EXECUTOR_BUSY
                                      : e->held != NULL           ? EXECUTOR_WAITING
                                                                  : EXECUTOR_IDLE;

    if (shelf != e->shelf && e->blame == EXECUTOR_ALIVE)
        pool_move(pool, e, shelf);
    if (shelf == EXECUTOR_IDLE && executor_is_spent(e))
        executor_kill(e, EXECUTOR_DISMISSED, NULL);
}

/* Make room for a new process: the executor that has been idle longest goes. */
static void dismiss_one(struct pool *pool)
{
    struct executor *oldest = NULL;
    struct executor *e = NULL;

    DL_FOREACH2(pool->all, e, pool_next)
    {
        if (e->shelf == EXECUTOR_IDLE && e->blame == EXECUTOR_ALIVE &&
            (oldest == NULL || e->since_ms < oldest->since_ms))
            oldest = e;
    }
    if (oldest != NULL)
        executor_kill(oldest, EXECUTOR_DISMISSED, NULL);
}

static uint32_t executors_max(const struct pool *pool)
{
    const uint32_t some = pool->slots * EXECUTORS_PER_SLOT;

    return some > EXECUTORS_MIN ? some : EXECUTORS_MIN;
}

void pool_prepare(const struct pool *pool)
{
    spawn_expect(executors_max(pool) + 1);
}

/* The lowest number that no other executor has; beyond LANES_MAX they share the last. */
static uint16_t free_lane(const struct pool *pool)
{
    bool taken[LANES_MAX] = {false};
    const struct executor *e = NULL;
    uint16_t lane = 0;

    DL_FOREACH2(pool->all, e, pool_next)
    taken[e->lane] = true;
    while (lane < LANES_MAX - 1 && taken[lane])
        lane++;
    return lane;
}

/* A new idle executor; NULL: not now, logged. */
static struct executor *start_one(struct pool *pool, struct program *program, int64_t now_ms)
{
    struct executor *e = NULL;

    if (now_ms < pool->start_ms || pool->starts_left == 0)
        return NULL;
    pool->starts_left--;
    if (pool->executors >= executors_max(pool))
        dismiss_one(pool);
    const int result = executor_start(program, pool->bounds, pool->epoll_fd, now_ms, &e);
    if (result != 0) {
        pool->start_ms = now_ms + START_PAUSE_MS;
        log_error("executor_not_started", "program=%s error=\"%s\" retry_ms=%d",
                  program_label(program), strerror(-result), START_PAUSE_MS);
        return NULL;
    }
    e->lane = free_lane(pool);
    e->report = pool->report;
    e->nested = pool->nested;
    e->transfers = pool->transfers;
    e->memory.limit = pool->task_memory;
    e->tasks_max = pool->executor_tasks;
    pool->executors++;
    DL_APPEND2(pool->all, e, pool_prev, pool_next);
    DL_PREPEND(program->idle, e);
    log_debug("executor_started", "program=%s pid=%d", program_label(program), (int)e->pid);
    return e;
}

static struct executor *idle_one(const struct program *program)
{
    struct executor *e = program->idle;

    while (e != NULL && e->blame != EXECUTOR_ALIVE)
        e = e->next;
    return e;
}

/* One in which tasks only wait, of the same kind. */
static struct executor *waiting_one(const struct program *program, const struct task *task)
{
    struct executor *e = program->waiting;

    while (e != NULL && (e->blame != EXECUTOR_ALIVE || !executor_takes(e, task)))
        e = e->next;
    return e;
}

/* When there are that many processes, none is started because a task has to go on in time. */
static bool is_crowded(const struct pool *pool)
{
    return pool->executors >= CROWDED_TIMES * executors_max(pool);
}

/* One in which tasks only wait, of the same kind, if need be with one that has to go on in time. */
static struct executor *crowded_one(const struct program *program, const struct task *task)
{
    struct executor *e = program->waiting;

    while (e != NULL &&
           (e->blame != EXECUTOR_ALIVE || e->recalling || e->victims != (task->setbacks != 0)))
        e = e->next;
    return e;
}

/* A busy one that takes this task, too. They take turns: the one found goes to the end. */
static struct executor *busy_one(struct program *program, const struct task *task)
{
    for (struct executor *e = program->busy; e != NULL; e = e->next) {
        if (executor_takes(e, task)) {
            DL_DELETE(program->busy, e);
            DL_APPEND(program->busy, e);
            return e;
        }
    }
    return NULL;
}

static struct executor *pick(struct pool *pool, const struct task *task, int64_t now_ms)
{
    struct program *const program = task->function->program;
    struct executor *e = NULL;

    if (pool->busy < pool->slots) {
        e = idle_one(program);
        if (e == NULL)
            e = waiting_one(program, task);
        if (e == NULL && is_crowded(pool))
            e = crowded_one(program, task);
        if (e == NULL && pool_standing(pool, program, now_ms) == PROGRAM_RUNS)
            e = start_one(pool, program, now_ms);
    }
    return e != NULL ? e : busy_one(program, task);
}

static void publish_all(struct pool *pool)
{
    struct executor *e = NULL;

    DL_FOREACH2(pool->all, e, pool_next)
    executor_publish(e);
}

/* Give the first waiting task to someone. False: nobody can take it now. */
static bool feed_one(struct pool *pool, int64_t now_ms)
{
    const struct task *const task = task_queue_at(&pool->waiting, 0);
    struct program *const program = task->function->program;
    struct executor *const e = pick(pool, task, now_ms);

    if (program->refusal != NULL) { /* its file was here, and is not any more */
        const struct task left = task_queue_pop_front(&pool->waiting);

        if (pool_add(pool, &left, now_ms) != 0)
            pool->report->out_of_memory = true;
        return true;
    }
    if (e == NULL)
        return false;
    if (executor_feed(e, task, now_ms) == 0)
        (void)task_queue_pop_front(&pool->waiting);
    else
        executor_kill(e, EXECUTOR_NONSENSE, NULL);
    shelve(pool, e);
    return true;
}

bool pool_feed(struct pool *pool, int64_t now_ms)
{
    unsigned fed = 0;

    pool->starts_left = STARTS_PER_TURN;
    while (pool->waiting.count != 0 && feed_one(pool, now_ms)) {
        if (++fed % PUBLISH_EVERY == 0)
            publish_all(pool);
    }
    if (fed != 0)
        publish_all(pool);
    return pool->starts_left == 0;
}

static void collect_from(struct pool *pool, struct executor *e, int64_t now_ms)
{
    const int result = executor_collect(e, pool->report, now_ms);

    if (result != 0) {
        log_warn("executor_wrote_nonsense", "program=%s pid=%d error=\"%s\"",
                 program_label(e->program), (int)e->pid, strerror(-result));
        executor_kill(e, EXECUTOR_NONSENSE, NULL);
    }
    shelve(pool, e);
}

static void collect_from_list(struct pool *pool, struct executor *list, int64_t now_ms)
{
    struct executor *e = NULL;
    struct executor *next = NULL;

    DL_FOREACH_SAFE (list, e, next) {
        if (e->blame == EXECUTOR_ALIVE)
            collect_from(pool, e, now_ms);
    }
}

void pool_collect(struct pool *pool, int64_t now_ms)
{
    for (struct program *p = pool->programs; p != NULL; p = p->next) {
        collect_from_list(pool, p->busy, now_ms);
        collect_from_list(pool, p->waiting, now_ms);
    }
}

static bool park_list(struct executor *list)
{
    bool idle = true;

    for (struct executor *e = list; e != NULL && idle; e = e->next)
        idle = e->blame != EXECUTOR_ALIVE || executor_park(e);
    return idle;
}

bool pool_park(struct pool *pool)
{
    bool idle = true;

    for (struct program *p = pool->programs; p != NULL && idle; p = p->next)
        idle = park_list(p->busy) && park_list(p->waiting);
    return idle;
}

static void unpark_list(struct executor *list)
{
    for (struct executor *e = list; e != NULL; e = e->next)
        executor_unpark(e);
}

void pool_unpark(struct pool *pool)
{
    for (struct program *p = pool->programs; p != NULL; p = p->next) {
        unpark_list(p->busy);
        unpark_list(p->waiting);
    }
}

void pool_event(const struct executor_watch *watch, int64_t now_ms)
{
    struct executor *const e = watch->executor;
    uint64_t times = 0;
    ssize_t got = 0;

    switch (watch->end) {
    case EXECUTOR_BELL: /* what it rang for is collected in this turn anyway */
        got = read(e->bell, &times, sizeof(times));
        (void)got;
        return;
    case EXECUTOR_STDOUT:
    case EXECUTOR_STDERR: executor_lines(e, watch->end, now_ms); return;
    case EXECUTOR_ASKS: bounds_event(e, now_ms); return;
    }
}

/* ---- limits ---- */

/* When a task's time is up; INT64_MAX: never. */
static int64_t limit_of(const struct task *task, int64_t start_ms)
{
    if (task->revoked)
        return start_ms;
    return task->limit_ms != 0 ? start_ms + task->limit_ms : INT64_MAX;
}

/* The task of this executor whose time is up first, and when that is. NULL: none. */
static struct task *first_limit(struct executor *e, int64_t *at_ms)
{
    struct task *first = NULL;

    *at_ms = INT64_MAX;
    if (e->resumed == NULL && e->flying.count != 0) {
        first = task_queue_at(&e->flying, 0);
        *at_ms = limit_of(first, e->since_ms);
    }
    for (struct held *held = e->limited != 0 ? e->held : NULL; held != NULL; held = held->hh.next) {
        const int64_t held_ms = limit_of(&held->task, held->start_ms);

        if (held_ms < *at_ms) {
            first = &held->task;
            *at_ms = held_ms;
        }
    }
    return first;
}

/* When this executor's time is up; INT64_MAX: never. */
static int64_t deadline_of(struct executor *e)
{
    int64_t at_ms = INT64_MAX;

    if (e->blame != EXECUTOR_ALIVE)
        return INT64_MAX;
    if (!e->ready)
        return e->since_ms + EXECUTOR_START_MS;
    (void)first_limit(e, &at_ms);
    return at_ms;
}

static void enforce(struct executor *e)
{
    int64_t at_ms = 0;
    const struct task *const task = first_limit(e, &at_ms);

    if (!e->ready)
        executor_kill(e, EXECUTOR_SILENT, NULL);
    else if (task != NULL)
        executor_kill(e, task->revoked ? EXECUTOR_REVOKED : EXECUTOR_OVERTIME, task);
}

/* A long task with short ones behind it: others may run those. */
static int64_t recall_if_stuck(struct pool *pool, struct executor *e, int64_t now_ms)
{
    if (executor_behind(e) == 0 || e->blame != EXECUTOR_ALIVE || !e->ready)
        return INT64_MAX;
    if (e->timed == 0 && !e->retiring && now_ms < e->since_ms + EXECUTOR_STUCK_MS)
        return e->since_ms + EXECUTOR_STUCK_MS;
    e->stuck = true;
    const uint32_t waiting = pool->waiting.count;
    if (executor_recall(e, &pool->waiting) != 0)
        executor_kill(e, EXECUTOR_NONSENSE, NULL);
    shelve(pool, e);
    if (pool->waiting.count != waiting)
        return now_ms; /* they are fed in the next turn */
    return executor_behind(e) == 0 ? INT64_MAX : now_ms + EXECUTOR_STUCK_MS;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t check_one(struct pool *pool, struct executor *e, int64_t now_ms)
{
    const int64_t deadline = deadline_of(e);

    if (now_ms >= deadline) {
        enforce(e);
        return INT64_MAX;
    }
    const int64_t memory = memory_check(e, now_ms);
    const int64_t stuck = recall_if_stuck(pool, e, now_ms);
    const int64_t news = news_check(e, now_ms);
    return earlier(earlier(memory, stuck), earlier(news, deadline));
}

int64_t pool_check(struct pool *pool, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    struct executor *e = NULL;

    if (pool->waiting.count != 0 && pool->start_ms > now_ms)
        next_ms = pool->start_ms;
    DL_FOREACH2(pool->all, e, pool_next)
    {
        const int64_t at_ms = check_one(pool, e, now_ms);

        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    return next_ms;
}

/* ---- revoking ---- */

static int compare_ids(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

bool pool_is_listed(const struct task *task, const uint64_t *ids, size_t count)
{
    return bsearch(&task->id, ids, count, sizeof(*ids), compare_ids) != NULL;
}

void pool_report_revoked(struct pool *pool, const struct task *task)
{
    if (task->setbacks != 0)
        report_failure(pool->report, task, WIRE_CANCELLED, WIRE_STOPPED, "revoked while it waited");
    else
        report_failure(pool->report, task, WIRE_CANCELLED, WIRE_NEVER_RAN, "revoked before it ran");
}

static void cancel_waiting(struct pool *pool, const uint64_t *ids, size_t count)
{
    for (uint32_t left = pool->waiting.count; left != 0; left--) {
        struct task task = task_queue_pop_front(&pool->waiting);

        if (pool_is_listed(&task, ids, count)) {
            pool_report_revoked(pool, &task);
            blob_unref(task.frame);
        } else if (task_queue_push_back(&pool->waiting, &task) != 0) {
            pool->report->out_of_memory = true; /* cannot be: it has just left the place it takes */
        }
    }
}

/* A task that waits in an executor ends with it: what its stack holds can only be dropped so. */
static void revoke_held(struct executor *e, const uint64_t *ids, size_t count)
{
    for (struct held *held = e->held; held != NULL; held = held->hh.next) {
        if (held->task.revoked || !pool_is_listed(&held->task, ids, count))
            continue;
        held->task.revoked = true; /* it is killed by the next check */
        e->limited += held->task.limit_ms == 0;
    }
}

void pool_revoke(struct pool *pool, const uint64_t *ids, size_t count, int64_t now_ms)
{
    struct executor *e = NULL;

    pool_collect(pool, now_ms);
    DL_FOREACH2(pool->all, e, pool_next)
    {
        bool any = false;

        for (uint32_t i = 0; i < e->flying.count; i++) {
            struct task *const task = task_queue_at(&e->flying, i);

            task->revoked = task->revoked || pool_is_listed(task, ids, count);
            any = any || task->revoked;
        }
        revoke_held(e, ids, count);
        if (any && executor_recall(e, &pool->waiting) != 0)
            executor_kill(e, EXECUTOR_NONSENSE, NULL);
    }
    pool_revoke_lacking(pool, ids, count);
    cancel_waiting(pool, ids, count); /* one that runs is killed by the next check */
}
