#include "base/thread.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdatomic.h>

static atomic_bool may_end;

static void run_until_allowed(void *context)
{
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    *(bool *)context = sigismember(&blocked, SIGTERM) == 1;
    while (!atomic_load(&may_end))
        clock_sleep_ms(1);
}

Test(thread, that_ended_is_joined)
{
    struct thread thread;
    bool blocks_signals = false;

    atomic_store(&may_end, true);
    cr_assert_eq(thread_start(&thread, run_until_allowed, &blocks_signals), 0);
    cr_assert(thread_join(&thread, 5000));
    cr_assert(blocks_signals);
}

Test(thread, that_goes_on_is_waited_for_no_longer_than_the_limit)
{
    struct thread thread;
    bool blocks_signals = false;
    const int64_t start_ms = clock_now_ms();

    atomic_store(&may_end, false);
    cr_assert_eq(thread_start(&thread, run_until_allowed, &blocks_signals), 0);
    cr_assert_not(thread_join(&thread, 30));
    cr_assert_geq(clock_now_ms() - start_ms, 30);
    atomic_store(&may_end, true);
    cr_assert(thread_join(&thread, 5000));
}
