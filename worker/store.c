/* Invariants: an item has needs while it is not here, and at most until the next turn when it is; the first of them is the one that is asked
 * for; an item without needs and without file is freed. */
#include "store.h"

#include "base/identity.h"
#include "base/log.h"
#include "cargo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* How often idle values are looked for. */
#define CHECK_MS 1000

struct item {
    struct store *store;
    enum wire_what what;
    uint8_t key[WIRE_KEY_BYTES];
    struct blob *file; /* a cargo; NULL: not here yet */
    bool coming;       /* `fetch` is under way */
    struct fetch fetch;
    struct need *needs; /* utlist DL */
    int64_t used_ms;
    struct item *prev;
    struct item *next;
};

static struct item *find(struct store *s, enum wire_what what, const uint8_t *key)
{
    struct item *item = NULL;

    DL_FOREACH (s->items, item) {
        if (item->what == what && memcmp(item->key, key, WIRE_KEY_BYTES) == 0)
            break;
    }
    return item;
}

static void free_item(struct item *item)
{
    DL_DELETE(item->store->items, item);
    blob_unref(item->file);
    free(item);
}

struct blob *store_find(struct store *s, enum wire_what what, const uint8_t *key, int64_t now_ms)
{
    struct item *const item = find(s, what, key);

    if (item == NULL || item->file == NULL)
        return NULL;
    item->used_ms = now_ms;
    DL_DELETE(s->items, item);
    DL_APPEND(s->items, item);
    return item->file;
}

/* ---- room ---- */

static uint64_t size_of(const struct item *item)
{
    return item->file != NULL ? cargo_of(item->file)->size : 0;
}

/* Let the one go that was used longest ago, of this kind only (WIRE_WHAT_END: of all). False: there is
 * none. */
static bool evict_one(struct store *s, enum wire_what what)
{
    struct item *item = NULL;

    DL_FOREACH (s->items, item) {
        if (item->file != NULL && (what == WIRE_WHAT_END || item->what == what))
            break;
    }
    if (item == NULL)
        return false;
    log_info("item_dropped", "what=%s bytes=%llu", wire_what_name(item->what),
             (unsigned long long)size_of(item));
    free_item(item);
    return true;
}

/* Is one more of this kind and size within its bounds? */
static bool fits_kind(const struct store *s, enum wire_what what, uint64_t size)
{
    const bool program = what == WIRE_WHAT_PROGRAM;
    uint64_t bytes = size;
    uint32_t count = 1;
    const struct item *item = NULL;

    DL_FOREACH (s->items, item) {
        if (item->what == what && item->file != NULL) {
            bytes += size_of(item);
            count++;
        }
    }
    return program ? bytes <= STORE_PROGRAMS_BYTES && count <= STORE_PROGRAMS_MAX
                   : count <= STORE_VALUES_MAX;
}

static bool is_there_room(const struct store *s, uint64_t size)
{
    return s->room("") >= size + STORE_SPARE_BYTES + fetches_promised(s->fetches);
}

/* Make the file of what comes. */
static const char *make_file(struct fetch *fetch)
{
    struct item *const item = fetch->owner;
    struct store *const s = item->store;
    const bool program = item->what == WIRE_WHAT_PROGRAM;
    const uint64_t size = fetch->total;

    if (program && (size == 0 || size > STORE_PROGRAMS_BYTES))
        return "it is larger than the 256 MiB that a host keeps of programs, or empty";
    while (!fits_kind(s, item->what, size) && evict_one(s, item->what))
        continue;
    while (!is_there_room(s, size)) {
        if (!evict_one(s, WIRE_WHAT_END))
            return "this host has not enough memory for it";
    }
    fetch->file = program ? cargo_new_program(size, &s->held) : cargo_new(size, &s->held);
    return fetch->file != NULL ? NULL : strerrordesc_np(errno);
}

/* ---- fetching ---- */

/* The needs of this session get `why`; others go on, by asking for another task. */
static void fail(struct item *item, const char *why)
{
    const uint32_t session = item->needs->session;
    struct need *need = NULL;
    struct need *failed = NULL;
    struct need *next = NULL;

    log_warn("not_fetched", "what=%s task=%llx reason=\"%s\"", wire_what_name(item->what),
             (unsigned long long)item->needs->task, why);
    DL_FOREACH_SAFE (item->needs, need, next) {
        if (need->session != session)
            continue;
        DL_DELETE(item->needs, need);
        need->item = NULL;
        DL_APPEND(failed, need);
    }
    if (item->needs == NULL)
        free_item(item);
    DL_FOREACH_SAFE (failed, need, next)
        need->done(need, NULL, why);
}

static void hand_out(struct item *item)
{
    struct blob *const file = blob_ref(item->file);

    item->store->fetched++;
    while (item->needs != NULL) {
        struct need *const need = item->needs;

        DL_DELETE(item->needs, need);
        need->item = NULL;
        need->done(need, file, NULL);
    }
    blob_unref(file);
}

