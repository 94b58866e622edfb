/* The dialling end of a link over a ZeroMQ DEALER socket: what client and agent have in common.
 * Opens the link (HELLO until WELCOME), keeps it alive (PING), repairs it (ACK, resend), and
 * reports what the owner must know as events. Source: docs/PROTOCOL.md sections 2 and 3.
 *
 * One thread. The owner polls dialler_socket() for input, calls dialler_receive() until it says
 * NOTHING, and calls dialler_tick() when the time that it returned last has come. Never blocks. */
#ifndef BASE_DIALLER_H
#define BASE_DIALLER_H

#include "blob.h"
#include "err.h"
#include "link.h"
#include "wire.h"

#include <stdint.h>

struct dialler;

struct dialler_config {
    void *context; /* ZeroMQ context, borrowed while the dialler lives */
    /* "tcp://broker:5555" or "ipc:///run/x/broker.sock"; borrowed during the call */
    const char *endpoint;
    enum wire_role role;
    uint64_t incarnation;  /* random */
    uint32_t slots;        /* agents; clients 0 */
    uint32_t wants;        /* clients: see struct wire_hello; agents 0 */
    const char *resources; /* agents: what the host has, see needs.h; clients NULL */
    const char *name;      /* program, or "agent"; borrowed while the dialler lives */
    /* CURVE, each Z85 text of 40 characters, borrowed during the call; all NULL for ipc://, none
     * NULL for tcp:// */
    const char *server_key; /* public key of the broker */
    const char *public_key; /* own pair */
    const char *secret_key;
};

/* Start dialling. -EINVAL: the endpoint is malformed, or keys and transport do not fit together;
 * else a negative errno of ZeroMQ. *out is owned by the caller. */
NODISCARD int dialler_new(const struct dialler_config *config, struct dialler **out);

/* Close at once; frames not yet sent are dropped. To leave in order: push BYE and wait until
 * nothing is unacked. NULL is accepted. */
void dialler_free(struct dialler *d);

/* The DEALER socket, for zmq_poll with ZMQ_POLLIN. Borrowed. */
void *dialler_socket(const struct dialler *d);

enum dialler_event {
    DIALLER_NOTHING, /* no more input now */
    DIALLER_OPENED, /* WELCOME came: `welcome` is valid, header.link is the number of the link that is open now;
                      * nothing of an older link holds */
    DIALLER_FRAME,   /* a frame of the other role's: header and body are valid */
    DIALLER_GONE,    /* the broker does not know this link; dialling goes on under a new number */
    DIALLER_REFUSED, /* the broker said no: `refused` is valid; nothing more will come */
    DIALLER_EXPIRED, /* agents: the lease ran out, by dialler_tick() only; goes on as after GONE */
};

/* What an event brings. All views live until the next call on this dialler, except that `blob`
 * may be kept longer with blob_ref(). */
struct dialler_input {
    struct blob *blob; /* the whole frame, borrowed */
    struct wire_header header;
    struct wire_cursor body;
    struct wire_welcome welcome;
    struct wire_refused refused;
};

/* Take one message from the socket, and see to the link's own frames inside. `now_ms` is monotonic.
 */
enum dialler_event dialler_receive(struct dialler *d, int64_t now_ms, struct dialler_input *out);

/* Due timers: HELLO again, PING, lease. Returns NOTHING or (agents) EXPIRED; *next_ms becomes
 * the time at which it wants to be called again. */
enum dialler_event dialler_tick(struct dialler *d, int64_t now_ms, int64_t *next_ms);

/* Is the link open (WELCOME came, not gone since)? */
bool dialler_is_open(const struct dialler *d);

/* Send a sequenced frame (made with dialler_frame()); takes the caller's reference in every
 * case. -ENOTCONN: the link is not open; -ENOMEM. Never blocks: what the socket does not take is
 * sent again later. */
NODISCARD int dialler_send(struct dialler *d, struct blob *frame);

/* Send an unsequenced frame (QUERY); takes the caller's reference. It may be lost. */
void dialler_send_loose(struct dialler *d, struct blob *frame);

/* A new frame of this link; see wire_frame_new(). */
NODISCARD struct blob *dialler_frame(struct dialler *d, enum wire_type type, size_t body_bytes);

/* Sent frames that the broker has not acknowledged yet; 0: it has everything. */
uint64_t dialler_unacked(const struct dialler *d);

/* Their bytes. */
size_t dialler_unacked_bytes(const struct dialler *d);

/* How many PINGs were echoed so far on all links, and how long the last one took in ms: behind what was under
 * way before it. */
uint64_t dialler_rounds(const struct dialler *d);
int64_t dialler_round_ms(const struct dialler *d);

/* How long the other side has been silent, in ms. */
int64_t dialler_silent_ms(const struct dialler *d, int64_t now_ms);

#endif
