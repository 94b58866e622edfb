/* The broker around its core, as broker/loop.c is: events in, effects out, and what Redis has of the
 * journal. It may end between any two effects. */
#include "world.h"

#include "broker/record.h"

#include <string.h>

/* A journaled result is kept so long; or so long, where that is to be seen. */
#define KEEP_MS       600000
#define SHORT_KEEP_MS 4000

/* ---- Redis ---- */

static bool is_needed(const struct world *w, const struct durable_errand *source)
{
    const uint32_t at = (uint32_t)(source - w->durables);

    for (uint32_t i = 0; i < w->durable_count; i++) {
        const struct durable_errand *d = &w->durables[i];

        for (uint32_t j = 0; d->tied && j < d->after_count; j++) {
            if (d->after[j] == at)
                return true;
        }
    }
    return false;
}

/* What is submitted by that name afterwards is another task, which has not begun. */
static void note_forget(struct world *w, struct durable_errand *d)
{
    CHECK(w, d->done_written || !d->accepted || w->excused,
          "durable task %llx was accepted, and forgotten before it had ended",
          (unsigned long long)d->id);
    /* One that was never accepted goes before those that wait for it, which go too. */
    CHECK(w, !d->ended || !is_needed(w, d) || w->excused,
          "durable task %llx was forgotten, and others need it", (unsigned long long)d->id);
    d->call.starts = 0;
    d->well_ms = 0;
    d->ended = false;
    d->tied = false;
}

static void note_done(const struct world *w, struct durable_errand *d, struct wire_bytes body)
{
    d->done_written = true;
    if (body.size == 0 || body.data[0] != WIRE_OK)
        d->well_ms = 0;
    else if (d->well_ms == 0)
        d->well_ms = w->now_ms;
}

static void note_record(struct world *w, const struct record *record)
{
    struct durable_errand *d = NULL;

    switch ((int)record->type) {
    case RECORD_TASK:
    case RECORD_DONE:
        d = durable_of_id(w, record->id);
        d->task_written = true;
        d->ended = record->type == RECORD_DONE;
        d->tied = false; /* else that follows */
        if (record->type == RECORD_DONE)
            note_done(w, d, record->body);
        return;
    case RECORD_AFTER: durable_of_id(w, record->id)->tied = true; return;
    case RECORD_FORGET: note_forget(w, durable_of_id(w, record->id)); return;
    default: return;
    }
}

static void note_records(struct world *w, const struct blob *batch)
{
    struct wire_cursor c = wire_cursor_of(batch->data, batch->size);
    struct record record;
    uint8_t version = 0;

    while (c.at < c.end) {
        CHECK(w, record_get(&c, &record, &version) == 0, "a record that cannot be read");
        note_record(w, &record);
    }
}

static void drop_entries(struct redis *r, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        blob_unref(r->entries[i].batch);
}

/* Entries before the trim position go. */
static void trim(struct redis *r)
{
    while (r->first < r->count && r->entries[r->first].position < r->trim) {
        blob_unref(r->entries[r->first].batch);
        r->first++;
    }
}

static void write_entry(struct world *w, uint64_t position, struct blob *batch)
{
    struct redis *r = &w->redis;

    CHECK(w, r->count < ENTRIES_MAX, "the journal grows without end");
    record_seal(batch);
    note_records(w, batch);
    r->entries[r->count++] = (struct entry){.position = position, .batch = batch};
    r->written = position;
}

/* Up to `most` batches get into Redis. */
static void write_waiting(struct world *w, uint32_t most)
{
    struct redis *r = &w->redis;
    uint32_t n = r->waiting_count < most ? r->waiting_count : most;

    for (uint32_t i = 0; i < n; i++)
        write_entry(w, r->waiting[i].position, r->waiting[i].batch);
    r->waiting_count -= n;
    memmove(r->waiting, r->waiting + n, r->waiting_count * sizeof(r->waiting[0]));
}

