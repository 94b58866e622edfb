/* Invariant: copy->original->terms->copy == copy while the copy counts; one that counts no more has no
 * original, and is REVOKED. */
#include "copies.h"

#include "state.h"

/* Between two looks for a free slot. */
#define LOOK_MS 50

static struct task *copy_of(const struct task *task)
{
    return task->terms != NULL ? task->terms->copy : NULL;
}

/* Look at it then. Without memory it merely is not copied, and that is noted. */
static void look_in(struct core *core, struct task *task, uint32_t ms)
{
    if (timers_set(&core->timers, task, core->now_ms + ms) != 0)
        core_note(core, LOG_WARN, "straggler_not_watched", "error=\"out of memory\"");
}

void copies_watch(struct core *core, struct task *task)
{
    if (task->terms != NULL && task->terms->options.rerun_ms != 0)
        look_in(core, task, task->terms->options.rerun_ms);
}

/* ---- starting ---- */

/* A slot there is of no use to any task that is ready. */
static bool is_spare(const struct core *core, const struct agent *agent)
{
    for (const struct class *class = core->waiting; class != NULL; class = class->turn_next) {
        if (class_fits(core, class, agent, false))
            return false;
    }
    return true;
}

static struct agent *pick(const struct core *core, const struct task *task)
{
    struct agent *agent = core->shelves[AGENT_IDLE];

    while (agent != NULL && (agent == task->agent || !class_fits(core, task->class, agent, false) ||
                             !is_spare(core, agent)))
        agent = agent->next;
    return agent;
}

static void start(struct core *core, struct agent *agent, struct task *task)
{
    struct task *copy = task_new(&core->slab);

    if (copy == NULL)
        return;
    copy->class = task->class;
    class_ref(copy->class);
    copy->frame = blob_ref(task->frame);
    copy->argument = task->argument;
    copy->argument_bytes = task->argument_bytes;
    copy->limit_ms = task->limit_ms;
    copy->function = task->function;
    copy->copy = true;
    copy->original = task;
    task->terms->copy = copy;
    task->copied = true;
    core->counters.copied++;
    agent_lease(core, agent, copy);
}

/* What travels in pieces belongs to one attempt, and the children of a task that waits go on anyway. The last
 * try is one: it would crash once more, or be lost, while the other goes on and may come to nothing. */
static bool may_be_copied(const struct task *task)
{
    return task->state == TASK_LEASED && task->agent != NULL && copy_of(task) == NULL &&
           !task->parked && !task->large && !task->offered &&
           task->crashes < TASK_CRASHES_MAX - 1 && task->losses < TASK_LOSSES_MAX - 1;
}

void copies_due(struct core *core, struct task *task)
{
    struct agent *agent = may_be_copied(task) ? pick(core, task) : NULL;

    if (agent != NULL)
        start(core, agent, task);
    else
        look_in(core, task, LOOK_MS);
}

/* ---- ending ---- */

static void detach(struct task *copy)
{
    copy->original->terms->copy = NULL;
    copy->original = NULL;
}

/* Its agent holds it no more, and nobody waits for it. */
static void drop(struct core *core, struct task *copy)
{
    detach(copy);
    task_step(copy, TASK_ABANDON);
    agent_unlease(core, copy, false);
    settle(core, copy, TASK_OUTCOME, NULL);
}

/* The copy's result is that of the task, whose agent is told to stop. */
static void outrun(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    timers_stop(&core->timers, task);
    relay_forget(core, task);
    session_deliver(core, task, outcome);
    inputs_drop(task);
    lane_leave(core, task);
    agent_revoke(core, task, TASK_ABANDON);
}

static struct task *
copy_ended(struct core *core, struct task *copy, const struct wire_attempt *outcome)
{
    struct task *task = copy->original;

    drop(core, copy);
    if (task->agent == NULL)
        return task;
    if (outcome != NULL && outcome->outcome == WIRE_OK && !task->offered)
        outrun(core, task, outcome);
    return NULL;
}

/* The copy runs alone from here on. */
static void leave_alone(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    timers_stop(&core->timers, task);
    agent_unlease(core, task, false);
    if (outcome == NULL)
        (void)task_count_loss(task);
    else if (outcome->outcome == WIRE_CRASHED)
        (void)task_count_crash(task);
}

struct task *copies_ended(struct core *core, struct task *task, const struct wire_attempt *outcome)
{
    struct task *copy = copy_of(task);

    if (task->copy && task->original != NULL)
        return copy_ended(core, task, outcome);
    if (copy == NULL)
        return task;
    if (outcome == NULL || outcome->outcome != WIRE_OK) {
        leave_alone(core, task, outcome);
        return NULL;
    }
    detach(copy);
    agent_revoke(core, copy, TASK_ABANDON);
    return task;
}

bool copies_stop(struct core *core, struct task *task, enum task_event event)
{
    struct task *copy = copy_of(task);

    if (copy == NULL)
        return false;
    detach(copy);
    agent_revoke(core, copy, TASK_ABANDON);
    if (task->agent != NULL)
        return false;
    task_step(task, event);
    settle(core, task, TASK_LOSS, NULL);
    return true;
}
