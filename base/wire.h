/* The wire codec: layouts of docs/PROTOCOL.md sections 2 and 4 as code.
 *
 * Reading: a cursor over borrowed bytes that checks its end. A failed read sets `bad` and
 * returns zeros, so a record is read straight through and checked once, by wire_read_ok(). Byte
 * views point into the frame and live as long as it does. Writing: appends to a blob that grows;
 * -ENOMEM is the only error. No thread state: any thread, one writer per blob. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "blob.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION      1
#define WIRE_HEADER_BYTES 32

/* Limits (PROTOCOL.md section 7). */
#define WIRE_PAYLOAD_MAX   ((size_t)16 << 20)
#define WIRE_FRAME_MAX     ((size_t)17 << 20)
#define WIRE_BATCH_BYTES   ((size_t)64 << 10)
#define WIRE_TEXT_MAX      4096
#define WIRE_FUNCTIONS_MAX 1024
#define WIRE_SLOTS_MAX     1024
#define WIRE_CLASSES_MAX   255 /* different needs of unfinished tasks */
#define WIRE_NEEDS_MAX     63  /* bytes of the text of what a task needs */
/* Of what travels in pieces; and of one of these. Above 16 MiB a single frame would hold up a link,
 * and with it the lease of its agent. A size of 1 GiB fits in 31 bits, and in the memory of a host. */
#define WIRE_LARGE_MAX ((size_t)1 << 30)
/* Arguments and results of any size that are larger travel so, where that is possible. */
#define WIRE_INLINE_MAX ((size_t)1 << 20)
#define WIRE_PIECE_MAX  ((size_t)256 << 10)

/* As a size of arguments or results: each has its own length. */
#define WIRE_VARIABLE UINT32_MAX

#define WIRE_FLAG_RESEND 1U

enum wire_type {
    WIRE_HELLO = 1,
    WIRE_WELCOME,
    WIRE_REFUSED,
    WIRE_GONE,
    WIRE_ACK,
    WIRE_PING,
    WIRE_BYE,
    WIRE_FUNCTION,
    WIRE_SUBMIT,
    WIRE_RESULTS,
    WIRE_TASKS,
    WIRE_OUTCOMES,
    WIRE_REVOKE,
    WIRE_DRAIN,
    WIRE_QUERY,
    WIRE_STATUS,
    WIRE_PARKED,
    WIRE_CANCEL,
    WIRE_NOTES,
    WIRE_INPUT,
    WIRE_NEED,
    WIRE_WANT,
    WIRE_PIECE,
    WIRE_FORGET,
    WIRE_TYPE_END,
};

enum wire_role {
    WIRE_CLIENT = 1,
    WIRE_AGENT = 2,
};

/* How a task (or one attempt) ended. The bytes of OK are the result; those of every other
 * outcome are a failure record (struct wire_failure). */
enum wire_outcome {
    WIRE_OK,
    WIRE_FAILED,       /* the function said so; code is the function's */
    WIRE_CRASHED,      /* its executor died; code is the exit code, or 128 + signal */
    WIRE_LOST,         /* its hosts were lost too often */
    WIRE_TIMEOUT,      /* killed at its limit; code is the limit in ms */
    WIRE_CANCELLED,    /* by the client; code is an enum wire_cancelled */
    WIRE_REFUSED_TASK, /* no such program or function there, or a different one */
    WIRE_EXPIRED,      /* not started in time; code is the time in ms */
    WIRE_BLOCKED, /* no end, but broker.wait's answer: one that it waits for did not end well */
    WIRE_OUTCOME_END,
};

/* What became of a task that its client cancelled. Of these an agent says the first two. */
enum wire_cancelled {
    WIRE_NEVER_RAN = 1, /* no attempt of it ever began, and none will */
    WIRE_STOPPED,       /* it was running, and its process is gone */
    WIRE_DISCARDED,     /* it ran before, to its end or elsewhere; its result is dropped */
};

