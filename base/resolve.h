/* Every address behind a name, looked up again and again.
 *
 * In a swarm a name stands for a set of tasks that changes at any time, and a lookup can take 20 s
 * when nobody knows the name. So a thread of its own asks, and others read the last answer: nothing
 * here waits. An address given as a number needs no lookup and no thread. All functions may be
 * called from any thread. */
#ifndef BASE_RESOLVE_H
#define BASE_RESOLVE_H

#include "address.h"

#include <stdint.h>

/* More addresses behind one name are left out (the highest ones) and counted. */
#define RESOLVE_ADDRESSES_MAX 256

struct resolver;

struct resolve_options {
    const char *name;    /* host name or numeric address; copied */
    uint16_t port;       /* of every address */
    int64_t interval_ms; /* pause between two lookups */
    int wake_fd; /* eventfd that is added to at each change; -1: none. Borrowed until stop. */
};

/* What is known of the name. */
struct resolve_snapshot {
    uint64_t version; /* grows with every change of the set or of `error`; 0: not looked up yet */
    int error;        /* EAI_ code of the last lookup, 0 when it was answered */
    int64_t answered_ms; /* when it was last answered (clock_now_ms); 0: never */
    size_t omitted;      /* addresses beyond the limit */
    size_t count;
    struct address addresses[RESOLVE_ADDRESSES_MAX]; /* sorted, each once */
};

/* Start to look up. What comes of it comes later: until then `version` is 0 and the set is empty.
 * Returns 0 and sets *out (owned by the caller, resolve_stop()), -EINVAL: the name is empty or too
 * long, -ENOMEM, -EAGAIN: no thread to be had. */
NODISCARD int resolve_start(const struct resolve_options *options, struct resolver **out);

/* Cheap question before a resolve_read(): the version it would give. */
uint64_t resolve_version(struct resolver *resolver);

/* Copy what is known. A name that does not exist gives an empty set; a lookup that failed for
 * another reason (name server away) sets `error` and leaves the last known addresses. */
void resolve_read(struct resolver *resolver, struct resolve_snapshot *out);

/* End it, at once: a lookup under way ends in the background. NULL is fine. */
void resolve_stop(struct resolver *resolver);

#endif
