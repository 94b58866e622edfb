/* Stacks that one thread switches between. What runs on one of them is set aside in the middle of a
 * call, for as long as it likes, and goes on as if nothing had been. Knows nothing of tasks.
 *
 * All fibers of a thread belong to it. The sanitizers are told of every switch, and
 * valgrind of every stack, in a build for it. */
#ifndef LIBSCOOP_FIBER_H
#define LIBSCOOP_FIBER_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct fiber {
    void *at;       /* where it was left */
    uint8_t *stack; /* mapped, a guard page at its lower end; NULL: the thread's own */
    size_t bytes;   /* of the mapping */
    void (*body)(void);
    /* For the sanitizers and valgrind. */
    const void *bottom;
    size_t size;
    void *shadow;
};

/* The fiber that this thread runs on already. */
void fiber_init_own(struct fiber *fiber);

/* A fiber that will run body(), which never returns, on a stack of `bytes`. Memory is taken as it
 * is touched. -ENOMEM. */
NODISCARD int fiber_init(struct fiber *fiber, size_t bytes, void (*body)(void));

/* Free its stack; it must not be the one that runs. */
void fiber_fini(struct fiber *fiber);

/* Leave `from`, which runs, and go on with `to`. Returns when somebody switches back. */
void fiber_switch(struct fiber *from, struct fiber *to);

#endif