enum wire_reason {
    WIRE_REASON_VERSION = 1, /* protocol versions differ */
    WIRE_REASON_ROLE,        /* this socket or key is for the other role */
    WIRE_REASON_FRAME,       /* a frame that does not decode */
    WIRE_REASON_LIMIT,       /* over a limit or out of credit */
    WIRE_REASON_STOPPING,    /* the broker is shutting down */
};

/* Names for logs, listings and messages; "unknown" for other values. */
const char *wire_type_name(enum wire_type type);
const char *wire_outcome_name(enum wire_outcome outcome);
/* The answer as a sentence. */
const char *wire_cancelled_text(enum wire_cancelled answer);

/* ---- cursor ---- */

struct wire_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

struct wire_bytes {
    const uint8_t *data;
    size_t size;
};

/* A cursor over `size` bytes; `data` may be NULL when there are none. */
static inline struct wire_cursor wire_cursor_of(const void *data, size_t size)
{
    const uint8_t *at = data;

    return (struct wire_cursor){.at = at, .end = size != 0 ? at + size : at};
}

uint8_t wire_get_u8(struct wire_cursor *c);
uint16_t wire_get_u16(struct wire_cursor *c);
uint32_t wire_get_u32(struct wire_cursor *c);
uint64_t wire_get_u64(struct wire_cursor *c);
struct wire_bytes wire_get_bytes(struct wire_cursor *c, size_t size);
/* Text: 16-bit length, bytes. More than WIRE_TEXT_MAX or a zero byte inside is bad. */
struct wire_bytes wire_get_text(struct wire_cursor *c);

/* Has everything read so far been there, and is nothing left? 0 or -EPROTO. */
NODISCARD int wire_read_ok(const struct wire_cursor *c);

/* Copy a text view into a C string, cut to what fits. Returns `buffer`. */
const char *wire_text_copy(struct wire_bytes text, char *buffer, size_t size);

/* The caller has reserved the room (blob_reserve); nothing is checked. */
void wire_put_u8(struct blob *b, uint8_t value);
void wire_put_u16(struct blob *b, uint16_t value);
void wire_put_u32(struct blob *b, uint32_t value);
void wire_put_u64(struct blob *b, uint64_t value);
void wire_put_bytes(struct blob *b, const void *data, size_t size);
/* At most WIRE_TEXT_MAX bytes of `text` are written; room needed: 2 + that. */
void wire_put_text(struct blob *b, const char *text);

/* ---- frames ---- */

struct wire_header {
    enum wire_type type;
    uint16_t flags;
    uint32_t count;
    uint64_t link;
    uint64_t seq;
    uint64_t ack;
};

/* Start a frame: a new blob with a header (count 0, seq 0) and room for `body_bytes` more. NULL:
 * no memory. */
NODISCARD struct blob *wire_frame_new(enum wire_type type, uint64_t link, size_t body_bytes);

/* Header fields of a finished frame, changed in place. */
void wire_frame_add_count(struct blob *frame, uint32_t more);
uint32_t wire_frame_count(const struct blob *frame);
void wire_frame_set_flags(struct blob *frame, uint16_t flags);
void wire_frame_stamp(struct blob *frame, uint64_t seq, uint64_t ack);

/* Decode the header and set *body to what follows. -EPROTO: too short, unknown version, type or
 * flags, link 0. */
NODISCARD int wire_frame_read(const uint8_t *data,
                              size_t size,
                              struct wire_header *header,
                              struct wire_cursor *body);

/* ---- records ---- Each get function reads one record at the cursor and returns 0 or -EPROTO
 * (cursor bad, or a value outside its range); each put function appends one and returns 0 or
 * -ENOMEM. Layouts: fields in the order of the struct, text and bytes with their length in
 * front. */

struct wire_hello {
    enum wire_role role; /* u8 */
    uint32_t pid;
    uint64_t incarnation;   /* random per process life */
    uint32_t slots;         /* agents: 1...WIRE_SLOTS_MAX; clients: 0 */
    uint32_t wants;         /* clients: bit per kind of lines that are to be sent; agents: 0 */
    struct wire_bytes host; /* text */
    struct wire_bytes name; /* text: program or "agent" */
    struct wire_bytes version;
    struct wire_bytes resources; /* text; agents: what the host has, see needs.h; clients: "" */
};
NODISCARD int wire_get_hello(struct wire_cursor *c, struct wire_hello *out);
NODISCARD int wire_put_hello(struct blob *b, const struct wire_hello *hello);

