/* What is in the journal, and what has to be. Invariants: the list is sorted by position, that of
 * the newest record of each durable task; `unconfirmed` is its first member whose position is not
 * known to be in the journal. A record that cannot be appended for want of memory sets `rewrite`. */
#include "durable.h"

#include "state.h"

#include <string.h>
#include <utlist.h>

/* A batch that is larger is handed out before the turn ends. */
#define BATCH_BYTES ((size_t)256 << 10)

/* The journal may grow to twice what is needed and this; then its oldest records are written anew,
 * so much a turn, and what is before them is trimmed. */
#define SLACK_BYTES   ((uint64_t)64 << 20)
#define COMPACT_BYTES ((uint64_t)1 << 20)

/* Entries that are worth a trim. */
#define TRIM_ENTRIES 64

/* ---- appending ---- */

static void hand_out(struct core *core)
{
    struct durables *all = &core->durables;

    if (all->batch == NULL)
        return;
    if (core_journal(core, all->batch) != 0)
        return; /* it grows until there is memory */
    all->batch = NULL;
    all->appended++;
}

/* All that is put for the next so many bytes, heads included, travels in one batch. -ENOMEM. */
static int make_room(struct core *core, size_t bytes)
{
    struct durables *all = &core->durables;

    if (all->batch != NULL && all->batch->size + bytes > BATCH_BYTES)
        hand_out(core);
    if (all->batch == NULL)
        all->batch = blob_new(bytes);
    return all->batch != NULL ? blob_reserve(all->batch, bytes) : -ENOMEM;
}

/* The head of a record, whose body the caller puts behind it: there is room. */
static void put_head(struct core *core, enum record_type type, uint64_t id, size_t body_bytes)
{
    /* Cannot fail: make_room() has reserved it. */
    (void)!record_begin(core->durables.batch, type, id, body_bytes);
    core->durables.written_bytes += RECORD_HEAD_BYTES + body_bytes;
}

static void put_after(struct core *core, const struct durable *d)
{
    if (d->ties == NULL)
        return;
    put_head(core, RECORD_AFTER, d->id, ties_bytes(d));
    for (uint32_t i = 0; i < d->ties->count; i++)
        wire_put_u64(core->durables.batch, d->ties->list[i].id);
}

static void put_needs(struct core *core, const struct durable *d)
{
    if (d->needs == NULL)
        return;
    put_head(core, RECORD_NEEDS, d->id, strlen(d->needs));
    wire_put_bytes(core->durables.batch, d->needs, strlen(d->needs));
}

/* Of its records: TASK or DONE, AFTER, NEEDS, FORGIVEN. */
static size_t bytes_of(const struct durable *d)
{
    return RECORD_HEAD_BYTES + d->body->size +
           (d->ties != NULL ? RECORD_HEAD_BYTES + ties_bytes(d) : 0) +
           (d->needs != NULL ? RECORD_HEAD_BYTES + strlen(d->needs) : 0) +
           (d->forgiven ? RECORD_HEAD_BYTES : 0);
}

void ledger_remove(struct core *core, struct durable *d)
{
    struct durables *all = &core->durables;

    if (d->position == 0)
        return; /* it never was in */
    if (all->unconfirmed == d)
        all->unconfirmed = d->next;
    DL_DELETE(all->oldest, d);
}

static void move_to_end(struct core *core, struct durable *d, uint64_t position)
{
    struct durables *all = &core->durables;

    ledger_remove(core, d);
    d->position = position;
    d->offset = all->written_bytes - bytes_of(d);
    DL_APPEND(all->oldest, d);
    if (all->unconfirmed == NULL)
        all->unconfirmed = d;
}

static enum record_type type_of(const struct durable *d)
{
    if (d->constant != NULL)
        return RECORD_CONSTANT;
    return d->state == DURABLE_ENDING || d->state == DURABLE_DONE ? RECORD_DONE : RECORD_TASK;
}

void ledger_write(struct core *core, struct durable *d)
{
    if (make_room(core, bytes_of(d)) != 0) {
        core->durables.rewrite = true;
    } else {
        put_head(core, type_of(d), d->id, d->body->size);
        wire_put_bytes(core->durables.batch, d->body->data, d->body->size);
        put_after(core, d);
        put_needs(core, d);
        if (d->forgiven)
            put_head(core, RECORD_FORGIVEN, d->id, 0);
    }
    move_to_end(core, d, core->durables.appended + 1);
}

void ledger_write_forget(struct core *core, uint64_t id)
{
    /* Without memory it is forgotten later: it comes back with the next start, and goes again. */
    if (make_room(core, RECORD_HEAD_BYTES) == 0)
        put_head(core, RECORD_FORGET, id, 0);
}

void ledger_write_unset(struct core *core, struct wire_bytes name)
{
    if (make_room(core, RECORD_HEAD_BYTES + 2 + name.size) != 0)
        return; /* likewise */
    put_head(core, RECORD_UNSET, 0, 2 + name.size);
    wire_put_u16(core->durables.batch, (uint16_t)name.size);
    wire_put_bytes(core->durables.batch, name.data, name.size);
}

/* ---- what is in ---- */

void ledger_confirm(struct core *core, uint64_t position)
{
    struct durables *all = &core->durables;

    while (!all->rewrite && all->unconfirmed != NULL && all->unconfirmed->position <= position) {
        struct durable *d = all->unconfirmed;

        all->unconfirmed = d->next;
        durable_confirm(core, d);
    }
    if (all->trim_at == 0 || all->trim_at > position)
        return;
    all->trim_at = 0;
    if (all->trim_to < all->trimmed + TRIM_ENTRIES && all->oldest != NULL && !all->lost)
        return;
    all->lost = false;
    all->trimmed = all->trim_to;
    core_trim(core, all->trim_to);
}

