/* A world around the pure core: hand-made clients and agents, and a clock that the test moves.
 *
 * Every call runs the core to its effects and hands the frames that it sends to the ends, which check that
 * they decode and remember what they say. A failure fails the test. The world owns its ends: all of it is
 * freed by finish(). */
#ifndef TESTS_BROKER_WORLD_H
#define TESTS_BROKER_WORLD_H

#include "base/link.h"
#include "broker/core.h"

/* Of the first world of a test; each further one has the next. */
#define EPOCH        ((uint64_t)7 << 40)
#define TASKS_MAX    64
#define BATCHES_MAX  512
#define CLASSES_SEEN 4

/* A client or an agent: its end of a link and what it has received. */
struct end {
    enum wire_role role;
    struct link link;
    uint64_t hello; /* the number that HELLO says; that of the link until WELCOME comes */
    struct core_route route;
    struct core_key key;
    uint64_t incarnation;
    uint32_t wants; /* kinds of notes */
    const char *resources;
    uint32_t forget_count; /* keys of FORGET that came; the first byte of the last */
    uint8_t forgotten;
    bool welcome;
    bool gone;
    bool refused;
    struct wire_task tasks[TASKS_MAX]; /* received and not yet answered; arguments are not kept */
    uint32_t task_count;
    uint32_t task_frames;
    uint8_t argument[256]; /* of the task that came last, as far as there is room */
    size_t argument_bytes;
    struct wire_place needs[TASKS_MAX];
    uint32_t need_count;
    uint64_t revoked[TASKS_MAX];
    uint32_t revoked_count;
    struct {
        uint64_t no;
        enum wire_outcome outcome;
        uint16_t attempts;
        uint32_t code;
        uint8_t first_byte;
        uint8_t last_byte;
        uint64_t number; /* of its first 8 bytes */
        size_t bytes;
        char text[400]; /* of a failure; "": it ended well */
    } results[TASKS_MAX];
    uint32_t result_count;
    struct {
        uint64_t task;
        enum wire_note_kind kind;
        uint32_t results_before; /* how many results had come */
        uint64_t dropped;        /* of WIRE_NOTE_DROPPED */
        uint64_t done;           /* of WIRE_NOTE_PROGRESS */
        uint32_t run_ms;         /* of WIRE_NOTE_RUNNING */
    } notes[TASKS_MAX];          /* the last ones are kept */
    uint32_t note_count;
    struct wire_counters counters;
    struct wire_running running[WIRE_RUNNING_MAX]; /* of the last STATUS; texts are not kept */
    uint32_t running_count;
    struct {
        char needs[64];
        uint64_t ready;
        uint64_t leased;
        uint32_t able;
    } classes[CLASSES_SEEN];
    char resources_seen[256]; /* of the worker that is listed last */
    char taken_seen[256];
    struct wire_want wants_got[TASKS_MAX]; /* the last ones are kept */
    uint32_t want_count;
    struct wire_piece pieces[TASKS_MAX]; /* likewise; their bytes are not kept */
    uint8_t piece_first_byte;            /* of the last one */
    uint32_t piece_count;
};

struct world {
    struct core *core;
    struct core_effects effects;
    int64_t now_ms;
    uint64_t epoch;
    struct end *ends[8];
    size_t end_count;
    struct blob *journal[BATCHES_MAX]; /* what the core had journaled: positions 1, 2, 3, ... */
    size_t journal_count;
    uint64_t trimmed;
};

struct world given_world(void);
void finish(struct world *w);

/* An end that was welcomed. A client has defined function 0: one byte in, one byte out. Borrowed until
 * finish(). */
struct end *given_agent(struct world *w, uint32_t slots);
struct end *given_agent_with(struct world *w, uint32_t slots, const char *resources);
struct end *given_client(struct world *w);
/* A client that wants these kinds of notes. */
struct end *given_listener(struct world *w, uint32_t wants);

/* Define function 0 as a client has it; an agent may then submit, too. */
void define(struct world *w, struct end *end);

/* Say hello under the link number that `end` has now. */
void say_hello(struct world *w, struct end *end, uint32_t slots);

/* Hand a frame to the core as it is; borrowed. */
void deliver(struct world *w, struct end *from, struct blob *frame);

/* The same as the next sequenced frame of the link; taken. */
void send_frame(struct world *w, struct end *end, struct blob *frame);

/* Submit `count` tasks whose arguments are the low bytes of their numbers; a turn follows. submit_frame()
 * only makes the frame, for the caller to send and free. */
void submit(struct world *w, struct end *client, uint64_t first_no, uint32_t count);
struct blob *submit_frame(struct end *client, uint64_t first_no, uint32_t count);

/* The same with options. */
void submit_with(struct world *w,
                 struct end *client,
                 uint64_t first_no,
                 uint32_t count,
                 const struct wire_options *options);
struct blob *
needing_frame(struct end *client, uint64_t first_no, uint32_t count, const char *needs);
struct blob *run_frame(struct end *client,
                       uint64_t first_no,
                       uint32_t count,
                       const struct wire_options *options);

/* The agent answers the oldest `count` of its tasks; a turn follows. put_outcome() only adds the record of
 * one answer to a frame. */
void answer(struct world *w, struct end *agent, uint32_t count, enum wire_outcome outcome);
void put_outcome(struct blob *frame, const struct wire_task *task, enum wire_outcome outcome);

/* The agent tells a note of `bytes` bytes about one of its tasks; no turn follows. */
void tell(struct world *w,
          struct end *agent,
          const struct wire_task *task,
          enum wire_note_kind kind,
          size_t bytes);

/* The same with these bytes. */
void tell_bytes(struct world *w,
                struct end *agent,
                const struct wire_task *task,
                enum wire_note_kind kind,
                struct wire_bytes bytes);
void tell_running(struct world *w, struct end *agent, const struct wire_task *task, uint32_t ms);
void tell_progress(struct world *w, struct end *agent, const struct wire_task *task, uint64_t done);

/* Functions of the broker, of bytes, as numbers 1, 2, ... of the client; a call of one, the client's task
 * `no` with this argument (taken). A turn follows. */
void define_asks(struct world *w, struct end *client, const char *const *names, size_t count);
void ask_needing(struct world *w,
                 struct end *client,
                 uint64_t no,
                 struct blob *argument,
                 uint32_t what,
                 const char *needs);
void ask_with(
    struct world *w, struct end *client, uint64_t no, struct blob *argument, uint32_t what);

/* Ask for STATUS. */
void query(struct world *w, struct end *client);

void ping(struct world *w, struct end *end);

/* The operating system closed the connection of `end`. */
void unreachable(struct world *w, struct end *end);

/* The loop goes round once; the effects of a core_step() of the test's own are carried out. */
void turn(struct world *w);
void carry_out(struct world *w);

/* Time passes in steps small enough not to look like a stopped broker. */
void pass(struct world *w, int64_t ms);

#endif
