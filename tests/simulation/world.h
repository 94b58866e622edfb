/* A seeded world around the real broker core: clients with the real client.c and dialler.c of libscoop and
 * base, agents that are modelled after docs/PROTOCOL.md over the same dialler.c, a network, Redis, clocks
 * and what goes wrong with each. Everything follows from the seed; time is a number. A world lives in one
 * process that ends with a message when an invariant is violated: see checker.h. One thread. */
#ifndef SIMULATION_WORLD_H
#define SIMULATION_WORLD_H

#include "base/blob.h"
#include "base/dialler.h"
#include "base/err.h"
#include "broker/core.h"
#include "libscoop/client.h"
#include "rng.h"

#include <stdbool.h>
#include <stdint.h>

/* What may happen in a world, or be asked for. A seed has some of them; `simulate --without NAME` none of
 * that name. kinds.c has their names. */
enum kind {
    KIND_DROP,         /* frames are lost */
    KIND_DUPLICATE,    /* frames come twice */
    KIND_REORDER,      /* frames overtake each other */
    KIND_DELAY,        /* frames take up to 4 s */
    KIND_ONE_WAY,      /* nothing arrives in one direction */
    KIND_CLOG,         /* frames wait until the line is free again */
    KIND_RESET,        /* connections break and lose what was on its way */
    KIND_AGENT_CRASH,  /* agents end, and start under a new incarnation */
    KIND_AGENT_PAUSE,  /* a host stands still; then it finds a full inbox */
    KIND_AGENT_STALL,  /* the agent stands still, its executors go on */
    KIND_BROKER_CRASH, /* between any two effects; what is not in Redis is lost */
    KIND_BROKER_PAUSE,
    KIND_REDIS_AWAY,
    KIND_REDIS_FULL,
    KIND_REDIS_LOSS,   /* Redis forgets what it had acknowledged */
    KIND_DRIFT,        /* clocks run up to 20 % too fast or too slow */
    KIND_SLOW_READER,  /* takes one frame at a time */
    KIND_IDENTITY,     /* two agents with one incarnation; frames of others' links */
    KIND_CLIENT_CRASH, /* clients end, and start again with what has not ended */
    KIND_ECHO,         /* agents repeat outcomes of earlier attempts, with another value */
    KIND_KEY_REVOKED,  /* an agent's key is admitted no more; it comes back with another */
    KIND_LINGER, /* frames outlive their connection, and perhaps the broker that sent them, or should get them */
    KIND_FAILURES, /* functions fail */
    KIND_CRASHES,  /* functions crash */
    KIND_HANGS,    /* functions run until their limit, or for ever */
    KIND_RETRIES,
    KIND_PRIORITY,
    KIND_EXPIRY,
    KIND_CANCEL,
    KIND_INPUTS,
    KIND_NESTED,
    KIND_DURABLE,
    KIND_PINNED, /* tasks for one worker */
    KIND_NOTES,
    KIND_CONSTANTS,
    KIND_LEAVE,  /* agents drain and leave in order */
    KIND_NEEDS,  /* tasks that need resources */
    KIND_COPIES, /* stragglers run elsewhere as well */
    KIND_AFTER,  /* durable tasks that wait for others */
    KIND_KEEP,   /* outcomes of durable tasks are kept for seconds only */
    KIND_END,
};

extern const char *const kind_names[KIND_END];

#define CLIENTS_MAX  3
#define AGENTS_MAX   3
#define PROCS_MAX    (CLIENTS_MAX + AGENTS_MAX)
#define CALLS_MAX    40
#define DURABLES_MAX 8
#define INPUTS_MAX   3
#define HELD_MAX     512 /* tasks that an agent holds */
#define ENTRIES_MAX  4096
#define VIEWS_MAX    4

/* ---- calls: what the clients want, and what is known of it ---- */

enum behaviour {
    BEHAVES_WELL,
    BEHAVES_BADLY,   /* fails in the first `bad` attempts */
    BEHAVES_FINALLY, /* fails, and says that no retry mends it */
    BEHAVES_CRASH,   /* crashes in the first `bad` attempts */
    BEHAVES_HANG,    /* runs until it is killed */
    BEHAVES_PARENT,  /* submits `bad` children, waits for them */
};

