/* Invariants: a constant of one's own is in the table from before it is asked for; it has a value
 * for others when its `set` has ended well, and leaves the table when that did not. */
#include "constant.h"

#include "await.h"
#include "base/wire.h"
#include "error.h"
#include "future.h"
#include "program.h"
#include "session_state.h"

#include <string.h>

#define SERIAL_BYTES sizeof(uint64_t)

/* Flag of "broker.set". */
#define KEPT 1U

/* What an executor remembers of the values that its functions have read. */
#define KNOWN_BYTES_MAX ((size_t)64 << 20)

/* Of a program that computes serially. */
static struct {
    pthread_mutex_t lock;
    struct constant *table;
} serial = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of an executor: all its functions run in one thread. */
struct known {
    char name[256];
    uint64_t serial;
    struct blob *answer; /* serial and value */
    UT_hash_handle hh;
};

static struct {
    struct known *table; /* oldest first */
    size_t bytes;
} known;

/* ---- tables ---- */

/* Where a call looks; session NULL: computed serially. */
struct place {
    pthread_mutex_t *lock;
    struct constant **table;
};

static struct place place_of(scoop_session *session)
{
    if (session == NULL)
        return (struct place){&serial.lock, &serial.table};
    return (struct place){&session->lock, &session->constants};
}

static void constant_free(struct constant *c)
{
    if (c->read != NULL)
        constant_free(c->read);
    job_fini(&c->set);
    job_fini(&c->again);
    scoop_bytes_free(&c->answer, 1);
    blob_unref(c->holder);
    free(c);
}

void constants_clear(struct constant **table)
{
    struct constant *c = NULL;
    struct constant *next = NULL;

    HASH_ITER (hh, *table, c, next) {
        HASH_DEL(*table, c);
        constant_free(c);
    }
}

static bool is_set(const struct constant *c)
{
    return !c->own ||
           (atomic_load_explicit(&c->set.done, memory_order_acquire) && c->set.failure == NULL);
}

void constants_set_anew(struct constant *table,
                        void (*add)(void *context, struct job *job),
                        void *context)
{
    for (struct constant *c = table; c != NULL; c = c->hh.next) {
        const bool under_way = c->again.function != NULL &&
                               !atomic_load_explicit(&c->again.done, memory_order_acquire);

        if (!c->own || !is_set(c) || under_way)
            continue;
        job_fini(&c->again);
        scoop_bytes_free(&c->answer, 1);
        c->again = (struct job){
            .function = c->set.function,
            .count = 1,
            .in_each = &c->request,
            .out_each = &c->answer,
            .sets_anew = true,
        };
        add(context, &c->again);
    }
}

/* The constant of this name in the table; NULL: there is none. The lock is held. */
static struct constant *find(const struct place *place, const char *name)
{
    struct constant *found = NULL;

    HASH_FIND_STR(*place->table, name, found);
    return found;
}

/* Put it into the table (taken). False: there is one of its name, and *own says whether we set that.
 * While that is only asked for, what was read has a place behind it: the broker may know another one. */
static bool put(const struct place *place, struct constant *c, bool *own)
{
    pthread_mutex_lock(place->lock);
    struct constant *const there = find(place, c->name);
    bool taken = there == NULL;
    *own = there == NULL || there->own;
    if (there == NULL) {
        HASH_ADD_STR(*place->table, name, c);
    } else if (!c->own && !is_set(there) && there->read == NULL) {
        there->read = c;
        taken = true;
    }
    pthread_mutex_unlock(place->lock);
    if (!taken)
        constant_free(c);
    return taken;
}

static void take_out(const struct place *place, struct constant *c)
{
    pthread_mutex_lock(place->lock);
    HASH_DEL(*place->table, c);
    if (c->read != NULL)
        HASH_ADD_STR(*place->table, name, c->read);
    c->read = NULL;
    pthread_mutex_unlock(place->lock);
    constant_free(c);
}

/* ---- requests ---- */

static enum scoop_status check_name(const char *call, const char *name)
{
    const size_t size = name != NULL ? strlen(name) : 0;

    if (size == 0 || size > SCOOP_CONSTANT_NAME_MAX)
        return error_set(SCOOP_MISUSE, "%s: a name of %zu bytes; it has 1 to %d", call, size,
                         SCOOP_CONSTANT_NAME_MAX);
    return SCOOP_OK;
}

static enum scoop_status check(const char *call, const char *name, size_t size)
{
    const enum scoop_status status = check_name(call, name);

    if (status == SCOOP_OK && size > SCOOP_CONSTANT_MAX)
        return error_set(SCOOP_TOO_LARGE, "%s: constant \"%s\" has %zu bytes; the limit is %zu",
                         call, name, size, SCOOP_CONSTANT_MAX);
    return status;
}

static enum scoop_status no_memory(const char *call)
{
    return error_set(SCOOP_NO_MEMORY, "%s: out of memory", call);
}

