/* Tasks that have run for a while, as their agents tell, and how far they are. An entry for each of them
 * only, so the table is as large as the agents' slots, and tasks that wait for their children; what is short
 * never gets into it. Source: docs/PROTOCOL.md section 4, "Notes".
 *
 * Pure. One thread. */
#ifndef BROKER_RUNNING_H
#define BROKER_RUNNING_H

#include "base/err.h"
#include "base/wire.h"
#include "task.h"

#include <uthash.h>

struct core;

struct running {
    uint64_t id;
    struct task *task; /* borrowed; LEASED, STOPPING or REVOKED */
    int64_t since_ms;
    struct wire_progress progress;
    bool told; /* its session knows that it runs */
    bool owed; /* it does not know of that progress: it read too slowly */
    UT_hash_handle hh;
};

struct running_table {
    struct running *all; /* uthash by id; the order of coming, which is about that of `since_ms` */
};

/* The entry of a task that an agent holds, made if there is none (since now_ms). NULL: no memory. */
struct running *running_open(struct running_table *table, struct task *task, int64_t now_ms);

/* That of a task. NULL: it has none. */
const struct running *running_find(const struct running_table *table, const struct task *task);

/* Forget it; `owed` of it: *progress is set. */
bool running_close(struct running_table *table, struct task *task, struct wire_progress *progress);

/* Append the end of a STATUS frame: those that run longest, at a cost that does not grow with their number.
 * -ENOMEM. */
NODISCARD int running_list(const struct core *core, struct blob *frame);

void running_fini(struct running_table *table);

#endif