struct wire_welcome {
    uint64_t epoch;
    uint32_t lease_ms;
    uint32_t ping_ms;
    uint32_t credit_tasks;
    uint64_t credit_bytes;
    uint32_t flags; /* WIRE_WELCOME_... */
    struct wire_bytes version;
};
/* Programs that are not on a host may be sent there by those who submit their tasks. */
#define WIRE_WELCOME_UPLOAD 1U
NODISCARD int wire_get_welcome(struct wire_cursor *c, struct wire_welcome *out);
NODISCARD int wire_put_welcome(struct blob *b, const struct wire_welcome *welcome);

struct wire_refused {
    enum wire_reason reason; /* u16 */
    struct wire_bytes text;
};
NODISCARD int wire_get_refused(struct wire_cursor *c, struct wire_refused *out);
NODISCARD int wire_put_refused(struct blob *b, const struct wire_refused *refused);

struct wire_ping {
    uint64_t last_seq; /* the last the sender has sent */
    /* the sender's own; in an echo: the other side's, unchanged; 0: no echo asked */
    uint64_t clock;
};
NODISCARD int wire_get_ping(struct wire_cursor *c, struct wire_ping *out);
NODISCARD int wire_put_ping(struct blob *b, const struct wire_ping *ping);

#define WIRE_SHA256_BYTES 32

struct wire_function {
    /* client -> broker: 0...WIRE_FUNCTIONS_MAX-1, of the session; broker -> agent: of the broker */
    uint32_t number;
    uint32_t argument_bytes;           /* or WIRE_VARIABLE */
    uint32_t result_bytes;             /* or WIRE_VARIABLE */
    uint8_t sha256[WIRE_SHA256_BYTES]; /* of the program file; zeros for a builtin */
    struct wire_bytes program;         /* base name; empty: builtin of scoop-worker */
    struct wire_bytes name;
};
NODISCARD int wire_get_function(struct wire_cursor *c, struct wire_function *out);
NODISCARD int wire_put_function(struct blob *b, const struct wire_function *function);

/* SUBMIT is a sequence of runs: tasks of one function with consecutive numbers. `count` of the
 * frame's header is the number of tasks. After the run's head come `count` arguments: of
 * `argument_bytes` each, or, when that is WIRE_VARIABLE, each with a 32-bit length in front. */
#define WIRE_RETRIES_MAX  1000
#define WIRE_BACKOFF_MAX  3600000
#define WIRE_PRIORITY_MAX 100
#define WIRE_BATCH_MAX    4096

/* What is asked for each task of a run beyond the ordinary. All zero: nothing. A bit of the run's
 * flags says which parts are there. */
struct wire_options {
    uint16_t retries; /* WIRE_RUN_RETRIES: tries after a failure; 0...WIRE_RETRIES_MAX */
    uint16_t
        batch; /* WIRE_RUN_BATCH: tasks per slot that an agent may hold; 0: the broker's choice */
    uint32_t backoff_ms; /* likewise: pause before the first, doubling; 0...WIRE_BACKOFF_MAX */
    int8_t priority;     /* WIRE_RUN_PRIORITY: -WIRE_PRIORITY_MAX...WIRE_PRIORITY_MAX, as + 128 */
    uint32_t expires_ms; /* WIRE_RUN_EXPIRES: not started for so long: EXPIRED; 0: never */
    uint64_t worker;     /* WIRE_RUN_WORKER: incarnation of the only one to run it; 0: any */
    bool traced;         /* WIRE_RUN_TRACED: a WIRE_NOTE_SPAN is wanted of each */
    uint32_t rerun_ms;   /* WIRE_RUN_RERUN: a copy runs elsewhere when it runs so long; 0: none */
};
bool wire_options_equal(const struct wire_options *a, const struct wire_options *b);
/* Is there anything in it that the broker has to remember per task, other than the priority? */
bool wire_options_need_terms(const struct wire_options *options);

