/* Durable tasks: ordinary tasks of functions that are the broker's own. Source: docs/PROTOCOL.md
 * section 10. */
#include "base/blob.h"
#include "base/durable_list.h"
#include "error.h"
#include "function.h"
#include "future.h"
#include "program.h"
#include "session.h"

#include <openssl/sha.h>
#include <string.h>
#include <sys/random.h>

#define ID_BYTES 8

/* Room for id and function record: text is limited, see wire_put_function(). */
#define HEAD_BYTES (ID_BYTES + 4 + 2 * (size_t)WIRE_TEXT_MAX + 64)

uint64_t scoop_durable_id(const char *name)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    uint64_t id = 0;

    SHA256((const unsigned char *)name, strlen(name), hash);
    for (int i = 0; i < ID_BYTES; i++)
        id = id << 8 | hash[i];
    return id != 0 ? id : 1;
}

/* A broker's own function on a session that has a broker. SCOOP_OK: both are set. */
static enum scoop_status
choose(const char *name, scoop_session **session, const struct scoop_function **function)
{
    const enum scoop_status status = program_root_session(name, *session, session);

    if (status != SCOOP_OK)
        return status;
    if (*session == NULL)
        return error_set(SCOOP_NO_BROKER,
                         "%s: durable tasks need a broker; SCOOP_BROKER is not set", name);
    *function = scoop_builtin(name, SCOOP_VARIABLE, SCOOP_VARIABLE);
    return *function != NULL ? SCOOP_OK : error_set(SCOOP_NO_MEMORY, "%s: out of memory", name);
}

static enum scoop_status choose_id(uint64_t *id)
{
    while (*id == 0) {
        if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
            return error_set(SCOOP_NO_MEMORY, "scoop_submit_durable: no random number to be had");
    }
    return SCOOP_OK;
}

/* Ids that a task waits for. */
struct after_ids {
    const uint64_t *ids;
    size_t count;
};

static enum scoop_status
check(const struct scoop_function *function, size_t size, const struct after_ids *after)
{
    const enum scoop_status status = future_check(function, size);

    if (status != SCOOP_OK)
        return status;
    if (after->count > WIRE_INPUTS_MAX)
        return error_set(SCOOP_MISUSE, "%s: option after_id_count is %zu, must be at most %d",
                         function->name, after->count, WIRE_INPUTS_MAX);
    if (size > SCOOP_DURABLE_MAX - after->count * ID_BYTES)
        return error_set(SCOOP_TOO_LARGE,
                         "%s: an argument of %zu bytes; a durable task has at most %zu",
                         function->name, size, SCOOP_DURABLE_MAX - after->count * ID_BYTES);
    return SCOOP_OK;
}

static void put_after(struct blob *request, const struct after_ids *after)
{
    if (after->count == 0)
        return;
    wire_put_u32(request, (uint32_t)after->count);
    for (size_t i = 0; i < after->count; i++)
        wire_put_u64(request, after->ids[i]);
}

/* Id, what it waits for, function and argument in one. NULL: out of memory, and the last error is set. */
static struct blob *request_new(uint64_t id,
                                const struct after_ids *after,
                                const struct wire_function *function,
                                const void *argument,
                                size_t size)
{
    struct blob *request = blob_new(HEAD_BYTES + after->count * ID_BYTES + size);

    if (request != NULL) {
        wire_put_u64(request, id);
        put_after(request, after);
    }
    if (request == NULL || wire_put_function(request, function) != 0 ||
        blob_reserve(request, size) != 0) {
        blob_unref(request);
        error_set(SCOOP_NO_MEMORY, "scoop_submit_durable: out of memory");
        return NULL;
    }
    wire_put_bytes(request, argument, size);
    return request;
}

