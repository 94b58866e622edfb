/* Invariants: a class stands in core->waiting exactly while it has ready tasks, and a lane in its class's
 * turns likewise, those of paused sessions apart; what is taken of a stock is the sum over the leases; class->kept->kept_for == class. */
#include "class.h"

#include "state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

static bool is_ordinary(const struct class *class)
{
    return class->needs.count == 0;
}

/* ---- life ---- */

static struct class *add(struct core *core, const struct needs *needs, const char *text)
{
    struct class *class = core->class_count < CLASSES_MAX ? calloc(1, sizeof(*class)) : NULL;

    if (class == NULL)
        return NULL;
    class->needs = *needs;
    snprintf(class->text, sizeof(class->text), "%s", text);
    DL_APPEND(core->classes, class);
    core->class_count++;
    return class;
}

struct class *class_get(struct core *core, struct wire_bytes bytes, bool *bad)
{
    struct needs needs;
    char text[WIRE_NEEDS_MAX + 1];

    *bad = false;
    if (bytes.size == 0)
        return &core->ordinary;
    wire_text_copy(bytes, text, sizeof(text));
    for (struct class *class = core->classes; class != NULL; class = class->next) {
        if (strcmp(class->text, text) == 0)
            return class;
    }
    *bad = needs_parse(text, &needs, NULL) != 0;
    return *bad ? NULL : add(core, &needs, text);
}

void class_ref(struct class *class)
{
    class->users++;
}

/* Nothing is kept for the class any more. */
static void release(struct core *core, struct class *class)
{
    if (class->kept != NULL)
        class->kept->kept_for = NULL;
    class->kept = NULL;
    if (core->kept_for == class)
        core->kept_for = NULL;
}

void class_release(struct core *core, struct agent *agent)
{
    if (agent->kept_for != NULL)
        release(core, agent->kept_for);
}

static void forget(struct core *core, struct class *class)
{
    release(core, class);
    DL_DELETE(core->classes, class);
    core->class_count--;
    free(class);
}

void class_unref(struct core *core, struct class *class)
{
    if (--class->users == 0 && !is_ordinary(class))
        forget(core, class);
}

void classes_fini(struct core *core)
{
    while (core->classes != NULL)
        forget(core, core->classes);
}

/* ---- what there is ---- */

/* Where a name is taken from: the whole cluster, if that has it. NULL: the agent has not got it, either. */
static const struct needs_item *
place_of(const struct core *core, const struct agent *agent, const char *name, uint64_t *taken)
{
    const struct stock *stock = &core->stock;
    const struct needs_item *have = needs_find(&stock->total, name);

    if (have == NULL) {
        stock = &agent->stock;
        have = needs_find(&stock->total, name);
    }
    if (have != NULL)
        *taken = stock->taken[have - stock->total.items];
    return have;
}

bool class_suits(const struct core *core, const struct class *class, const struct agent *agent)
{
    uint64_t taken = 0;

    for (unsigned i = 0; i < class->needs.count; i++) {
        const struct needs_item *want = &class->needs.items[i];
        const struct needs_item *have = place_of(core, agent, want->name, &taken);

        if (have == NULL || have->quantity < want->quantity)
            return false;
    }
    return true;
}

/* Has the whole cluster what the class takes from it? */
static bool cluster_has_left(const struct core *core, const struct class *class)
{
    for (unsigned i = 0; i < class->needs.count; i++) {
        const struct needs_item *have = needs_find(&core->stock.total, class->needs.items[i].name);

        if (have != NULL && have->quantity - core->stock.taken[have - core->stock.total.items] <
                                class->needs.items[i].quantity)
            return false;
    }
    return true;
}

static bool has_left(const struct core *core, const struct class *class, const struct agent *agent)
{
    for (unsigned i = 0; i < class->needs.count; i++) {
        const struct needs_item *want = &class->needs.items[i];
        uint64_t taken = 0;
        const struct needs_item *have = place_of(core, agent, want->name, &taken);

        if (have == NULL || have->quantity - taken < want->quantity)
            return false;
    }
    return true;
}

