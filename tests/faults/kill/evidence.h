/* What the kill campaign remembers of each task, outside of scoop: records of one size that clients and
 * functions append to files of their own. A write of one record to a file opened with O_APPEND is whole or
 * not at all, and outlives its writer's SIGKILL. history.py reads them. */
#ifndef TESTS_FAULTS_KILL_EVIDENCE_H
#define TESTS_FAULTS_KILL_EVIDENCE_H

#include <stdint.h>

enum evidence_kind {
    EVIDENCE_ASKED = 1, /* the client is about to submit it */
    EVIDENCE_ACCEPTED,  /* durable: its submit ended well */
    EVIDENCE_RUN,       /* the function has begun an execution */
    EVIDENCE_DELIVERED, /* the client has its result */
    EVIDENCE_AGAIN,     /* durable: the client asked for the same result once more */
    EVIDENCE_FORGETS,   /* durable: the client is about to forget it */
    EVIDENCE_FORGOTTEN, /* durable: the broker has forgotten it */
};

struct evidence {
    uint8_t kind;
    uint8_t status; /* enum scoop_status of what ended */
    uint8_t child;  /* 0: the client's task itself; 1, 2, ...: its children */
    uint8_t wrong;  /* bytes of the result are not those that they should be */
    uint32_t client;
    uint64_t no;
    uint64_t time_ns; /* CLOCK_MONOTONIC, one for all processes of this machine */
    uint64_t value;   /* what was computed */
    uint64_t mark;    /* of the execution that computed it */
    uint32_t pid;
    uint32_t attempts;
};

_Static_assert(sizeof(struct evidence) == 48, "history.py reads records of 48 bytes");

#endif
