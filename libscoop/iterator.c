/* Iterators: futures, or the results of a map, in the order in which they end.
 *
 * Invariant: an entry is `left` (its watch at the future's job or at the tray) or `spare`. The
 * futures of a map are the iterator's own; the others are borrowed. */
#include "await.h"
#include "error.h"
#include "map.h"
#include "program.h"

#include <string.h>

/* Tasks of a map that are under way at a time: enough of them keep thousands of slots busy, at some
 * 300 bytes each and their data. A window is refilled when a quarter of it has ended, so that tasks
 * leave in batches. */
#define WINDOW       4096
#define WINDOW_LEAST 16
#define WINDOW_BYTES ((size_t)64 << 20)

#define ENTRIES_PER_BLOCK 64

struct entry {
    struct watch watch; /* first */
    scoop_future *future;
    struct entry *next; /* of the spare ones, whose future is NULL */
};

struct block {
    struct block *next;
    size_t count;
    struct entry entries[];
};

/* What is to be computed yet. */
struct mapping {
    struct scoop_options options;
    const struct scoop_function *function; /* NULL: this is no map */
    const uint8_t *in;
    uint8_t *out;
    size_t n;
};

struct scoop_iterator {
    struct waiter waiter;
    scoop_session *session; /* a reference; NULL: serial, or not known yet */
    struct block *blocks;
    struct entry *spare;
    size_t next_index;
    size_t left;
    struct mapping map;
};

static struct scoop_iterator *iterator_new(void)
{
    struct scoop_iterator *it = malloc(sizeof(*it));

    if (it == NULL)
        return NULL;
    *it = (struct scoop_iterator){.next_index = 0};
    waiter_init(&it->waiter);
    return it;
}

static int add_block(struct scoop_iterator *it, size_t n)
{
    struct block *block = malloc(sizeof(*block) + n * sizeof(block->entries[0]));

    if (block == NULL)
        return -ENOMEM;
    block->next = it->blocks;
    block->count = n;
    it->blocks = block;
    for (size_t i = n; i > 0; i--) {
        block->entries[i - 1] = (struct entry){.next = it->spare};
        it->spare = &block->entries[i - 1];
    }
    return 0;
}

/* There is a spare entry. */
static void attach(struct scoop_iterator *it, scoop_future *future)
{
    struct entry *entry = it->spare;

    it->spare = entry->next;
    entry->future = future;
    entry->watch.index = it->next_index++;
    it->left++;
    if (future->session != NULL)
        session_watch(future->session, &entry->watch, &it->waiter, &future->job);
    else
        watch_job(&entry->watch, &it->waiter.tray, &future->job);
}

enum scoop_status scoop_iterator_add(scoop_iterator *it, scoop_future *future)
{
    if (it == NULL || it->map.function != NULL || future == NULL)
        return error_set(SCOOP_MISUSE, "scoop_iterator_add: there is no %s",
                         future == NULL ? "future" : "iterator over futures");
    if (it->session != NULL && future->session != it->session)
        return error_set(SCOOP_MISUSE, "scoop_iterator_add: a future of another session");
    if (it->spare == NULL && add_block(it, ENTRIES_PER_BLOCK) != 0)
        return error_set(SCOOP_NO_MEMORY, "scoop_iterator_add: out of memory");
    if (it->session == NULL && future->session != NULL) {
        it->session = future->session;
        session_ref(it->session);
    }
    attach(it, future);
    return SCOOP_OK;
}

