#include "clock.h"

#include <errno.h>
#include <time.h>

static struct timespec read_clock(clockid_t id)
{
    struct timespec ts = {0};

    clock_gettime(id, &ts);
    return ts;
}

int64_t clock_now_ns(void)
{
    const struct timespec ts = read_clock(CLOCK_MONOTONIC);

    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_now_us(void)
{
    return clock_now_ns() / 1000;
}

int64_t clock_now_ms(void)
{
    return clock_now_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

int64_t clock_wall_us(void)
{
    const struct timespec ts = read_clock(CLOCK_REALTIME);

    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ahead_us(void)
{
    int64_t closest_us =
        INT64_MAX;        /* the least time that lay between two readings of the one clock */
    int64_t ahead_us = 0; /* of the other */

    for (int tries = 0; tries < 8 && closest_us > 5; tries++) {
        const int64_t before_us = clock_now_us();
        const int64_t wall_us = clock_wall_us();
        const int64_t took_us = clock_now_us() - before_us;

        if (took_us < closest_us) {
            closest_us = took_us;
            ahead_us = wall_us - before_us;
        }
    }
    return ahead_us;
}

void clock_sleep_ms(int64_t ms)
{
    const int64_t end_us = clock_now_us() + ms * 1000;
    const struct timespec end = {
        .tv_sec = end_us / 1000000,
        .tv_nsec = (end_us % 1000000) * 1000,
    };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ;
}
