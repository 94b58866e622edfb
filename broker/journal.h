/* The journal of durable tasks, in Redis: what is in it outlives the broker and its host.
 *
 * A thread of its own writes batches of records (record.h) to a Redis stream (store.h), in order
 * and each once, whatever breaks in between; so the loop never waits for Redis. What was not
 * written stays here and is written when Redis is back. At the start the thread reads the stream;
 * the loop takes that as batches, and from then on may append.
 *
 * The first entry has number 1, and each batch is one entry; a *position* is the number of an
 * entry. Another broker that opens the same journal shuts this one out, which then ends.
 *
 * The loop's thread makes all calls. The descriptor is readable when there is news. */
#ifndef BROKER_JOURNAL_H
#define BROKER_JOURNAL_H

#include "base/blob.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/problem.h"
#include "base/redis.h"

#include <stdbool.h>
#include <stdint.h>

/* Longest wait for one reply of Redis. */
#define JOURNAL_TIMEOUT_MS 5000

struct journal;

struct journal_config {
    const char *url;           /* of Redis; like all texts here borrowed during journal_start() */
    const char *password_file; /* NULL or "": none */
    const char *name;          /* scoop:NAME:...; see journal_name_is_valid() */
    /* File that remembers which journal was used, so that an empty or other one is refused; NULL or
     * "": none. */
    const char *mark_file;
    bool init;    /* take an empty or other journal all the same */
    bool salvage; /* leave out records with a wrong checksum instead of refusing */
    struct metrics *metrics;
};

/* Letters, digits, '-', '_' and '.'; at most 64. */
bool journal_name_is_valid(const char *name);

/* Start the thread. 0, or a negative errno with *problem (bad URL, unreadable mark). *out is owned
 * by the caller: journal_stop(). */
NODISCARD int
journal_start(const struct journal_config *config, struct journal **out, struct problem *problem);

/* Write what waits, for at most limit_ms, and end the thread. 0: all is written; -ETIMEDOUT. The
 * journal is gone in any case. NULL is fine. */
int journal_stop(struct journal *journal, int64_t limit_ms);

/* Readable when journal_take() or journal_take_replay() have something new. Borrowed. */
int journal_fd(const struct journal *journal);

enum journal_state {
    JOURNAL_AWAY,  /* Redis does not answer, or refuses us; tried again */
    JOURNAL_FULL,  /* it answers but does not write: disk or memory is full; tried again */
    JOURNAL_UP,    /* all is well */
    JOURNAL_ENDED, /* the journal must not be used: the broker has to end */
};

struct journal_news {
    enum journal_state state;
    char reason[400]; /* one line, why it is not JOURNAL_UP; names the server */
    bool open;        /* all that was in the journal has been taken; append from now on */
    uint64_t epoch;   /* when open: greater than that of any broker before us */
    /* When open: all entries up to here are in Redis. The next batch that is appended after it was
     * first `open` has the number after it. */
    uint64_t position;
    /* How often Redis was found to have lost what it had acknowledged. All that is still needed
     * must be appended again. */
    uint32_t losses;
};

/* Not readable any more, until there is news. Before the calls below: so none is missed. */
void journal_drain(struct journal *journal);

/* How things stand. */
void journal_take(struct journal *journal, struct journal_news *out);

/* The next entry that was in the journal, checked; its number in *position. Owned by the caller.
 * NULL: none yet, or no more: see journal_news.open. */
struct blob *journal_take_replay(struct journal *journal, uint64_t *position);

/* Append a batch of whole records that need not be sealed; takes it. 0, or -ENOMEM: the batch is
 * gone, and with it the order of the journal: the broker has to end. */
NODISCARD int journal_append(struct journal *journal, struct blob *batch);

/* Nothing before this position is needed any more. */
void journal_trim(struct journal *journal, uint64_t position);

#endif