/* One result that a task waits for, and receives with its argument. */
enum wire_input_kind {
    WIRE_INPUT_TASK,   /* of the task `no` of the same session, which may not have ended yet */
    WIRE_INPUT_VALUE,  /* it is known: `bytes` */
    WIRE_INPUT_FAILED, /* that task did not end well: whoever waits for it is BLOCKED */
    WIRE_INPUT_KIND_END,
};

#define WIRE_INPUT_BYTES 13
struct wire_input {
    uint64_t no;
    enum wire_input_kind kind; /* u8 */
    struct wire_bytes bytes;   /* u32 length; none but of a VALUE */
};
NODISCARD int wire_get_input(struct wire_cursor *c, struct wire_input *out);
NODISCARD int wire_put_input(struct blob *b, const struct wire_input *input);

/* NEED and INPUT: which input of which task; INPUT goes on with a struct wire_input. */
#define WIRE_PLACE_BYTES 12
struct wire_place {
    uint64_t no; /* of the task that has the input */
    uint32_t index;
};
NODISCARD int wire_get_place(struct wire_cursor *c, struct wire_place *out);
NODISCARD int wire_put_place(struct blob *b, const struct wire_place *place);

#define WIRE_INPUTS_MAX 65536

/* Parts of a run's head, in this order behind its fixed part. */
#define WIRE_RUN_RETRIES  1U
#define WIRE_RUN_PRIORITY 2U
#define WIRE_RUN_EXPIRES  4U
#define WIRE_RUN_INPUTS   8U /* u32 count, and so many struct wire_input; of a run of one task */
#define WIRE_RUN_WORKER   16U
#define WIRE_RUN_TRACED   32U /* nothing more */
#define WIRE_RUN_NEEDS    64U /* text: what each needs of a worker */
/* Of each argument only the size is there: 32 bits, at most WIRE_LARGE_MAX. Its agent will want its
 * bytes. Of a function with arguments of any size, and without inputs. */
#define WIRE_RUN_LARGE 256U
#define WIRE_RUN_BATCH 512U
#define WIRE_RUN_RERUN 1024U
#define WIRE_RUN_FLAGS (127U | WIRE_RUN_LARGE | WIRE_RUN_BATCH | WIRE_RUN_RERUN)

#define WIRE_RUN_BYTES         24                    /* of the fixed part */
#define WIRE_RUN_OPTIONS_BYTES (31 + WIRE_NEEDS_MAX) /* of all other parts, inputs apart, at most */
struct wire_run {
    uint16_t function;
    /* u16: flags */
    uint32_t count; /* at least 1 */
    uint32_t argument_bytes;
    uint32_t limit_ms; /* run time limit of each task; 0: none */
    bool large;        /* WIRE_RUN_LARGE */
    uint64_t first_no;
    struct wire_options options;
    struct wire_bytes needs;   /* WIRE_RUN_NEEDS: text, see needs.h; not with `worker` */
    uint32_t input_count;      /* wire_put_run(): the caller puts so many behind it */
    struct wire_cursor inputs; /* wire_get_run(): they have been checked */
};
NODISCARD int wire_get_run(struct wire_cursor *c, struct wire_run *out);
NODISCARD int wire_put_run(struct blob *b, const struct wire_run *run);
/* The count of the run whose head is at offset `run_at` of an unfinished frame, changed in place.
 */
void wire_run_add_count(struct blob *frame, size_t run_at, uint32_t more);
/* The next argument of `run`; `bad` is set at the end or above WIRE_PAYLOAD_MAX. */
struct wire_bytes wire_get_argument(struct wire_cursor *c, const struct wire_run *run);