#define BAD_ALWAYS 1000

/* One task of a client. Its argument begins with its key. */
struct call {
    uint32_t index;
    uint32_t submission; /* how often it was submitted; part of the key */
    enum behaviour behaviour;
    uint32_t bad;
    uint32_t run_ms;
    uint32_t limit_ms;
    uint32_t starts; /* of this submission */
    bool never_ran;  /* its client was told that it never ran, and never will */
    bool over;       /* its client has the outcome */
};

enum request {
    REQUEST_CALLS, /* a job of some calls */
    REQUEST_DURABLE,
    REQUEST_CONSTANT,
};

/* One job of a client. */
struct errand {
    struct job job;
    enum request request;
    uint32_t client;
    int64_t submit_ms;
    int64_t cancel_ms; /* INT64_MAX: never */
    struct wire_options options;
    struct call calls[8];
    uint32_t count;
    uint32_t inputs[INPUTS_MAX]; /* other errands of the client */
    uint32_t input_count;
    bool variable; /* its function has arguments of any size */
    bool nests;
    bool pinned;
    uint32_t needs; /* place in needs_texts */
    bool given;     /* the present life of the client has submitted it */
    bool done;
    bool cancelled;
    bool forgiven;
    uint8_t in[8 * 64];
    struct scoop_bytes in_each[8];
    uint8_t out[8 * 8];
    struct scoop_bytes out_each[8];
};

enum durable_step {
    STEP_SUBMIT,
    STEP_CANCEL,
    STEP_WAIT,
    STEP_RETRY,
    STEP_FORGET,
    STEP_FORGIVE, /* of one that it waits for */
    STEP_OVER,
};

/* One durable task, which any client may go on with. */
struct durable_errand {
    uint64_t id;
    struct call call;
    struct wire_options options;
    uint32_t client;
    int64_t next_ms;
    enum durable_step step;
    bool asked; /* a job of this step is on its way */
    bool cancel;
    bool retry;
    bool accepted; /* some client was told so */
    bool told;     /* some client was told the outcome, which is: */
    enum scoop_status told_status;
    bool forgetting;
    bool forgiven;              /* somebody has asked for that */
    uint32_t after[INPUTS_MAX]; /* others that it waits for */
    uint32_t after_count;
    uint32_t culprit;       /* STEP_FORGIVE: whom */
    uint32_t blocked_count; /* how often it was told to be */
    bool task_written;      /* its record has been in Redis */
    bool done_written;
    bool ended;       /* by what is in Redis */
    bool tied;        /* by what is in Redis it waits for others, or may be tried again and wait */
    int64_t well_ms;  /* since when Redis has that it ended well; 0: it has not */
    int64_t asked_ms; /* when what is on its way was asked */
    struct job job;
    struct blob *argument;
    struct scoop_bytes in;
    struct scoop_bytes out;
};

/* ---- processes ---- */

struct inbox {
    struct message *head;
    struct message *tail;
    uint32_t count;
};

/* A frame on its way. */
struct message {
    int64_t at_ms;
    uint64_t order;
    struct blob *frame;
    struct message *next; /* in an inbox, or free */
    uint32_t proc;
    uint32_t generation; /* of the connection */
    bool to_broker;
    uint32_t forger; /* to_broker: it comes by the connection of this one; else PROCS_MAX */
};

/* Seen from outside: what the core has sent on one link. */
struct view {
    uint64_t link;
    uint64_t sent;
};

/* A task that a modelled agent holds. */
struct held {
    uint64_t id;
    uint64_t key;
    uint16_t attempt;
    uint16_t flags;
    uint32_t session;
    uint32_t limit_ms;
    bool handed; /* to an executor */
    bool running;
    bool parked;
    bool ended; /* to be reported */
    bool nests;
    bool wants_argument;
    enum wire_outcome outcome;
    uint32_t code;
    bool final;
    uint32_t run_us;
    uint64_t value;
    int64_t started_ms;
    int64_t end_ms;
    uint32_t children; /* that have not ended */
};

