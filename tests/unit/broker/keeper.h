/* A world whose core keeps durable tasks: its journal is the world's list of batches, which the test
 * confirms, or reads to another core. A failure fails the test. */
#ifndef TESTS_BROKER_KEEPER_H
#define TESTS_BROKER_KEEPER_H

#include "broker/record.h"
#include "world.h"

/* The functions of the broker that given_asker() defines, by their number. */
enum { SUBMIT = 1, WAIT, FORGET, CANCEL, RETRY, SUBMIT_AFTER, FORGIVE };

#define KEEP_MS 20000

/* The journal has not been read yet; it is open and empty; it holds what `before` has written. */
struct world given_unopened_world(void);
struct world given_durable_world(void);
struct world given_next_world(const struct world *before);
/* It reads what `before` has written, and opens. */
void read_all(struct world *w, const struct world *before);

struct end *given_asker(struct world *w);

/* One of the journal's events. */
void journal_event(struct world *w, enum core_event_type type, uint64_t position);
/* It is in this state now; a turn follows. */
void journal_is(struct world *w, enum core_journal state, const char *reason);
/* All that was handed out is in the journal now; a turn follows. */
void confirm(struct world *w);

/* The client's task `no` asks for something about the durable task `id`, whose argument is one byte; a
 * turn follows. request() is such an argument, for ask_with(). */
void ask_for(struct world *w, struct end *client, uint32_t what, uint64_t no, uint64_t id);
struct blob *request(uint32_t what, uint64_t id, size_t size);

/* Ask for the durable task `id` that waits for others; their ids end with 0. A turn follows. */
void ask_after(
    struct world *w, struct end *client, uint64_t no, uint64_t id, const uint64_t *after);

/* The client has so many results; the last is of its task `no`. */
void assert_told(const struct end *client, uint32_t count, uint64_t no, enum wire_outcome how);

/* How many records of this type are in the journal from batch `first` (from 0) on. */
uint32_t records(const struct world *w, enum record_type type, size_t first);
/* Make the batches readable. */
void seal_all(struct world *w);

#endif