static void tell_core(struct world *w, enum core_event_type type, uint64_t position)
{
    host_event(w, &(struct core_event){
                      .type = type,
                      .now_ms = w->now_ms,
                      .position = position,
                  });
}

static void tell_state(struct world *w, enum core_journal state)
{
    host_event(w, &(struct core_event){
                      .type = CORE_JOURNAL_CHANGED,
                      .now_ms = w->now_ms,
                      .journal = state,
                      .text = "it does not answer",
                  });
}

static void plan_exchange(struct world *w, int64_t delay_ms)
{
    if (w->redis.due_ms == INT64_MAX)
        w->redis.due_ms = w->now_ms + delay_ms;
}

/* What was forgotten is noticed: the core writes everything anew. */
static void tell_loss(struct world *w)
{
    struct redis *r = &w->redis;

    r->lost = false;
    r->mended = UINT64_MAX;
    tell_core(w, CORE_JOURNAL_LOST, 0);
}

void redis_exchange(struct world *w)
{
    struct redis *r = &w->redis;

    r->due_ms = INT64_MAX;
    if (w->host.core == NULL)
        return;
    if (w->now_ms < r->away_ms) {
        if (!r->told_down)
            tell_state(w, r->full ? CORE_JOURNAL_FULL : CORE_JOURNAL_AWAY);
        r->told_down = true;
        plan_exchange(w, 100);
        return;
    }
    if (r->told_down && w->host.core != NULL)
        tell_state(w, CORE_JOURNAL_UP);
    r->told_down = false;
    if (r->lost && w->host.core != NULL)
        tell_loss(w);
    uint64_t written = r->written;
    write_waiting(w, 1 + rng_below(&w->rng, 3));
    if (rng_chance(&w->rng, 500))
        written = r->written;
    if (w->host.core != NULL && written != r->confirmed) {
        r->confirmed = written; /* the answers of this exchange, or of the one before */
        tell_core(w, CORE_JOURNALED, written);
    }
    if (w->host.core != NULL && r->missing && r->confirmed >= r->mended)
        r->missing = false;
    if (w->host.core != NULL && (r->waiting_count > 0 || r->confirmed != r->written))
        plan_exchange(w, rng_between(&w->rng, 1, 5));
}

void redis_forget(struct world *w, uint32_t count)
{
    struct redis *r = &w->redis;

    if (count > r->count - r->first)
        count = r->count - r->first;
    if (count == 0 || w->host.core == NULL)
        return;
    world_event(w, "Redis forgets", PROCS_MAX, count, r->written);
    drop_entries(r, r->count - count, r->count);
    r->count -= count;
    if (w->host.open_ms != INT64_MAX) {
        w->excused = true; /* the broker that knew it is gone, and the next has not read it yet */
        return;
    }
    r->lost = true;
    r->missing = true;
    r->mended = UINT64_MAX;
    plan_exchange(w, rng_between(&w->rng, 1, 300));
}

/* ---- effects ---- */

static void append(struct world *w, const struct core_effect *effect)
{
    struct redis *r = &w->redis;

    CHECK(w, r->waiting_count < COUNT_OF(r->waiting), "the broker journals without end");
    r->waiting[r->waiting_count++] =
        (struct entry){.position = ++r->appended, .batch = blob_ref(effect->frame)};
    plan_exchange(w, rng_between(&w->rng, 0, 20));
}

static void carry_out_one(struct world *w, const struct core_effect *effect)
{
    struct proc *p = NULL;

    switch (effect->type) {
    case CORE_SEND:
        world_hash_bytes(w, effect->frame->data, effect->frame->size);
        checker_core_sends(w, &w->procs[effect->route.bytes[1] - 1], effect->frame);
        p = network_proc(w, effect->role, &effect->route);
        if (p != NULL)
            network_to_proc(w, p, effect->frame);
        return;
    case CORE_JOURNAL: append(w, effect); return;
    case CORE_TRIM:
        w->redis.trim = effect->position;
        CHECK(w, effect->position <= w->redis.written, "a trim of what is not in the journal");
        trim(&w->redis);
        return;
    case CORE_NOTE:
        if (w->trace)
            world_event(w, effect->event, PROCS_MAX, 0, 0);
        return;
    }
}

