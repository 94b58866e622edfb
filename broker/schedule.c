/* Which task goes to which agent. A session's oldest ready task goes to an agent with a free
 * slot; when no slot is free anywhere, tasks of short functions are leased ahead, so that agents
 * do not wait for the network. Sessions take turns, one task each. Cost per task is constant:
 * agents stand on shelves, and few are looked at. */
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

static uint32_t tasks_per_slot(const struct function *function)
{
    if (!function->measured || function->mean_us > AHEAD_ONE_US)
        return 1;
    const uint32_t ahead = AHEAD_US / (function->mean_us + 1);

    if (ahead < 2)
        return 2;
    return ahead < AHEAD_TASKS ? ahead : AHEAD_TASKS;
}

static struct agent *pick_agent(struct core *core, const struct task *task)
{
    if (core->shelves[AGENT_IDLE] != NULL)
        return core->shelves[AGENT_IDLE];
    const uint64_t per_slot = tasks_per_slot(core->function_by_number[task->function]);
    struct agent *agent = core->shelves[AGENT_BUSY];

    for (int looks = 0; per_slot > 1 && agent != NULL && looks < LOOKS_MAX; looks++) {
        if (agent->leases.count < per_slot * agent->slots)
            return agent;
        agent = agent->next;
    }
    return NULL;
}

void schedule(struct core *core)
{
    uint32_t misses = 0;

    while (core->turns != NULL && misses < core->turn_count && misses < LOOKS_MAX) {
        struct session *s = core->turns;
        struct task *task = s->ready.head;
        struct agent *agent = pick_agent(core, task);

        core->turns = s->turn_next;
        if (agent == NULL) {
            misses++;
            continue;
        }
        misses = 0;
        session_unqueue(core, task);
        agent_lease(core, agent, task);
    }
}
