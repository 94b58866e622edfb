/* The broker's core: sessions, agents, tasks and their scheduling as one pure state machine.
 *
 * core_step(core, event, effects): no sockets, no clock (`now_ms` is in the event), no
 * randomness, no I/O. The loop (loop.c) turns messages into events and effects into sends; the
 * simulator of the tests does the same without a network. Same events, same effects. One thread.
 * Source: docs/PROTOCOL.md. */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include "base/blob.h"
#include "base/err.h"
#include "base/log.h"
#include "base/needs.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct core;

/* Limits (PROTOCOL.md section 7) and times (section 3). */
#define CORE_CREDIT_TASKS      ((uint32_t)1 << 20)
#define CORE_CREDIT_BYTES      ((uint64_t)256 << 20)
#define CORE_FUNCTIONS_MAX     65535
#define CORE_PEERS_MAX         16384
#define CORE_KEY_SESSIONS_MAX  4096
#define CORE_LEASE_MS          3000
#define CORE_PING_MS           1000
#define CORE_UNREACHABLE_MS    300
#define CORE_SESSION_SILENT_MS 30000
#define CORE_REVOKED_MAX       4096
#define CORE_FORMER_MS         60000
#define CORE_NOTES_BYTES       ((size_t)4 << 20)
/* Results that a client has not acknowledged; its tasks wait while there are more. */
#define CORE_RESULTS_BYTES ((size_t)512 << 10)

/* Where a peer is reached: the routing id that ZeroMQ gave its connection. */
#define CORE_ROUTE_MAX 32
struct core_route {
    uint8_t size;
    uint8_t bytes[CORE_ROUTE_MAX];
};

/* Who it is: its CURVE public key as Z85 text; empty on ipc. */
struct core_key {
    char text[41];
};

enum core_event_type {
    CORE_FRAME,          /* a message came in */
    CORE_UNREACHABLE,    /* the operating system closed the connection of `route` */
    CORE_JOURNAL_READ,   /* at the start: `frame` is the entry at `position`; in order */
    CORE_JOURNAL_OPENED, /* that was all; the next batch gets the position after `position` */
    CORE_JOURNALED,      /* all up to `position` is in the journal */
    CORE_JOURNAL_LOST, /* the journal lost what it had: all that is needed is to be written again */
    CORE_JOURNAL_CHANGED, /* it is `journal` now, because of `text` */
    CORE_KEY_REVOKED,     /* `key` is admitted no more: its links end now */
    CORE_TURN, /* the input of this turn is handled: look at the timers, schedule, flush */
};

/* How the journal of durable tasks is. */
enum core_journal {
    CORE_JOURNAL_AWAY, /* it does not answer */
    CORE_JOURNAL_FULL, /* it has no room */
    CORE_JOURNAL_UP,
};

struct core_event {
    enum core_event_type type;
    enum wire_role role; /* the socket it came in on */
    int64_t now_ms;
    struct core_route route;
    struct core_key key;
    struct blob *frame; /* CORE_FRAME, CORE_JOURNAL_READ: borrowed; the core takes references */
    uint64_t position;  /* of the journal's events */
    enum core_journal journal;
    const char *text; /* borrowed */
};

enum core_effect_type {
    CORE_SEND, /* send `frame` to `route` on the socket of `role` */
    CORE_NOTE, /* write a log line */
    /* Append `frame`, a batch of records, to the journal. Positions are given in this order. */
    CORE_JOURNAL,
    CORE_TRIM, /* nothing before `position` of the journal is needed */
};

struct core_effect {
    enum core_effect_type type;
    enum wire_role role;
    struct core_route route;
    struct blob *frame; /* owned by the effects */
    uint64_t position;
    enum log_level level;
    const char *event; /* literal */
    char text[192];    /* fields of the log line */
};

/* A growing list, emptied by core_effects_clear() after the loop has carried them out. When
 * memory runs out a send is dropped and counted in `dropped`: the link repairs it. */
struct core_effects {
    struct core_effect *items;
    size_t count;
    size_t capacity;
    uint64_t dropped;
};

void core_effects_clear(struct core_effects *effects);
void core_effects_fini(struct core_effects *effects);

/* A core without peers. `epoch` must be greater than that of every earlier broker (wall clock in
 * ms will do). `version` is borrowed for ever. NULL: out of memory. */
NODISCARD struct core *core_new(uint64_t epoch, const char *version, int64_t now_ms);
void core_free(struct core *core);

/* Before the first step: take durable tasks. The events of a journal will come. An outcome is kept
 * for keep_ms after its end, or after this broker's start. -ENOMEM. */
NODISCARD int core_keep_durables(struct core *core, int64_t keep_ms);

/* Before the first step: let agents have programs of the clients whose tasks they hold. */
void core_allow_uploads(struct core *core);

/* Before the first step: what the whole cluster has for tasks, beside what each agent has. */
void core_set_resources(struct core *core, const struct needs *resources);

/* Handle one event; what is to be done is appended to `effects`. */
void core_step(struct core *core, const struct core_event *event, struct core_effects *effects);

/* When a task's timer is due next, for which a CORE_TURN is wanted. INT64_MAX: there is none. */
int64_t core_due_ms(const struct core *core);

/* Counters for /metrics and STATUS. */
struct core_counters {
    uint64_t durable; /* durable tasks that are kept, ended or not */
    uint64_t constants;
    uint64_t constant_bytes; /* of their names and values, and some for each */
    uint64_t ready;
    uint64_t leased;
    uint64_t resting; /* failed and waiting for their next try */
    uint64_t held;    /* waiting for tasks that have not ended */
    uint64_t blocked; /* waiting for tasks of which one did not end well */
    uint64_t accepted;
    uint64_t done;
    uint64_t failed;
    uint64_t requeued_crash;
    uint64_t requeued_loss;
    uint64_t copied;    /* tasks that ran for long and were started elsewhere as well */
    uint64_t retried;   /* failures that were tried again as the client had asked */
    uint64_t stale;     /* outcomes with an old token */
    uint64_t malformed; /* frames that did not decode */
    uint64_t refused;   /* links refused or ended by us */
    uint64_t illegal;   /* events that a task's state does not allow */
    uint64_t agents_lost;
    uint64_t notes_dropped; /* their session reads slower than they come */
    uint64_t pieces;        /* of large arguments and results, handed on; likewise their bytes */
    uint64_t piece_bytes;
    uint64_t pieces_dropped; /* nobody wants them (any more) */
    uint32_t sessions;
    uint32_t agents;
    uint32_t slots;
};
const struct core_counters *core_counters(const struct core *core);

#endif
