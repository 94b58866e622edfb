/* One HTTP service behind a name, as the miner asks it: small requests, short answers, many at
 * once.
 *
 * A peer knows every address of its name (base/resolve) and takes them in turn; an address that
 * fails is left out for a while, longer each time. Connections are kept alive. A host that vanished
 * is noticed by TCP within about 4 s, so the deadline of a request can be as long as the queue of a
 * slow service. Everything runs on the thread of the owner's epoll loop. */
#ifndef MINER_PEER_H
#define MINER_PEER_H

#include "base/metrics.h"
#include "base/parse.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Whatever waits in the epoll set; epoll's data.ptr points to one. */
struct watch {
    void (*ready)(struct watch *watch, uint32_t events, int64_t now_ms);
};

/* The longest answer that is taken; all that the miner asks for is shorter. */
#define ANSWER_MAX 64

/* One request and its answer. Embedded in the owner's object. */
struct exchange {
    const char *request; /* whole, head and body; borrowed until `finished` */
    size_t request_bytes;
    /* Called once per peer_send() that returned 0, never from inside it. result: 0, the answer is
     * there; negative errno, the request may be sent again (its address is then avoided for a
     * while). */
    void (*finished)(struct exchange *exchange, int result, int64_t now_ms);
    uint8_t answer[ANSWER_MAX];
    size_t answer_bytes;
};

struct peer_options {
    const char *name;        /* for the log; borrowed for ever */
    struct metrics *metrics; /* gets miner_peer_*; borrowed until peer_free() */
    struct url url;          /* where it is */
    int epoll_fd;            /* of the loop; borrowed */
    int wake_fd;             /* eventfd added to when the set of addresses changed; borrowed */
    int64_t timeout_ms;      /* for the whole answer, once connected */
    /* Is this the answer of such a service? Any other is a failure of the address. */
    bool (*accepts)(const struct exchange *exchange);
};

struct peer;

/* Start to look up the name. *out is owned by the caller. -EINVAL, -ENOMEM, -EAGAIN: see
 * resolve_start(). */
NODISCARD int peer_new(const struct peer_options *options, struct peer **out);

/* Close everything; exchanges under way are dropped without a word. NULL is fine. */
void peer_free(struct peer *peer);

/* Send the request to the next usable address. 0: under way; -EAGAIN: none is usable before
 * peer_retry_at(), or before the next change of the set; -ENOMEM. */
NODISCARD int peer_send(struct peer *peer, struct exchange *exchange, int64_t now_ms);

/* When an address that was left out may be tried again; INT64_MAX: none is known. */
int64_t peer_retry_at(const struct peer *peer);

/* Do what is due: take over a new set of addresses, end what is too late. Once a turn of the loop,
 * with no event of that turn left to handle. */
void peer_tick(struct peer *peer, int64_t now_ms);

/* When peer_tick() has something to do at the latest. */
int64_t peer_due(const struct peer *peer);

#endif