#define WIRE_RESULT_BYTES 20
struct wire_result {
    uint64_t no;
    enum wire_outcome outcome; /* u8 */
    uint8_t flags;             /* WIRE_RESULT_... */
    uint16_t attempts;
    uint32_t run_us;
    struct wire_bytes bytes; /* u32 length */
};
/* Of OK: the submitter has taken the result already, in pieces; `bytes` is its size (u64). */
#define WIRE_RESULT_MOVED 1U
NODISCARD int wire_get_result(struct wire_cursor *c, struct wire_result *out);
NODISCARD int wire_put_result(struct blob *b, const struct wire_result *result);

#define WIRE_TASK_BYTES 28
struct wire_task {
    uint64_t id;
    uint32_t function;
    uint32_t limit_ms;
    uint32_t session; /* names the session that it is of, to tell its tasks from others' */
    uint16_t attempt;
    uint16_t flags;             /* WIRE_TASK_... */
    struct wire_bytes argument; /* u32 length */
};
#define WIRE_TASK_SPAN 1U /* a WIRE_NOTE_SPAN is wanted of it */
/* The argument is a bundle: u32 number n of inputs, u32 sizes of the argument and of each input, then
 * the argument and each input. */
#define WIRE_TASK_BUNDLE 2U
#define WIRE_TASK_LARGE  4U /* of the argument only the size is there: ask for it */
#define WIRE_TASK_MOVES  8U /* a result above WIRE_INLINE_MAX may be offered in pieces */
NODISCARD int wire_get_task(struct wire_cursor *c, struct wire_task *out);
NODISCARD int wire_put_task(struct blob *b, const struct wire_task *task);

/* The function said that trying again is of no use. */
#define WIRE_ATTEMPT_FINAL 1U
/* Of OK: the submitter has taken the result, in pieces; `bytes` is its size (u64). */
#define WIRE_ATTEMPT_MOVED 2U

#define WIRE_ATTEMPT_BYTES 20
struct wire_attempt {
    uint64_t id;
    uint16_t attempt;
    enum wire_outcome outcome; /* u8 */
    uint8_t flags;             /* WIRE_ATTEMPT_... */
    uint32_t run_us;           /* time in the function */
    struct wire_bytes bytes;   /* u32 length */
};
NODISCARD int wire_get_attempt(struct wire_cursor *c, struct wire_attempt *out);
NODISCARD int wire_put_attempt(struct blob *b, const struct wire_attempt *attempt);

/* What the bytes of an outcome other than OK hold. */
struct wire_failure {
    uint32_t code;
    struct wire_bytes host;
    struct wire_bytes text;
};
NODISCARD int wire_get_failure(struct wire_bytes bytes, struct wire_failure *out);
NODISCARD int wire_put_failure(struct blob *b, const struct wire_failure *failure);

/* A task that its agent holds waits for its children, and takes no slot; or it goes on. */
#define WIRE_PARKED_BYTES 9
struct wire_parked {
    uint64_t id;
    bool parked; /* u8 */
};
NODISCARD int wire_get_parked(struct wire_cursor *c, struct wire_parked *out);
NODISCARD int wire_put_parked(struct blob *b, const struct wire_parked *parked);

/* What is told of a task while it runs, or beside its outcome. Notes are for people: they may be
 * dropped where they come faster than they are read, and never hold up a task. */
enum wire_note_kind {
    WIRE_NOTE_STDOUT,  /* bytes: a line that its function printed, without newline */
    WIRE_NOTE_STDERR,  /* likewise */
    WIRE_NOTE_SPAN,    /* bytes: struct wire_span; comes before its outcome */
    WIRE_NOTE_DROPPED, /* bytes: u64, so many notes were dropped before this one */
    /* bytes: u32, for how many ms this attempt runs by now; WIRE_NOT_RUNNING: it was lost, and its
     * task waits to run again */
    WIRE_NOTE_RUNNING,
    WIRE_NOTE_PROGRESS, /* bytes: struct wire_progress */
    WIRE_NOTE_PARTIAL,  /* bytes: struct wire_partial */
    WIRE_NOTE_END,
};

#define WIRE_NOT_RUNNING UINT32_MAX

/* Longest bytes of a note. */
#define WIRE_NOTE_MAX ((size_t)64 << 10)

