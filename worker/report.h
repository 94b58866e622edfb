/* OUTCOMES and NOTES on their way to the broker: what gathers in one turn of the loop goes in one
 * frame of each, notes first, so that what was told of a task comes before its outcome.
 * Source: docs/PROTOCOL.md section 4. One thread. */
#ifndef WORKER_REPORT_H
#define WORKER_REPORT_H

#include "base/channel.h"
#include "base/dialler.h"
#include "base/err.h"
#include "base/wire.h"
#include "task.h"

struct report {
    struct dialler *dialler;           /* borrowed */
    const char *host;                  /* of this machine, in failures; borrowed */
    struct blob *frame;                /* being filled; NULL: empty */
    struct blob *notes;                /* likewise */
    struct blob *parked;               /* PARKED, likewise */
    uint64_t total;                    /* outcomes ever reported */
    uint64_t counts[WIRE_OUTCOME_END]; /* the same by kind */
    int64_t ahead_us;                  /* of the wall clock, as spans have it */
    int64_t ahead_until_us;            /* then it is looked at again */
    bool out_of_memory; /* an outcome could not be reported: the agent cannot go on */
};

/* Append what an executor answered, with these bytes; of a traced task, its span too. A full frame is sent first. */
void report_answer(struct report *report,
                   const struct task *task,
                   const struct channel_outcome *head,
                   struct wire_bytes bytes);

/* The task was answered with a result that is offered in pieces: only its span is noted. */
void report_ran(struct report *report, const struct task *task, const struct channel_outcome *head);

/* Append its outcome: its submitter has all of these bytes, or wants none any more. */
void report_moved(struct report *report, const struct task *task, uint32_t run_us, uint64_t size);

/* Append an outcome that is a failure of this host's. */
void report_failure(struct report *report,
                    const struct task *task,
                    enum wire_outcome outcome,
                    uint32_t code,
                    const char *text);

/* Append a note of a task that has no outcome yet. Without memory it is dropped. */
void report_note(struct report *report,
                 const struct task *task,
                 enum wire_note_kind kind,
                 struct wire_bytes bytes);

/* This task waits for its children now, and takes no slot; or it goes on. */
void report_parked(struct report *report, const struct task *task, bool parked);

/* Hand on a note of a child of this task as one of the task's own. */
void report_note_of_child(struct report *report,
                          const struct task *task,
                          const struct wire_note *note);

/* Bytes that the broker has not acknowledged, and of notes that have gathered. */
size_t report_backlog(const struct report *report);

/* Send what has gathered. Without a link it is dropped: the broker knows that we are gone. */
void report_flush(struct report *report);

/* Drop what has gathered. */
void report_fini(struct report *report);

#endif
