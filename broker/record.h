/* Records of the journal and the batches that they travel in: PROTOCOL.md section 9 as code.
 *
 * A batch is a blob of whole records, one entry of the journal's stream. Each record has a head:
 *
 *   u32 CRC-32C of all that follows, u8 type, u8 version, u16 zero, u32 bytes of the body, u64 id
 *
 * Integers are big-endian, as on the wire. Pure; any thread, one writer per blob. */
#ifndef BROKER_RECORD_H
#define BROKER_RECORD_H

#include "base/blob.h"
#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_VERSION    1
#define RECORD_HEAD_BYTES 20

/* Most bytes of a body: an argument or a result and what stands around it. */
#define RECORD_BODY_MAX (WIRE_PAYLOAD_MAX + ((size_t)64 << 10))

enum record_type {
    RECORD_OPEN = 1, /* a broker begins; the id is its epoch of the journal */
    RECORD_TASK,     /* a task was accepted */
    RECORD_DONE,     /* it has ended, with this outcome */
    RECORD_FORGET,   /* nobody will ask for it any more */
    RECORD_AFTER, /* behind its TASK or DONE: what it waits for; the body is their ids, u64 each */
    RECORD_FORGIVEN, /* behind its DONE: what waits for it goes on without it */
    RECORD_CONSTANT, /* a constant is kept; the id is 0 */
    RECORD_UNSET,    /* it is no more; the id is 0, the body its name as text */
    RECORD_NEEDS,    /* behind its TASK or DONE: what it needs of a worker; the body is the text */
    RECORD_TYPE_END,
};

/* "TASK", or "unknown". */
const char *record_type_name(enum record_type type);

struct record {
    enum record_type type;
    uint64_t id;
    struct wire_bytes body; /* borrowed from the batch */
};

/* Append the head of a record whose body of body_bytes the caller puts behind it at once; there is
 * room for it then. -ENOMEM: nothing was appended. */
NODISCARD int
record_begin(struct blob *batch, enum record_type type, uint64_t id, size_t body_bytes);

/* Write the checksums into all records of a finished batch. */
void record_seal(struct blob *batch);

/* Read the next record of a batch. 0, or -EPROTO: cut off or of an impossible size, the cursor is
 * bad; -EBADMSG: its checksum is wrong; -ENOTSUP: its type or version (*version) is unknown. After
 * the last two the cursor stands behind the record, and *out is what its head says. */
NODISCARD int record_get(struct wire_cursor *c, struct record *out, uint8_t *version);

/* ---- bodies ---- */

/* TASK: u32 limit in ms, options (u16 retries, u32 back-off in ms, u8 priority + 128, u32 expiry in
 * ms), a function record as on the wire, and the argument up to the end. */
struct record_task {
    uint32_t limit_ms;
    struct wire_options options;
    struct wire_function function;
    struct wire_bytes argument;
};

/* `request`: function record and argument as they came. Owned by the caller; NULL: out of memory. */
NODISCARD struct blob *
record_task_body(uint32_t limit_ms, const struct wire_options *options, struct wire_bytes request);
/* Views into the body. 0 or -EPROTO. */
NODISCARD int record_get_task(struct wire_bytes body, struct record_task *out);

/* DONE: u8 outcome, u16 attempts, u32 run time in us, u32 length and bytes of the outcome, and the
 * body of the TASK record; that without its argument when the outcome is ok. `task`: that body. */
NODISCARD struct blob *
record_done_body(const struct wire_attempt *outcome, uint16_t attempts, const struct blob *task);
/* Views into the body; `attempt` is how many there were. *task (may be NULL) is where the body of the
 * TASK record is. 0 or -EPROTO. */
NODISCARD int
record_get_done(const struct blob *body, struct wire_attempt *out, struct wire_bytes *task);

/* CONSTANT: u64 incarnation of the client that set it, text who that was, text name, and the value up to the
 * end. */
struct record_constant {
    uint64_t incarnation;
    struct wire_bytes setter;
    struct wire_bytes name;
    struct wire_bytes value;
};

/* Owned by the caller; NULL: out of memory. */
NODISCARD struct blob *record_constant_body(const struct record_constant *constant);
/* Views into the body. 0 or -EPROTO. */
NODISCARD int record_get_constant(struct wire_bytes body, struct record_constant *out);

#endif