/* Does the class take something that is kept for another? */
static bool compete(const struct class *class, const struct class *other)
{
    if (other == NULL || other == class)
        return false;
    for (unsigned i = 0; i < class->needs.count; i++) {
        const struct needs_item *want = needs_find(&other->needs, class->needs.items[i].name);

        if (class->needs.items[i].quantity != 0 && want != NULL && want->quantity != 0)
            return true;
    }
    return false;
}

bool class_fits(const struct core *core,
                const struct class *class,
                const struct agent *agent,
                bool ahead)
{
    const struct class *const kept_for = agent->kept_for;

    if (ahead && kept_for != NULL && kept_for != class)
        return false;
    if (compete(class, kept_for) || compete(class, core->kept_for))
        return false;
    return has_left(core, class, agent);
}

static void add_to(struct stock *stock, const struct needs_item *want, bool give)
{
    const struct needs_item *have = needs_find(&stock->total, want->name);

    if (have != NULL)
        stock->taken[have - stock->total.items] += give ? 0 - want->quantity : want->quantity;
}

static void move(struct core *core, const struct class *class, struct agent *agent, bool give)
{
    for (unsigned i = 0; i < class->needs.count; i++) {
        const struct needs_item *want = &class->needs.items[i];
        const bool of_all = needs_find(&core->stock.total, want->name) != NULL;

        add_to(of_all ? &core->stock : &agent->stock, want, give);
    }
}

void class_take(struct core *core, struct class *class, struct agent *agent)
{
    move(core, class, agent, false);
    class->leased++;
}

void class_give(struct core *core, struct class *class, struct agent *agent)
{
    move(core, class, agent, true);
    class->leased--;
}

/* ---- turns of classes ---- */

void class_served(struct core *core, struct class *class)
{
    class->waits_ms = core->now_ms;
    if (class->kept != NULL || core->kept_for == class)
        core->schedules++; /* others may find room where they found none in this one */
    release(core, class);
    if (class->ready == 0 || core->waiting == NULL || class->turn_next == NULL)
        return; /* it stands alone, last, or not at all */
    DL_DELETE2(core->waiting, class, turn_prev, turn_next);
    DL_APPEND2(core->waiting, class, turn_prev, turn_next);
}

static struct agent *
first_to_keep(const struct core *core, const struct class *class, enum agent_shelf shelf)
{
    for (struct agent *agent = core->shelves[shelf]; agent != NULL; agent = agent->next) {
        if (agent->kept_for == NULL && class_suits(core, class, agent))
            return agent;
    }
    return NULL;
}

void class_waits(struct core *core, struct class *class)
{
    if (is_ordinary(class) || core->now_ms - class->waits_ms < CLASS_PATIENCE_MS)
        return;
    if (class->kept != NULL && class->kept->shelf != AGENT_APART)
        return;
    release(core, class);
    struct agent *agent = first_to_keep(core, class, AGENT_IDLE);
    if (agent == NULL)
        agent = first_to_keep(core, class, AGENT_BUSY);
    if (agent == NULL)
        return;
    if (!cluster_has_left(core, class)) {
        if (core->kept_for == NULL)
            core->kept_for = class;
        return;
    }
    agent->kept_for = class;
    class->kept = agent;
}

/* ---- lanes ---- */

static struct turns *turns_of(const struct lane *lane)
{
    return lane->session->peer->role == WIRE_AGENT ? &lane->class->children : &lane->class->clients;
}

static void join_turns(struct turns *turns, struct lane *lane)
{
    turns->count++;
    if (turns->next == NULL) {
        lane->turn_next = lane;
        lane->turn_prev = lane;
        turns->next = lane;
        return;
    }
    lane->turn_next = turns->next;
    lane->turn_prev = turns->next->turn_prev;
    lane->turn_prev->turn_next = lane;
    turns->next->turn_prev = lane;
}

