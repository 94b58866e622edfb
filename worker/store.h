/* What this host got from others under a name: programs by their SHA-256, and values that were scattered.
 * Each is fetched once, however many tasks need it, and kept, as a memory file that nobody can change any
 * more, for the next ones. Source: docs/PROTOCOL.md section 4, "Pieces".
 *
 * Who needs something says for which task, whose submitter is asked. While that is not here the need
 * stands here. When the task that was asked for leaves this host, the next one's submitter is asked, from
 * the beginning. What comes of a program is believed when its SHA-256 is the name.
 *
 * A submitter may be another host that has not got it either, and fetches it first, up the tree of tasks to
 * a client. As long as nothing has come, this host changes to a need whose submitter is a client, or to the
 * newest of those for which another host waits. So hosts do not wait for each other in a ring: the newest
 * question in it would have been handed on already.
 *
 * Bounded: of programs by STORE_PROGRAMS_MAX and STORE_PROGRAMS_BYTES, of values by STORE_VALUES_MAX and by
 * STORE_IDLE_MS without use, of all by the memory that is free; what was used longest ago goes first. One
 * thread. */
#ifndef WORKER_STORE_H
#define WORKER_STORE_H

#include "base/blob.h"
#include "base/err.h"
#include "base/wire.h"
#include "fetch.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_PROGRAMS_MAX   32
#define STORE_PROGRAMS_BYTES ((uint64_t)256 << 20)
/* Each has a descriptor of the agent's, see spawn.c. */
#define STORE_VALUES_MAX 256
#define STORE_IDLE_MS    600000
/* Kept free when something is taken in. */
#define STORE_SPARE_BYTES ((uint64_t)64 << 20)

struct item;
struct need;

/* Here it is (`file`, a cargo; borrowed during the call), or why it is not, for people. The need has left the
 * store. */
typedef void need_done(struct need *need, struct blob *file, const char *why);

struct need {
    enum wire_what what; /* PROGRAM or VALUE */
    uint8_t key[WIRE_KEY_BYTES];
    uint64_t size; /* 0: not known */
    uint64_t task; /* that this host holds: its submitter is asked; and its session */
    uint16_t attempt;
    uint32_t session;
    bool direct; /* that submitter is a client */
    bool loan;   /* the agent of another host waits for it */
    need_done *done;
    void *owner;       /* for the callee */
    struct item *item; /* NULL: it is not in the store */
    struct need *prev;
    struct need *next;
};

struct store {
    struct fetches *fetches;            /* borrowed */
    uint64_t (*room)(const char *root); /* cargo_room(), unless a test says else */
    struct item *items;                 /* owned; utlist DL, used longest ago first */
    uint64_t held;                      /* bytes of all files */
    int64_t check_ms;                   /* next look for what nobody uses */
    uint64_t fetched;                   /* items, ever */
};

/* What is here under this name, a cargo; it counts as used now. Borrowed until the next call. NULL: not
 * here. */
struct blob *
store_find(struct store *store, enum wire_what what, const uint8_t *key, int64_t now_ms);

/* Have it fetched; `need` stays until its `done`, which is never called from here. -ENOMEM. */
NODISCARD int store_need(struct store *store, struct need *need);

/* It is not needed any more. One that is not in the store is accepted. */
void store_drop(struct store *store, struct need *need);

/* It will not be read any more: let it go. What is still needed stays until it has come. */
void store_forget(struct store *store, enum wire_what what, const uint8_t *key);

/* Once in each turn of the loop: begin what can be begun, let go what nobody uses. */
void store_turn(struct store *store, int64_t now_ms);

/* The link is gone: drop all needs without a call; what is here stays. */
void store_reset(struct store *store);

/* Free everything. */
void store_fini(struct store *store);

#endif
