/* Sequencing. Invariants: acked <= sent; kept frames are exactly acked+1 ... sent; `received`
 * only grows by one. */
#include "link.h"

#include <string.h>

/* An ACK of its own is owed after so many frames or bytes that no outgoing frame acknowledged.
 * Few enough that the sender keeps little, many enough that acknowledging costs little. */
#define OWED_FRAMES 16
#define OWED_BYTES  ((size_t)256 << 10)

void link_init(struct link *link, uint64_t id)
{
    *link = (struct link){.id = id};
}

static struct blob **kept_place(const struct link *link, uint64_t seq)
{
    return &link->kept[seq & (link->kept_capacity - 1)];
}

static size_t result_bytes(const struct blob *frame)
{
    return frame->data[1] == WIRE_RESULTS ? frame->size : 0;
}

static void drop_kept(struct link *link, uint64_t up_to)
{
    while (link->acked < up_to) {
        struct blob **place = kept_place(link, ++link->acked);

        link->kept_bytes -= (*place)->size;
        link->kept_results -= result_bytes(*place);
        blob_unref(*place);
        *place = NULL;
    }
}

void link_fini(struct link *link)
{
    drop_kept(link, link->sent);
    free(link->kept);
    *link = (struct link){0};
}

static int grow(struct link *link)
{
    const size_t capacity = link->kept_capacity != 0 ? link->kept_capacity * 2 : 16;
    struct blob **kept = calloc(capacity, sizeof(struct blob *));

    if (kept == NULL)
        return -ENOMEM;
    for (uint64_t seq = link->acked + 1; seq <= link->sent; seq++)
        kept[seq & (capacity - 1)] = *kept_place(link, seq);
    free(link->kept);
    link->kept = kept;
    link->kept_capacity = capacity;
    return 0;
}

/* Whatever goes out tells `received`. */
static void stamp(struct link *link, struct blob *frame, uint64_t seq)
{
    wire_frame_stamp(frame, seq, link->received);
    link->told = link->received;
    link->untold_bytes = 0;
}

int link_push(struct link *link, struct blob *frame)
{
    if (link_unacked(link) == link->kept_capacity && grow(link) != 0)
        return -ENOMEM;
    stamp(link, frame, ++link->sent);
    *kept_place(link, link->sent) = blob_ref(frame);
    link->kept_bytes += frame->size;
    link->kept_results += result_bytes(frame);
    return 0;
}

int link_receive(struct link *link,
                 const struct wire_header *header,
                 size_t frame_bytes,
                 enum link_verdict *verdict)
{
    if (header->ack > link->sent)
        return -EPROTO;
    drop_kept(link, header->ack);
    if (header->seq == 0) {
        *verdict = LINK_DELIVER;
    } else if (header->seq == link->received + 1) {
        link->received++;
        link->untold_bytes += frame_bytes;
        link->gap_told = false;
        *verdict = LINK_DELIVER;
    } else if (header->seq <= link->received) {
        *verdict = LINK_DUPLICATE;
    } else {
        *verdict = link->gap_told ? LINK_GAP_TOLD : LINK_GAP;
        link->gap_told = true;
    }
    return 0;
}

bool link_owes_ack(const struct link *link)
{
    return link->received - link->told >= OWED_FRAMES || link->untold_bytes >= OWED_BYTES;
}

struct blob *link_ack(struct link *link, bool resend)
{
    struct blob *frame = wire_frame_new(WIRE_ACK, link->id, 0);

    if (frame == NULL)
        return NULL;
    if (resend)
        wire_frame_set_flags(frame, WIRE_FLAG_RESEND);
    stamp(link, frame, 0);
    return frame;
}

struct blob *link_ping(struct link *link, uint64_t clock)
{
    struct blob *frame = wire_frame_new(WIRE_PING, link->id, 16);
    const struct wire_ping ping = {.last_seq = link->sent, .clock = clock};

    if (frame == NULL)
        return NULL;
    stamp(link, frame, 0);
    wire_frame_add_count(frame, 1);
    if (wire_put_ping(frame, &ping) != 0) {
        blob_unref(frame);
        return NULL;
    }
    /* A resend that was asked for and lost is asked for again after the next ping. */
    link->gap_told = false;
    return frame;
}

bool link_lags(const struct link *link, const struct wire_ping *ping)
{
    return ping->last_seq > link->received;
}

struct blob *link_kept(const struct link *link, uint64_t seq)
{
    return seq > link->acked && seq <= link->sent ? *kept_place(link, seq) : NULL;
}
