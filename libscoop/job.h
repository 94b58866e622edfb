/* A job: the tasks of one call of scoop_map() (many) or scoop_submit() (one): where their arguments
 * lie, where their results go, and how far it is. Pure data; no sockets, no locks.
 *
 * Threads: from client_add() until `done` all of it belongs to who drives the session, but for
 * the fields that say otherwise. */
#ifndef LIBSCOOP_JOB_H
#define LIBSCOOP_JOB_H

#include "base/err.h"
#include "base/wire.h"
#include "libscoop/include/scoop.h"

#include <stdatomic.h>

/* Why a task did not end well. Owned by its job. */
struct failure {
    enum scoop_status status;
    uint32_t index; /* of the task in its job */
    uint32_t code;
    const char *host; /* both point behind the struct */
    const char *text;
};

struct strand;

struct job {
    const struct scoop_function *function;
    uint32_t count;              /* tasks */
    uint32_t ended;              /* tasks whose outcome is here */
    uint32_t failures;           /* of these */
    uint32_t limit_ms;           /* of each task; 0: none */
    struct wire_options options; /* of each task */
    int64_t queued_us;           /* when it was handed over, by the wall clock; 0: not traced */
    /* Borrowed until done. Fixed sizes use in/out, others in_each/out_each. */
    const uint8_t *in;
    const struct scoop_bytes *in_each;
    uint8_t *out;
    struct scoop_bytes *out_each; /* data is malloc()ed for the caller */
    struct failure *failure;      /* of the lowest index so far; NULL: none */
    uint16_t attempts;            /* of the outcome that came last */
    uint16_t needs;               /* of each task; see options.h; 0: nothing */
    uint32_t run_us;              /* of the outcome that came last */
    uint64_t no;            /* of a job of one task: its number on the present link; 0: none */
    bool sent;              /* a broker has seen some of it */
    bool resent;            /* so has one before it, where it may have run */
    bool sets_anew;         /* a constant: see constant.h */
    bool cancelled;         /* the caller has asked for its end */
    bool abandoned;         /* nobody waits: touch no place, ask for no argument */
    bool forgotten;         /* its caller has left it, but others wait for its result */
    bool named;             /* of a future's job: it has a name, see unique.h */
    struct ties *ties;      /* with jobs that wait for each other, see after.h; owned; NULL: none */
    atomic_uint references; /* of a future's job: its caller, and those that wait for it */
    atomic_bool blocked;    /* it waits for one that did not end well */
    /* Below: under the session's lock, except that `done` may be read by anybody. */
    atomic_bool done;      /* all have ended: the job is the caller's again */
    struct watch *watches; /* who is told when it is done; newest first */
    struct news *news;     /* of a future's job, while it runs; owned; NULL: none came */
    union {
        bool *left;            /* set when an abandoned job's places are safe; may be NULL */
        struct strand *strand; /* of a job inside a function: of the task that submitted it */
    };
    void (*release)(struct job *); /* frees an abandoned job that has ended */
    union {
        uint32_t held_bytes; /* of an argument that counts against the credit; 0: none */
        uint32_t handed;     /* of a job inside a function: tasks handed over */
    };
    struct job *next_leaving; /* of the jobs that were abandoned */
    struct job *next;         /* of the list that it is in */
};

/* The argument of one task; borrowed. */
struct wire_bytes job_argument(const struct job *job, uint32_t index);

/* What an outcome of the wire is for callers. */
enum scoop_status job_status_of(enum wire_outcome outcome);

/* The result of a job of one task that has ended well; borrowed. */
struct wire_bytes job_value(const struct job *job);

/* Store the outcome of one task that had none. True: it was the last. */
bool job_end_task(struct job *job, uint32_t index, const struct wire_result *result);

/* The same of one that ended well, and whose result came in pieces: `data` (malloc()ed) is taken. NULL:
 * there was no memory for it. */
bool job_end_moved(
    struct job *job, uint32_t index, const struct wire_result *result, uint8_t *data, size_t size);

/* End one task with a reason of our own. True: it was the last. */
bool job_fail_task(struct job *job, uint32_t index, enum scoop_status status, const char *text);

/* End one task that was cancelled. True: it was the last. */
bool job_cancel_task(struct job *job, uint32_t index, enum wire_cancelled answer);

/* End all tasks of a job of which none has begun. */
void job_refuse(struct job *job, enum scoop_status status, const char *text);

/* Free what the job owns (not the places, not itself). */
void job_fini(struct job *job);

#endif
