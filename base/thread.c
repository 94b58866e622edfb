/* glibc can join with a deadline by itself, but the thread sanitizer does not see that join. */
#include "thread.h"

#include "clock.h"

#include <signal.h>
#include <time.h>

static void *run(void *argument)
{
    struct thread *thread = argument;

    thread->run(thread->context);
    pthread_mutex_lock(&thread->lock);
    thread->ended = true;
    pthread_cond_signal(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

static void release(struct thread *thread)
{
    pthread_cond_destroy(&thread->changed);
    pthread_mutex_destroy(&thread->lock);
}

int thread_start(struct thread *thread, void (*entry)(void *context), void *context)
{
    sigset_t all;
    sigset_t before;

    *thread = (struct thread){.run = entry, .context = context};
    pthread_mutex_init(&thread->lock, NULL);
    thread_init_condition(&thread->changed);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&thread->id, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        release(thread);
    return -error;
}

bool thread_join(struct thread *thread, int64_t limit_ms)
{
    const struct timespec end = thread_time(clock_now_ms() + limit_ms);

    pthread_mutex_lock(&thread->lock);
    while (!thread->ended && pthread_cond_timedwait(&thread->changed, &thread->lock, &end) == 0)
        ;
    const bool ended = thread->ended;
    pthread_mutex_unlock(&thread->lock);
    if (!ended)
        return false;
    pthread_join(thread->id, NULL);
    release(thread);
    return true;
}

void thread_init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct timespec thread_time(int64_t clock_ms)
{
    return (struct timespec){.tv_sec = clock_ms / 1000, .tv_nsec = (clock_ms % 1000) * 1000000};
}
