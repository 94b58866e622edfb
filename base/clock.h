/* The two clocks. All timing uses the monotonic one; the wall clock is for log stamps only. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Monotonic time in milli-, micro- or nanoseconds since an arbitrary start. Never fails. */
int64_t clock_now_ms(void);
int64_t clock_now_us(void);
int64_t clock_now_ns(void);

/* Wall-clock time in milli- or microseconds since 1970-01-01 UTC. Can jump: never compute a wait from it. */
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);

/* What clock_wall_us() shows more than clock_now_us(): to some microseconds, although the caller may have
 * to give up its core between the reading of the two. */
int64_t clock_wall_ahead_us(void);

/* Sleep for at least `ms` milliseconds, signals notwithstanding. */
void clock_sleep_ms(int64_t ms);

#endif