/* The argument of "broker.set". NULL: out of memory. */
static struct blob *set_request(uint8_t flags, const char *name, const void *data, size_t size)
{
    struct blob *request = blob_new(3 + strlen(name) + size);

    if (request == NULL)
        return NULL;
    wire_put_u8(request, flags);
    wire_put_text(request, name);
    wire_put_bytes(request, data, size);
    return request;
}

/* Ask the broker and wait for its answer. SCOOP_OK: *out is owned by the caller. */
static enum scoop_status
ask(scoop_session *session, const char *function, const struct blob *request, scoop_future **out)
{
    const struct scoop_function *f = scoop_builtin(function, SCOOP_VARIABLE, SCOOP_VARIABLE);
    struct scoop_bytes answer;

    if (f == NULL || request == NULL)
        return no_memory(function);
    enum scoop_status status = future_submit(
        session, NULL, f, (struct scoop_bytes){request->data, request->size}, INT64_MAX, out);
    if (status != SCOOP_OK)
        return status;
    status = scoop_result_bytes(*out, &answer);
    if (status != SCOOP_OK)
        scoop_future_free(*out);
    return status;
}

/* A session with a broker, for what is nothing without one. */
static enum scoop_status with_broker(const char *call, scoop_session **session)
{
    const enum scoop_status status = program_root_session(call, *session, session);

    if (status == SCOOP_OK && *session == NULL)
        return error_set(SCOOP_NO_BROKER,
                         "%s: constants are kept by a broker; SCOOP_BROKER is not set", call);
    return status;
}

/* ---- setting ---- */

/* NULL: out of memory. */
static struct constant *own_new(const char *name, const void *data, size_t size)
{
    const struct scoop_function *f = scoop_builtin("broker.set", SCOOP_VARIABLE, SCOOP_VARIABLE);
    struct blob *request = set_request(0, name, data, size);
    struct constant *c = calloc(1, sizeof(*c));

    if (c == NULL || request == NULL || f == NULL) {
        blob_unref(request);
        free(c);
        return NULL;
    }
    memcpy(c->name, name, strlen(name));
    c->holder = request;
    c->value = request->data + request->size - size;
    c->size = size;
    c->own = true;
    c->request = (struct scoop_bytes){request->data, request->size};
    c->set.function = f;
    c->set.count = 1;
    c->set.in_each = &c->request;
    c->set.out_each = &c->answer;
    return c;
}

static enum scoop_status set_on(scoop_session *session, struct constant *c)
{
    if (session == NULL) {
        atomic_store_explicit(&c->set.done, true, memory_order_release);
        return SCOOP_OK;
    }
    enum scoop_status status = session_await(session, INT64_MAX);
    if (status == SCOOP_OK)
        status = session_add_held(session, &c->set, c->request.size, INT64_MAX);
    if (status != SCOOP_OK)
        return status;
    await_job(session, &c->set, INT64_MAX);
    return error_of_job(&c->set);
}

enum scoop_status
scoop_constant_set(scoop_session *session, const char *name, const void *data, size_t size)
{
    static const char call[] = "scoop_constant_set";
    enum scoop_status status = check(call, name, size);

    if (status == SCOOP_OK)
        status = program_root_session(call, session, &session);
    if (status != SCOOP_OK)
        return status;
    const struct place place = place_of(session);
    struct constant *c = own_new(name, data, size);
    if (c == NULL)
        return no_memory(call);
    bool own = false;
    if (!put(&place, c, &own))
        return error_set(SCOOP_REFUSED, "%s: constant \"%s\" is set already, %s", call, name,
                         own ? "by this program" : "by another program: this one has read it");
    status = set_on(session, c);
    if (status != SCOOP_OK)
        take_out(&place, c);
    return status;
}

enum scoop_status
scoop_constant_keep(scoop_session *session, const char *name, const void *data, size_t size)
{
    static const char call[] = "scoop_constant_keep";
    scoop_future *future = NULL;
    enum scoop_status status = check(call, name, size);

    if (status == SCOOP_OK)
        status = with_broker(call, &session);
    if (status != SCOOP_OK)
        return status;
    struct blob *request CLEANUP(blob_unref_p) = set_request(KEPT, name, data, size);
    status = ask(session, "broker.set", request, &future);
    if (status == SCOOP_OK)
        scoop_future_free(future);
    return status;
}

enum scoop_status scoop_constant_unset(scoop_session *session, const char *name)
{
    static const char call[] = "scoop_constant_unset";
    scoop_future *future = NULL;
    enum scoop_status status = check_name(call, name);

    if (status == SCOOP_OK)
        status = with_broker(call, &session);
    if (status != SCOOP_OK)
        return status;
    struct blob *request CLEANUP(blob_unref_p) = blob_new(2 + strlen(name));
    if (request != NULL)
        wire_put_text(request, name);
    status = ask(session, "broker.unset", request, &future);
    if (status == SCOOP_OK)
        scoop_future_free(future);
    return status;
}

