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

static bool has_room(const struct session *s, const struct wire_note *note)
{
    const size_t filling = s->notes != NULL ? s->notes->size : 0;

    return s->peer->link.kept_bytes + filling + note->bytes.size <= CORE_NOTES_BYTES;
}

static void pass_on(struct core *core, struct session *s, struct wire_note *note)
{
    if (has_room(s, note) && (s->notes_dropped == 0 || tell_dropped(core, s, note->task) == 0) &&
        append(core, s, note) == 0) {
        peer_touch(core, s->peer);
        return;
    }
    s->notes_dropped++;
    core->counters.notes_dropped++;
}

/* An agent dropped notes of this task's children. */
static void count_dropped(struct core *core, struct session *s, const struct wire_note *note)
{
    struct wire_cursor at = {.at = note->bytes.data, .end = note->bytes.data + note->bytes.size};
    const uint64_t count = wire_get_u64(&at);

    if (at.bad)
        return;
    s->notes_dropped += count;
    core->counters.notes_dropped += count;
}

static bool is_wanted(const struct task *task, enum wire_note_kind kind)
{
    if (kind == WIRE_NOTE_SPAN)
        return task->traced;
    return kind == WIRE_NOTE_DROPPED || (task->session->wants >> kind & 1) != 0;
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
        const struct task *task = task_find(&core->slab, note.task);

        /* It may come too late, or of an attempt that nobody waits for. */
        if (task == NULL || task->agent != agent || task->attempt != note.attempt ||
            task->session == NULL || !is_wanted(task, note.kind))
            continue;
        note.task = task->no;
        if (note.kind == WIRE_NOTE_DROPPED)
            count_dropped(core, task->session, &note);
        else
            pass_on(core, task->session, &note);
    }
    return wire_read_ok(body);
}