/* A child on its way, in an agent's session. */
struct child {
    struct job job;
    uint64_t parent; /* id */
    uint64_t argument[2];
    uint64_t out;
    bool used;
};

#define CHILDREN_MAX 64

struct agent_side {
    uint32_t slots;
    struct held held[HELD_MAX];
    uint32_t count;
    uint64_t told[16]; /* functions that it was told */
    bool nesting[1024];
    bool retires; /* it is to leave */
    bool draining;
    bool leaving;
    int64_t grace_ms;         /* draining: until then */
    struct wire_attempt echo; /* of an earlier attempt; id 0: none */
    uint64_t echo_value;
    struct client client; /* of the children */
    struct child children[CHILDREN_MAX];
};

/* What a client asks of the broker itself: see asks.c. */
struct asker {
    struct job job;
    uint32_t question;
    uint32_t name;
    uint64_t serial;
    int64_t next_ms;
    bool asked;
    struct blob *argument;
    struct scoop_bytes in;
    struct scoop_bytes out;
};

/* What dials: a client or an agent. */
struct proc {
    struct world *world;
    uint32_t index;
    enum wire_role role;
    bool alive;
    int64_t up_ms;      /* of the next start; while not alive */
    int64_t wake_ms;    /* of its next turn */
    int64_t paused_ms;  /* it stands still until then */
    int64_t stalled_ms; /* likewise, but its executors do not */
    int64_t clock_start_ms;
    int32_t clock_rate; /* per mille */
    struct core_key key;
    uint32_t key_number;
    bool key_revoked; /* the present broker knows that */
    uint64_t incarnation;
    /* its connection */
    uint32_t generation;
    bool connected;
    int64_t connect_ms; /* when it is connected again */
    struct inbox inbox;
    int64_t last_in_ms; /* order within a direction */
    int64_t last_out_ms;
    int64_t cut_in_ms; /* nothing arrives until then */
    int64_t cut_out_ms;
    int64_t clog_ms;
    int64_t slow_ms; /* takes one frame at a time until then */
    uint64_t epoch;  /* of the WELCOME that holds */
    struct dialler *dialler;
    struct view views[VIEWS_MAX]; /* of its newest links */
    uint32_t view_next;
    bool denied;
    struct client client; /* of a client */
    struct asker asker;
    struct agent_side *agent;
};

/* ---- broker and Redis ---- */

struct entry {
    uint64_t position;
    struct blob *batch;
};

struct redis {
    struct entry entries[ENTRIES_MAX];
    uint32_t first; /* those before were trimmed */
    uint32_t count;
    struct entry waiting[256]; /* handed out by the core and not in Redis */
    uint32_t waiting_count;
    uint64_t appended;  /* position of the last one that was handed out */
    uint64_t written;   /* of the last one that is in Redis */
    uint64_t confirmed; /* as the core was told */
    uint64_t mended;    /* when this is written nothing is missing any more */
    uint64_t trim;
    int64_t due_ms; /* of the next exchange */
    int64_t away_ms;
    bool full;
    bool told_down;
    bool lost;    /* something was forgotten, and the core has not been told */
    bool missing; /* something was forgotten, and is not written again yet */
};

struct host {
    struct core *core; /* NULL: down */
    uint64_t epoch;
    struct core_effects effects;
    struct inbox inbox;
    int64_t wake_ms;
    int64_t up_ms;
    int64_t paused_ms;
    int64_t open_ms;      /* the journal is read then; INT64_MAX: it is open, or there is none */
    int64_t crash_ms;     /* in the first step after that ... */
    uint32_t crash_after; /* ... behind so many effects */
    uint32_t idle_ms;
};

/* ---- the checker's own record: see checker.c ---- */

struct lease {
    uint64_t id;
    uint64_t link;
    uint32_t proc;
    uint16_t attempt;
    uint16_t crashes;
    uint16_t losses;
    uint16_t failures;
    uint32_t needs; /* place in needs_texts */
    bool final;     /* it failed for ever */
    bool held;
    int64_t failed_ms;
};

