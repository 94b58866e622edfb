/* Invariants: the users of a value are the tasks in whose session it stands; one without users is unmapped
 * when the executor has nothing to do, or when there are too many bytes of them. */
#include "scatter.h"

#include "base/blob.h"
#include "base/channel.h"
#include "error.h"
#include "executor_state.h"
#include "future.h"
#include "program.h"
#include "session_state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* An executor maps so many bytes of values that no task uses just now. */
#define MAPPED_BYTES_MAX ((uint64_t)1 << 30)

/* Of a program that computes serially. */
static struct {
    pthread_mutex_t lock;
    struct scattered *table;
} serial = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What an executor has mapped: all its functions run in one thread. */
struct value {
    struct scoop_ref ref;
    void *at;
    uint32_t users;
    UT_hash_handle hh; /* by ref.id */
};

struct value_use {
    struct value *value;
    struct value_use *next;
};

static struct {
    struct value *table;
    uint64_t bytes;
} mapped;

/* ---- tables ---- */

/* Where a call looks; session NULL: computed serially. */
struct place {
    pthread_mutex_t *lock;
    struct scattered **table;
};

static struct place place_of(scoop_session *session)
{
    if (session == NULL)
        return (struct place){&serial.lock, &serial.table};
    return (struct place){&session->lock, &session->scattered};
}

/* The lock is held. NULL: there is none, or it was freed. */
static struct scattered *find(const struct place *place, const uint64_t id[2])
{
    struct scattered *found = NULL;

    HASH_FIND(hh, *place->table, id, sizeof(found->ref.id), found);
    return found;
}

void scattered_clear(struct scattered **table)
{
    struct scattered *s = NULL;
    struct scattered *next = NULL;

    HASH_ITER (hh, *table, s, next) {
        HASH_DEL(*table, s);
        free(s);
    }
}

/* ---- main() ---- */

/* What is wrong with scattering that; sets the last error. */
static enum scoop_status check(const void *data, size_t size, scoop_session **session)
{
    static const char call[] = "scoop_scatter";

    if (size > SCOOP_LARGE_MAX)
        return error_set(SCOOP_TOO_LARGE, "%s: %zu bytes; the limit is %zu", call, size,
                         SCOOP_LARGE_MAX);
    if (data == NULL || size == 0)
        return error_set(SCOOP_MISUSE, "%s: there are no bytes", call);
    return program_root_session(call, *session, session);
}

struct scoop_ref scoop_scatter(scoop_session *session, const void *data, size_t size)
{
    const struct scoop_ref none = {{0, 0}, 0};
    struct scoop_ref ref = {{0, 0}, size};

    if (check(data, size, &session) != SCOOP_OK)
        return none;
    struct scattered *s = calloc(1, sizeof(*s));
    if (s == NULL || getrandom(ref.id, sizeof(ref.id), 0) != sizeof(ref.id)) {
        free(s);
        error_set(SCOOP_NO_MEMORY, "scoop_scatter: out of memory");
        return none;
    }
    s->ref = ref;
    s->data = data;
    const struct place place = place_of(session);
    pthread_mutex_lock(place.lock);
    HASH_ADD(hh, *place.table, ref.id, sizeof(s->ref.id), s);
    pthread_mutex_unlock(place.lock);
    return ref;
}

static enum scoop_status unknown(const char *call)
{
    return error_set(SCOOP_REFUSED, "%s: the session has no such value (any more)", call);
}

/* The name of a value on the wire. There is room. */
static void put_key(struct blob *b, const uint64_t id[2])
{
    static const uint8_t zeros[WIRE_KEY_BYTES - 2 * sizeof(uint64_t)];

    wire_put_u64(b, id[0]);
    wire_put_u64(b, id[1]);
    wire_put_bytes(b, zeros, sizeof(zeros));
}

