/* The children of this host's functions: tasks that functions on executors submitted. To the broker
 * the agent is their client, by the same frames: FUNCTION and SUBMIT out, RESULTS in. Here stands
 * which executor waits for which of them. Source: docs/NESTED.md.
 *
 * Nothing of it outlives the link: with it all executors end, and with them all parents. One thread. */
#ifndef WORKER_NESTED_H
#define WORKER_NESTED_H

#include "base/channel.h"
#include "base/dialler.h"
#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

struct executor;
struct report;

/* A task that was submitted and has not ended, as far as is known here. */
struct child {
    uint64_t no;               /* as the broker knows it */
    uint32_t number;           /* as its executor knows it */
    uint32_t parent;           /* low half of the id of the task that submitted it */
    uint32_t bytes;            /* of its argument */
    struct executor *executor; /* borrowed */
    UT_hash_handle hh;         /* in nested.children, by no */
    UT_hash_handle own;        /* in its executor's children, by number */
};

/* A function that children call, as the broker knows it. */
struct callee {
    uint16_t number; /* on this link */
    uint32_t argument_bytes;
    UT_hash_handle hh;
    size_t key_bytes;
    uint8_t key[]; /* the FUNCTION record without its number */
};

struct values;

struct nested {
    struct dialler *dialler; /* borrowed */
    const char *host;        /* in failures; borrowed */
    struct values *values;   /* borrowed; NULL: none can be read */
    struct callee *callees;  /* owned; uthash by key */
    struct child *children;  /* owned; uthash */
    uint64_t next_no;
    uint64_t bytes; /* of the arguments of children */
    uint32_t credit_tasks;
    uint64_t credit_bytes;
    struct blob *frame; /* SUBMIT, being filled; NULL: empty */
    size_t run_at;      /* of the run that may still grow; 0: none */
    struct wire_run run;
    char needs[WIRE_NEEDS_MAX + 1]; /* of its tasks */
    struct blob *cancels;           /* CANCEL, likewise */
    bool out_of_memory;             /* a child could not be kept: the agent cannot go on */
};

/* The link is open: what WELCOME said. */
void nested_open(struct nested *nested, const struct wire_welcome *welcome);

/* Forget everything; executors are not touched. */
void nested_reset(struct nested *nested);

/* The function with this name and these sizes of the executor's program, or of scoop-worker. NULL:
 * out of memory, or too many. */
NODISCARD struct callee *nested_callee(struct nested *nested,
                                       const struct executor *executor,
                                       const struct channel_outcome *head,
                                       const char *name);

/* Submit a child. What is above the credit ends at once, refused. */
void nested_submit(struct nested *nested,
                   struct executor *executor,
                   const struct callee *callee,
                   uint32_t number,
                   const struct channel_child *child,
                   struct wire_bytes argument);

/* The task that submitted this child, by the number that the broker knows; NULL: nobody waits for the child
 * any more. Borrowed until the next collect. */
const struct task *nested_parent(const struct nested *nested, uint64_t no);

/* NOTES of children: hand them on as their parents', but news to their executors. -EPROTO. */
NODISCARD int nested_notes(struct nested *nested, struct report *report, struct dialler_input *in);

/* RESULTS: hand them to their executors. -EPROTO. */
NODISCARD int nested_results(struct nested *nested, struct dialler_input *in);

/* This child shall end; its result comes all the same. */
void nested_cancel(struct nested *nested, struct executor *executor, uint32_t number);

/* Nobody waits for this child, or for any of this executor's, any more. */
void nested_abandon(struct nested *nested, struct executor *executor, uint32_t number);
void nested_abandon_all(struct nested *nested, struct executor *executor);

/* Send what has gathered. */
void nested_flush(struct nested *nested);

#endif