#define LEASES_MAX 1024

struct turn_taker {
    uint32_t session;
    uint32_t passed_over;
};

struct checker {
    struct lease leases[LEASES_MAX];
    uint32_t top; /* places in use are below */
    struct turn_taker takers[PROCS_MAX];
};

/* ---- the world ---- */

struct world {
    uint64_t seed;
    uint64_t kinds; /* bit per kind */
    struct rng rng;
    int64_t now_ms;
    int64_t calm_ms;  /* nothing goes wrong from then on */
    int64_t end_ms;   /* all has to be done by then */
    int64_t fault_ms; /* of the next fault */
    uint64_t events;
    uint64_t hash;
    bool trace;
    bool excused; /* Redis lost acknowledged records, and the broker with it */
    bool closing; /* clients leave */
    bool over;
    struct proc procs[PROCS_MAX];
    uint32_t client_count;
    uint32_t agent_count;
    uint32_t proc_count;
    struct errand errands[CALLS_MAX];
    uint32_t errand_count;
    struct durable_errand durables[DURABLES_MAX];
    uint32_t durable_count;
    struct host host;
    struct redis redis;
    struct checker checker;
    /* messages on their way: a heap by at_ms, order */
    struct message **heap;
    uint32_t heap_count;
    uint32_t heap_capacity;
    struct message *spare;
    uint64_t order;
    int32_t drop_rate; /* per mille; likewise below */
    int32_t duplicate_rate;
    int32_t reorder_rate;
    int32_t forge_rate;
    int64_t latency_ms; /* of ordinary frames, at most */
    int64_t spike_ms;   /* delays until then */
};

static inline bool world_has(const struct world *w, enum kind kind)
{
    return (w->kinds >> kind & 1) != 0;
}

/* Is this the time in which something of this kind goes wrong? */
static inline bool world_suffers(const struct world *w, enum kind kind)
{
    return world_has(w, kind) && w->now_ms < w->calm_ms;
}

/* Run one seed to its end. `kinds`: those that are allowed. */
void world_run(struct world *w, uint64_t seed, uint64_t kinds, bool trace);
/* Free what it owns. */
void world_fini(struct world *w);

/* Take note of what happens: it goes into the hash of the trace. */
void world_event(struct world *w, const char *what, uint32_t proc, uint64_t a, uint64_t b);
void world_hash_bytes(struct world *w, const void *data, size_t size);

/* ---- plan.c ---- */

void plan_make(struct world *w, uint64_t kinds);
/* The key that the arguments of this call begin with. */
uint64_t call_key(const struct call *call);
/* The call with this key, if it is the present submission of it; NULL: an older one's, or a child's. */
struct call *call_find(struct world *w, uint64_t key);
/* What a function returns for this key. */
static inline uint64_t call_value(uint64_t key)
{
    return rng_mix(key ^ UINT64_C(0x5c00b5c00b));
}
/* The call with this key is the one of a durable task; NULL: it is not. */
struct durable_errand *durable_of_call(struct world *w, const struct call *call);
/* What tasks may need; the first one: nothing. */
#define NEEDS_COUNT 6
extern const char *const needs_texts[NEEDS_COUNT];
/* What the agent, and the whole cluster, have. */
const char *agent_resources(const struct world *w, const struct proc *p);
#define CLUSTER_RESOURCES "licence=2"

/* A child is told by its key; the rest of it says who it is. */
#define CHILD_KEY (UINT64_C(1) << 63)

/* ---- network.c ---- */

/* Frames of the dialler go by these (zframe_send() and others are replaced at link time). */
void network_to_proc(struct world *w, struct proc *p, struct blob *frame);
void network_deliver(struct world *w);
int64_t network_next_ms(const struct world *w);
/* The connection breaks; it comes back after delay_ms. */
void network_reset(struct world *w, struct proc *p, int64_t delay_ms, bool tell);
void network_connect(struct world *w, struct proc *p);
struct message *inbox_pop(struct inbox *inbox);
void message_free(struct world *w, struct message *m);
void inbox_clear(struct world *w, struct inbox *inbox);
void network_fini(struct world *w);
/* The route of a connection, and whose it is; NULL: it is closed. */
struct core_route network_route(const struct proc *p);
struct proc *network_proc(struct world *w, enum wire_role role, const struct core_route *route);

