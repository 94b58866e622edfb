/* What the core's files share: the structs behind core.h. Nothing outside broker/ core files and
 * their tests includes this. Pure; one thread. */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#include "base/link.h"
#include "base/roster.h"
#include "base/wire.h"
#include "class.h"
#include "constants.h"
#include "copies.h"
#include "core.h"
#include "durable.h"
#include "inputs.h"
#include "relay.h"
#include "running.h"
#include "task.h"
#include "terms.h"
#include "values.h"

#include <uthash.h>

struct session;

/* One end of a link: a client, or an agent, of which it is the first member. */
struct peer {
    struct link link;
    uint64_t hello; /* the number that its HELLO said: see link_number() */
    enum wire_role role;
    struct session *session; /* what it submitted; owned; NULL: an agent that has not, so far */
    struct relay relay;      /* pieces that it wants */
    struct core_route route;
    struct core_key key;
    uint64_t incarnation;
    uint32_t pid;
    int64_t heard_ms;
    int64_t unreachable_ms; /* since when; 0: reachable */
    bool ended;             /* out of the table; closed and freed at the end of the step */
    bool dirty;             /* on the list of peers to flush at the end of the turn */
    struct peer *dirty_next;
    struct peer *ended_next;
    char host[64];
    char name[64];
    char version[32];
    UT_hash_handle hh; /* in core->peers, by link.id */
};

/* A function that some session defined; never forgotten while the broker lives. */
struct function {
    uint16_t number;
    uint32_t mean_us; /* of the run time, moving; valid once measured */
    bool measured;
    enum core_ask ask;
    bool nests;                /* a task of it has waited for its children */
    struct wire_function wire; /* views into `key` */
    uint8_t *key;              /* owned: sizes, SHA-256, program, name; see functions.c */
    UT_hash_handle hh;         /* by key */
};

/* Entry of a session's roster. */
struct session_task {
    struct task *task; /* borrowed from the slab */
};

/* What one peer submitted: a client's tasks, or the nested tasks of an agent's executors. */
struct session {
    struct peer *peer;          /* borrowed: FUNCTION and SUBMIT came from it, RESULTS go to it */
    struct lane ordinary;       /* and behind it the lanes of other classes */
    uint64_t queued;            /* ready tasks, in all lanes */
    struct roster tasks;        /* of struct session_task: accepted and not yet delivered */
    uint64_t bytes;             /* of their arguments */
    bool paused;                /* its client does not take its results: no task of it is leased */
    struct blob *results;       /* frame being filled, NULL: none */
    uint32_t wants;             /* kinds of notes, as HELLO said */
    struct blob *notes;         /* frame being filled, NULL: none */
    uint64_t notes_dropped;     /* since the last one that was sent */
    uint64_t notes_dropped_of;  /* the last one's task, as its client numbers it */
    uint64_t kept;              /* bytes of results that are inputs of its tasks */
    struct constant *constants; /* that it has set, and that end with it; utlist DL */
    struct known_values values; /* of its client, that hosts may keep */
    struct blob *needs;         /* frame being filled, NULL: none */
    struct function *functions[WIRE_FUNCTIONS_MAX]; /* by the session's number; NULL: not defined */
};

/* Where an agent stands for the scheduler. */
enum agent_shelf {
    AGENT_APART, /* gets nothing: draining, unreachable or ended */
    AGENT_IDLE,  /* has a free slot */
    AGENT_BUSY,  /* all slots taken; may get more of what is short */
    AGENT_SHELF_END,
};

struct agent {
    struct peer peer;
    uint32_t slots;
    uint32_t parked; /* of its leases: tasks that wait for their children, and take no slot */
    bool draining;
    bool left; /* said BYE */
    struct task_list leases;
    struct stock stock;     /* what it has for tasks */
    struct class *kept_for; /* see class.h; borrowed; NULL: nobody */
    uint64_t done;
    uint64_t failed;
    struct blob *tasks; /* frames being filled, NULL: none */
    struct blob *revokes;
    uint8_t *told; /* bit per function number: FUNCTION was sent */
    uint32_t told_bytes;
    int64_t ended_ms; /* for the listing of former agents */
    enum agent_shelf shelf;
    struct agent *prev; /* on the shelf, or in the list of former agents */
    struct agent *next;
};

/* A key that is admitted no more. ZeroMQ cannot cut the connection that it came in on, so the
 * core remembers it. */
struct revoked_key {
    struct core_key key;
    UT_hash_handle hh; /* by key.text; oldest first */
};

/* A client's key, and how many sessions it has open. */
struct key_sessions {
    struct core_key key;
    uint32_t count;    /* at least 1 */
    UT_hash_handle hh; /* by key.text */
};