scoop_future *scoop_submit_durable(scoop_session *session,
                                   const struct scoop_options *options,
                                   const struct scoop_function *function,
                                   const void *argument,
                                   size_t size,
                                   uint64_t *id)
{
    struct scoop_options others = options != NULL ? *options : (struct scoop_options){0};
    const struct after_ids after = {others.after_ids, others.after_id_count};
    const char *name = after.count != 0 ? "broker.submit_after" : "broker.submit";
    const struct scoop_function *ask = NULL;

    others.after_id_count = 0; /* they travel with the argument */
    if (others.after_count != 0) {
        error_set(SCOOP_MISUSE,
                  "scoop_submit_durable: option after is for tasks of a session; see after_ids");
        return NULL;
    }
    if (others.unique != NULL) {
        error_set(SCOOP_MISUSE, "scoop_submit_durable: option unique is for tasks of a session; a "
                                "durable one has its id, see scoop_durable_id()");
        return NULL;
    }
    if (others.rerun_after_ms != 0) {
        error_set(SCOOP_MISUSE,
                  "scoop_submit_durable: option rerun_after_ms is for tasks of a session");
        return NULL;
    }
    if (check(function, size, &after) != SCOOP_OK || choose(name, &session, &ask) != SCOOP_OK ||
        choose_id(id) != SCOOP_OK)
        return NULL;
    const struct wire_function wire = function_describe(function, session_program(session));
    struct blob *request CLEANUP(blob_unref_p) = request_new(*id, &after, &wire, argument, size);

    return request != NULL ? scoop_submit_with(session, &others, ask, request->data, request->size)
                           : NULL;
}

/* SCOOP_OK: *out is owned by the caller. */
static enum scoop_status ask_for(const char *name,
                                 scoop_session *session,
                                 const struct blob *argument,
                                 int64_t deadline,
                                 scoop_future **out)
{
    const struct scoop_function *ask = NULL;
    const enum scoop_status status = choose(name, &session, &ask);

    if (status != SCOOP_OK)
        return status;
    return future_submit(session, NULL, ask, (struct scoop_bytes){argument->data, argument->size},
                         deadline, out);
}

static enum scoop_status ask_by_id(
    const char *name, scoop_session *session, uint64_t id, int64_t deadline, scoop_future **out)
{
    struct blob *argument CLEANUP(blob_unref_p) = blob_new(ID_BYTES);

    if (argument == NULL)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", name);
    wire_put_u64(argument, id);
    return ask_for(name, session, argument, deadline, out);
}

scoop_future *scoop_attach(scoop_session *session, uint64_t id)
{
    scoop_future *future = NULL;

    ask_by_id("broker.wait", session, id, program_deadline(SCOOP_FOREVER), &future);
    return future;
}

/* Ask, and wait for the answer, which is no more than that it is done. */
static enum scoop_status
do_by_id(const char *name, scoop_session *session, uint64_t id, int deadline_ms)
{
    scoop_future *future = NULL;
    struct scoop_bytes nothing;
    enum scoop_status status = ask_by_id(name, session, id, program_deadline(deadline_ms), &future);

    if (status != SCOOP_OK)
        return status;
    status = scoop_wait(future, deadline_ms);
    if (status == SCOOP_OK)
        status = scoop_result_bytes(future, &nothing);
    scoop_future_free(future);
    return status;
}

enum scoop_status scoop_durable_forget(scoop_session *session, uint64_t id, int deadline_ms)
{
    return do_by_id("broker.forget", session, id, deadline_ms);
}

enum scoop_status scoop_durable_cancel(scoop_session *session, uint64_t id, int deadline_ms)
{
    return do_by_id("broker.cancel", session, id, deadline_ms);
}

enum scoop_status scoop_durable_retry(scoop_session *session, uint64_t id, int deadline_ms)
{
    return do_by_id("broker.retry", session, id, deadline_ms);
}

enum scoop_status scoop_durable_forgive(scoop_session *session, uint64_t id, int deadline_ms)
{
    return do_by_id("broker.forgive", session, id, deadline_ms);
}

/* ---- the list ---- */

