#include "running.h"

#include "state.h"

#include <string.h>

static struct running *find(const struct running_table *table, const struct task *task)
{
    const uint64_t id = task_id(task);
    struct running *entry = NULL;

    if (task->running)
        HASH_FIND(hh, table->all, &id, sizeof(id), entry);
    return entry;
}

const struct running *running_find(const struct running_table *table, const struct task *task)
{
    return find(table, task);
}

struct running *running_open(struct running_table *table, struct task *task, int64_t now_ms)
{
    struct running *entry = find(table, task);

    if (entry != NULL)
        return entry;
    entry = malloc(sizeof(*entry));
    if (entry == NULL)
        return NULL;
    *entry = (struct running){.id = task_id(task), .task = task, .since_ms = now_ms};
    HASH_ADD(hh, table->all, id, sizeof(entry->id), entry);
    task->running = true;
    return entry;
}

bool running_close(struct running_table *table, struct task *task, struct wire_progress *progress)
{
    struct running *entry = find(table, task);

    if (entry == NULL)
        return false;
    task->running = false;
    const bool owed = entry->owed;
    *progress = entry->progress;
    HASH_DEL(table->all, entry);
    free(entry);
    return owed;
}

void running_fini(struct running_table *table)
{
    struct running *entry = NULL;
    struct running *next = NULL;

    HASH_ITER (hh, table->all, entry, next) {
        HASH_DEL(table->all, entry);
        free(entry);
    }
}

/* ---- for STATUS ---- */

static struct wire_bytes text_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static bool is_durable(const struct core *core, const struct task *task)
{
    return task->session != NULL && task->session == core->durables.session;
}

/* Who submitted it; the broker itself runs durable tasks. */
static struct wire_bytes client_of(const struct core *core, const struct task *task)
{
    if (task->session == NULL)
        return text_of(""); /* it has left */
    if (is_durable(core, task))
        return text_of("durable");
    return text_of(task->session->peer->role == WIRE_AGENT ? "a function"
                                                           : task->session->peer->name);
}

static int put_entry(const struct core *core, struct blob *frame, const struct running *entry)
{
    const struct task *task = entry->task;
    const struct wire_function *function = &core->function_by_number[task->function]->wire;
    const struct wire_running record = {
        .id = is_durable(core, task) && task->durable != NULL ? task->durable->id : entry->id,
        .run_ms = core->now_ms > entry->since_ms ? (uint64_t)(core->now_ms - entry->since_ms) : 0,
        .progress = entry->progress,
        .attempt = task->attempt,
        .parked = task->parked,
        .function = function->name,
        .program = function->program,
        .client = client_of(core, task),
        .host = text_of(task->agent->peer.host),
    };

    return wire_put_running(frame, &record);
}

int running_list(const struct core *core, struct blob *frame)
{
    const struct running *entry = core->running.all;
    const uint32_t all = HASH_COUNT(core->running.all);
    const uint32_t count = all < WIRE_RUNNING_MAX ? all : WIRE_RUNNING_MAX;

    if (blob_reserve(frame, 4) != 0)
        return -ENOMEM;
    wire_put_u32(frame, count);
    for (uint32_t i = 0; i < count; i++, entry = entry->hh.next) {
        if (put_entry(core, frame, entry) != 0)
            return -ENOMEM;
    }
    return 0;
}
