/* The inside of a session, shared by session.c (calls of any thread) and session_turn.c (its loop).
 *
 * One thread at a time *drives*: it runs turns of the loop, and only it touches the socket, the
 * link and the client. The session's own thread drives while there is work that nobody waits for,
 * and parks otherwise; a caller who waits drives himself when nobody else does, so that a lone task
 * takes no detour through another thread. */
#ifndef LIBSCOOP_SESSION_STATE_H
#define LIBSCOOP_SESSION_STATE_H

#include "base/dialler.h"
#include "client.h"
#include "config.h"
#include "constant.h"
#include "notes.h"
#include "scatter.h"
#include "session.h"

#include <pthread.h>

enum state {
    STATE_AWAY, /* not open yet, or silent */
    STATE_OPEN,
    STATE_DENIED, /* the broker refused us; see `why` */
};

struct request {
    void (*carry_out)(struct client *client, struct job *job);
    struct job *job;
    bool taken;
    struct request *next;
};

struct scoop_session {
    struct strand *strand; /* of the function whose session it is; NULL: an ordinary one */
    struct config config;
    struct notes *notes; /* NULL: none are wanted */
    void *context;
    int bell; /* eventfd */
    pthread_t thread;
    bool has_thread;
    _Atomic unsigned refs; /* the open session's own, and those of session_ref() */

    pthread_mutex_t lock;   /* protects the part up to the next comment */
    pthread_cond_t changed; /* of the state, of `room`, of a query, of a job that was left */
    pthread_cond_t parked;  /* where the session's thread waits when it does not drive */
    enum state state;
    char why[512];
    uint64_t link; /* that is open, or was last */
    struct job *inbox;
    struct job **inbox_tail;
    struct job *leaving;      /* jobs that were abandoned */
    struct request *requests; /* of session_cancel() and the like */
    struct query *queries;
    struct desk *desks;
    struct constant *constants;  /* uthash by name; owned */
    struct scattered *scattered; /* uthash by id; owned */
    struct blob *freed;          /* of these, to tell hosts of; NULL: none */
    struct value_use *uses;      /* of a function's session: values that it has read; owned */
    int ended_fd;      /* eventfd that tells programs of futures that ended; -1: not asked for */
    bool ended_raised; /* it is readable */
    uint64_t held_tasks;
    uint64_t held_bytes;
    uint32_t credit_tasks; /* as WELCOME said last */
    uint64_t credit_bytes;
    uint32_t waiting_for_room;
    bool driven; /* somebody drives */
    bool asleep; /* who drives may be in zmq_poll, with nothing in the inbox: ring the bell */
    bool idle;   /* the link is open and no task is unfinished; as of the last turn */
    bool closing;

    /* Of the thread that drives. */
    struct dialler *dialler;
    struct client client;
    bool bereft;          /* a constant of ours could not be set anew; see `why` */
    uint64_t incarnation; /* that the broker knows this session by; 0: none yet */
    int64_t now_ms;
    int64_t heard_ms;  /* when the broker was heard last; 0: never */
    int64_t redial_ms; /* when to dial anew; 0: dialling */
    int64_t query_ms;  /* when the last QUERY was sent; 0: none is open */
    int64_t tick_ms;   /* when the dialler wants its turn */
};

/* A client_lend: the program itself, and values. The context is the session; of the thread that drives. */
size_t session_lend(void *session,
                    const struct wire_cargo *cargo,
                    uint8_t *data,
                    size_t size,
                    uint64_t *total,
                    const char **why);

/* Start dialling the broker. Errors: dialler_new(). */
NODISCARD int session_dial(scoop_session *session);

/* Drive for one turn: requests, frames, timers; waits for the next frame no later than `until_ms`.
 * The lock is held and nobody drives, before and after; it is released between. */
void session_drive(scoop_session *session, int64_t until_ms);

/* The same, but only hand out what was asked for: wait for nothing, receive nothing. */
void session_push(scoop_session *session);

/* Have whoever drives look at what was put in, or the session's thread drive. The lock is held. */
void session_wake(scoop_session *session);

/* Does the loop have to turn now, without being asked again? The lock is held and nobody drives. */
bool session_has_work(const scoop_session *session);

/* What the session's thread does until the session is closing; the argument is the session. */
void *session_run(void *session);

#endif
