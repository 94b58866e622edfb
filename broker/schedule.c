/* Which task goes to which agent. A session's next ready task goes to an agent with a free slot; when
 * no slot is free anywhere, tasks of short functions are leased ahead, so that agents do not wait for
 * the network. Classes of tasks that need different things take turns (class.h), within a class its
 * sessions do, one task each. Children go before the tasks of clients, and to the
 * host of their parents before others: so what has begun is finished, and few tasks wait for their
 * children. Cost per task is constant: agents stand on shelves, and few are looked at; for a class that
 * needs something all idle agents are, once in a schedule. */
#include "state.h"

#include <utlist.h>

/* Work leased ahead per slot: longer than a round trip, too short to matter at the end of a map. */
#define AHEAD_US    4000
#define AHEAD_TASKS 4096

/* Up to this run time one task is leased ahead per slot, so that the slot never waits for the
 * network. */
#define AHEAD_ONE_US 50000

/* Busy agents looked at for one task, and sessions without success before giving up. */
#define LOOKS_MAX 8

/* Of a function that waits for its children, so many are leased ahead, and only while fewer tasks of its
 * agent wait than this: each of them may wait as well, and takes memory. */
#define NESTING_AHEAD  64
#define NESTING_PARKED 256 /* per slot */

/* While children are ready, clients get one of so many leases. */
#define CLIENT_SHARE 8

static uint32_t tasks_per_slot(const struct function *function, const struct agent *agent)
{
    if (!function->measured || function->mean_us > AHEAD_ONE_US)
        return 1;
    if (function->nests && agent->parked >= agent->slots * NESTING_PARKED)
        return 1;
    const uint32_t most = function->nests ? NESTING_AHEAD : AHEAD_TASKS;
    const uint32_t ahead = AHEAD_US / (function->mean_us + 1);

    if (ahead < 2)
        return 2;
    return ahead < most ? ahead : most;
}

static bool
has_room_ahead(const struct core *core, const struct agent *agent, const struct task *task)
{
    const uint64_t per_slot = task->batch != 0
                                  ? task->batch
                                  : tasks_per_slot(core->function_by_number[task->function], agent);

    return per_slot > 1 && agent_active(agent) < per_slot * agent->slots;
}

/* The agent whose executors submitted the task; NULL: a client did. */
static struct agent *parent_agent(const struct task *task)
{
    struct peer *const peer = task->session->peer;

    return peer->role == WIRE_AGENT ? agent_of(peer) : NULL;
}

/* An agent with a free slot. */
static struct agent *pick_idle(struct core *core, struct class *class)
{
    struct agent *agent = core->shelves[AGENT_IDLE];

    if (class->no_room_in == core->schedules)
        return NULL;
    while (agent != NULL && !class_fits(core, class, agent, false))
        agent = agent->next;
    if (agent == NULL)
        class->no_room_in = core->schedules; /* within one schedule nothing is given back */
    return agent;
}

/* May it get one more while all of its slots are taken? */
static bool takes_ahead(const struct core *core, const struct agent *agent, const struct task *task)
{
    return has_room_ahead(core, agent, task) && class_fits(core, task->class, agent, true);
}

static struct agent *pick_agent(struct core *core, const struct task *task)
{
    struct agent *const home = parent_agent(task);

    if (home != NULL && home->shelf == AGENT_IDLE && class_fits(core, task->class, home, false))
        return home;
    struct agent *agent = pick_idle(core, task->class);
    if (agent != NULL)
        return agent;
    if (home != NULL && home->shelf == AGENT_BUSY && takes_ahead(core, home, task))
        return home;
    agent = core->shelves[AGENT_BUSY];
    for (int looks = 0; agent != NULL && looks < LOOKS_MAX; looks++) {
        if (takes_ahead(core, agent, task))
            return agent;
        agent = agent->next;
    }
    return NULL;
}

/* Lease a task of the lane whose turn it is, or of one of the next: who finds no room keeps its turn. False: no
 * agent has room. */
static bool lease_in_turn(struct core *core, struct class *class, struct turns *turns)
{
    struct lane *lane = turns->next;

    for (uint32_t misses = 0; misses < turns->count && misses < LOOKS_MAX; misses++) {
        struct task *task = ready_first(&lane->ready);
        struct agent *agent = pick_agent(core, task);

        if (agent == NULL) {
            lane = lane->turn_next;
        } else {
            class_served(core, class);
            lane_served(lane);
            session_unqueue(core, task);
            agent_lease(core, agent, task);
            return true;
        }
    }
    return false;
}

/* The same for the class whose turn it is, or one of the next. */
static bool lease_one(struct core *core, bool children)
{
    struct class *next = NULL;

    for (struct class *class = core->waiting; class != NULL; class = next) {
        struct turns *turns = children ? &class->children : &class->clients;

        next = class->turn_next;
        if (lease_in_turn(core, class, turns))
            return true;
    }
    return false;
}

static bool lease_child(struct core *core)
{
    if (!lease_one(core, true))
        return false;
    core->child_leases += core->clients_queued != 0;
    return true;
}

static bool lease_of_client(struct core *core)
{
    if (!lease_one(core, false))
        return false;
    core->child_leases = 0;
    return true;
}

void schedule(struct core *core)
{
    bool leased = true;

    core->schedules++;
    /* First: what is kept for a class no longer is free for others now. */
    for (struct class *class = core->waiting; class != NULL; class = class->turn_next)
        class_waits(core, class);
    while (leased) {
        leased = core->child_leases < CLIENT_SHARE - 1 ? lease_child(core) || lease_of_client(core)
                                                       : lease_of_client(core) || lease_child(core);
    }
}
