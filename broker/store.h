/* The journal's keys in Redis and the commands on them. Source: docs/OPERATIONS.md "The journal".
 *
 *   scoop:NAME:broker   hash: identity, epoch, number, owner: who writes, and up to which entry
 *   scoop:NAME:journal  stream: one entry a batch, its field `r`; the entry with number N is N-0
 *
 * Each append is a script that Redis runs whole or not at all: it writes only for the broker whose
 * epoch is in the hash, and only the number after the last one. So a second broker shuts the first
 * one out, and a batch that is sent again, because a reply was lost, is in there once.
 *
 * Every call waits for Redis; the connection is made (redis_connect()). An error of Redis closes
 * the connection, see base/redis.h. One thread. */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include "base/blob.h"
#include "base/err.h"
#include "base/redis.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_NAME_MAX       64
#define STORE_IDENTITY_BYTES 32
#define STORE_ID_MAX         48

struct store {
    struct redis *redis; /* borrowed */
    char broker_key[STORE_NAME_MAX + 32];
    char journal_key[STORE_NAME_MAX + 32];
    char epoch[24]; /* ours, as text */
};

/* `name`: at most STORE_NAME_MAX characters. */
void store_init(struct store *store, struct redis *redis, const char *name);

enum store_verdict {
    STORE_OK,
    STORE_TAKEN, /* another broker has taken the journal over */
    STORE_LOST,  /* Redis has lost what it had acknowledged */
    STORE_OTHER, /* claim: this is not the expected journal */
    STORE_TORN,  /* claim: the two keys do not fit each other */
};

struct store_claim {
    const char *expected; /* identity that it must have; "": any, or none yet */
    bool init;            /* take whatever is there */
    int64_t wall_ms;
    const char *owner; /* for people */
    /* out */
    enum store_verdict verdict;
    char identity[STORE_IDENTITY_BYTES + 1]; /* of what is there; "": nothing */
    bool created;                            /* there was none */
    uint64_t epoch;                          /* greater than that of every broker before */
    uint64_t number;                         /* of the last entry; 0: none */
};

/* Become the journal's only writer. 0 or a negative errno of base/redis.h. */
NODISCARD int store_claim(struct store *store, struct store_claim *claim);

/* Queue the append of a sealed batch, to be answered by store_read_verdict(). */
NODISCARD int store_queue_append(struct store *store, uint64_t number, const struct blob *batch);
/* Queue a look whether we still own the journal and `number` is its last entry. */
NODISCARD int store_queue_check(struct store *store, uint64_t number);
/* Queue the removal of all entries before `number`, answered by store_read_trimmed(). */
NODISCARD int store_queue_trim(struct store *store, uint64_t number);
/* The answers, in order; what is none of them is -EPROTO, and the connection is closed. */
NODISCARD int store_read_verdict(struct store *store, enum store_verdict *out);
NODISCARD int store_read_trimmed(struct store *store);

/* After STORE_LOST: claim it again for the same epoch, go on behind entry `number`. `batch`: sealed,
 * marks the place. */
NODISCARD int store_restore(struct store *store,
                            const char *identity,
                            uint64_t number,
                            const struct blob *batch,
                            enum store_verdict *out);

/* Read the next entries after the one with id `after` ("": from the beginning): a reply of
 * XRANGE, owned by the caller (freeReplyObject()). */
NODISCARD int store_read(struct store *store, const char *after, redisReply **out);

/* The id and the batch of one of its entries, both borrowed. False: not an entry of a journal. */
bool store_entry(const redisReply *entry, const char **id, const redisReply **batch);

#endif