/* ---- clock of a process ---- */

static inline int64_t proc_clock(const struct proc *p, int64_t now_ms)
{
    return p->clock_start_ms + now_ms * p->clock_rate / 1000;
}

/* When its clock shows this. */
static inline int64_t proc_when(const struct proc *p, int64_t clock_ms)
{
    return ((clock_ms - p->clock_start_ms) * 1000 + p->clock_rate - 1) / p->clock_rate;
}

/* Hand the frames of its inbox to `take`: some, or one while it is slow. */
void proc_receive(struct proc *p,
                  int64_t clock_ms,
                  void (*take)(struct proc *p, enum dialler_event event, struct dialler_input *in));
void proc_start(struct world *w, struct proc *p);
void proc_stop(struct world *w, struct proc *p);
void proc_turn(struct world *w, struct proc *p);

/* ---- client.c, durables.c, agent.c ---- */

void client_begin(struct proc *p);
void client_finish(struct proc *p);
/* One turn; returns when the next is wanted. */
int64_t client_turn(struct proc *p);
extern const struct identity simulated_program;
void errand_fini(struct errand *e);

void agent_begin(struct proc *p);
void agent_finish(struct proc *p);
int64_t agent_turn(struct proc *p);
/* Its executors alone. */
int64_t agent_run_executors(struct proc *p);

/* Jobs about durable tasks that this client has to do now. */
void durables_give(struct proc *p);
/* Is it a job of those? Then it was taken note of. */
bool durables_took(struct proc *p, struct job *job);
int64_t durables_next_ms(const struct world *w, uint32_t client);
void durables_client_lost(struct proc *p);
bool durables_are_over(const struct world *w);
struct durable_errand *durable_of_id(struct world *w, uint64_t id);

/* Questions of this client: ask one if it is time, and say when the next is due; take an answer. */
int64_t asks_give(struct proc *p);
bool asks_took(struct proc *p, struct job *job);
void asks_take_status(struct proc *p, struct dialler_input *in);
void asks_fini(struct proc *p);

/* ---- broker.c ---- */

void host_start(struct world *w);
void host_crash(struct world *w);
void host_turn(struct world *w);
void host_event(struct world *w, const struct core_event *event);
int64_t host_next_ms(const struct world *w);
void host_fini(struct world *w);
void redis_exchange(struct world *w);
void redis_forget(struct world *w, uint32_t count);

/* ---- faults.c ---- */

void faults_strike(struct world *w);
void faults_end(struct world *w);

/* ---- checker.c ---- */

/* How a link stands. */
struct bearing {
    bool known;
    uint64_t received;
    uint64_t acked;
    struct core_route route;
};

void checker_new_broker(struct world *w);
void checker_core_takes(struct world *w, struct proc *p, const struct blob *frame);
void checker_core_sends(struct world *w, struct proc *p, const struct blob *frame);
void checker_after_step(struct world *w);
/* A frame that comes by another's connection: what it does not change. */
struct bearing checker_bearing(const struct world *w, const struct blob *frame);
void checker_not_obeyed(struct world *w, const struct blob *frame, const struct bearing *before);
void checker_task_starts(struct world *w, struct proc *p, const struct held *task);
void checker_call_ended(struct world *w,
                        const struct errand *e,
                        uint32_t index,
                        enum scoop_status status,
                        uint32_t code,
                        uint64_t value);
void checker_at_end(struct world *w);

/* audit.c: what must hold between the core's own tables. */
void audit(struct world *w);
void audit_is_empty(struct world *w);
/* Does it know nobody? */
bool broker_is_alone(const struct world *w);

/* An invariant is violated: say so and end the process. */
_Noreturn void violated(struct world *w, const char *format, ...) PRINTF(2, 3);

#define CHECK(w, condition, ...)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            violated(w, __VA_ARGS__);                                                              \
    } while (0)

#endif
