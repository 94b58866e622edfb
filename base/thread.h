/* A thread that can be waited for with a deadline. It runs with all signals blocked: they belong to
 * the main thread. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Embed it; it has to stay until thread_join() said true. Fields are private. */
struct thread {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended; /* under the lock */
    void (*run)(void *context);
    void *context;
};

/* Run run(context) in a thread. 0, or -EAGAIN: no thread to be had. */
NODISCARD int thread_start(struct thread *thread, void (*run)(void *context), void *context);

/* Wait until it ended. False: it did not within limit_ms and goes on, with all that it uses; then
 * ask again, or leave that to the end of the process. */
NODISCARD bool thread_join(struct thread *thread, int64_t limit_ms);

/* A condition variable whose waits are timed by the monotonic clock, and a time on that clock. */
void thread_init_condition(pthread_cond_t *condition);
struct timespec thread_time(int64_t clock_ms);

#endif
