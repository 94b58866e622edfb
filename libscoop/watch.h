/* Who waits for which jobs.
 *
 * A *tray* is where one caller collects the jobs that it waits for; a *watch* ties one job to one
 * tray. A job has any number of watches. When it is done they move to their trays, where they queue
 * in the order of the ends, so that nobody who waits for many jobs has to look at all of them. Every
 * call takes constant time (job_tell(): for each watch).
 *
 * A *desk* has the tray of one thread for as long as it likes: the callbacks of the futures that it
 * asked to be called for. Whoever waits in that thread is woken for them, too.
 *
 * Pure. All of it is used under the lock of the jobs' session. */
#ifndef LIBSCOOP_WATCH_H
#define LIBSCOOP_WATCH_H

#include "base/err.h"
#include "job.h"

#include <stddef.h>
#include <stdint.h>

/* What else a tray is for than ends. */
enum curiosity {
    CURIOUS_OF_NOTHING,
    CURIOUS_OF_NEWS,   /* anything of a job that its caller has not seen: see news.h */
    CURIOUS_OF_PIECES, /* of its result */
};

struct tray {
    struct watch *ended; /* of jobs that are done, oldest end first */
    struct watch **tail;
    void (*wake)(struct tray *tray); /* called when the first one comes */
    bool patient;                    /* for ends only: not for jobs that are blocked */
    enum curiosity curiosity;
};

struct watch {
    struct tray *tray;
    struct watch *next;   /* in the list that it is in: its job's, or its tray's */
    struct watch **place; /* what points to it there; NULL: it is in no list */
    size_t index;         /* for its owner's use */
};

void tray_init(struct tray *tray, void (*wake)(struct tray *tray));

/* Tie `job` to `tray`; the watch belongs to its owner, who keeps it where it is until it was taken
 * or has left. Of a job that is done, or is blocked, or has what the tray is curious of, it goes to the
 * tray at once. */
void watch_job(struct watch *watch, struct tray *tray, struct job *job);

/* Be in no list any more, whichever it was in. */
void watch_leave(struct watch *watch);

/* Take the oldest watch out of the tray. NULL: there is none. */
struct watch *tray_take(struct tray *tray);

/* Move all watches of a job to their trays: it is done, or will be forgotten. */
void job_tell(struct job *job);

/* The same but for patient trays: it is blocked. */
void job_tell_blocked(struct job *job);

/* The same for trays that are curious of what it has now. */
void job_tell_news(struct job *job);

struct desk {
    struct tray tray;
    struct tray *waiting; /* where its thread waits now; NULL: it does not */
    uint64_t owner;
    size_t watches; /* that hang on it, taken ones not */
    struct desk *next;
};

/* The calling thread's desk in this list. NULL: it has none. */
struct desk *desk_find(struct desk *desks);

/* The same, made when there is none. NULL: no memory. */
struct desk *desk_open(struct desk **desks);

/* Free a desk that nothing hangs on and nobody waits at. NULL is accepted. */
void desk_settle(struct desk **desks, struct desk *desk);

#endif
