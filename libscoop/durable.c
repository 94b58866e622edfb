/* Durable tasks: ordinary tasks of functions that are the broker's own. Source: docs/PROTOCOL.md
 * section 10. */
#include "base/blob.h"
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
#define HEAD_BYTES (ID_BYTES + 2 * (size_t)WIRE_TEXT_MAX + 64)

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

static enum scoop_status check_size(const struct scoop_function *function, size_t size)
{
    const enum scoop_status status = future_check(function, size);

    if (status == SCOOP_OK && size > SCOOP_DURABLE_MAX)
        return error_set(SCOOP_TOO_LARGE,
                         "%s: an argument of %zu bytes; a durable task has at most %zu",
                         function->name, size, SCOOP_DURABLE_MAX);
    return status;
}

/* Id, function and argument in one. NULL: out of memory, and the last error is set. */
static struct blob *
request_new(uint64_t id, const struct wire_function *function, const void *argument, size_t size)
{
    struct blob *request = blob_new(HEAD_BYTES + size);

    if (request != NULL)
        wire_put_u64(request, id);
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
    const struct scoop_function *ask = NULL;

    if (check_size(function, size) != SCOOP_OK ||
        choose("broker.submit", &session, &ask) != SCOOP_OK || choose_id(id) != SCOOP_OK)
        return NULL;
    const struct wire_function wire = function_describe(function, session_program(session));
    struct blob *request CLEANUP(blob_unref_p) = request_new(*id, &wire, argument, size);

    return request != NULL ? scoop_submit_with(session, options, ask, request->data, request->size)
                           : NULL;
}

/* Ask for something by id alone. SCOOP_OK: *out is owned by the caller. */
static enum scoop_status
ask_for(const char *name, scoop_session *session, uint64_t id, int64_t deadline, scoop_future **out)
{
    struct blob *argument CLEANUP(blob_unref_p) = blob_new(ID_BYTES);
    const struct scoop_function *ask = NULL;

    if (argument == NULL)
        return error_set(SCOOP_NO_MEMORY, "%s: out of memory", name);
    const enum scoop_status status = choose(name, &session, &ask);
    if (status != SCOOP_OK)
        return status;
    wire_put_u64(argument, id);
    return future_submit(session, NULL, ask, (struct scoop_bytes){argument->data, argument->size},
                         deadline, out);
}

scoop_future *scoop_attach(scoop_session *session, uint64_t id)
{
    scoop_future *future = NULL;

    ask_for("broker.wait", session, id, program_deadline(SCOOP_FOREVER), &future);
    return future;
}

enum scoop_status scoop_forget(scoop_session *session, uint64_t id, int deadline_ms)
{
    scoop_future *future = NULL;
    struct scoop_bytes nothing;
    enum scoop_status status =
        ask_for("broker.forget", session, id, program_deadline(deadline_ms), &future);

    if (status != SCOOP_OK)
        return status;
    status = scoop_wait(future, deadline_ms);
    if (status == SCOOP_OK)
        status = scoop_result_bytes(future, &nothing);
    scoop_future_free(future);
    return status;
}