/* ---- what an executor knows ---- */

static void forget_known(struct known *k)
{
    HASH_DEL(known.table, k);
    known.bytes -= k->answer->size;
    blob_unref(k->answer);
    free(k);
}

/* Remember an answer with its value. Without memory it is asked for again. */
static void remember(const char *name, struct blob *answer, uint64_t number)
{
    struct known *k = NULL;

    HASH_FIND_STR(known.table, name, k);
    if (k != NULL)
        forget_known(k);
    while (known.table != NULL && known.bytes + answer->size > KNOWN_BYTES_MAX)
        forget_known(known.table);
    k = calloc(1, sizeof(*k));
    if (k == NULL)
        return;
    memcpy(k->name, name, strlen(name));
    k->serial = number;
    k->answer = blob_ref(answer);
    known.bytes += answer->size;
    HASH_ADD_STR(known.table, name, k);
}

/* ---- reading ---- */

static struct blob *get_request(const char *name, uint64_t number)
{
    struct blob *request = blob_new(SERIAL_BYTES + 2 + strlen(name));

    if (request == NULL)
        return NULL;
    wire_put_u64(request, number);
    wire_put_text(request, name);
    return request;
}

/* The answer in memory of its own; what was known already when the broker says that it is the same.
 * NULL: out of memory, or an answer that is none. */
static struct blob *
answer_of(struct scoop_bytes bytes, struct blob *before, uint64_t number, uint64_t *now)
{
    struct wire_cursor c = wire_cursor_of(bytes.data, bytes.size);

    *now = wire_get_u64(&c);
    if (c.bad)
        return NULL;
    if (before != NULL && *now == number)
        return blob_ref(before);
    struct blob *answer = blob_new(bytes.size);
    if (answer != NULL)
        wire_put_bytes(answer, bytes.data, bytes.size);
    return answer;
}

/* Ask the broker for it. SCOOP_OK: *out is an answer with a value, a reference of the caller. */
static enum scoop_status fetch(scoop_session *session, const char *name, struct blob **out)
{
    scoop_future *future = NULL;
    struct scoop_bytes bytes;
    struct known *k = NULL;
    uint64_t now = 0;

    if (session->strand != NULL)
        HASH_FIND_STR(known.table, name, k);
    const uint64_t number = k != NULL ? k->serial : 0;
    /* Another function of this process may forget it while this one waits. */
    struct blob *before CLEANUP(blob_unref_p) = k != NULL ? blob_ref(k->answer) : NULL;
    struct blob *request CLEANUP(blob_unref_p) = get_request(name, number);
    enum scoop_status status = ask(session, "broker.get", request, &future);

    if (status != SCOOP_OK)
        return status;
    status = scoop_result_bytes(future, &bytes);
    if (status == SCOOP_OK)
        *out = answer_of(bytes, before, number, &now);
    scoop_future_free(future);
    if (status != SCOOP_OK)
        return status;
    if (*out == NULL)
        return no_memory("scoop_constant");
    if (session->strand != NULL && *out != before)
        remember(name, *out, now);
    return SCOOP_OK;
}

/* Look it up. False: it is not known here, or ours is only asked for. */
static bool look_up(const struct place *place, const char *name, struct scoop_bytes *out)
{
    pthread_mutex_lock(place->lock);
    const struct constant *c = find(place, name);
    if (c != NULL && !is_set(c))
        c = c->read;
    const bool found = c != NULL;
    if (found)
        *out = (struct scoop_bytes){c->value, c->size};
    pthread_mutex_unlock(place->lock);
    return found;
}

static enum scoop_status unknown(const char *name)
{
    return error_set(SCOOP_REFUSED, "scoop_constant: no constant \"%s\" is set", name);
}

enum scoop_status scoop_constant(scoop_session *session, const char *name, struct scoop_bytes *out)
{
    struct blob *answer = NULL;
    enum scoop_status status = check_name("scoop_constant", name);

    if (status == SCOOP_OK)
        status = program_session(session, &session);
    if (status != SCOOP_OK)
        return status;
    const struct place place = place_of(session);
    if (look_up(&place, name, out))
        return SCOOP_OK;
    status = session != NULL ? fetch(session, name, &answer) : unknown(name);
    if (status != SCOOP_OK || answer == NULL)
        return status;
    struct constant *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        blob_unref(answer);
        return no_memory("scoop_constant");
    }
    memcpy(c->name, name, strlen(name));
    c->holder = answer;
    c->value = answer->data + SERIAL_BYTES;
    c->size = answer->size - SERIAL_BYTES;
    bool own = false;
    (void)put(&place, c, &own);
    return look_up(&place, name, out) ? SCOOP_OK : unknown(name);
}