#define WIRE_NOTE_BYTES 20 /* without host and bytes */
struct wire_note {
    uint64_t task; /* agent -> broker: its id; broker -> client: its number */
    uint16_t attempt;
    enum wire_note_kind kind; /* u8 */
    uint8_t reserved;
    uint16_t lane;           /* which executor of the host, from 0 */
    struct wire_bytes host;  /* text */
    struct wire_bytes bytes; /* u32 length */
};
NODISCARD int wire_get_note(struct wire_cursor *c, struct wire_note *out);
NODISCARD int wire_put_note(struct blob *b, const struct wire_note *note);

struct wire_span {
    uint64_t start_us; /* wall clock of the host, since 1970 */
    uint32_t run_us;
    enum wire_outcome outcome;  /* u8 */
    struct wire_bytes function; /* text: its name */
};
NODISCARD int wire_get_span(struct wire_bytes bytes, struct wire_span *out);
NODISCARD int wire_put_span(struct blob *b, const struct wire_span *span);

/* How far an attempt is, as its function says. */
#define WIRE_PROGRESS_BYTES 16
struct wire_progress {
    uint64_t done;
    uint64_t total; /* 0: not known */
};
NODISCARD int wire_get_progress(struct wire_bytes bytes, struct wire_progress *out);
NODISCARD int wire_put_progress(struct blob *b, const struct wire_progress *progress);

/* A part of its result that an attempt gives ahead. Where it is dropped its index is missing. */
#define WIRE_PARTIAL_MAX ((size_t)32 << 10)
struct wire_partial {
    uint32_t index;          /* of this attempt: 0, 1, 2, ... */
    struct wire_bytes bytes; /* up to the end of the note; at most WIRE_PARTIAL_MAX */
};
NODISCARD int wire_get_partial(struct wire_bytes bytes, struct wire_partial *out);
NODISCARD int wire_put_partial(struct blob *b, const struct wire_partial *partial);

/* For how long; see WIRE_NOTE_RUNNING. */
NODISCARD int wire_get_running_ms(struct wire_bytes bytes, uint32_t *out);
NODISCARD int wire_put_running_ms(struct blob *b, uint32_t ms);

/* FORGET: a sequence of keys of WIRE_KEY_BYTES, of values that will not be read any more. */

/* WANT and PIECE: bytes too large for a record travel between who runs a task and who submitted it.
 * Source: docs/PROTOCOL.md section 4, "Pieces". */
enum wire_what {
    WIRE_WHAT_ARGUMENT = 1, /* of the task: from its submitter to its agent */
    WIRE_WHAT_RESULT,       /* of this attempt: from its agent to its submitter */
    WIRE_WHAT_PROGRAM,      /* the file with this SHA-256: from a task's submitter to its agent */
    WIRE_WHAT_VALUE,        /* what the submitter keeps under this key: likewise */
    WIRE_WHAT_END,
};
const char *wire_what_name(enum wire_what what);

#define WIRE_KEY_BYTES 32

/* Which bytes are meant. */
struct wire_cargo {
    uint64_t task; /* agent <-> broker: its id; submitter <-> broker: its number */
    uint16_t attempt;
    enum wire_what what;         /* u8 */
    uint8_t flags;               /* WIRE_PIECE_...; of WANT: 0 */
    uint8_t key[WIRE_KEY_BYTES]; /* of PROGRAM and VALUE; else zeros */
    uint64_t offset;
};
/* The same bytes, at the same offset, of the same task and attempt? */
bool wire_cargo_equal(const struct wire_cargo *a, const struct wire_cargo *b);

#define WIRE_WANT_BYTES 56
struct wire_want {
    struct wire_cargo cargo;
    uint32_t length; /* at most WIRE_PIECE_MAX; 0: of a RESULT, all of it has come */
};
NODISCARD int wire_get_want(struct wire_cursor *c, struct wire_want *out);
NODISCARD int wire_put_want(struct blob *b, const struct wire_want *want);

/* Who should have the bytes has not, and never will: `bytes` is a text for people. */
#define WIRE_PIECE_GONE 1U

