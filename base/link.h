/* One end of a link: sequence numbers, acknowledgements and the frames kept for sending again.
 * Source: docs/PROTOCOL.md section 3. The same code serves client, agent and broker.
 *
 * Pure: no sockets, no clock. The caller sends what it is told to send. One thread. */
#ifndef BASE_LINK_H
#define BASE_LINK_H

#include "blob.h"
#include "err.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

struct link {
    uint64_t id;
    uint64_t sent;       /* last seq given to an outgoing frame */
    uint64_t acked;      /* all up to here were received by the other side */
    uint64_t received;   /* all up to here were received from the other side */
    uint64_t told;       /* the `ack` that the other side was told last */
    size_t untold_bytes; /* received since then */
    bool gap_told;       /* a resend was asked for and nothing new has come since */
    struct blob *
        *kept; /* frames acked+1 ... sent, oldest first: ring of kept_capacity, a power of 2 */
    size_t kept_capacity;
    size_t kept_bytes;
    size_t kept_results; /* of these the bytes of RESULTS */
};

/* The number of the link that a HELLO of number `hello` opens in this epoch; not 0 either. So whatever was
 * sent in one epoch belongs to no link of another, however late it comes. */
static inline uint64_t link_number(uint64_t hello, uint64_t epoch)
{
    return hello != epoch ? hello ^ epoch : hello;
}

/* A new link with this number (not 0): nothing sent, nothing received. */
void link_init(struct link *link, uint64_t id);

/* Drop all kept frames. The link may be initialised again. */
void link_fini(struct link *link);

/* Number and keep an outgoing frame: stamps seq and ack, takes a reference of its own (the
 * caller keeps his and sends it). -ENOMEM: not stamped, not kept. */
NODISCARD int link_push(struct link *link, struct blob *frame);

enum link_verdict {
    LINK_DELIVER,   /* in order, or not sequenced: handle it */
    LINK_DUPLICATE, /* was here already: drop it */
    LINK_GAP,       /* frames before it are missing: drop it and send link_ask() */
    LINK_GAP_TOLD,  /* the same, and the other side has been asked already: drop it */
};

/* Take note of an incoming header (frame_bytes: size of the whole frame). `ack` beyond what was
 * sent is -EPROTO. */
NODISCARD int link_receive(struct link *link,
                           const struct wire_header *header,
                           size_t frame_bytes,
                           enum link_verdict *verdict);

/* Must an ACK go out now, because much was received and nothing was sent back? */
bool link_owes_ack(const struct link *link);

/* A new ACK frame (resend: with the flag that asks for everything after it). NULL: out of memory.
 */
NODISCARD struct blob *link_ack(struct link *link, bool resend);

/* A new PING frame; `clock`: see struct wire_ping. NULL: out of memory. */
NODISCARD struct blob *link_ping(struct link *link, uint64_t clock);

/* After a PING: does the other side say that it sent more than came? Then send link_ack(link,
 * true). */
bool link_lags(const struct link *link, const struct wire_ping *ping);

/* The kept frame with number `seq` (borrowed), NULL outside acked+1 ... sent. For sending again:
 * for (seq = link->acked + 1; seq <= link->sent; seq++) send(link_kept(link, seq)). */
struct blob *link_kept(const struct link *link, uint64_t seq);

/* Frames not yet acknowledged. */
static inline uint64_t link_unacked(const struct link *link)
{
    return link->sent - link->acked;
}

#endif
