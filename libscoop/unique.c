/* Invariant: an entry is in the table of keys until its last user leaves or its session is closed, and in that
 * of futures from its settling until its last user leaves. */
#include "unique.h"

#include "base/thread.h"
#include "error.h"
#include "future.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct unique {
    const scoop_session *session; /* NULL: of the serial ones */
    const struct scoop_function *function;
    scoop_future *future; /* NULL: it is being submitted */
    unsigned users;
    bool listed;
    UT_hash_handle by_future;
    UT_hash_handle hh; /* by name */
    size_t name_bytes;
    char name[]; /* the session's address, and the key */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t settled;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct unique *table;
static struct unique *futures;

static void init(void)
{
    thread_init_condition(&settled);
}

static void unlist(struct unique *unique)
{
    if (unique->listed)
        HASH_DEL(table, unique);
    unique->listed = false;
}

/* NULL: out of memory. */
static struct unique *
make(const scoop_session *session, const struct scoop_function *function, const char *key)
{
    const size_t key_bytes = strlen(key);
    struct unique *unique = malloc(sizeof(*unique) + sizeof(session) + key_bytes);

    if (unique == NULL)
        return NULL;
    *unique = (struct unique){
        .session = session,
        .function = function,
        .users = 1,
        .name_bytes = sizeof(session) + key_bytes,
    };
    memcpy(unique->name, &session, sizeof(session));
    memcpy(unique->name + sizeof(session), key, key_bytes);
    return unique;
}

/* The one that is settled, or NULL, in *found. False: not before the deadline. The lock is held. */
static bool look(const struct unique *fresh, int64_t deadline, struct unique **found)
{
    const struct timespec end = thread_time(deadline);

    for (;;) {
        HASH_FIND(hh, table, fresh->name, fresh->name_bytes, *found);
        if (*found == NULL || (*found)->future != NULL)
            return true;
        if (pthread_cond_timedwait(&settled, &lock, &end) != 0)
            return false;
    }
}

/* The lock is held. `fresh` is in the table afterwards, if it is the first of its name. */
static enum scoop_status
enter(struct unique *fresh, const char *key, int64_t deadline, scoop_future **out)
{
    struct unique *found = NULL;

    if (!look(fresh, deadline, &found))
        return error_set(SCOOP_TIMEOUT, "%s: another thread is submitting \"%.80s\" still",
                         fresh->function->name, key);
    if (found == NULL) {
        HASH_ADD(hh, table, name, fresh->name_bytes, fresh);
        fresh->listed = true;
        return SCOOP_OK;
    }
    if (found->function != fresh->function)
        return error_set(SCOOP_MISUSE, "%s: option unique is \"%.80s\", which is a task of %s",
                         fresh->function->name, key, found->function->name);
    found->users++;
    *out = found->future;
    return SCOOP_OK;
}

enum scoop_status unique_find(const scoop_session *session,
                              const struct scoop_function *function,
                              const char *key,
                              int64_t deadline,
                              scoop_future **out,
                              struct unique **claim)
{
    if (key[0] == '\0')
        return error_set(SCOOP_MISUSE, "%s: option unique is \"\", must be a name", function->name);
    struct unique *fresh = make(session, function, key);
    if (fresh == NULL)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", function->name);
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    const enum scoop_status status = enter(fresh, key, deadline, out);
    if (fresh->listed)
        *claim = fresh;
    pthread_mutex_unlock(&lock);
    if (*claim != fresh)
        free(fresh);
    return status;
}

void unique_settle(struct unique *claim, scoop_future *future)
{
    pthread_mutex_lock(&lock);
    claim->future = future;
    if (future != NULL) {
        future->job.named = true;
        HASH_ADD(by_future, futures, future, sizeof(claim->future), claim);
    } else {
        unlist(claim);
    }
    pthread_cond_broadcast(&settled);
    pthread_mutex_unlock(&lock);
    if (future == NULL)
        free(claim);
}

bool unique_leave(const scoop_future *future)
{
    struct unique *unique = NULL;

    pthread_mutex_lock(&lock);
    HASH_FIND(by_future, futures, &future, sizeof(future), unique);
    const bool last = unique == NULL || --unique->users == 0;
    if (last && unique != NULL) {
        HASH_DELETE(by_future, futures, unique);
        unlist(unique);
    }
    pthread_mutex_unlock(&lock);
    if (last)
        free(unique);
    return last;
}

void unique_close(const scoop_session *session)
{
    struct unique *unique = NULL;
    struct unique *next = NULL;

    pthread_mutex_lock(&lock);
    HASH_ITER (hh, table, unique, next) {
        if (unique->session == session)
            unlist(unique);
    }
    pthread_mutex_unlock(&lock);
}
