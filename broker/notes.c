/* Notes on their way from agents to sessions. Invariant: a session's notes are sent before the
 * results that came after them; what its link still keeps bounds what is added to it. */
#include "state.h"

void notes_flush(struct core *core, struct session *s)
{
    if (s->notes != NULL)
        peer_send(core, s->peer, steal(&s->notes));
}

/* Append to the session's frame. -ENOMEM. */
static int append(struct core *core, struct session *s, const struct wire_note *note)
{
    const size_t bytes = WIRE_NOTE_BYTES + note->host.size + note->bytes.size;

    if (s->notes != NULL && s->notes->size + bytes > WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        notes_flush(core, s);
    if (s->notes == NULL)
        s->notes = wire_frame_new(WIRE_NOTES, s->peer->link.id, bytes);
    if (s->notes == NULL || wire_put_note(s->notes, note) != 0)
        return -ENOMEM;
    wire_frame_add_count(s->notes, 1);
    return 0;
}

/* Tell how many notes were dropped before one of task `no`. */
static int tell_dropped(struct core *core, struct session *s, uint64_t no)
{
    struct blob *number CLEANUP(blob_unref_p) = blob_new(sizeof(uint64_t));
    struct wire_note note = {.task = no, .kind = WIRE_NOTE_DROPPED};

    if (number == NULL)
        return -ENOMEM;
    wire_put_u64(number, s->notes_dropped);
    note.bytes = (struct wire_bytes){number->data, number->size};
    if (append(core, s, &note) != 0)
        return -ENOMEM;
    s->notes_dropped = 0;
    return 0;
}

void notes_tell(struct core *core, struct session *s)
{
    if (s->notes_dropped != 0)
        (void)!tell_dropped(core, s, s->notes_dropped_of); /* out of memory: with the next result */
}

/* Lines come before pieces of results where there is little room. */
static bool has_room(const struct session *s, const struct wire_note *note)
{
    const size_t filling = s->notes != NULL ? s->notes->size : 0;
    const size_t most = note->kind == WIRE_NOTE_PARTIAL ? CORE_NOTES_BYTES / 2 : CORE_NOTES_BYTES;

    return s->peer->link.kept_bytes + filling + note->bytes.size <= most;
}

/* What comes once for each attempt at most, or result, goes whatever the room. */
static void send_note(struct core *core, struct session *s, const struct wire_note *note)
{
    if (append(core, s, note) == 0)
        peer_touch(core, s->peer);
}

static void pass_line(struct core *core, struct session *s, struct wire_note *note)
{
    if (has_room(s, note) && (s->notes_dropped == 0 || tell_dropped(core, s, note->task) == 0) &&
        append(core, s, note) == 0) {
        peer_touch(core, s->peer);
        return;
    }
    s->notes_dropped++;
    s->notes_dropped_of = note->task;
    core->counters.notes_dropped++;
}

/* Who gets it sees by itself that one is missing, or gets the next. False: it is dropped. */
static bool pass_news(struct core *core, struct session *s, const struct wire_note *note)
{
    const bool passed = has_room(s, note) && append(core, s, note) == 0;

    if (passed)
        peer_touch(core, s->peer);
    else
        core->counters.notes_dropped++;
    return passed;
}

/* An agent dropped notes of this task's children. */
static void count_dropped(struct core *core, struct session *s, const struct wire_note *note)
{
    struct wire_cursor at = wire_cursor_of(note->bytes.data, note->bytes.size);
    const uint64_t count = wire_get_u64(&at);

    if (at.bad)
        return;
    s->notes_dropped += count;
    s->notes_dropped_of = note->task;
    core->counters.notes_dropped += count;
}

static bool is_wanted(const struct task *task, enum wire_note_kind kind)
{
    return kind == WIRE_NOTE_SPAN ? task->traced : (task->session->wants >> kind & 1) != 0;
}

/* ---- tasks that run ---- */

static void take_running(struct core *core, struct task *task, const struct wire_note *note)
{
    uint32_t run_ms = 0;
    struct running *entry = NULL;

    if (wire_get_running_ms(note->bytes, &run_ms) != 0 || run_ms == WIRE_NOT_RUNNING)
        return;
    entry = running_open(&core->running, task, core->now_ms);
    if (entry != NULL) {
        entry->since_ms = core->now_ms - run_ms;
        entry->told = true;
    }
    if (is_wanted(task, note->kind))
        send_note(core, task->session, note);
}

static void take_progress(struct core *core, struct task *task, const struct wire_note *note)
{
    struct wire_progress progress;
    struct running *entry = NULL;

    if (wire_get_progress(note->bytes, &progress) != 0)
        return;
    const bool told = !is_wanted(task, note->kind) || pass_news(core, task->session, note);
    entry = running_open(&core->running, task, core->now_ms);
    if (entry == NULL)
        return;
    entry->progress = progress;
    entry->owed = !told;
}

/* A note of the broker's own. */
static void
tell(struct core *core, struct task *task, enum wire_note_kind kind, const struct blob *bytes)
{
    const struct wire_note note = {
        .task = task->no,
        .attempt = task->attempt,
        .kind = kind,
        .bytes = {bytes->data, bytes->size},
    };

    if (is_wanted(task, kind))
        send_note(core, task->session, &note);
}

static void tell_running(struct core *core, struct task *task, uint32_t run_ms)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(4);

    if (bytes != NULL && wire_put_running_ms(bytes, run_ms) == 0)
        tell(core, task, WIRE_NOTE_RUNNING, bytes);
}

