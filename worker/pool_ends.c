/* What becomes of the tasks of an executor that ends, and the end of all of them. Invariant: a task of an
 * executor that was reaped was reported or waits again. */
#include "base/clock.h"
#include "base/log.h"
#include "base/strays.h"
#include "oom.h"
#include "pool_state.h"
#include "verdict.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

/* Run it again, or say that it is not wanted any more. */
static void take_back(struct pool *pool, struct task *task)
{
    if (!task->revoked && task_queue_push_front(&pool->waiting, task) == 0)
        return;
    if (task->revoked)
        pool_report_revoked(pool, task);
    else
        pool->report->out_of_memory = true;
    blob_unref(task->frame);
}

/* One that waited in an executor that ended. */
static void set_back(struct pool *pool, struct task *task)
{
    if (++task->setbacks < TASK_SETBACKS_MAX) {
        take_back(pool, task);
        return;
    }
    report_failure(pool->report, task, WIRE_CRASHED, 0,
                   "its executor ended again and again while it waited for its children");
    blob_unref(task->frame);
}

/* Settle its tasks: the one that is to blame as it deserves; the others run elsewhere. */
static void settle_tasks(struct pool *pool, struct executor *e, const struct ending *ending)
{
    struct task *const suspect = executor_suspect(e);
    struct task task;

    if (suspect != NULL && verdict_report(pool->report, e, suspect, ending))
        blob_unref(executor_remove(e, suspect).frame);
    else if (e->flying.count != 0 && suspect == task_queue_at(&e->flying, 0) &&
             executor_had_begun(e))
        suspect->setbacks++; /* nobody may say that it never ran */
    while (e->flying.count != 0) {
        task = task_queue_pop_back(&e->flying);
        take_back(pool, &task);
    }
    if (e->resumed != NULL) {
        task = executor_remove(e, &e->resumed->task);
        set_back(pool, &task);
    }
    while (executor_remove_waiting(e, &task)) {
        report_parked(pool->report, &task, false);
        set_back(pool, &task);
    }
}

static void remove_executor(struct pool *pool, struct executor *e)
{
    if (e->shelf != EXECUTOR_IDLE)
        pool_move(pool, e, EXECUTOR_IDLE);
    DL_DELETE(e->program->idle, e);
    DL_DELETE2(pool->all, e, pool_prev, pool_next);
    pool->executors--;
    executor_free(e);
}

/* Its tasks are refused: no other process of this program would start. */
static void note_unstartable(const struct pool *pool,
                             struct executor *e,
                             const struct ending *ending,
                             int64_t now_ms)
{
    char text[WIRE_TEXT_MAX];

    if (!verdict_cannot_start(e, ending, pool->host, text, sizeof(text)))
        return;
    program_refuse(e->program, text, now_ms);
    pool_log_refusal(e->program);
}

static void bury(struct pool *pool, struct executor *e, struct ending *ending, int64_t now_ms)
{
    /* What it answered before its end counts; nonsense at the end is no news. */
    if (e->blame != EXECUTOR_NONSENSE && executor_collect(e, pool->report, now_ms) != 0)
        e->blame = EXECUTOR_NONSENSE;
    output_finish(&e->out, now_ms);
    output_finish(&e->err, now_ms);
    ending->out_of_memory = e->blame == EXECUTOR_ALIVE && WIFSIGNALED(ending->status) &&
                            WTERMSIG(ending->status) == SIGKILL && pool->oom != NULL &&
                            oom_took_one(pool->oom);
    verdict_log(e, ending);
    note_unstartable(pool, e, ending, now_ms);
    settle_tasks(pool, e, ending);
    remove_executor(pool, e);
}

static struct executor *find_by_pid(const struct pool *pool, pid_t pid)
{
    struct executor *e = NULL;

    DL_FOREACH2(pool->all, e, pool_next)
    {
        if (e->pid == pid)
            return e;
    }
    return NULL;
}

static bool is_executor(const void *pool, pid_t pid)
{
    return find_by_pid(pool, pid) != NULL;
}

/* Reap one child that has ended. False: there is none. */
static bool reap_one(struct pool *pool, int64_t now_ms)
{
    siginfo_t ended = {0};
    struct ending ending = {0};

    /* Looked at before it is reaped: until then its number names its group and nobody else's. */
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0)
        return false;
    struct executor *const e = find_by_pid(pool, ended.si_pid);
    if (e != NULL)
        kill(-e->pid, SIGKILL);
    (void)wait4(ended.si_pid, &ending.status, 0, &ending.usage);
    if (e != NULL)
        bury(pool, e, &ending, now_ms);
    return true;
}

void pool_reap(struct pool *pool, int64_t now_ms)
{
    bool any = false;

    while (reap_one(pool, now_ms))
        any = true;
    /* Once for all of them: where many end at a time, listing the children takes its time. */
    if (any)
        strays_kill(is_executor, pool);
}

bool pool_is_empty(const struct pool *pool)
{
    return pool->waiting.count == 0 && pool->lacking == 0 && pool->busy == 0 && pool->parked == 0;
}

/* ---- reset ---- */

static void kill_all(struct pool *pool)
{
    struct executor *e = NULL;

    DL_FOREACH2(pool->all, e, pool_next)
    {
        while (e->flying.count != 0)
            blob_unref(task_queue_pop_back(&e->flying).frame);
        executor_kill(e, EXECUTOR_DISMISSED, NULL);
    }
}

/* SIGKILL takes effect in microseconds, unless the kernel holds a process in a device. */
static void wait_for_ends(const struct pool *pool)
{
    const int64_t end_ms = clock_now_ms() + 1000;
    struct executor *e = NULL;

    DL_FOREACH2(pool->all, e, pool_next)
    {
        while (waitpid(e->pid, NULL, WNOHANG) == 0 && clock_now_ms() < end_ms)
            clock_sleep_ms(1);
        output_finish(&e->out, clock_now_ms());
        output_finish(&e->err, clock_now_ms());
    }
    strays_kill(is_executor, pool);
}

void pool_reset(struct pool *pool)
{
    struct executor *e = NULL;
    struct executor *next_executor = NULL;

    task_queue_fini(&pool->waiting);
    pool_reset_lacking(pool);
    kill_all(pool);
    wait_for_ends(pool);
    DL_FOREACH_SAFE2(pool->all, e, next_executor, pool_next)
    executor_free(e);
    while (pool->programs != NULL) {
        struct program *const program = pool->programs;

        pool->programs = program->next;
        program_free(program);
    }
    pool->all = NULL;
    pool->executors = 0;
    pool->busy = 0;
    pool->parked = 0;
    pool->start_ms = 0;
}
