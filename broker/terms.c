/* Invariant: timers->heap[i]->terms->timer == i for 1 <= i <= count. */
#include "terms.h"

#include "task.h"

struct terms *terms_new(const struct wire_options *options)
{
    struct terms *terms = malloc(sizeof(*terms));

    if (terms != NULL)
        *terms = (struct terms){.options = *options, .retries_left = options->retries};
    return terms;
}

void terms_free(struct terms *terms)
{
    free(terms);
}

bool terms_take_retry(struct terms *terms, int64_t *pause_ms)
{
    if (terms == NULL || terms->retries_left == 0)
        return false;
    const int before = terms->options.retries - terms->retries_left--;
    int64_t pause = terms->options.backoff_ms;

    for (int i = 0; i < before && pause < TERMS_BACKOFF_MAX_MS; i++)
        pause *= 2;
    /* Who asks for more than the limit gets it each time. */
    if (pause > TERMS_BACKOFF_MAX_MS)
        pause = terms->options.backoff_ms > TERMS_BACKOFF_MAX_MS ? terms->options.backoff_ms
                                                                 : TERMS_BACKOFF_MAX_MS;
    *pause_ms = pause;
    return true;
}

/* ---- timers ---- */

static int64_t due_of(const struct timers *timers, uint32_t at)
{
    return timers->heap[at]->terms->due_ms;
}

static void put(struct timers *timers, uint32_t at, struct task *task)
{
    timers->heap[at] = task;
    task->terms->timer = at;
}

/* Put a task at this free place or above it, whichever is right. */
static void rise(struct timers *timers, uint32_t at, struct task *task)
{
    for (; at > 1 && due_of(timers, at / 2) > task->terms->due_ms; at /= 2)
        put(timers, at, timers->heap[at / 2]);
    put(timers, at, task);
}

/* Put a task at this free place or below it. */
static void sink(struct timers *timers, uint32_t at, struct task *task)
{
    while (at * 2 <= timers->count) {
        uint32_t child = at * 2;

        if (child < timers->count && due_of(timers, child + 1) < due_of(timers, child))
            child++;
        if (due_of(timers, child) >= task->terms->due_ms)
            break;
        put(timers, at, timers->heap[child]);
        at = child;
    }
    rise(timers, at, task);
}

int timers_set(struct timers *timers, struct task *task, int64_t due_ms)
{
    if (timers->count + 1 >= timers->capacity) {
        const uint32_t capacity = timers->capacity != 0 ? timers->capacity * 2 : 64;
        struct task **heap = realloc(timers->heap, capacity * sizeof(struct task *));

        if (heap == NULL)
            return -ENOMEM;
        timers->heap = heap;
        timers->capacity = capacity;
    }
    task->terms->due_ms = due_ms;
    rise(timers, ++timers->count, task);
    return 0;
}

void timers_stop(struct timers *timers, struct task *task)
{
    if (task->terms == NULL || task->terms->timer == 0)
        return;
    const uint32_t at = task->terms->timer;
    struct task *last = timers->heap[timers->count--];

    task->terms->timer = 0;
    if (last != task)
        sink(timers, at, last);
}

struct task *timers_first(const struct timers *timers)
{
    return timers->count != 0 ? timers->heap[1] : NULL;
}

void timers_fini(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}