static void
tell_progress(struct core *core, struct task *task, const struct wire_progress *progress)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(WIRE_PROGRESS_BYTES);

    if (bytes != NULL && wire_put_progress(bytes, progress) == 0)
        tell(core, task, WIRE_NOTE_PROGRESS, bytes);
}

void notes_parked(struct core *core, struct task *task)
{
    struct running *entry = NULL;

    if (task->session == NULL || task->session->peer->role == WIRE_AGENT)
        return;
    entry = running_open(&core->running, task, core->now_ms);
    if (entry == NULL || entry->told)
        return;
    entry->told = true;
    tell_running(core, task, 0);
}

void notes_end(struct core *core, struct task *task, bool again)
{
    struct wire_progress progress;
    const bool ran = task->running;
    const bool owed = running_close(&core->running, task, &progress);

    if (!ran || task->session == NULL)
        return;
    if (again)
        tell_running(core, task, WIRE_NOT_RUNNING);
    else if (owed)
        tell_progress(core, task, &progress);
}

/* ---- what an agent tells ---- */

static void take_note(struct core *core, struct task *task, struct wire_note *note)
{
    note->task = task->no;
    switch (note->kind) {
    case WIRE_NOTE_RUNNING: take_running(core, task, note); return;
    case WIRE_NOTE_PROGRESS: take_progress(core, task, note); return;
    case WIRE_NOTE_PARTIAL:
        if (is_wanted(task, note->kind))
            (void)pass_news(core, task->session, note);
        return;
    case WIRE_NOTE_DROPPED: count_dropped(core, task->session, note); return;
    case WIRE_NOTE_STDOUT:
    case WIRE_NOTE_STDERR:
    case WIRE_NOTE_SPAN:
        if (is_wanted(task, note->kind))
            pass_line(core, task->session, note);
        return;
    case WIRE_NOTE_END: return;
    }
}

int notes_take(struct core *core,
               struct agent *agent,
               const struct wire_header *header,
               struct wire_cursor *body)
{
    struct wire_note note;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_note(body, &note) != 0)
            return -EPROTO;
        struct task *task = task_find(&core->slab, note.task);

        /* It may come too late, or of an attempt that nobody waits for. */
        if (task != NULL && task->agent == agent && task->attempt == note.attempt &&
            task->session != NULL)
            take_note(core, task, &note);
    }
    return wire_read_ok(body);
}
