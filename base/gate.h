/* A gate: at most `limit` at a time, each held for `delay` before it may go, first come first
 * served. A visitor without delay waits for its turn like the others, but is then not held.
 *
 * Pure: no lock, no clock, no memory of its own. The caller serialises the calls, gives the time,
 * and embeds one pass per visitor. A pass goes through: gate_enter, [gate_next hands it out], work,
 * gate_leave. Times are in microseconds on the caller's clock. */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A visitor's place in the queue; embedded by value, contents are the gate's. */
struct gate_pass {
    struct gate_pass *next;
    int64_t due_us; /* when its delay is over */
    bool undelayed; /* the caller's, set before gate_enter: do not hold this visitor */
};

struct gate_queue {
    struct gate_pass *head;
    struct gate_pass **tail;
};

struct gate {
    uint64_t limit;            /* slots; 0: without limit */
    int64_t delay_us;          /* how long a slot is held before its visitor may go */
    uint64_t in_use;           /* slots taken: delayed or gone and not yet left */
    struct gate_queue waiting; /* for a slot */
    struct gate_queue delayed; /* have a slot; ordered by due_us: delays are all the same, or 0 */
};

/* Must not be moved afterwards. `limit` 0: any number at a time. */
void gate_init(struct gate *gate, uint64_t limit, int64_t delay_ms);

/* Does nobody ever wait at this gate? Then the other calls may be left out altogether. */
bool gate_is_open(const struct gate *gate);

/* Arrive. True: go at once. False: the gate keeps `pass` until gate_next or gate_turn_away hands it
 * out. */
NODISCARD bool gate_enter(struct gate *gate, struct gate_pass *pass, int64_t now_us);

/* The next visitor that may go now, or NULL. Then *wait_us is how long until the next delay is
 * over, or -1 when only a gate_leave (or nothing) can let somebody through. */
NODISCARD struct gate_pass *gate_next(struct gate *gate, int64_t now_us, int64_t *wait_us);

/* Give the slot back; whoever waits longest gets it and starts its delay. Ask gate_next afterwards.
 */
void gate_leave(struct gate *gate, int64_t now_us);

/* Turn away whoever waits longest for a slot: it was never let in, so it must not leave. NULL:
 * nobody waits. Those in their delay come out of gate_next at a later `now_us`. */
NODISCARD struct gate_pass *gate_turn_away(struct gate *gate);

#endif
