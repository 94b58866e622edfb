/* Which task has which number on the present link, and how many bytes of arguments are on their
 * way: a roster (base/roster.h) of jobs. Pure; one thread. */
#ifndef LIBSCOOP_LEDGER_H
#define LIBSCOOP_LEDGER_H

#include "base/err.h"
#include "base/roster.h"

#include <stddef.h>
#include <stdint.h>

struct job;

struct ledger_entry {
    struct job *job;
    uint32_t index; /* of the task in its job */
    uint32_t bytes; /* of its argument */
};

struct ledger {
    struct roster roster; /* of struct ledger_entry */
    uint64_t open_bytes;  /* of the arguments of tasks that have not ended */
};

void ledger_init(struct ledger *ledger);

/* Free everything; the jobs are not touched. */
void ledger_fini(struct ledger *ledger);

/* Give the next number to a task. -ENOMEM: nothing was given. */
NODISCARD int ledger_add(struct ledger *ledger, const struct ledger_entry *entry);

/* Take the task with this number out. -ENOENT: never given out, or it has ended already. */
NODISCARD int ledger_take(struct ledger *ledger, uint64_t no, struct ledger_entry *out);

/* The number that is given out next; how many tasks have not ended. */
static inline uint64_t ledger_next_no(const struct ledger *ledger)
{
    return ledger->roster.next_no;
}

static inline uint64_t ledger_open(const struct ledger *ledger)
{
    return ledger->roster.open;
}

/* The open task with this number (borrowed until the next ledger_take). NULL: there is none. */
const struct ledger_entry *ledger_find(const struct ledger *ledger, uint64_t no);

/* The first open task with a number of at least *no: sets *no to its number and returns its entry
 * (borrowed until the next ledger_take). NULL: there is none. */
const struct ledger_entry *ledger_next(const struct ledger *ledger, uint64_t *no);

#endif
