#include "base/gate.h"

#include <criterion/criterion.h>

/* A test's clock, in microseconds. */
static const int64_t START = 1000000;
static const int64_t MS = 1000;

static int64_t ignored;

static void assert_nobody_may_go(struct gate *gate, int64_t now_us)
{
    cr_assert_null(gate_next(gate, now_us, &ignored));
}

Test(gate, without_limit_and_delay_is_open)
{
    struct gate gate;

    gate_init(&gate, 0, 0);
    cr_assert(gate_is_open(&gate));
    gate_init(&gate, 1, 0);
    cr_assert_not(gate_is_open(&gate));
    gate_init(&gate, 0, 1);
    cr_assert_not(gate_is_open(&gate));
}

Test(gate, serves_one_after_another_in_order_of_arrival)
{
    struct gate gate;
    struct gate_pass passes[3] = {0};

    gate_init(&gate, 1, 100);
    for (int i = 0; i < 3; i++)
        cr_assert_not(gate_enter(&gate, &passes[i], START + i));
    for (int i = 0; i < 3; i++) {
        const int64_t due_us = START + (i + 1) * 100 * MS;
        assert_nobody_may_go(&gate, due_us - 1);
        cr_assert_eq(gate_next(&gate, due_us, &ignored), &passes[i]);
        assert_nobody_may_go(&gate, due_us + 1000 * MS);
        gate_leave(&gate, due_us);
    }
    cr_assert_eq(gate.in_use, 0);
}

Test(gate, says_how_long_until_the_next_may_go)
{
    struct gate gate;
    struct gate_pass pass = {0};
    int64_t wait_us = 0;

    gate_init(&gate, 0, 100);
    cr_assert_null(gate_next(&gate, START, &wait_us));
    cr_assert_eq(wait_us, -1);
    cr_assert_not(gate_enter(&gate, &pass, START));
    cr_assert_null(gate_next(&gate, START + 30 * MS, &wait_us));
    cr_assert_eq(wait_us, 70 * MS);
}

Test(gate, without_delay_lets_the_first_in_at_once_and_the_next_when_it_leaves)
{
    struct gate gate;
    struct gate_pass first = {0};
    struct gate_pass second = {0};

    gate_init(&gate, 1, 0);
    cr_assert(gate_enter(&gate, &first, START));
    cr_assert_not(gate_enter(&gate, &second, START));
    assert_nobody_may_go(&gate, START + 1000 * MS);
    gate_leave(&gate, START + 5 * MS);
    cr_assert_eq(gate_next(&gate, START + 5 * MS, &ignored), &second);
}

Test(gate, without_limit_delays_all_at_the_same_time)
{
    struct gate gate;
    struct gate_pass passes[50] = {0};

    gate_init(&gate, 0, 100);
    for (size_t i = 0; i < COUNT_OF(passes); i++)
        cr_assert_not(gate_enter(&gate, &passes[i], START));
    for (size_t i = 0; i < COUNT_OF(passes); i++)
        cr_assert_eq(gate_next(&gate, START + 100 * MS, &ignored), &passes[i]);
}

Test(gate, turns_away_those_that_wait_but_not_those_in_their_delay)
{
    struct gate gate;
    struct gate_pass held = {0};
    struct gate_pass waiting[2] = {0};

    gate_init(&gate, 1, 100);
    cr_assert_not(gate_enter(&gate, &held, START));
    cr_assert_not(gate_enter(&gate, &waiting[0], START));
    cr_assert_not(gate_enter(&gate, &waiting[1], START));
    cr_assert_eq(gate_turn_away(&gate), &waiting[0]);
    cr_assert_eq(gate_turn_away(&gate), &waiting[1]);
    cr_assert_null(gate_turn_away(&gate));
    cr_assert_eq(gate_next(&gate, START + 100 * MS, &ignored), &held);
    gate_leave(&gate, START + 100 * MS);
    cr_assert_eq(gate.in_use, 0);
}

Test(gate, takes_new_visitors_after_the_queue_ran_empty)
{
    struct gate gate;
    struct gate_pass pass = {0};

    gate_init(&gate, 1, 10);
    for (int round = 0; round < 3; round++) {
        const int64_t now_us = START + round * 1000 * MS;
        cr_assert_not(gate_enter(&gate, &pass, now_us));
        cr_assert_eq(gate_next(&gate, now_us + 10 * MS, &ignored), &pass);
        gate_leave(&gate, now_us + 10 * MS);
    }
}

Test(gate, holds_a_visitor_without_delay_for_its_turn_only)
{
    struct gate gate;
    struct gate_pass delayed[2] = {0};
    struct gate_pass ping = {.undelayed = true};

    gate_init(&gate, 1, 100);
    cr_assert_not(gate_enter(&gate, &delayed[0], START));
    cr_assert_not(gate_enter(&gate, &ping, START));
    cr_assert_not(gate_enter(&gate, &delayed[1], START));
    cr_assert_eq(gate_next(&gate, START + 100 * MS, &ignored), &delayed[0]);
    gate_leave(&gate, START + 100 * MS);
    cr_assert_eq(gate_next(&gate, START + 100 * MS, &ignored), &ping);
    gate_leave(&gate, START + 100 * MS);
    assert_nobody_may_go(&gate, START + 200 * MS - 1);
    cr_assert_eq(gate_next(&gate, START + 200 * MS, &ignored), &delayed[1]);
}

Test(gate, lets_a_visitor_without_delay_overtake_those_that_are_held)
{
    struct gate gate;
    struct gate_pass delayed[2] = {0};
    struct gate_pass ping = {.undelayed = true};

    gate_init(&gate, 2, 100);
    cr_assert_not(gate_enter(&gate, &delayed[0], START));
    cr_assert(gate_enter(&gate, &ping, START));
    cr_assert_not(gate_enter(&gate, &delayed[1], START));
    gate_leave(&gate, START + 10 * MS);
    cr_assert_eq(gate_next(&gate, START + 100 * MS, &ignored), &delayed[0]);
    cr_assert_eq(gate_next(&gate, START + 110 * MS, &ignored), &delayed[1]);
}
