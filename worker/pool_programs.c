/* Whether the programs of tasks can run here, and tasks that wait until theirs have been sent. Invariants:
 * `lacking` counts the tasks in the queues of that name; a program with such tasks has a need in the store,
 * for the first of them. */
#include "base/clock.h"
#include "base/log.h"
#include "cargo.h"
#include "pool_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* A program that was refused is looked for again after this: it may have been installed since. */
#define LOOK_AGAIN_MS 1000

/* ---- programs ---- */

static struct program *find_program(const struct pool *pool, const struct wire_function *wire)
{
    struct program *p = pool->programs;

    while (p != NULL && (memcmp(p->sha256, wire->sha256, sizeof(p->sha256)) != 0 ||
                         strlen(p->name) != wire->program.size ||
                         memcmp(p->name, wire->program.data, wire->program.size) != 0))
        p = p->next;
    return p;
}

struct function *pool_function(struct pool *pool, const struct wire_function *wire)
{
    struct program *program = find_program(pool, wire);

    if (program == NULL) {
        program = program_new(wire->program, wire->sha256);
        if (program == NULL)
            return NULL;
        LL_PREPEND(pool->programs, program);
    }
    return program_function(program, wire);
}

int pool_open_program(const struct pool *pool, const uint8_t *sha256)
{
    const struct program *p = pool->programs;

    while (p != NULL && (p->sent || p->path == NULL || p->refusal != NULL || p->name[0] == '\0' ||
                         memcmp(p->sha256, sha256, sizeof(p->sha256)) != 0))
        p = p->next;
    if (p == NULL)
        return -ENOENT;
    const int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -ENOENT;
}

static const char *refusal_of(const struct program *program)
{
    return program->refusal != NULL ? program->refusal : "the worker is out of memory";
}

void pool_log_refusal(const struct program *program)
{
    char quoted[1024];

    log_warn("program_refused", "reason=\"%s\"",
             log_quote(quoted, sizeof(quoted), refusal_of(program)));
}

static bool may_be_sent(const struct pool *pool, const struct program *program)
{
    return pool->store != NULL && pool->uploads && !program->named_badly && !program->stuck &&
           program->name[0] != '\0';
}

enum program_standing
pool_standing(const struct pool *pool, struct program *program, int64_t now_ms)
{
    const bool refused = program->refusal != NULL && now_ms - program->looked_ms < LOOK_AGAIN_MS;

    if (!refused && program_look(program, pool->folders, pool->host, now_ms) == 0)
        return PROGRAM_RUNS;
    if (!may_be_sent(pool, program))
        return PROGRAM_REFUSED;
    const struct blob *const file =
        store_find(pool->store, WIRE_WHAT_PROGRAM, program->sha256, now_ms);
    if (file == NULL)
        return PROGRAM_LACKS;
    return program_use(program, cargo_of(file)->fd) == 0 ? PROGRAM_RUNS : PROGRAM_REFUSED;
}

/* ---- tasks ---- */

static void refuse_task(struct pool *pool, struct task *task, const char *why)
{
    report_failure(pool->report, task, WIRE_REFUSED_TASK, 0, why);
    blob_unref(task->frame);
}

static void sent(struct need *need, struct blob *file, const char *why);

/* Ask for the file in the name of the first task that waits for it. */
static void ask(struct pool *pool, struct program *program)
{
    const struct task *const first = task_queue_at(&program->lacking, 0);

    program->need = (struct need){
        .what = WIRE_WHAT_PROGRAM,
        .task = first->id,
        .attempt = first->attempt,
        .session = first->session,
        .direct = first->moves,
        .done = sent,
        .owner = pool,
    };
    memcpy(program->need.key, program->sha256, sizeof(program->need.key));
    if (store_need(pool->store, &program->need) != 0)
        pool->report->out_of_memory = true;
}

static struct program *program_of(struct need *need)
{
    return (struct program *)((char *)need - offsetof(struct program, need));
}

