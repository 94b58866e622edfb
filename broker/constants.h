/* Constants: named values that are set once and can be read everywhere. Source: docs/PROTOCOL.md
 * section 11. Part of the pure core; one thread. They are asked for by tasks for the broker itself
 * ("broker.set", ask.c) and need no journal: all of them end with the broker.
 *
 * A constant belongs to the session that set it and ends with it, or is *kept* until somebody
 * unsets it. */
#ifndef BROKER_CONSTANTS_H
#define BROKER_CONSTANTS_H

#include "task.h"

#include <stdint.h>

struct core;
struct constant;
struct session;

#define CONSTANTS_NAME_MAX  ((size_t)255)
#define CONSTANTS_VALUE_MAX ((size_t)1 << 20)

/* Of all together; each counts with its name and CONSTANTS_EACH_BYTES. */
#define CONSTANTS_BYTES_MAX  ((uint64_t)64 << 20)
#define CONSTANTS_EACH_BYTES ((uint64_t)256)

struct constants {
    struct constant *by_name; /* uthash; owns */
    uint64_t serial;          /* of the newest one: each has another */
};

void constants_fini(struct core *core);

/* The session has ended: so have those that it set. */
void constants_drop(struct core *core, struct session *session);

/* Tasks for the broker itself, ASKING and in no list: answered at once. */
void constants_set(struct core *core, struct task *task);
void constants_get(struct core *core, struct task *task);
void constants_unset(struct core *core, struct task *task);

#endif
