/* The task table. Invariants: a task in state FREE is on the free list and holds no frame; an id
 * names one task for ever, because the generation of a place only grows. */
#include "task.h"

#include "terms.h"

#include <assert.h>
#include <string.h>

/* Tasks are allocated this many at a time, so that neither memory nor time is spent per task. */
#define CHUNK_TASKS 4096

struct transition {
    enum task_state next;
    enum task_action action;
};

/* PROTOCOL.md section 5, cell by cell; an absent cell is TASK_REFUSE. */
static const struct transition transitions[TASK_STATE_END][TASK_EVENT_END] =
    {
        [TASK_READY] =
            {
                [TASK_LEASE] = {TASK_LEASED, TASK_SEND},
                [TASK_EXPIRE] = {TASK_FREE, TASK_DELIVER},
                [TASK_CANCEL] = {TASK_FREE, TASK_DELIVER},
                [TASK_ABANDON] = {TASK_FREE, TASK_DROP},
                [TASK_HOLD] = {TASK_HELD, TASK_WAIT},
                [TASK_ASK] = {TASK_ASKING, TASK_WAIT},
            },
        [TASK_LEASED] =
            {
                [TASK_OUTCOME] = {TASK_FREE, TASK_DELIVER},
                [TASK_CRASH] = {TASK_READY, TASK_QUEUE_BACK},
                [TASK_CRASH_LAST] = {TASK_FREE, TASK_DELIVER},
                [TASK_LOSS] = {TASK_READY, TASK_QUEUE_FRONT},
                [TASK_LOSS_LAST] = {TASK_FREE, TASK_DELIVER},
                [TASK_RETRY] = {TASK_RESTING, TASK_REST},
                [TASK_CANCEL] = {TASK_STOPPING, TASK_SEND_REVOKE},
                [TASK_ABANDON] = {TASK_REVOKED, TASK_SEND_REVOKE},
            },
        [TASK_RESTING] =
            {
                [TASK_DUE] = {TASK_READY, TASK_QUEUE_BACK},
                [TASK_CANCEL] = {TASK_FREE, TASK_DELIVER},
                [TASK_ABANDON] = {TASK_FREE, TASK_DROP},
            },
        [TASK_STOPPING] =
            {
                [TASK_OUTCOME] = {TASK_FREE, TASK_DELIVER},
                [TASK_CRASH] = {TASK_FREE, TASK_DELIVER},
                [TASK_CRASH_LAST] = {TASK_FREE, TASK_DELIVER},
                [TASK_LOSS] = {TASK_FREE, TASK_DELIVER},
                [TASK_LOSS_LAST] = {TASK_FREE, TASK_DELIVER},
                [TASK_ABANDON] = {TASK_REVOKED, TASK_KEEP},
            },
        [TASK_REVOKED] =
            {
                [TASK_OUTCOME] = {TASK_FREE, TASK_DROP},
                [TASK_CRASH] = {TASK_FREE, TASK_DROP},
                [TASK_CRASH_LAST] = {TASK_FREE, TASK_DROP},
                [TASK_LOSS] = {TASK_FREE, TASK_DROP},
                [TASK_LOSS_LAST] = {TASK_FREE, TASK_DROP},
            },
        [TASK_HELD] =
            {
                [TASK_EXPIRE] = {TASK_FREE, TASK_DELIVER},
                [TASK_CANCEL] = {TASK_FREE, TASK_DELIVER},
                [TASK_ABANDON] = {TASK_FREE, TASK_DROP},
                [TASK_RELEASE] = {TASK_READY, TASK_QUEUE_BACK},
                [TASK_BLOCK] = {TASK_BLOCKED, TASK_WAIT},
                [TASK_OVERFLOW] = {TASK_FREE, TASK_DELIVER},
            },
        [TASK_BLOCKED] =
            {
                [TASK_EXPIRE] = {TASK_FREE, TASK_DELIVER},
                [TASK_CANCEL] = {TASK_FREE, TASK_DELIVER},
                [TASK_ABANDON] = {TASK_FREE, TASK_DROP},
                [TASK_RELEASE] = {TASK_READY, TASK_QUEUE_BACK},
                [TASK_UNBLOCK] = {TASK_HELD, TASK_WAIT},
                [TASK_OVERFLOW] = {TASK_FREE, TASK_DELIVER},
            },
        [TASK_ASKING] =
            {
                [TASK_OUTCOME] = {TASK_FREE, TASK_DELIVER},
                [TASK_CANCEL] = {TASK_FREE, TASK_DELIVER},
                [TASK_ABANDON] = {TASK_FREE, TASK_DROP},
            },
};

