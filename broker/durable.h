/* Durable tasks: those that outlive their client and the broker. Source: docs/PROTOCOL.md sections
 * 9 and 10.
 *
 * A client asks for one by a task for the broker itself ("broker.submit", ask.c): it ends when the
 * durable task is in the journal, and not before. The durable task then runs like any other, in a
 * session of the core's own; its outcome is journaled before it is told to anyone, and kept until
 * it is forgotten. Pure: the journal is effects (CORE_JOURNAL, CORE_TRIM) and events. One thread.
 */
#ifndef BROKER_DURABLE_H
#define BROKER_DURABLE_H

#include "base/blob.h"
#include "base/wire.h"
#include "core.h"
#include "record.h"
#include "task.h"
#include "ties.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

struct peer;
struct session;

/* Durable tasks that are kept, and the bytes of their arguments or results, before more are
 * refused: broker and Redis hold them within 1 GiB each. */
#define DURABLE_TASKS_MAX ((uint64_t)1 << 20)
#define DURABLE_BYTES_MAX ((uint64_t)256 << 20)

/* A submit waits so long for a journal that is away; then it is refused. */
#define DURABLE_PATIENCE_MS 10000

enum durable_state {
    DURABLE_ACCEPTING, /* its TASK record is on its way into the journal */
    DURABLE_LIVE,      /* that is in the journal: it is queued, leased or resting */
    DURABLE_ENDING,    /* it has ended; its DONE record is on its way */
    DURABLE_DONE,      /* that is in the journal: the outcome may be told */
};

struct durable {
    uint64_t id;
    struct blob *body; /* owned: of its newest record, TASK until it has ended, then DONE */
    uint64_t position; /* of the batch that holds this record */
    uint64_t offset;   /* bytes in the journal before it */
    enum durable_state state;
    bool retried;              /* ACCEPTING for another time */
    bool forgiven;             /* it did not end well: what waits for it goes on without it */
    bool inherited;            /* of an earlier broker: it may have run there */
    bool unwanted;             /* DONE: to be forgotten when nothing is tied to it any more */
    struct ties *ties;         /* owned; what it waits for; NULL: nothing */
    char *needs;               /* owned; of a worker, see needs.h; NULL: nothing */
    struct tie *takers;        /* of those that wait for it; utlist DL */
    struct durable *work_next; /* see ties.c */
    struct constant *constant; /* its entry is this, and no task, and has no id; borrowed */
    struct task *task;         /* while LIVE; borrowed; NULL: there was no memory for it yet */
    /* Asked to submit it, while ACCEPTING; to forgive it, while ENDING. */
    struct task_list submitters;
    struct task_list waiters; /* asked for its outcome */
    int64_t ended_ms;
    struct durable *prev; /* all, by position */
    struct durable *next;
    struct durable *done_prev; /* DONE, by ended_ms */
    struct durable *done_next;
    UT_hash_handle hh; /* by id */
};

struct durables {
    struct session *session; /* owned; NULL: there is no journal */
    struct peer *peer;       /* owned; stands for its client, reaches nobody */
    struct durable *by_id;   /* uthash; owns */
    struct durable *oldest;  /* list by position */
    /* The first whose newest record is not known to be in the journal. */
    struct durable *unconfirmed;
    struct durable *done;    /* list by ended_ms */
    uint64_t body_bytes;     /* of all, and of constants */
    uint64_t constant_bytes; /* of these */
    uint64_t accepting;      /* of them, ACCEPTING */
    int64_t keep_ms;
    /* The journal. */
    enum core_journal state;
    bool open;
    char reason[192];
    int64_t down_ms;        /* since when it is not up */
    struct task_list early; /* asked before it was open */
    struct blob *batch;     /* being filled; NULL: none */
    uint64_t appended;      /* position of the last batch that was handed out */
    uint64_t written_bytes; /* of records, ever */
    uint64_t trim_at;       /* when this is in the journal ... */
    uint64_t trim_to;       /* ... nothing before that is needed; 0: not known */
    uint64_t trimmed;
    bool rewrite;   /* everything has to be written again */
    bool lost;      /* likewise, and what is before that is to be trimmed */
    bool starving;  /* some that are LIVE have no task, for want of memory */
    int64_t fed_ms; /* when that was tried again last */
};

/* ---- durable.c ---- */

NODISCARD int durables_init(struct core *core, int64_t keep_ms);
void durables_fini(struct core *core);

/* The durable task with this id; NULL: none is kept. */
struct durable *durable_find(const struct core *core, uint64_t id);
/* A new one, whose TASK record has this body (taken): ACCEPTING, once the caller has written it. NULL:
 * out of memory. */
NODISCARD struct durable *durable_new(struct core *core, uint64_t id, struct blob *body);
/* An entry of the journal for a constant, whose CONSTANT record is its body (taken): ACCEPTING, once the caller
 * has written it; `in`: it was read from there, DONE. NULL: out of memory. */