/* Have hosts told. Without memory they let it go by themselves. The lock is held. */
static void tell_hosts(scoop_session *session, const struct scattered *s)
{
    if (session->freed == NULL)
        session->freed = blob_new(WIRE_KEY_BYTES);
    if (session->freed == NULL || blob_reserve(session->freed, WIRE_KEY_BYTES) != 0)
        return;
    put_key(session->freed, s->ref.id);
    session_wake(session);
}

struct blob *scattered_take_freed(scoop_session *session)
{
    return steal(&session->freed);
}

enum scoop_status scoop_unscatter(scoop_session *session, struct scoop_ref ref)
{
    static const char call[] = "scoop_unscatter";
    const enum scoop_status status = program_root_session(call, session, &session);

    if (status != SCOOP_OK)
        return status;
    const struct place place = place_of(session);
    pthread_mutex_lock(place.lock);
    struct scattered *s = find(&place, ref.id);
    if (s != NULL)
        HASH_DEL(*place.table, s);
    if (s != NULL && s->lent && session != NULL)
        tell_hosts(session, s);
    pthread_mutex_unlock(place.lock);
    if (s == NULL)
        return unknown(call);
    free(s);
    return SCOOP_OK;
}

size_t scattered_lend(scoop_session *session,
                      const struct wire_cargo *cargo,
                      uint8_t *data,
                      size_t size,
                      uint64_t *total,
                      const char **why)
{
    struct wire_cursor c = {.at = cargo->key, .end = cargo->key + sizeof(cargo->key)};
    const uint64_t first = wire_get_u64(&c);
    const uint64_t id[2] = {first, wire_get_u64(&c)};
    const struct place place = place_of(session);
    size_t lent = 0;

    *why = "its program has freed it, or never had it";
    pthread_mutex_lock(place.lock);
    struct scattered *s = find(&place, id);
    if (s != NULL && cargo->offset < s->ref.size) {
        const uint64_t left = s->ref.size - cargo->offset;

        lent = left < size ? (size_t)left : size;
        *total = s->ref.size;
        s->lent = true;
        memcpy(data, s->data + cargo->offset, lent);
    }
    pthread_mutex_unlock(place.lock);
    return lent;
}

/* ---- an executor ---- */

static void unmap(struct value *v)
{
    HASH_DEL(mapped.table, v);
    mapped.bytes -= v->ref.size;
    munmap(v->at, (size_t)v->ref.size);
    free(v);
}

void values_let_go(void)
{
    struct value *v = NULL;
    struct value *next = NULL;

    HASH_ITER (hh, mapped.table, v, next) {
        if (v->users == 0)
            unmap(v);
    }
}

void values_release(scoop_session *session)
{
    while (session->uses != NULL) {
        struct value_use *use = session->uses;

        session->uses = use->next;
        use->value->users--;
        free(use);
    }
}

static struct value *find_mapped(const struct scoop_ref *ref)
{
    struct value *v = NULL;

    HASH_FIND(hh, mapped.table, ref->id, sizeof(ref->id), v);
    return v;
}

static enum scoop_status no_memory(void)
{
    return error_set(SCOOP_NO_MEMORY, "scoop_scattered: out of memory");
}

/* The file is taken. */
static enum scoop_status map_file(const struct scoop_ref *ref, int fd, struct value **out)
{
    struct stat file;
    struct value *v = NULL;
    void *at = MAP_FAILED;

    if (mapped.bytes + ref->size > MAPPED_BYTES_MAX)
        values_let_go();
    if (fstat(fd, &file) == 0 && (uint64_t)file.st_size == ref->size)
        at = mmap(NULL, (size_t)ref->size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    v = at != MAP_FAILED ? calloc(1, sizeof(*v)) : NULL;
    if (v == NULL) {
        if (at != MAP_FAILED)
            munmap(at, (size_t)ref->size);
        return error_set(SCOOP_NO_MEMORY, "scoop_scattered: a value of %llu bytes cannot be mapped",
                         (unsigned long long)ref->size);
    }
    v->ref = *ref;
    v->at = at;
    mapped.bytes += ref->size;
    HASH_ADD(hh, mapped.table, ref.id, sizeof(v->ref.id), v);
    *out = v;
    return SCOOP_OK;
}

/* The argument of CHANNEL_VALUE_FUNCTION. NULL: out of memory. */
static struct blob *question_of(const struct scoop_ref *ref)
{
    struct blob *question = blob_new(CHANNEL_VALUE_BYTES);

