/* What pool.c and pool_ends.c share. */
#ifndef WORKER_POOL_STATE_H
#define WORKER_POOL_STATE_H

#include "pool.h"

/* Can a process of this program be started here? */
enum program_standing {
    PROGRAM_RUNS,    /* its file is here, as program->path says until the next turn */
    PROGRAM_LACKS,   /* its file is not here, but may be sent */
    PROGRAM_REFUSED, /* no: program->refusal, or no memory to say why */
};
enum program_standing
pool_standing(const struct pool *pool, struct program *program, int64_t now_ms);

/* Drop these tasks, sorted ascending, of those that wait for the files of their programs; all of them
 * without an outcome. */
void pool_revoke_lacking(struct pool *pool, const uint64_t *ids, size_t count);
void pool_reset_lacking(struct pool *pool);

/* Is the task one of these, sorted ascending? */
bool pool_is_listed(const struct task *task, const uint64_t *ids, size_t count);

/* Move an executor to another list of its program. */
void pool_move(struct pool *pool, struct executor *executor, enum executor_shelf shelf);

/* Report a task as revoked that is in no executor. If it was in one before, that has ended. */
void pool_report_revoked(struct pool *pool, const struct task *task);

/* A program has been refused: log why. */
void pool_log_refusal(const struct program *program);

#endif