struct core {
    uint64_t epoch;
    const char *version;
    int64_t start_ms;
    int64_t now_ms;
    int64_t turn_ms;  /* of the last turn: a gap means that we were stopped, not the peers */
    int64_t check_ms; /* next look at the peers' timers */
    bool uploads;     /* agents may want programs */
    struct core_effects *effects; /* of the step under way */
    struct peer *peers;           /* uthash by link.id */
    struct peer *dirty;
    struct peer *ended;
    struct class ordinary;   /* of tasks that need nothing */
    struct class *classes;   /* all others; owned; utlist DL */
    struct class *waiting;   /* those that have ready tasks; who was served last stands last */
    uint32_t class_count;    /* of `classes` */
    struct class *kept_for;  /* of what the cluster has; NULL: nobody */
    struct stock stock;      /* what the cluster has for tasks */
    uint64_t schedules;      /* grows with each, see class->no_room_in */
    uint64_t clients_queued; /* ready tasks of clients */
    uint32_t child_leases;   /* in a row while there were such, see schedule.c */
    struct agent *shelves[AGENT_SHELF_END]; /* utlist DL */
    struct agent *former;                   /* lost or left in the last minute, oldest first */
    struct revoked_key *revoked;            /* uthash */
    struct key_sessions *key_sessions;      /* uthash */
    struct function *functions;             /* uthash by key */
    struct function **function_by_number;
    uint32_t function_count;
    struct task_slab slab;
    struct timers timers;
    struct running_table running;
    struct durables durables;
    struct constants constants;
    struct core_counters counters;
};

/* Has the submitter taken the result already? */
static inline bool outcome_is_moved(const struct wire_attempt *outcome)
{
    return outcome->outcome == WIRE_OK && (outcome->flags & WIRE_ATTEMPT_MOVED) != 0;
}

static inline struct agent *agent_of(struct peer *peer)
{
    return (struct agent *)peer; /* `peer` is its first member */
}

/* Leased tasks that take a slot. */
static inline uint64_t agent_active(const struct agent *agent)
{
    return agent->leases.count - agent->parked;
}

/* ---- peer.c ---- */

#define PEER_REVOKED_TEXT "this key is not admitted any more"

/* Append a send to the effects; takes the reference. */
void core_send(struct core *core,
               enum wire_role role,
               const struct core_route *route,
               struct blob *frame);
/* Append a batch to the journal; takes it. -ENOMEM: not taken. */
NODISCARD int core_journal(struct core *core, struct blob *batch);
void core_trim(struct core *core, uint64_t position);
/* Send REFUSED to whoever sent this event's frame. */
void core_refuse(struct core *core,
                 const struct core_event *event,
                 uint64_t link,
                 enum wire_reason reason,
                 const char *text);
/* HELLO of a link that is not known: admit the peer or refuse it. */
void peer_hello(struct core *core,
                const struct core_event *event,
                const struct wire_header *header,
                struct wire_cursor *body);
/* Send WELCOME. */
void peer_welcome(struct core *core, struct peer *peer);
/* At the end of a step: close and free the peers that ended. */
void peers_bury(struct core *core);
/* Send a sequenced frame; takes the reference. Out of memory: the peer is ended. */
void peer_send(struct core *core, struct peer *peer, struct blob *frame);
/* Send an unsequenced frame; takes the reference, NULL is accepted (out of memory: nothing is
 * sent). */
void peer_send_loose(struct core *core, struct peer *peer, struct blob *frame);
/* Flush this peer at the end of the turn. */
void peer_touch(struct core *core, struct peer *peer);
/* End a link: refused with a reason and text for people. The peer stays valid until the end of
 * the step. */
void peer_refuse(struct core *core, struct peer *peer, enum wire_reason reason, const char *text);
/* End a link without a word: the peer left or is lost. */
void peer_end(struct core *core, struct peer *peer);
/* Append a log line to the effects. */
void core_note(struct core *core, enum log_level level, const char *event, const char *format, ...)
    PRINTF(4, 5);

/* ---- functions.c ---- */

/* The broker's function for a record of a session, made if new. NULL: out of memory or
 * CORE_FUNCTIONS_MAX. */
NODISCARD struct function *functions_define(struct core *core, const struct wire_function *wire);
/* Take a measured run time into the mean. */
void function_measure(struct function *function, uint32_t run_us);
void functions_fini(struct core *core);

/* ---- session.c ---- */

/* Give the peer its session, if it has none yet. -ENOMEM. */
NODISCARD int session_open(struct core *core, struct peer *peer);
/* A task that is READY, in the session's roster, and in no list. NULL: out of memory. */
NODISCARD struct task *session_new_task(struct core *core,
                                        struct session *s,
                                        struct class *class,
                                        const struct wire_options *options);