    if (question == NULL)
        return NULL;
    put_key(question, ref->id);
    wire_put_u64(question, ref->size);
    return question;
}

/* Ask the agent for the file, and wait. */
static enum scoop_status ask(scoop_session *session, const struct scoop_ref *ref, int *fd)
{
    const struct scoop_function *f =
        scoop_builtin(CHANNEL_VALUE_FUNCTION, SCOOP_VARIABLE, SCOOP_VARIABLE);
    struct blob *question CLEANUP(blob_unref_p) = question_of(ref);
    struct scoop_bytes nothing;
    scoop_future *future = NULL;

    if (f == NULL || question == NULL)
        return no_memory();
    enum scoop_status status = future_submit(
        session, NULL, f, (struct scoop_bytes){question->data, question->size}, INT64_MAX, &future);
    if (status != SCOOP_OK)
        return status;
    status = scoop_result_bytes(future, &nothing);
    if (status == SCOOP_OK)
        *fd = files_take(CHANNEL_VALUE | (uint32_t)future->job.no);
    scoop_future_free(future);
    return status;
}

static enum scoop_status use(scoop_session *session, struct value *v)
{
    struct value_use *more = malloc(sizeof(*more));

    if (more == NULL)
        return no_memory();
    *more = (struct value_use){.value = v, .next = session->uses};
    session->uses = more;
    v->users++;
    return SCOOP_OK;
}

static bool is_used(const scoop_session *session, const struct value *v)
{
    const struct value_use *u = session->uses;

    while (u != NULL && u->value != v)
        u = u->next;
    return u != NULL;
}

/* As scoop_scattered(), in a task of an executor. */
static enum scoop_status
read_mapped(scoop_session *session, const struct scoop_ref *ref, struct scoop_bytes *out)
{
    struct value *v = find_mapped(ref);
    enum scoop_status status = SCOOP_OK;
    int fd = -1;

    if (v == NULL) {
        status = ask(session, ref, &fd);
        /* Another task may have had it mapped while this one waited. */
        v = status == SCOOP_OK ? find_mapped(ref) : NULL;
        if (v != NULL)
            close(fd);
        else if (status == SCOOP_OK)
            status = map_file(ref, fd, &v);
    }
    if (status == SCOOP_OK && !is_used(session, v))
        status = use(session, v);
    if (status == SCOOP_OK)
        *out = (struct scoop_bytes){v->at, (size_t)v->ref.size};
    return status;
}

/* ---- reading ---- */

enum scoop_status
scoop_scattered(scoop_session *session, struct scoop_ref ref, struct scoop_bytes *out)
{
    const enum scoop_status status = program_session(session, &session);

    if (status != SCOOP_OK)
        return status;
    if (session != NULL && session->strand != NULL)
        return read_mapped(session, &ref, out);
    const struct place place = place_of(session);
    pthread_mutex_lock(place.lock);
    const struct scattered *s = find(&place, ref.id);
    if (s != NULL)
        *out = (struct scoop_bytes){(void *)(uintptr_t)s->data, (size_t)s->ref.size};
    pthread_mutex_unlock(place.lock);
    return s != NULL ? SCOOP_OK : unknown("scoop_scattered");
}

const void *scoop_scattered_items(struct scoop_ref ref, size_t item_bytes, size_t *count)
{
    struct scoop_bytes bytes;

    if (scoop_scattered(NULL, ref, &bytes) != SCOOP_OK)
        return NULL;
    if (bytes.size % item_bytes != 0) {
        error_set(SCOOP_MISUSE, "scoop_scattered: %zu bytes are not a whole number of items of %zu",
                  bytes.size, item_bytes);
        return NULL;
    }
    *count = bytes.size / item_bytes;
    return bytes.data;
}
