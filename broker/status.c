/* The STATUS frame: one consistent picture of the core for listings and pages. */
#include "state.h"

#include <string.h>
#include <utlist.h>

static struct wire_bytes text_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static enum wire_worker_state state_of(const struct agent *agent)
{
    if (agent->left)
        return WIRE_WORKER_LEFT;
    if (agent->ended_ms != 0)
        return WIRE_WORKER_LOST;
    if (agent->peer.unreachable_ms != 0)
        return WIRE_WORKER_SILENT;
    return agent->draining ? WIRE_WORKER_DRAINING : WIRE_WORKER_READY;
}

/* What is taken of what there is. */
static const char *taken_text(const struct stock *stock, char text[NEEDS_TEXT_MAX + 1])
{
    struct needs taken = {.count = 0};

    for (unsigned i = 0; i < stock->total.count; i++) {
        if (stock->taken[i] == 0)
            continue;
        taken.items[taken.count] = stock->total.items[i];
        taken.items[taken.count++].quantity = stock->taken[i];
    }
    return needs_text(&taken, text, NEEDS_TEXT_MAX + 1);
}

static int put_agent(const struct core *core, struct blob *frame, const struct agent *agent)
{
    const uint64_t leased = agent->leases.count;
    const uint64_t active = agent_active(agent);
    char resources[NEEDS_TEXT_MAX + 1];
    char taken[NEEDS_TEXT_MAX + 1];
    const struct wire_worker worker = {
        .incarnation = agent->peer.incarnation,
        .state = state_of(agent),
        .pid = agent->peer.pid,
        .slots = agent->slots,
        .busy = active < agent->slots ? (uint32_t)active : agent->slots,
        .leased = (uint32_t)leased,
        .done = agent->done,
        .failed = agent->failed,
        .silent_ms = (uint32_t)(core->now_ms - agent->peer.heard_ms),
        .host = text_of(agent->peer.host),
        .version = text_of(agent->peer.version),
        .resources = text_of(needs_text(&agent->stock.total, resources, sizeof(resources))),
        .taken = text_of(taken_text(&agent->stock, taken)),
    };

    if (wire_put_worker(frame, &worker) != 0)
        return -ENOMEM;
    wire_frame_add_count(frame, 1);
    return 0;
}

static int put_agents(const struct core *core, struct blob *frame, const struct agent *agents)
{
    for (const struct agent *agent = agents; agent != NULL; agent = agent->next) {
        if (put_agent(core, frame, agent) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* Agents that have what the class needs, those that get nothing left out. */
static uint32_t count_able(const struct core *core, const struct class *class)
{
    uint32_t count = 0;

    for (int shelf = AGENT_IDLE; shelf < AGENT_SHELF_END; shelf++) {
        for (const struct agent *agent = core->shelves[shelf]; agent != NULL; agent = agent->next)
            count += class_suits(core, class, agent);
    }
    return count;
}

static int put_classes(const struct core *core, struct blob *frame)
{
    for (const struct class *class = core->classes; class != NULL; class = class->next) {
        const struct wire_class record = {
            .needs = text_of(class->text),
            .ready = class->ready,
            .leased = class->leased,
            .able = count_able(core, class),
        };

        if (wire_put_class(frame, &record) != 0)
            return -ENOMEM;
    }
    return 0;
}

static int put_all(const struct core *core, struct blob *frame)
{
    const struct core_counters *c = &core->counters;
    const struct wire_counters counters = {
        .epoch = core->epoch,
        .uptime_ms = (uint64_t)(core->now_ms - core->start_ms),
        .ready = c->ready,
        .leased = c->leased,
        .resting = c->resting,
        .held = c->held,
        .blocked = c->blocked,
        .accepted = c->accepted,
        .done = c->done,
        .failed = c->failed,
        .requeued = c->requeued_crash + c->requeued_loss + c->retried,
        .stale = c->stale,
        .sessions = c->sessions,
        .classes = (uint16_t)core->class_count,
        .version = text_of(core->version),
    };

    if (wire_put_counters(frame, &counters) != 0 || put_classes(core, frame) != 0)
        return -ENOMEM;
    for (int shelf = 0; shelf < AGENT_SHELF_END; shelf++) {
        if (put_agents(core, frame, core->shelves[shelf]) != 0)
            return -ENOMEM;
    }
    if (put_agents(core, frame, core->former) != 0)
        return -ENOMEM;
    return running_list(core, frame);
}

struct blob *status_frame(const struct core *core, uint64_t link)
{
    struct blob *frame = wire_frame_new(WIRE_STATUS, link, 256);

    if (frame != NULL && put_all(core, frame) != 0) {
        blob_unref(frame);
        return NULL;
    }
    return frame;
}