/* False: the broker ended in the middle. */
static bool carry_out(struct world *w)
{
    struct host *h = &w->host;
    const bool dies = w->now_ms >= h->crash_ms && h->effects.count > h->crash_after;

    for (size_t i = 0; i < h->effects.count; i++) {
        if (dies && i == h->crash_after) {
            host_crash(w);
            return false;
        }
        carry_out_one(w, &h->effects.items[i]);
    }
    core_effects_clear(&h->effects);
    return true;
}

static void put_mended(struct world *w)
{
    struct redis *r = &w->redis;

    /* Everything that the core wanted to write again is handed out at the end of this turn. */
    if (r->missing && r->mended == UINT64_MAX && !r->lost)
        r->mended = r->appended;
}

void host_event(struct world *w, const struct core_event *event)
{
    struct host *h = &w->host;

    w->events++;
    core_step(h->core, event, &h->effects);
    if (!carry_out(w))
        return;
    checker_after_step(w);
    if (event->type != CORE_TURN)
        h->wake_ms = w->now_ms;
    else
        put_mended(w);
}

/* ---- life ---- */

static void replay(struct world *w)
{
    struct redis *r = &w->redis;

    for (uint32_t i = r->first; i < r->count; i++) {
        const struct core_event event = {
            .type = CORE_JOURNAL_READ,
            .now_ms = w->now_ms,
            .position = r->entries[i].position,
            .frame = r->entries[i].batch,
        };
        const bool twice = rng_chance(&w->rng, 100);

        core_step(w->host.core, &event, &w->host.effects);
        if (twice)
            core_step(w->host.core, &event, &w->host.effects);
    }
    core_effects_clear(&w->host.effects);
}

/* As the journal's thread does at its start: read all, and write that we begin. */
static void open_journal(struct world *w)
{
    struct redis *r = &w->redis;
    struct blob *batch = blob_new(64);

    w->host.open_ms = INT64_MAX;
    replay(w);
    if (batch == NULL || record_begin(batch, RECORD_OPEN, w->host.epoch, 0) != 0)
        abort();
    write_entry(w, r->written + 1, batch);
    r->appended = r->written;
    r->confirmed = r->written;
    tell_core(w, CORE_JOURNAL_OPENED, r->written);
    if (w->host.core != NULL)
        tell_state(w, CORE_JOURNAL_UP);
}

void host_start(struct world *w)
{
    struct host *h = &w->host;

    h->epoch += 1 + rng_below(&w->rng, 1000);
    h->core = core_new(h->epoch, "1", w->now_ms);
    h->up_ms = INT64_MAX;
    h->wake_ms = w->now_ms;
    h->crash_ms = INT64_MAX;
    h->open_ms = INT64_MAX;
    h->idle_ms = (uint32_t)rng_between(&w->rng, 50, 300);
    w->redis.due_ms = INT64_MAX;
    w->redis.told_down = false;
    if (h->core == NULL)
        abort();
    if (world_has(w, KIND_NEEDS)) {
        struct needs resources;

        if (needs_parse(CLUSTER_RESOURCES, &resources, NULL) != 0)
            abort();
        core_set_resources(h->core, &resources);
    }
    world_event(w, "broker starts", PROCS_MAX, h->epoch, 0);
    checker_new_broker(w);
    if (!world_has(w, KIND_DURABLE))
        return;
    if (core_keep_durables(h->core, world_has(w, KIND_KEEP) ? SHORT_KEEP_MS : KEEP_MS) != 0)
        abort();
    h->open_ms = w->now_ms;
    if (rng_chance(&w->rng, 300))
        h->open_ms += rng_between(&w->rng, 1, 1500);
    if (h->open_ms == w->now_ms)
        open_journal(w);
}