#define WIRE_PIECE_BYTES 64 /* without its bytes */
struct wire_piece {
    struct wire_cargo cargo;
    uint64_t total;          /* size of the whole; at most WIRE_LARGE_MAX */
    struct wire_bytes bytes; /* u32 length; at most WIRE_PIECE_MAX. None: an offer of a RESULT */
};
NODISCARD int wire_get_piece(struct wire_cursor *c, struct wire_piece *out);
NODISCARD int wire_put_piece(struct blob *b, const struct wire_piece *piece);
/* The same without its bytes, for which there is room behind it then: the caller writes them. */
NODISCARD int wire_put_piece_head(struct blob *b, const struct wire_piece *piece);

enum wire_worker_state {
    WIRE_WORKER_READY,
    WIRE_WORKER_SILENT, /* its connection is closed; the lease still runs */
    WIRE_WORKER_DRAINING,
    WIRE_WORKER_LOST, /* shown for a minute after the end */
    WIRE_WORKER_LEFT, /* said BYE; shown for a minute */
    WIRE_WORKER_STATE_END,
};
const char *wire_worker_state_name(enum wire_worker_state state);

/* STATUS: one wire_counters, then `classes` of struct wire_class, then `count` workers, then a u32 and so
 * many struct wire_running. */
struct wire_counters {
    uint64_t epoch;
    uint64_t uptime_ms;
    uint64_t ready;    /* tasks waiting for a slot */
    uint64_t leased;   /* tasks held by agents */
    uint64_t resting;  /* failed tasks that wait for their next try */
    uint64_t held;     /* tasks that wait for others to end */
    uint64_t blocked;  /* of which one did not end well */
    uint64_t accepted; /* ever, in this epoch; likewise below */
    uint64_t done;
    uint64_t failed; /* every outcome that is not ok */
    uint64_t requeued;
    uint64_t stale;
    uint32_t sessions;
    uint16_t classes;
    struct wire_bytes version;
};
NODISCARD int wire_get_counters(struct wire_cursor *c, struct wire_counters *out);
NODISCARD int wire_put_counters(struct blob *b, const struct wire_counters *counters);

/* Unfinished tasks that need the same. */
struct wire_class {
    struct wire_bytes needs;
    uint64_t ready;
    uint64_t leased;
    uint32_t able; /* workers that have it, be it taken or not */
};
NODISCARD int wire_get_class(struct wire_cursor *c, struct wire_class *out);
NODISCARD int wire_put_class(struct blob *b, const struct wire_class *record);

struct wire_worker {
    uint64_t incarnation;
    enum wire_worker_state state; /* u8 */
    uint32_t pid;
    uint32_t slots;
    uint32_t busy;   /* slots in use: those of parked tasks are not */
    uint32_t leased; /* tasks it holds */
    uint64_t done;
    uint64_t failed;
    uint32_t silent_ms; /* since its last frame */
    struct wire_bytes host;
    struct wire_bytes version;
    struct wire_bytes resources; /* as in HELLO */
    struct wire_bytes taken;     /* of these, by tasks that it holds */
};
NODISCARD int wire_get_worker(struct wire_cursor *c, struct wire_worker *out);
NODISCARD int wire_put_worker(struct blob *b, const struct wire_worker *worker);

/* Most of them in a STATUS frame: those that run longest. */
#define WIRE_RUNNING_MAX 16

/* A task that is running, and has been for a while. */
struct wire_running {
    uint64_t id; /* of a durable one that by which it can be asked for */
    uint64_t run_ms;
    struct wire_progress progress;
    uint16_t attempt;
    bool parked;                /* u8: it waits for its children */
    struct wire_bytes function; /* texts */
    struct wire_bytes program;  /* empty: a builtin of scoop-worker */
    struct wire_bytes client;   /* who submitted it */
    struct wire_bytes host;     /* where it runs */
};
NODISCARD int wire_get_running(struct wire_cursor *c, struct wire_running *out);
NODISCARD int wire_put_running(struct blob *b, const struct wire_running *running);

#endif