/* NULL: it is what it was called. */
static const char *check(const struct item *item, const struct blob *file, char *text, size_t size)
{
    struct identity here;
    char path[64];
    char ours[13];
    char theirs[13];

    if (item->what != WIRE_WHAT_PROGRAM)
        return NULL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", cargo_of(file)->fd);
    if (identity_read(path, &here) != 0)
        return "it cannot be read on this host";
    if (memcmp(here.sha256, item->key, sizeof(here.sha256)) == 0)
        return NULL;
    snprintf(text, size, "what the client sent has sha256 %s, and not %s",
             identity_short(here.sha256, ours), identity_short(item->key, theirs));
    return text;
}

static void fetched(struct fetch *fetch, const char *why)
{
    struct item *const item = fetch->owner;
    struct blob *const file = steal(&fetch->file);
    char text[128];

    item->coming = false;
    if (why == NULL)
        why = check(item, file, text, sizeof(text));
    if (why != NULL) {
        blob_unref(file);
        fail(item, why);
        return;
    }
    item->file = file;
    log_info("item_fetched", "what=%s bytes=%llu", wire_what_name(item->what),
             (unsigned long long)size_of(item));
    hand_out(item);
}

static void begin(struct item *item, int64_t now_ms)
{
    const struct need *const asked = item->needs;

    item->used_ms = now_ms;
    item->fetch = (struct fetch){
        .cargo = {.task = asked->task, .attempt = asked->attempt, .what = item->what},
        .sized = make_file,
        .done = fetched,
        .owner = item,
    };
    memcpy(item->fetch.cargo.key, item->key, WIRE_KEY_BYTES);
    if (asked->size != 0) {
        item->fetch.total = asked->size;
        const char *const why = make_file(&item->fetch);
        if (why != NULL) {
            fail(item, why);
            return;
        }
    }
    item->coming = true;
    fetch_start(item->store->fetches, &item->fetch);
}

static void stop(struct item *item)
{
    if (!item->coming)
        return;
    item->coming = false;
    fetch_drop(item->store->fetches, &item->fetch);
}

/* Is it better to ask for this new one than for the first? */
static bool goes_first(const struct item *item, const struct need *need)
{
    const struct need *const first = item->needs;

    if (first == NULL || first->direct || item->file != NULL)
        return false;
    return (need->direct || need->loan) && (!item->coming || item->fetch.got == 0);
}

int store_need(struct store *s, struct need *need)
{
    struct item *item = find(s, need->what, need->key);

    if (item == NULL) {
        item = calloc(1, sizeof(*item));
        if (item == NULL)
            return -ENOMEM;
        item->store = s;
        item->what = need->what;
        memcpy(item->key, need->key, WIRE_KEY_BYTES);
        DL_APPEND(s->items, item);
    }
    need->item = item;
    if (goes_first(item, need)) {
        stop(item);
        DL_PREPEND(item->needs, need);
    } else {
        DL_APPEND(item->needs, need);
    }
    return 0;
}

void store_drop(struct store *s, struct need *need)
{
    struct item *const item = need->item;

    (void)s;
    if (item == NULL)
        return;
    if (item->needs == need)
        stop(item);
    DL_DELETE(item->needs, need);
    need->item = NULL;
    if (item->needs == NULL && item->file == NULL)
        free_item(item);
}

void store_forget(struct store *s, enum wire_what what, const uint8_t *key)
{
    struct item *const item = find(s, what, key);

    if (item == NULL || item->file == NULL || item->needs != NULL)
        return;
    log_info("item_freed", "what=%s bytes=%llu", wire_what_name(what),
             (unsigned long long)size_of(item));
    free_item(item);
}

/* ---- all of them ---- */

/* The first that waits for its turn. */
static struct item *next_to_begin(struct store *s)
{
    struct item *item = NULL;

    if (s->fetches->count >= FETCHES_MAX)
        return NULL;
    DL_FOREACH (s->items, item) {
        if (item->needs != NULL && !item->coming)
            break;
    }
    return item;
}

static void let_go_idle(struct store *s, int64_t now_ms)
{
    struct item *item = NULL;
    struct item *next = NULL;

    if (now_ms < s->check_ms)
        return;
    s->check_ms = now_ms + CHECK_MS;
    DL_FOREACH_SAFE (s->items, item, next) {
        if (item->what == WIRE_WHAT_VALUE && item->file != NULL &&
            now_ms - item->used_ms >= STORE_IDLE_MS)
            free_item(item);
    }
}

void store_turn(struct store *s, int64_t now_ms)
{
    struct item *item = NULL;

    while ((item = next_to_begin(s)) != NULL) {
        if (item->file != NULL)
            hand_out(item); /* it was needed again when it was here already */
        else
            begin(item, now_ms);
    }
    let_go_idle(s, now_ms);
}

void store_reset(struct store *s)
{
    struct item *item = NULL;
    struct item *next = NULL;

    DL_FOREACH_SAFE (s->items, item, next) {
        stop(item);
        while (item->needs != NULL) {
            struct need *const need = item->needs;

            DL_DELETE(item->needs, need);
            need->item = NULL;
        }
        if (item->file == NULL)
            free_item(item);
    }
}

void store_fini(struct store *s)
{
    store_reset(s);
    while (s->items != NULL)
        free_item(s->items);
}