void host_crash(struct world *w)
{
    struct host *h = &w->host;
    struct redis *r = &w->redis;

    world_event(w, "broker ends", PROCS_MAX, h->epoch, r->waiting_count);
    core_effects_clear(&h->effects);
    core_free(h->core);
    h->core = NULL;
    h->crash_ms = INT64_MAX;
    h->up_ms = w->now_ms + rng_between(&w->rng, 10, 2500);
    if (w->now_ms < r->away_ms)
        h->up_ms = r->away_ms + 1; /* it waits for its journal */
    /* What was under way to Redis may have come, as far as it was sent. */
    const uint32_t more = rng_below(&w->rng, r->waiting_count + 1);
    if (w->now_ms >= r->away_ms && !r->lost)
        write_waiting(w, more);
    for (uint32_t i = 0; i < r->waiting_count; i++)
        blob_unref(r->waiting[i].batch);
    r->waiting_count = 0;
    r->due_ms = INT64_MAX;
    w->excused |= r->missing;
    r->missing = false;
    r->lost = false;
    inbox_clear(w, &h->inbox);
    for (uint32_t i = 0; i < w->proc_count; i++) {
        if (w->procs[i].alive)
            network_reset(w, &w->procs[i], h->up_ms - w->now_ms + rng_between(&w->rng, 0, 200),
                          false);
    }
}

static void take_message(struct world *w, struct message *m)
{
    struct proc *p = &w->procs[m->proc];
    struct proc *by = m->forger < PROCS_MAX ? &w->procs[m->forger] : p;
    const struct core_event event = {
        .type = CORE_FRAME,
        .role = by->role,
        .now_ms = w->now_ms,
        .route = network_route(by),
        .key = by->key,
        .frame = m->frame,
    };

    if (by == p)
        checker_core_takes(w, p, m->frame);
    world_hash_bytes(w, m->frame->data, m->frame->size);
    const struct bearing before = checker_bearing(w, m->frame);
    host_event(w, &event);
    if (by != p && w->host.core != NULL)
        checker_not_obeyed(w, m->frame, &before);
    message_free(w, m);
}

void host_turn(struct world *w)
{
    struct host *h = &w->host;
    struct message *m = NULL;

    if (h->core == NULL) {
        if (w->now_ms >= h->up_ms)
            host_start(w);
        return;
    }
    if (w->now_ms < h->paused_ms || (w->now_ms < h->wake_ms && w->now_ms < h->open_ms))
        return;
    if (w->now_ms >= h->open_ms)
        open_journal(w);
    if (h->core == NULL)
        return;
    while (h->core != NULL && (m = inbox_pop(&h->inbox)) != NULL)
        take_message(w, m);
    if (h->core == NULL)
        return;
    host_event(w, &(struct core_event){.type = CORE_TURN, .now_ms = w->now_ms});
    if (h->core == NULL)
        return;
    audit(w);
    const int64_t due_ms = core_due_ms(h->core);
    h->wake_ms = w->now_ms + h->idle_ms;
    if (due_ms < h->wake_ms)
        h->wake_ms = due_ms > w->now_ms ? due_ms : w->now_ms + 1;
}

int64_t host_next_ms(const struct world *w)
{
    const struct host *h = &w->host;

    if (h->core == NULL)
        return h->up_ms;
    const int64_t next_ms = h->wake_ms < h->open_ms ? h->wake_ms : h->open_ms;
    return next_ms > h->paused_ms ? next_ms : h->paused_ms;
}

void host_fini(struct world *w)
{
    struct redis *r = &w->redis;

    if (w->host.core != NULL)
        core_free(w->host.core);
    core_effects_fini(&w->host.effects);
    inbox_clear(w, &w->host.inbox);
    drop_entries(r, r->first, r->count);
    for (uint32_t i = 0; i < r->waiting_count; i++)
        blob_unref(r->waiting[i].batch);
}