/* What is needed now is at trim_to or behind it; that may be relied on once it is in. */
static void plan_trim(struct core *core)
{
    struct durables *all = &core->durables;
    const uint64_t needed = all->oldest != NULL ? all->oldest->position : all->appended;

    if (all->rewrite || all->trim_at != 0 || needed <= all->trimmed)
        return;
    all->trim_at = all->appended;
    all->trim_to = needed < all->appended ? needed : all->appended;
}

/* What is there still may be half of a story, whose end is lost: it goes when the rest is written again. */
void ledger_lost(struct core *core)
{
    core->durables.rewrite = true;
    core->durables.lost = true;
    core->durables.trim_at = 0;
}

static void rewrite(struct core *core)
{
    struct durables *all = &core->durables;
    struct durable *d = all->oldest;
    const struct durable *last = d != NULL ? d->prev : NULL; /* utlist: of the head, the tail */
    bool more = d != NULL;

    all->rewrite = false;
    while (more && !all->rewrite) {
        struct durable *next = d->next;

        more = d != last;
        ledger_write(core, d);
        d = next;
    }
}

/* Write the oldest anew while the journal is too long. */
static void compact(struct core *core)
{
    struct durables *all = &core->durables;
    const uint64_t heads =
        (HASH_COUNT(all->by_id) * 4 + core->counters.constants) * RECORD_HEAD_BYTES;
    const uint64_t most = 2 * (all->body_bytes + heads) + SLACK_BYTES;
    const uint64_t end = all->written_bytes + COMPACT_BYTES;

    while (all->oldest != NULL && all->written_bytes - all->oldest->offset > most &&
           all->written_bytes < end && !all->rewrite)
        ledger_write(core, all->oldest);
}

void ledger_turn(struct core *core)
{
    struct durables *all = &core->durables;

    if (!all->open)
        return;
    if (all->rewrite)
        rewrite(core);
    if (all->state == CORE_JOURNAL_UP)
        compact(core);
    hand_out(core);
    plan_trim(core);
}

/* ---- the start ---- */

static struct blob *copy_of(struct wire_bytes bytes)
{
    struct blob *blob = blob_new(bytes.size);

    if (blob != NULL)
        wire_put_bytes(blob, bytes.data, bytes.size);
    return blob;
}

/* What else is known of a task whose record has just been read. */
static void replay_more(struct core *core, struct durable *d, const struct record *record)
{
    if (d == NULL)
        return; /* there was no memory for it, and that was noted */
    if (record->type == RECORD_FORGIVEN)
        d->forgiven = true;
    else if (record->type == RECORD_NEEDS && durable_need(d, record->body) != 0)
        core_note(core, LOG_ERROR, "durable_lost", "id=%016llx msg=\"out of memory\"",
                  (unsigned long long)record->id);
    else if (record->type == RECORD_AFTER && ties_set(core, d, record->body) != 0)
        core_note(core, LOG_ERROR, "durable_untied",
                  "id=%016llx msg=\"what it waits for is not readable, or out of memory\"",
                  (unsigned long long)record->id);
}

static void replay_record(struct core *core, uint64_t position, const struct record *record)
{
    struct durable *d = durable_find(core, record->id);

    core->durables.written_bytes += RECORD_HEAD_BYTES + record->body.size;
    if (record->type == RECORD_UNSET)
        constants_lose(core, record->body);
    if (record->type == RECORD_CONSTANT) {
        d = constants_restore(core, record->body, copy_of(record->body));
        if (d != NULL)
            move_to_end(core, d, position);
        return;
    }
    if (record->type == RECORD_FORGET && d != NULL)
        durable_forget(core, d);
    if (record->type == RECORD_AFTER || record->type == RECORD_FORGIVEN ||
        record->type == RECORD_NEEDS)
        replay_more(core, d, record);
    if (record->type != RECORD_TASK && record->type != RECORD_DONE)
        return;
    if (durable_restore(core, d, record, copy_of(record->body)) != 0)
        core_note(core, LOG_ERROR, "durable_lost", "id=%016llx msg=\"out of memory\"",
                  (unsigned long long)record->id);
    d = durable_find(core, record->id);
    if (d != NULL)
        move_to_end(core, d, position);
}

void ledger_replay(struct core *core, uint64_t position, const struct blob *batch)
{
    struct wire_cursor c = wire_cursor_of(batch->data, batch->size);
    struct record record;
    uint8_t version = 0;

    while (c.at < c.end && record_get(&c, &record, &version) == 0)
        replay_record(core, position, &record);
}

void ledger_open(struct core *core, uint64_t position)
{
    struct durables *all = &core->durables;
    struct durable *next = NULL;

    all->open = true;
    all->down_ms = core->now_ms; /* it was there just now: there is patience with it */
    all->appended = position;
    all->unconfirmed = NULL;
    for (struct durable *d = all->oldest; d != NULL; d = d->next)
        ties_up(core, d);
    for (struct durable *d = all->oldest; d != NULL; d = next) {
        next = d->next;
        if (d->state == DURABLE_LIVE)
            durable_start(core, d);
    }
    core_note(core, LOG_INFO, "durables_open", "kept=%llu running=%llu",
              (unsigned long long)core->counters.durable,
              (unsigned long long)core->durables.session->queued);
    ask_early(core);
}