static void leave_turns(struct turns *turns, struct lane *lane)
{
    turns->count--;
    if (turns->next == lane)
        turns->next = lane->turn_next != lane ? lane->turn_next : NULL;
    lane->turn_prev->turn_next = lane->turn_next;
    lane->turn_next->turn_prev = lane->turn_prev;
}

void lane_served(struct lane *lane)
{
    struct turns *turns = turns_of(lane);

    if (turns->count == 1)
        return;
    leave_turns(turns, lane);
    join_turns(turns, lane);
}

static struct lane *find(struct session *s, const struct class *class)
{
    struct lane *lane = &s->ordinary;

    while (lane != NULL && lane->class != class)
        lane = lane->next;
    return lane;
}

/* It is there from the task's first moment to its last. */
static struct lane *lane_of(const struct task *task)
{
    struct lane *lane = &task->session->ordinary;

    while (lane->class != task->class && lane->next != NULL)
        lane = lane->next;
    return lane;
}

static struct lane *add_lane(struct session *s, struct class *class)
{
    struct lane *lane = calloc(1, sizeof(*lane));

    if (lane == NULL)
        return NULL;
    lane->session = s;
    lane->class = class;
    lane->next = s->ordinary.next;
    s->ordinary.next = lane;
    class_ref(class);
    return lane;
}

struct lane *lane_get(struct session *s, struct class *class, int8_t priority)
{
    struct lane *lane = find(s, class);

    if (lane == NULL)
        lane = add_lane(s, class);
    return lane != NULL && ready_admit(&lane->ready, priority) == 0 ? lane : NULL;
}

/* The ordinary lane is part of its session. */
static void drop(struct core *core, struct lane *lane)
{
    struct session *s = lane->session;

    ready_fini(&lane->ready);
    if (lane == &s->ordinary)
        return;
    LL_DELETE2(s->ordinary.next, lane, next);
    class_unref(core, lane->class);
    free(lane);
}

void lane_leave(struct core *core, struct task *task)
{
    struct lane *lane = lane_of(task);

    if (--lane->tasks == 0 && lane != &task->session->ordinary)
        drop(core, lane);
}

void lanes_fini(struct core *core, struct session *s)
{
    while (s->ordinary.next != NULL)
        drop(core, s->ordinary.next);
    drop(core, &s->ordinary);
}

/* So many tasks of a lane may be leased from now on; the lane has joined its turns. */
static void count_in(struct core *core, struct class *class, uint64_t count)
{
    class->ready += count;
    if (class->ready > count)
        return;
    class->waits_ms = core->now_ms;
    DL_APPEND2(core->waiting, class, turn_prev, turn_next);
}

static void count_out(struct core *core, struct class *class, uint64_t count)
{
    class->ready -= count;
    if (class->ready > 0)
        return;
    DL_DELETE2(core->waiting, class, turn_prev, turn_next);
    class->turn_prev = NULL;
    class->turn_next = NULL;
    release(core, class);
}

void lane_push(struct core *core, struct task *task, bool front)
{
    struct lane *lane = lane_of(task);

    if (front)
        ready_push_front(&lane->ready, task);
    else
        ready_push_back(&lane->ready, task);
    if (lane->session->paused)
        return;
    if (lane->ready.count == 1)
        join_turns(turns_of(lane), lane);
    count_in(core, lane->class, 1);
}

void lane_remove(struct core *core, struct task *task)
{
    struct lane *lane = lane_of(task);

    ready_remove(&lane->ready, task);
    if (lane->session->paused)
        return;
    if (lane->ready.count == 0)
        leave_turns(turns_of(lane), lane);
    count_out(core, lane->class, 1);
}

void lanes_pause(struct core *core, struct session *s, bool pause)
{
    s->paused = pause;
    for (struct lane *lane = &s->ordinary; lane != NULL; lane = lane->next) {
        if (lane->ready.count == 0)
            continue;
        if (pause) {
            leave_turns(turns_of(lane), lane);
            count_out(core, lane->class, lane->ready.count);
        } else {
            join_turns(turns_of(lane), lane);
            count_in(core, lane->class, lane->ready.count);
        }
    }
}