/* The whole list in one allocation: entries, then their names behind each other. */
struct list {
    struct scoop_durables durables;
    struct scoop_durable entries[];
};

static const char *const states[] = {
    [DURABLE_LISTED_ACCEPTING] = "accepting", [DURABLE_LISTED_READY] = "ready",
    [DURABLE_LISTED_RUNNING] = "running",     [DURABLE_LISTED_ENDED] = "ended",
    [DURABLE_LISTED_HELD] = "waiting",        [DURABLE_LISTED_BLOCKED] = "blocked",
};

static const char *copy_name(struct wire_bytes name, char **room)
{
    char *copy = *room;

    wire_text_copy(name, copy, name.size + 1);
    *room += name.size + 1;
    return copy;
}

/* A name in the answer takes more than with its end in a C string: the answer's size is room enough.
 * The cursor has been read through once. */
static void fill_list(struct list *list, struct wire_cursor c, size_t count)
{
    char *room = (char *)&list->entries[count];
    struct durable_entry entry;

    for (size_t i = 0; i < count && durable_get_entry(&c, &entry) == 0; i++)
        list->entries[i] = (struct scoop_durable){
            .id = entry.id,
            .state = states[entry.state],
            .status = job_status_of(entry.outcome),
            .attempts = entry.attempts,
            .run_us = entry.run_us,
            .waits_for = entry.waits_for,
            .done = entry.done,
            .total = entry.total,
            .program = copy_name(entry.program, &room),
            .function = copy_name(entry.function, &room),
        };
    list->durables.count = count;
    list->durables.list = list->entries;
}

static enum scoop_status read_list(struct scoop_bytes bytes, struct scoop_durables **out)
{
    struct wire_cursor c = wire_cursor_of(bytes.data, bytes.size);
    const uint64_t kept = wire_get_u64(&c);
    const struct wire_cursor first = c;
    struct durable_entry entry;
    size_t count = 0;

    while (c.at < c.end && durable_get_entry(&c, &entry) == 0)
        count++;
    if (wire_read_ok(&c) != 0)
        return error_set(SCOOP_REFUSED,
                         "the broker's list is not readable: is its version another?");
    struct list *list = malloc(sizeof(*list) + count * sizeof(list->entries[0]) + bytes.size);
    if (list == NULL)
        return error_set(SCOOP_NO_MEMORY, "scoop_durables: out of memory");
    list->durables = (struct scoop_durables){.kept = kept};
    fill_list(list, first, count);
    *out = &list->durables;
    return SCOOP_OK;
}

static enum scoop_status
finish_list(scoop_future *future, int deadline_ms, struct scoop_durables **out)
{
    struct scoop_bytes bytes = {.size = 0};
    enum scoop_status status = scoop_wait(future, deadline_ms);

    if (status == SCOOP_OK)
        status = scoop_result_bytes(future, &bytes);
    return status == SCOOP_OK ? read_list(bytes, out) : status;
}

enum scoop_status scoop_durables(scoop_session *session,
                                 bool failed_only,
                                 uint32_t most,
                                 int deadline_ms,
                                 struct scoop_durables **out)
{
    const struct durable_query query = {
        .most = most != 0 && most < DURABLE_LIST_MAX ? most : DURABLE_LIST_MAX,
        .failed_only = failed_only,
    };
    struct blob *argument CLEANUP(blob_unref_p) = blob_new(16);
    scoop_future *future = NULL;

    *out = NULL;
    if (argument == NULL || durable_put_query(argument, &query) != 0)
        return error_set(SCOOP_NO_MEMORY, "scoop_durables: out of memory");
    enum scoop_status status =
        ask_for("broker.list", session, argument, program_deadline(deadline_ms), &future);
    if (status != SCOOP_OK)
        return status;
    status = finish_list(future, deadline_ms, out);
    scoop_future_free(future);
    return status;
}

void scoop_durables_free(struct scoop_durables *durables)
{
    free(durables); /* the first member of its struct list */
}
