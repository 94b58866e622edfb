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

/* Its number in place of the notes that were dropped before this one. */
static int tell_dropped(struct core *core, struct session *s)
{
    struct blob *number CLEANUP(blob_unref_p) = blob_new(sizeof(uint64_t));
    struct wire_note note = {.kind = WIRE_NOTE_DROPPED};

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
    if (has_room(s, note) && (s->notes_dropped == 0 || tell_dropped(core, s) == 0) &&
        append(core, s, note) == 0) {
        peer_touch(core, s->peer);
        return;
    }
    s->notes_dropped++;
    core->counters.notes_dropped++;
}

int notes_take(struct core *core,
               struct agent *agent,
               const struct wire_header *header,
               struct wire_cursor *body)
{
    struct wire_note note;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_note(body, &note) != 0 || note.kind == WIRE_NOTE_DROPPED)
            return -EPROTO;
        const struct task *task = task_find(&core->slab, note.task);

        /* It may come too late, or of an attempt that nobody waits for. */
        if (task == NULL || task->agent != agent || task->attempt != note.attempt ||
            task->session == NULL || (task->session->wants >> note.kind & 1) == 0)
            continue;
        note.task = task->no;
        pass_on(core, task->session, &note);
    }
    return wire_read_ok(body);
}
