#include "rate.h"

void rate_init(struct rate *rate)
{
    *rate = (struct rate){0};
}

void rate_note(struct rate *rate, int64_t value, int64_t now_ms)
{
    if (rate->started && value < rate->value)
        rate_init(rate);
    if (rate->started && value > rate->value)
        rate->steps[rate->count++ % RATE_STEPS] = (struct rate_step){now_ms, value};
    rate->started = true;
    rate->value = value;
}

/* The step `back` places before the newest. */
static const struct rate_step *step_at(const struct rate *rate, size_t back)
{
    return &rate->steps[(rate->count - 1 - back) % RATE_STEPS];
}

/* How many of the newest steps span the window: up to the first that is a whole window old. */
static size_t steps_in_window(const struct rate *rate, int64_t end_ms)
{
    const size_t kept = rate->count < RATE_STEPS ? rate->count : RATE_STEPS;
    size_t n = 0;

    while (n < kept && end_ms - step_at(rate, n++)->at_ms < RATE_WINDOW_MS)
        ;
    return n;
}

/* Slope of the least-squares line through the n newest steps, in values per ms. */
static double slope(const struct rate *rate, size_t n)
{
    const struct rate_step *origin = step_at(rate, n - 1);
    double sum_t = 0.0;
    double sum_v = 0.0;
    double sum_tt = 0.0;
    double sum_tv = 0.0;

    for (size_t back = 0; back < n; back++) {
        const double t = (double)(step_at(rate, back)->at_ms - origin->at_ms);
        const double v = (double)(step_at(rate, back)->value - origin->value);
        sum_t += t;
        sum_v += v;
        sum_tt += t * t;
        sum_tv += t * v;
    }
    const double spread = (double)n * sum_tt - sum_t * sum_t;
    return spread > 0.0 ? ((double)n * sum_tv - sum_t * sum_v) / spread : 0.0;
}

double rate_per_second(const struct rate *rate, int64_t now_ms)
{
    if (rate->count < 2)
        return 0.0;
    const struct rate_step *newest = step_at(rate, 0);
    const int64_t quiet_ms = now_ms - newest->at_ms;

    if (quiet_ms >= RATE_WINDOW_MS)
        return 0.0;
    if (quiet_ms <= RATE_QUIET_MS)
        return 1000.0 * slope(rate, steps_in_window(rate, newest->at_ms));
    const struct rate_step *first = step_at(rate, steps_in_window(rate, now_ms) - 1);
    return 1000.0 * (double)(newest->value - first->value) / (double)(now_ms - first->at_ms);
}