/* Those of one session have no program; others may have a better one. */
static void
refuse_lacking(struct pool *pool, struct program *program, uint32_t session, const char *why)
{
    char text[WIRE_TEXT_MAX];

    snprintf(text, sizeof(text), "program %s: it was not sent to %s: %s", program_label(program),
             pool->host, why);
    for (uint32_t left = program->lacking.count; left != 0; left--) {
        struct task task = task_queue_pop_front(&program->lacking);

        if (task.session != session) {
            if (task_queue_push_back(&program->lacking, &task) != 0)
                pool->report->out_of_memory = true; /* cannot be: it has just left its place */
            continue;
        }
        pool->lacking--;
        refuse_task(pool, &task, text);
    }
}

/* The file is here, or will not come. */
static void sent(struct need *need, struct blob *file, const char *why)
{
    struct program *const program = program_of(need);
    struct pool *const pool = need->owner;

    if (file == NULL)
        refuse_lacking(pool, program, need->session, why);
    while (file != NULL && program->lacking.count != 0) {
        const struct task task = task_queue_pop_front(&program->lacking);

        pool->lacking--;
        if (pool_add(pool, &task, clock_now_ms()) != 0)
            pool->report->out_of_memory = true;
    }
    if (program->lacking.count != 0)
        ask(pool, program);
}

static int lack(struct pool *pool, const struct task *task)
{
    struct program *const program = task->function->program;
    const int result = task_queue_push_back(&program->lacking, task);

    if (result != 0)
        return result;
    pool->lacking++;
    if (program->lacking.count == 1)
        ask(pool, program);
    return 0;
}

int pool_add(struct pool *pool, const struct task *task, int64_t now_ms)
{
    struct program *const program = task->function->program;
    struct task refused = *task;

    if (program->path != NULL && program->refusal == NULL)
        return task_queue_push_back(&pool->waiting, task);
    const bool known = program->refusal != NULL && now_ms - program->looked_ms < LOOK_AGAIN_MS;
    switch (pool_standing(pool, program, now_ms)) {
    case PROGRAM_RUNS: return task_queue_push_back(&pool->waiting, task);
    case PROGRAM_LACKS: return lack(pool, task);
    case PROGRAM_REFUSED: break;
    }
    if (!known)
        pool_log_refusal(program);
    refuse_task(pool, &refused, refusal_of(program));
    return 0;
}

bool pool_refuses(struct pool *pool, const struct task *task, int64_t now_ms)
{
    struct program *const program = task->function->program;

    if ((program->path != NULL && program->refusal == NULL) ||
        pool_standing(pool, program, now_ms) != PROGRAM_REFUSED)
        return false;
    if (pool_add(pool, task, now_ms) != 0)
        pool->report->out_of_memory = true;
    return true;
}

/* ---- revoking ---- */

static void
revoke_lacking_of(struct pool *pool, struct program *program, const uint64_t *ids, size_t count)
{
    for (uint32_t left = program->lacking.count; left != 0; left--) {
        struct task task = task_queue_pop_front(&program->lacking);

        if (!pool_is_listed(&task, ids, count)) {
            if (task_queue_push_back(&program->lacking, &task) != 0)
                pool->report->out_of_memory = true; /* cannot be: it has just left its place */
            continue;
        }
        pool->lacking--;
        if (program->need.task == task.id)
            store_drop(pool->store, &program->need);
        pool_report_revoked(pool, &task);
        blob_unref(task.frame);
    }
    if (program->lacking.count != 0 && program->need.item == NULL)
        ask(pool, program);
}

void pool_revoke_lacking(struct pool *pool, const uint64_t *ids, size_t count)
{
    for (struct program *p = pool->programs; p != NULL; p = p->next) {
        if (p->lacking.count != 0)
            revoke_lacking_of(pool, p, ids, count);
    }
}

void pool_reset_lacking(struct pool *pool)
{
    for (struct program *p = pool->programs; p != NULL; p = p->next) {
        if (p->need.item != NULL)
            store_drop(pool->store, &p->need);
        task_queue_fini(&p->lacking);
    }
    pool->lacking = 0;
}