/* End a task of a session as its client wants it. */
void session_cancel_task(struct core *core, struct task *task);
void session_free(struct core *core, struct session *session); /* NULL is accepted */
/* FUNCTION and SUBMIT; -EPROTO, or -EDQUOT over a limit (then *what is a text for people). */
NODISCARD int session_define(struct core *core, struct session *s, struct wire_cursor *body);
NODISCARD int session_submit(struct core *core,
                             struct session *s,
                             const struct wire_header *header,
                             struct wire_cursor *body,
                             struct blob *frame,
                             const char **what);
/* Put a READY task into its session's queue. */
void session_queue(struct core *core, struct task *task, bool front);
/* Take a task out of the queue: it is leased, or ends, at once. */
void session_unqueue(struct core *core, struct task *task);
/* Deliver an outcome: appends to the RESULTS frame. The task, no longer in the session's roster,
 * is forgotten by the caller. */
void session_deliver(struct core *core, struct task *task, const struct wire_attempt *outcome);
void session_flush(struct core *core, struct session *s);
/* Pause it, or let it go on, as its client takes its results. */
void session_watch(struct core *core, struct session *s);
/* CANCEL; -EPROTO. */
NODISCARD int session_cancel(struct core *core,
                             struct session *s,
                             const struct wire_header *header,
                             struct wire_cursor *body);
/* Forget the queued tasks, revoke the leased ones. */
void session_close(struct core *core, struct session *s);

/* ---- agent.c ---- */

NODISCARD struct agent *agent_new(uint32_t slots);
void agent_free(struct agent *agent);
/* Put the agent on the shelf where it belongs now: at its end, so that agents take turns; with
 * `room` (it has just given tasks back) a busy one goes to the front, where it is found first. */
void agent_shelve(struct core *core, struct agent *agent, bool room);
/* The agent of this incarnation that may be given tasks. NULL: there is none. */
struct agent *agent_find(const struct core *core, uint64_t incarnation);
/* Lease: the task is in no list; it goes into the TASKS frame. */
void agent_lease(struct core *core, struct agent *agent, struct task *task);
/* Take a task out of its agent's hands; does it run again? */
void agent_unlease(struct core *core, struct task *task, bool again);
/* OUTCOMES; -EPROTO. */
NODISCARD int agent_outcomes(struct core *core,
                             struct agent *agent,
                             const struct wire_header *header,
                             struct wire_cursor *body);
/* PARKED; -EPROTO. */
NODISCARD int agent_parked(struct core *core,
                           struct agent *agent,
                           const struct wire_header *header,
                           struct wire_cursor *body);
/* Nobody wants this task any more, which an agent holds: TASK_CANCEL or TASK_ABANDON. */
void agent_revoke(struct core *core, struct task *task, enum task_event event);
void agent_flush(struct core *core, struct agent *agent);
/* The agent is gone: its tasks go back to their queues. */
void agent_close(struct core *core, struct agent *agent);

/* ---- settle.c ---- */

/* Step a task that stands in no list, and do what the table says. `outcome` is what is delivered
 * if this is the end. */
void settle(struct core *core,
            struct task *task,
            enum task_event event,
            const struct wire_attempt *outcome);
/* The same with a failure of the broker's own; the text is for people. */
void settle_failure(struct core *core,
                    struct task *task,
                    enum task_event event,
                    enum wire_outcome outcome,
                    const struct wire_failure *failure);
/* Tasks whose rest is over become READY, those that were not started in time end. */
void settle_due(struct core *core);

/* ---- notes.c ---- */

/* NOTES of an agent: each goes on to the session of its task, if that wants it; -EPROTO. */
NODISCARD int notes_take(struct core *core,
                         struct agent *agent,
                         const struct wire_header *header,
                         struct wire_cursor *body);
/* Send what has gathered for a session. */
void notes_flush(struct core *core, struct session *s);
/* Before a result: if lines were dropped, and none came behind them to say so, it is said now. */
void notes_tell(struct core *core, struct session *s);
/* A task waits for its children: if it is a client's it counts as one that has run for a while. */
void notes_parked(struct core *core, struct task *task);
/* An attempt is over, and the task runs again or not: what its session is to know goes before the result. */
void notes_end(struct core *core, struct task *task, bool again);

/* ---- schedule.c ---- */

/* Lease ready tasks while agents have room. */
void schedule(struct core *core);

/* ---- status.c ---- */

/* A STATUS frame. NULL: out of memory. */
NODISCARD struct blob *status_frame(const struct core *core, uint64_t link);

#endif
