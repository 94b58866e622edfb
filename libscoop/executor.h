/* The executor side of a program: computes tasks that an agent hands it through shared memory.
 * Source: base/channel.h. One thread, main's. */
#ifndef LIBSCOOP_EXECUTOR_H
#define LIBSCOOP_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Was this process started by an agent? */
bool executor_is_wanted(void);

/* Compute tasks until the process ends; the agent kills it when it is not needed any more. What it
 * was told about itself is removed from the environment first, so that no child process takes
 * itself for an executor. Exits with 2 and one line on stderr when that is malformed or of another
 * version of scoop. `wants` is what functions need: CHANNEL_WANTS_... */
_Noreturn void executor_main(unsigned wants);

/* Is this process one? */
bool executor_is_here(void);

/* Tell the agent of the task that runs in this thread: how far it is, which costs no system call; the
 * next piece of its result, at most WIRE_PARTIAL_MAX bytes. */
void executor_say_progress(uint64_t done, uint64_t total);
void executor_put_partial(const void *data, size_t size);

#endif
