/* What broker.list takes and gives (PROTOCOL.md section 10). Used by the broker and libscoop.
 *
 * Argument: u32 most entries (1...DURABLE_LIST_MAX), u8 1: only those that did not end well. Result: u64
 * durable tasks that are kept, then entries up to the end. Pure; any thread. */
#ifndef BASE_DURABLE_LIST_H
#define BASE_DURABLE_LIST_H

#include "err.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

/* An answer of so many stays far below the largest result, with names of usual length. */
#define DURABLE_LIST_MAX 50000

enum durable_listed {
    DURABLE_LISTED_ACCEPTING,
    DURABLE_LISTED_READY, /* waits for a slot, or for its next try */
    DURABLE_LISTED_RUNNING,
    DURABLE_LISTED_ENDED,
    DURABLE_LISTED_HELD,    /* waits for others to end */
    DURABLE_LISTED_BLOCKED, /* likewise, and one of them did not end well */
    DURABLE_LISTED_END,
};

struct durable_query {
    uint32_t most;
    bool failed_only;
};
NODISCARD int durable_put_query(struct blob *b, const struct durable_query *query);
NODISCARD int durable_get_query(struct wire_bytes argument, struct durable_query *out);

/* Fields in this order; text as everywhere, program and function cut to 255 bytes. */
struct durable_entry {
    uint64_t id;
    enum durable_listed state; /* u8 */
    enum wire_outcome outcome; /* u8; of an ENDED one */
    uint16_t attempts;
    uint32_t run_us;           /* of a RUNNING one so far, at most what fits */
    uint64_t waits_for;        /* of a HELD or BLOCKED one: the first; else 0 */
    uint64_t done;             /* of a RUNNING one, as its function said last */
    uint64_t total;            /* 0: it did not, or does not know */
    struct wire_bytes program; /* text */
    struct wire_bytes function;
};
NODISCARD int durable_begin_list(struct blob *b, uint64_t kept);
NODISCARD int durable_put_entry(struct blob *b, const struct durable_entry *entry);
NODISCARD int durable_get_entry(struct wire_cursor *c, struct durable_entry *out);

#endif
