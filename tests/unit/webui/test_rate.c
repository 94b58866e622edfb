#include "webui/rate.h"

#include <criterion/criterion.h>
#include <math.h>

static bool near(double value, double wanted)
{
    return fabs(value - wanted) <= 0.05 * wanted + 1e-9;
}

/* One miner as the counter shows it: a loop takes 0.3 s, and after the first one beyond a second it
 * writes, so there are 4 loops each 1.2 s. Seen every 100 ms. */
static void given_one_miner(struct rate *rate, int64_t from_ms, int64_t to_ms)
{
    for (int64_t now_ms = from_ms; now_ms <= to_ms; now_ms += 100)
        rate_note(rate, now_ms / 1200 * 4, now_ms);
}

Test(rate, is_nothing_before_two_steps)
{
    struct rate rate;

    rate_init(&rate);
    cr_assert_eq(rate_per_second(&rate, 0), 0.0);
    rate_note(&rate, 1000000, 100);
    cr_assert_eq(rate_per_second(&rate, 200), 0.0);
}

Test(rate, of_a_counter_with_steps_of_a_second_is_steady)
{
    struct rate rate;

    rate_init(&rate);
    for (int64_t now_ms = 0; now_ms <= 60000; now_ms += 100) {
        given_one_miner(&rate, now_ms, now_ms);
        const double seen = rate_per_second(&rate, now_ms);
        if (now_ms >= 7000)
            cr_assert_float_eq(seen, 10.0 / 3, 0.01, "%.3f at %ld", seen, (long)now_ms);
    }
}

Test(rate, of_ten_miners_out_of_step_stays_within_a_tenth)
{
    struct rate rate;

    rate_init(&rate);
    for (int64_t now_ms = 0; now_ms <= 60000; now_ms += 100) {
        int64_t value = 0;
        for (int64_t miner = 0; miner < 10; miner++)
            value += (now_ms + miner * miner * 137) / 2000 * 2;
        rate_note(&rate, value, now_ms);
        const double seen = rate_per_second(&rate, now_ms);
        if (now_ms >= 10000)
            cr_assert(seen > 9.0 && seen < 11.0, "%.2f at %ld", seen, (long)now_ms);
    }
}

Test(rate, follows_a_change_within_the_window)
{
    struct rate rate;
    int64_t value = 0;

    rate_init(&rate);
    for (int64_t now_ms = 0; now_ms <= 20000; now_ms += 100)
        rate_note(&rate, value += 1, now_ms);
    for (int64_t now_ms = 20100; now_ms <= 26000; now_ms += 100)
        rate_note(&rate, value += 5, now_ms);
    cr_assert(near(rate_per_second(&rate, 26000), 50.0));
}

Test(rate, falls_to_nothing_within_the_window_when_the_steps_end)
{
    struct rate rate;
    double before = 1e9;

    rate_init(&rate);
    given_one_miner(&rate, 0, 20000);
    for (int64_t now_ms = 21600; now_ms < 25000; now_ms += 500) {
        const double now = rate_per_second(&rate, now_ms);
        cr_assert_lt(now, before);
        before = now;
    }
    cr_assert_eq(rate_per_second(&rate, 25000), 0.0);
}

Test(rate, starts_anew_when_the_counter_fell)
{
    struct rate rate;

    rate_init(&rate);
    given_one_miner(&rate, 0, 20000);
    rate_note(&rate, 3, 20100);
    cr_assert_eq(rate_per_second(&rate, 20200), 0.0);
    rate_note(&rate, 6, 21100);
    rate_note(&rate, 9, 22100);
    cr_assert(near(rate_per_second(&rate, 22100), 3.0));
}

Test(rate, counts_the_backlog_of_an_outage_over_the_outage)
{
    struct rate rate;

    rate_init(&rate);
    given_one_miner(&rate, 0, 10000);
    given_one_miner(&rate, 30000, 30000);
    cr_assert(near(rate_per_second(&rate, 30000), 10.0 / 3));
}