enum task_action task_step(struct task *task, enum task_event event)
{
    const struct transition *t = &transitions[task->state][event];

    if (t->action == TASK_REFUSE)
        return TASK_REFUSE;
    task->state = (uint8_t)t->next;
    if (event == TASK_LEASE)
        task->attempt++;
    return t->action;
}

enum task_event task_count_crash(struct task *task)
{
    return ++task->crashes >= TASK_CRASHES_MAX ? TASK_CRASH_LAST : TASK_CRASH;
}

enum task_event task_count_loss(struct task *task)
{
    return ++task->losses >= TASK_LOSSES_MAX ? TASK_LOSS_LAST : TASK_LOSS;
}

/* ---- lists ---- */

void task_list_push_back(struct task_list *list, struct task *task)
{
    task->next = NULL;
    task->prev = list->tail;
    if (list->tail != NULL)
        list->tail->next = task;
    else
        list->head = task;
    list->tail = task;
    list->count++;
}

void task_list_push_front(struct task_list *list, struct task *task)
{
    task->prev = NULL;
    task->next = list->head;
    if (list->head != NULL)
        list->head->prev = task;
    else
        list->tail = task;
    list->head = task;
    list->count++;
}

void task_list_remove(struct task_list *list, struct task *task)
{
    if (task->prev != NULL)
        task->prev->next = task->next;
    else
        list->head = task->next;
    if (task->next != NULL)
        task->next->prev = task->prev;
    else
        list->tail = task->prev;
    task->next = NULL;
    task->prev = NULL;
    list->count--;
}

/* ---- slab ---- */

static int add_chunk(struct task_slab *slab)
{
    struct task **chunks = realloc(slab->chunks, (slab->chunk_count + 1) * sizeof(struct task *));

    if (chunks == NULL)
        return -ENOMEM;
    slab->chunks = chunks;
    struct task *chunk = calloc(CHUNK_TASKS, sizeof(struct task));
    if (chunk == NULL)
        return -ENOMEM;
    const uint32_t first = slab->chunk_count * CHUNK_TASKS;
    for (uint32_t i = CHUNK_TASKS; i-- > 0;) {
        chunk[i].index = first + i;
        chunk[i].next = slab->free;
        slab->free = &chunk[i];
    }
    slab->chunks[slab->chunk_count++] = chunk;
    return 0;
}

void task_slab_fini(struct task_slab *slab)
{
    for (uint32_t c = 0; c < slab->chunk_count; c++) {
        for (uint32_t i = 0; i < CHUNK_TASKS; i++) {
            blob_unref(slab->chunks[c][i].frame);
            terms_free(slab->chunks[c][i].terms);
        }
        free(slab->chunks[c]);
    }
    free(slab->chunks);
    *slab = (struct task_slab){0};
}

struct task *task_new(struct task_slab *slab)
{
    if (slab->free == NULL && add_chunk(slab) != 0)
        return NULL;
    struct task *task = slab->free;

    slab->free = task->next;
    slab->used++;
    *task = (struct task){
        .index = task->index,
        .generation = task->generation + 1,
        .state = TASK_READY,
    };
    return task;
}

void task_free(struct task_slab *slab, struct task *task)
{
    assert(task->state == TASK_FREE);
    blob_unref(task->frame);
    task->frame = NULL;
    terms_free(task->terms);
    task->terms = NULL;
    task->next = slab->free;
    slab->free = task;
    slab->used--;
}

struct task *task_find(const struct task_slab *slab, uint64_t id)
{
    const uint32_t index = (uint32_t)id;

    if (index / CHUNK_TASKS >= slab->chunk_count)
        return NULL;
    struct task *task = &slab->chunks[index / CHUNK_TASKS][index % CHUNK_TASKS];

    return task->state != TASK_FREE && task_id(task) == id ? task : NULL;
}
