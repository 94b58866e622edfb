/* What pool.c and pool_ends.c share. */
#ifndef WORKER_POOL_STATE_H
#define WORKER_POOL_STATE_H

#include "pool.h"

/* Move an executor to another list of its program. */
void pool_move(struct pool *pool, struct executor *executor, enum executor_shelf shelf);

/* Report a task as revoked that is in no executor. If it was in one before, that has ended. */
void pool_report_revoked(struct pool *pool, const struct task *task);

/* A program has been refused: log why. */
void pool_log_refusal(const struct program *program);

#endif
