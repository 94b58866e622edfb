/* Who runs. Invariants: `current` is the strand whose stack this is; every other one is parked,
 * ready, or idle; a strand that is idle was left in strand_retire(). */
#include "executor_state.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Stacks of tasks that wait or run while others wait, in KiB. Memory is taken as it is touched. */
#define STACK_VARIABLE "SCOOP_STACK_KIB"
#define STACK_KIB      1024
#define STACK_KIB_MIN  64
#define STACK_KIB_MAX  ((uint64_t)1024 * 1024)

/* Idle stacks kept. */
#define IDLE_MAX 64

void strands_init(void)
{
    struct executor *const e = &executor;
    const char *const text = getenv(STACK_VARIABLE);
    uint64_t kib = STACK_KIB;

    if (text != NULL && parse_u64(text, STACK_KIB_MIN, STACK_KIB_MAX, &kib) != 0)
        executor_give_up(STACK_VARIABLE " must be 64 to 1048576");
    e->stack_bytes = (size_t)kib * 1024;
    fiber_init_own(&e->own.fiber);
    output_init(&e->own.output);
    e->current = &e->own;
}

static struct strand *strand_new(void)
{
    struct strand *const s = calloc(1, sizeof(*s));

    if (s == NULL || fiber_init(&s->fiber, executor.stack_bytes, executor_serve) != 0)
        executor_give_up("out of memory for the stack of a task");
    output_init(&s->output);
    return s;
}

static void strand_free(struct strand *s)
{
    fiber_fini(&s->fiber);
    output_fini(&s->output);
    nested_close(s->session);
    free(s->argument);
    free(s);
}

/* The thread's own stack is the largest, and not ours to free. */
static struct strand *take_idle(void)
{
    struct executor *const e = &executor;
    struct strand *const s = e->idle;

    if (s == NULL)
        return strand_new();
    e->idle = s->next;
    e->idle_count--;
    return s;
}

/* More of them than are worth keeping: when many tasks waited, and do so no more. */
static void free_idle(void)
{
    struct executor *const e = &executor;
    struct strand **place = &e->idle;

    while (e->idle_count > IDLE_MAX) {
        struct strand *const s = *place;

        if (s == &e->own) {
            place = &s->next;
            continue;
        }
        *place = s->next;
        e->idle_count--;
        strand_free(s);
    }
}

/* Returns when somebody switches back to the strand that runs now. */
static void switch_to(struct strand *next)
{
    struct executor *const e = &executor;
    struct strand *const self = e->current;
    struct scoop_output *const output = function_swap_output(NULL);
    const int error = errno;

    e->current = next;
    fiber_switch(&self->fiber, &next->fiber);
    function_swap_output(output);
    errno = error;
}

static void put_change(const struct strand *s, uint16_t kind)
{
    const struct channel_outcome head = {
        .id = s->id,
        .outcome = kind,
        .flags = kind == CHANNEL_PARKED && s->deadline != INT64_MAX ? CHANNEL_TIMED : 0,
    };

    executor_put(&head, NULL, NULL, 0);
}

/* ---- parking ---- */

static void leave_timed(struct strand *s)
{
    struct strand **place = &executor.timed;

    while (*place != s)
        place = &(*place)->timed;
    *place = s->timed;
}

static void make_ready(struct strand *s)
{
    struct executor *const e = &executor;

    s->parked = false;
    e->parked--;
    if (s->deadline != INT64_MAX)
        leave_timed(s);
    s->next = e->ready;
    e->ready = s;
}

void strand_tell(struct strand *s)
{
    s->news = true;
    if (s->parked)
        make_ready(s);
}

bool strand_park(int64_t deadline)
{
    struct executor *const e = &executor;
    struct strand *const self = e->current;

    executor_take_record();
    executor_end_line();
    executor_put_progress();
    self->news = false;
    self->parked = true;
    self->deadline = deadline;
    e->parked++;
    if (deadline != INT64_MAX) {
        self->timed = e->timed;
        e->timed = self;
    }
    e->free_us = clock_now_us();
    self->ran_us += (uint64_t)(e->free_us - self->since_us);
    put_change(self, CHANNEL_PARKED);
    struct strand *const next = strand_take_ready();
    if (next != self)
        switch_to(next != NULL ? next : take_idle());
    free_idle();
    put_change(self, CHANNEL_RESUMED);
    self->since_us = clock_now_us();
    return self->news;
}

static void ready_the_late(void)
{
    struct strand *s = executor.timed;
    const int64_t now_ms = clock_now_ms();

    while (s != NULL) {
        struct strand *const next = s->timed;

        if (s->deadline <= now_ms)
            make_ready(s);
        s = next;
    }
}

int strands_patience_ms(void)
{
    int64_t first = INT64_MAX;

    for (const struct strand *s = executor.timed; s != NULL; s = s->timed)
        first = s->deadline < first ? s->deadline : first;
    if (first == INT64_MAX)
        return -1;
    const int64_t left = first - clock_now_ms();
    if (left <= 0)
        return 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

struct strand *strand_take_ready(void)
{
    struct executor *const e = &executor;

    if (e->parked != 0) {
        (void)nested_collect();
        if (e->timed != NULL)
            ready_the_late();
    }
    struct strand *const s = e->ready;
    if (s != NULL)
        e->ready = s->next;
    return s;
}

void strand_retire(struct strand *next)
{
    struct executor *const e = &executor;
    struct strand *const self = e->current;

    self->next = e->idle;
    e->idle = self;
    e->idle_count++;
    switch_to(next);
}
