/* Values that functions on this host read: each executor that asks for one gets its memory file, which all of
 * them map. To an executor it is the answer to a child (base/channel.h), so it waits as for any other.
 * Source: docs/PROTOCOL.md section 4, "Values". One thread. */
#ifndef WORKER_VALUES_H
#define WORKER_VALUES_H

#include "base/err.h"
#include "base/wire.h"
#include "store.h"
#include "task.h"

#include <stdbool.h>
#include <stdint.h>

struct executor;
struct reading;

struct values {
    struct store *store;      /* borrowed */
    const char *host;         /* in failures; borrowed */
    struct reading *readings; /* owned; utlist DL: executors that wait for a value */
    bool out_of_memory;       /* the agent cannot go on */
};

/* Child `number` of this task, which this executor runs, is the question for a value. */
void values_ask(struct values *values,
                struct executor *executor,
                uint32_t number,
                const struct task *task,
                struct wire_bytes question,
                int64_t now_ms);

/* Nobody waits for this child, or for any of this executor's, any more. */
void values_drop(struct values *values, const struct executor *executor, uint32_t number);
void values_drop_all(struct values *values, const struct executor *executor);

/* Forget all of it; before the store does. */
void values_reset(struct values *values);

#endif