scoop_iterator *scoop_as_completed(scoop_future *const *futures, size_t n)
{
    struct scoop_iterator *it = iterator_new();

    if (it == NULL || (n > 0 && add_block(it, n) != 0)) {
        scoop_iterator_free(it);
        error_set(SCOOP_NO_MEMORY, "scoop_as_completed: no memory for %zu futures", n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (futures[i] == NULL) {
            it->next_index++;
        } else if (scoop_iterator_add(it, futures[i]) != SCOOP_OK) {
            scoop_iterator_free(it);
            return NULL;
        }
    }
    return it;
}

static void end_entry(struct scoop_iterator *it, struct entry *entry)
{
    if (entry->future == NULL)
        return;
    if (it->session != NULL)
        session_unwatch(it->session, &entry->watch, 1);
    if (it->map.function != NULL)
        scoop_future_free(entry->future);
}

void scoop_iterator_free(scoop_iterator *it)
{
    if (it == NULL)
        return;
    while (it->blocks != NULL) {
        struct block *block = it->blocks;

        it->blocks = block->next;
        for (size_t i = 0; i < block->count; i++)
            end_entry(it, &block->entries[i]);
        free(block);
    }
    waiter_fini(&it->waiter);
    session_unref(it->session);
    free(it);
}

/* ---- maps ---- */

static enum scoop_status start_next(struct scoop_iterator *it, int64_t deadline)
{
    const struct mapping *map = &it->map;
    const size_t size = map->function->argument_bytes;
    scoop_future *future = NULL;

    if (it->spare == NULL && add_block(it, ENTRIES_PER_BLOCK) != 0)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", map->function->name);
    const struct scoop_bytes argument = {map->in + it->next_index * size, size};
    const enum scoop_status status =
        future_submit(it->session, &map->options, map->function, argument, deadline, &future);
    if (status == SCOOP_OK)
        attach(it, future);
    return status;
}

/* Serially nothing is computed before it is asked for. */
static size_t window_of(const struct scoop_iterator *it)
{
    const struct scoop_function *function = it->map.function;
    const size_t bytes = (size_t)function->argument_bytes + function->result_bytes;

    if (it->session == NULL)
        return 1;
    if (bytes > WINDOW_BYTES / WINDOW_LEAST)
        return WINDOW_LEAST;
    return bytes > WINDOW_BYTES / WINDOW ? WINDOW_BYTES / bytes : WINDOW;
}

/* Keep the window full. */
static enum scoop_status start_more(struct scoop_iterator *it, int64_t deadline)
{
    const size_t window = window_of(it);
    enum scoop_status status = SCOOP_OK;

    if (it->left > window * 3 / 4)
        return SCOOP_OK;
    while (status == SCOOP_OK && it->left < window && it->next_index < it->map.n)
        status = start_next(it, deadline);
    return status;
}

scoop_iterator *scoop_map_as_completed_with(scoop_session *given,
                                            const struct scoop_options *options,
                                            const struct scoop_function *function,
                                            const void *in,
                                            size_t in_bytes,
                                            void *out,
                                            size_t out_bytes,
                                            size_t n)
{
    scoop_session *session = NULL;

    if (map_check(function, in_bytes, out_bytes, n) != SCOOP_OK ||
        program_session(given, &session) != SCOOP_OK)
        return NULL;
    struct scoop_iterator *it = iterator_new();
    if (it == NULL) {
        error_set(SCOOP_NO_MEMORY, "%s: out of memory", function->name);
        return NULL;
    }
    it->session = session;
    session_ref(session);
    it->map = (struct mapping){.function = function, .in = in, .out = out, .n = n};
    if (options != NULL)
        it->map.options = *options;
    if (session != NULL && start_more(it, program_deadline_of(options)) != SCOOP_OK) {
        scoop_iterator_free(it);
        return NULL;
    }
    return it;
}

/* ---- both ---- */

static enum scoop_status
take_result(const struct scoop_iterator *it, scoop_future *future, size_t i)
{
    const size_t size = it->map.function->result_bytes;

    if (future->job.failure != NULL)
        return error_of_task(&future->job, i, it->map.n);
    memcpy(it->map.out + i * size, future->job.out, size);
    return SCOOP_OK;
}

/* Take what an entry is for out of it. */
static enum scoop_status take_entry(struct scoop_iterator *it, struct entry *entry)
{
    const size_t index = entry->watch.index;
    scoop_future *future = entry->future;
    enum scoop_status status = SCOOP_OK;

    entry->future = NULL;
    entry->next = it->spare;
    it->spare = entry;
    it->left--;
    if (it->map.function != NULL) {
        status = take_result(it, future, index);
        scoop_future_free(future);
    }
    return status;
}

enum scoop_status scoop_next(scoop_iterator *it, int deadline_ms, size_t *index)
{
    const int64_t deadline = program_deadline(deadline_ms);

    if (it == NULL || index == NULL)
        return error_set(SCOOP_MISUSE, "scoop_next: there is no %s",
                         it == NULL ? "iterator" : "place for the index");
    if (it->map.function != NULL) {
        const enum scoop_status status = start_more(it, deadline);

        if (status != SCOOP_OK && it->left == 0)
            return status;
    }
    if (it->left == 0)
        return SCOOP_END;
    struct watch *watch = await_watch(it->session, &it->waiter, deadline);
    if (watch == NULL)
        return error_set(SCOOP_TIMEOUT, "none of %zu futures was done within %d ms", it->left,
                         deadline_ms);
    *index = watch->index;
    return take_entry(it, (struct entry *)watch);
}
