/* What a session does with notes of its running tasks: prints lines, writes the trace, keeps the news of
 * futures (news.h).
 * Source: docs/PROTOCOL.md section 4 ("Notes").
 *
 * notes_take() belongs to who drives the session; notes_drain() may be called by any thread. */
#ifndef LIBSCOOP_NOTES_H
#define LIBSCOOP_NOTES_H

#include "base/err.h"
#include "base/problem.h"
#include "base/wire.h"
#include "config.h"
#include "ledger.h"

#include <pthread.h>

struct notes;

/* What the settings ask for. *out is owned by the caller, NULL: nothing is wanted. -ENOMEM; -errno
 * of creating the trace file: *problem names it. */
NODISCARD int notes_open(const struct config *config, struct notes **out, struct problem *problem);

/* Write what is left (lines: for a second at most) and free it. A trace that could not be written
 * is told on stderr. NULL is accepted. */
void notes_close(struct notes *notes);

/* For struct dialler_config: the kinds that are wanted. NULL: those that make news. */
uint32_t notes_wanted(const struct notes *notes);

/* Handle a NOTES frame; tasks are found in `ledger`, their news belong to `lock`. -EPROTO: malformed. */
NODISCARD int notes_take(struct notes *notes,
                         const struct ledger *ledger,
                         pthread_mutex_t *lock,
                         const struct wire_header *header,
                         struct wire_cursor *body);

/* Before results are handed out: let the lines that came before them be written, within a moment.
 * NULL is accepted. */
void notes_drain(struct notes *notes);

#endif
