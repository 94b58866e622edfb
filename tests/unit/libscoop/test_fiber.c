/* Stacks that one thread switches between. */
#include "libscoop/fiber.h"

#include <criterion/criterion.h>
#include <fenv.h>
#include <signal.h>

#define BYTES ((size_t)64 << 10)

static struct fiber own;
static struct fiber fibers[2];
static int trace[16];
static size_t traced;

/* Counts to three in steps, each time letting main go on. */
static void count(int which)
{
    for (int i = 1; i <= 3; i++) {
        trace[traced++] = which * 10 + i;
        fiber_switch(&fibers[which], &own);
    }
}

_Noreturn static void first(void)
{
    for (;;)
        count(0);
}

_Noreturn static void second(void)
{
    for (;;)
        count(1);
}

static void given_two_fibers(void)
{
    fiber_init_own(&own);
    cr_assert_eq(fiber_init(&fibers[0], BYTES, first), 0);
    cr_assert_eq(fiber_init(&fibers[1], BYTES, second), 0);
}

static void finish(void)
{
    fiber_fini(&fibers[0]);
    fiber_fini(&fibers[1]);
}

Test(fiber, goes_on_where_it_was_left)
{
    const int expected[] = {1, 11, 2, 12, 3, 13};

    given_two_fibers();
    for (int i = 0; i < 6; i++)
        fiber_switch(&own, &fibers[i % 2]);
    cr_assert_eq(traced, 6);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(trace[i], expected[i]);
    finish();
}

Test(fiber, keeps_the_rounding_of_the_one_that_goes_on)
{
    given_two_fibers();
    fesetround(FE_UPWARD);
    fiber_switch(&own, &fibers[0]);
    cr_assert_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    finish();
}

Test(fiber, has_a_page_below_its_stack_that_cannot_be_touched, .signal = SIGSEGV)
{
    signal(SIGSEGV, SIG_DFL);
    given_two_fibers();
    *(volatile uint8_t *)fibers[0].stack = 1;
}
