/* Constants: named values that are set once and can be read everywhere. Source: docs/PROTOCOL.md
 * section 11. Part of the pure core; one thread. They are asked for by tasks for the broker itself
 * ("broker.set", ask.c).
 *
 * A constant belongs to the session that set it and ends with it, or is *kept* until somebody
 * unsets it. A kept one is in the journal, if there is one, and then outlives the broker; without a journal it
 * ends with the broker, too. While the journal is still being read, a session may set one whose name turns out
 * to be that of a kept one: this one is hidden until that one has ended. */
#ifndef BROKER_CONSTANTS_H
#define BROKER_CONSTANTS_H

#include "base/wire.h"
#include "task.h"

#include <stdint.h>

struct core;
struct constant;
struct durable;
struct session;

#define CONSTANTS_NAME_MAX  ((size_t)255)
#define CONSTANTS_VALUE_MAX ((size_t)1 << 20)

/* Of all together; each counts with its name and CONSTANTS_EACH_BYTES. */
#define CONSTANTS_BYTES_MAX  ((uint64_t)64 << 20)
#define CONSTANTS_EACH_BYTES ((uint64_t)256)

struct constants {
    struct constant *by_name; /* uthash; owns */
    struct constant *hidden;  /* likewise, kept ones behind those of sessions */
    uint64_t made;            /* so far: each has a serial of its own, see add() */
};

void constants_fini(struct core *core);

/* The session has ended: so have those that it set. */
void constants_drop(struct core *core, struct session *session);

/* From the journal: a kept one (the body is taken; NULL: out of memory), and one that is kept no more.
 * Returns its entry; NULL: it could not be restored, and that was noted. */
struct durable *constants_restore(struct core *core, struct wire_bytes record, struct blob *body);
void constants_lose(struct core *core, struct wire_bytes record);
/* It did not come into the journal. */
void constants_withdraw(struct core *core, struct constant *c);

/* Tasks for the broker itself, ASKING and in no list. */
void constants_set(struct core *core, struct task *task);
void constants_get(struct core *core, struct task *task);
void constants_unset(struct core *core, struct task *task);

#endif
