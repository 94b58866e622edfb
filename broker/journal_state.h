/* What the files of the journal share: journal.c is the loop's side, journal_thread.c writes,
 * journal_open.c claims and reads. Nothing else includes this. */
#ifndef BROKER_JOURNAL_STATE_H
#define BROKER_JOURNAL_STATE_H

#include "base/thread.h"
#include "entry.h"
#include "journal.h"
#include "mark.h"
#include "store.h"

#include <pthread.h>

/* Invariants: `sending` holds, in order, the entries confirmed + 1 ... as far as they were taken
 * over, `waiting` those behind; an entry is freed only when Redis has confirmed it. Numbers have no
 * gaps, so sending again is always right. */
struct journal {
    struct thread thread;
    int bell;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under the lock. */
    struct entry_list waiting;
    struct entry_list replay;
    struct journal_news news;
    uint64_t appended; /* number of the last batch */
    uint64_t trim;     /* position wanted; 0: none */
    int64_t stop_ms;   /* until when to go on writing; 0: not stopping */

    /* Of the thread alone. */
    struct redis *redis;
    struct store store;
    struct mark mark;
    bool init;
    bool salvage;
    bool claimed;
    bool open;
    bool ended;
    char identity[STORE_IDENTITY_BYTES + 1];
    char read_id[STORE_ID_MAX]; /* of the last entry that was read */
    uint64_t confirmed;
    uint64_t trimmed;
    struct entry_list sending;
    int64_t checked_ms;
    uint64_t replayed;
    uint64_t skipped;
    struct {
        struct metric *up;
        struct metric *entries;
        struct metric *bytes;
        struct metric *failures;
        struct metric *losses;
    } metric;
};

/* ---- journal_thread.c ---- */

/* The thread. `context` is a struct journal. */
void journal_run(void *context);
/* Readable for the loop: there is news. */
void journal_ring(struct journal *journal);
/* The journal must not be used, for this reason. Returns -ESTALE. */
int journal_end(struct journal *journal, const char *format, ...) PRINTF(2, 3);
/* The same, because another broker has it now. */
int journal_end_taken(struct journal *journal);
/* A sealed batch that says that a broker begins here; owned by the caller. NULL: out of memory. */
NODISCARD struct blob *journal_opening(const struct journal *journal);

/* ---- journal_open.c ---- */

/* Claim the journal, read all of it, and show that it can be written. May be called again after an
 * error: it goes on where it was. 0, -ESTALE (ended), or a negative errno of base/redis.h. */
NODISCARD int journal_open(struct journal *journal);

#endif
