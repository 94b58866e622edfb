/* How fast a counter grows, from looking at it now and then.
 *
 * Miners add to the counter about once a second, in steps. So it is the time of each *step* that
 * counts, not the time of looking: the rate is the slope of the line through the steps of the
 * last RATE_WINDOW_MS (least squares). It is steady where counting over a fixed window jumps
 * 4-4-4-0, exact for one miner, and averages many. Time is a number given by the caller. One
 * thread. */
#ifndef WEBUI_RATE_H
#define WEBUI_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The span that is averaged over. */
#define RATE_WINDOW_MS 5000

/* A counter that made no step for so long is slowing down: from then on the silence counts too. */
#define RATE_QUIET_MS 1500

/* Steps remembered: more than come within the window when looking every 100 ms. */
#define RATE_STEPS 64

struct rate_step {
    int64_t at_ms;
    int64_t value; /* from this time on */
};

struct rate {
    struct rate_step steps[RATE_STEPS]; /* a ring; the newest is at (count - 1) % RATE_STEPS */
    size_t count;                       /* of steps ever seen since the last start */
    bool started;                       /* a first value is known; when it came about is not */
    int64_t value;                      /* the last one */
};

/* Forget everything. */
void rate_init(struct rate *rate);

/* The counter had this value at now_ms; call it often. A value that fell (Redis came back empty)
 * starts anew. */
void rate_note(struct rate *rate, int64_t value, int64_t now_ms);

/* The counter's growth per second; 0 as long as there are not two steps. */
double rate_per_second(const struct rate *rate, int64_t now_ms);

#endif
