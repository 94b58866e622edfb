/* What is known of a task while it runs: whether it does, how far it is, and the pieces of its result that
 * nobody has taken yet, which are bounded. Pure. Under the lock of the job's session; of a job that is done
 * it is its caller's. NULL is accepted: nothing is known. */
#ifndef LIBSCOOP_NEWS_H
#define LIBSCOOP_NEWS_H

#include "base/err.h"
#include "base/wire.h"
#include "libscoop/include/scoop.h"

/* Pieces kept for one future, and for all of this process, in bytes; each counts as some more. */
#define NEWS_BYTES_MAX     ((size_t)1 << 20)
#define NEWS_ALL_BYTES_MAX ((size_t)64 << 20)

struct piece;

struct news {
    bool is_new; /* something has come that its caller has not been told of */
    bool running;
    bool has_progress;
    uint64_t link; /* by which all this came, and of which attempt it is */
    uint16_t running_attempt;
    struct wire_progress progress;
    uint16_t attempt; /* that the pieces are of which came last */
    uint32_t next_index;
    size_t bytes;         /* of `pieces` */
    struct piece *pieces; /* oldest first; utlist DL */
    struct piece *taken;  /* what the caller looks at; NULL: nothing */
};

/* Take in a RUNNING, PROGRESS or PARTIAL note that came by this link. *news is made when it is needed; it
 * is owned by its job. False: nothing is new; what does not decode, or has no room, is dropped. */
NODISCARD bool news_take(struct news **news, uint64_t link, const struct wire_note *note);

/* The same of a function that is computed here. */
void news_say_progress(struct news **news, struct wire_progress progress);
void news_put_piece(struct news **news, uint16_t attempt, const struct wire_partial *partial);

/* Has something come since this was asked last? news_see(): from now on nothing has. */
bool news_is_new(const struct news *news);
bool news_see(struct news *news);

bool news_has_piece(const struct news *news);

/* The oldest piece; it lasts until the next call, or news_free(). False: there is none. */
NODISCARD bool news_take_piece(struct news *news, struct scoop_piece *out);

void news_free(struct news *news);

#endif