NODISCARD struct durable *
durable_for_constant(struct core *core, struct constant *constant, struct blob *body, bool in);
/* What it needs of a worker. -ENOMEM. */
NODISCARD int durable_need(struct durable *d, struct wire_bytes needs);
/* The constant is no more. */
void durable_free_constant(struct core *core, struct durable *d);
/* From the journal: a TASK or DONE record of it (d is NULL: the first), with a body of its own
 * (taken; NULL: out of memory). Its task comes later. -ENOMEM. */
NODISCARD int durable_restore(struct core *core,
                              struct durable *d,
                              const struct record *record,
                              struct blob *body);
/* Its task has ended so. The task is forgotten by the caller. */
void durable_end(struct core *core, struct task *task, const struct wire_attempt *outcome);
/* Its newest record is in the journal. */
void durable_confirm(struct core *core, struct durable *d);
/* Nobody will ask for it any more. It has no task, and nobody is waiting. */
void durable_forget(struct core *core, struct durable *d);
/* DONE, and not well: it is ACCEPTING again, as it was. -ENOMEM. */
NODISCARD int durable_retry(struct core *core, struct durable *d);
/* DONE or ENDING, and not well: it is ENDING, now forgiven. */
void durable_forgive(struct core *core, struct durable *d);
/* DONE: it is forgotten soon. */
void durable_expire(struct core *core, struct durable *d);
/* What its newest record says; views into it. 0 or -EPROTO. */
NODISCARD int durable_request(const struct durable *d, struct record_task *out);
/* LIVE, from the journal: give it its task. */
void durable_start(struct core *core, struct durable *d);
/* DONE: answer one who asked for its outcome. */
void durable_tell(struct core *core, const struct durable *d, struct task *task);
/* Answer all who asked for its outcome, or one: what it waits for will not come by itself. */
void durable_tell_stuck(struct core *core, struct durable *d);
void durable_answer_stuck(struct core *core, const struct durable *d, struct task *task);
/* Once a turn: results that were kept long enough, tasks for which there was no memory. */
void durables_turn(struct core *core);

/* ---- ledger.c: what is in the journal ---- */

/* Append its newest record, TASK or DONE, and what else is known of it. */
void ledger_write(struct core *core, struct durable *d);
/* Append FORGET. */
void ledger_write_forget(struct core *core, uint64_t id);
/* Append UNSET. */
void ledger_write_unset(struct core *core, struct wire_bytes name);
/* Take it out of the list by position. */
void ledger_remove(struct core *core, struct durable *d);
/* The journal's events. */
void ledger_replay(struct core *core, uint64_t position, const struct blob *batch);
void ledger_open(struct core *core, uint64_t position);
void ledger_confirm(struct core *core, uint64_t position);
void ledger_lost(struct core *core);
/* At the end of a turn: hand out what was written, and keep the journal short. */
void ledger_turn(struct core *core);

/* ---- ask.c: tasks for the broker itself ---- */

/* What a function of the broker itself does. */
enum core_ask {
    ASK_NOTHING, /* it is not one: agents run it */
    ASK_SUBMIT,
    ASK_SUBMIT_AFTER,
    ASK_WAIT,
    ASK_FORGET,
    ASK_CANCEL,
    ASK_RETRY,
    ASK_FORGIVE,
    ASK_LIST,
    ASK_SET, /* and the two below: see constants.h */
    ASK_GET,
    ASK_UNSET,
};

/* "broker.submit", ...: what a function of the broker does; ASK_NOTHING: it is not one. */
enum core_ask ask_of_function(const struct wire_function *wire);
/* A task that is in its session's roster and in no list asks for something. */
void ask(struct core *core, struct task *task, bool has_inputs);
/* Answer one that stands in no list. */
void ask_answer(struct core *core, struct task *task, const struct wire_attempt *outcome);
void ask_refuse(struct core *core, struct task *task, const char *format, ...) PRINTF(3, 4);
/* Have it stand in this list until it is answered. */
void ask_wait_in(struct task *task, struct task_list *list);
/* Why nothing can be journaled, or not soon; NULL: it can. */
const char *ask_trouble(const struct core *core, char text[300]);
/* What was kept before this broker's start is not known yet: the task waits for that, or is refused when it takes
 * long. False: it is known, or there is no journal. */
bool ask_is_early(struct core *core, struct task *task);
/* All of a list. */
void ask_refuse_all(struct core *core, struct task_list *list, const char *text);
/* The journal is open: those who came too early. */
void ask_early(struct core *core);
/* The journal's state has changed, or time has passed: those who have waited long enough. */
void ask_impatient(struct core *core);
void ask_journal_changed(struct core *core, enum core_journal state, const char *reason);

/* ---- list.c ---- */

/* Answer one that asks for a list of durable tasks. */
void list_tell(struct core *core, struct task *task);

#endif
