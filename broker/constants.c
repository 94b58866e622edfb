/* Invariants: a constant that is not kept is in its session's list; the counters are the number
 * and the bytes of what is in the table. */
#include "constants.h"

#include "state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* Flags of "broker.set". */
#define SET_KEPT 1U

struct constant {
    uint64_t serial;
    struct session *session; /* whose it is; NULL: it is kept */
    /* Of the link that set it, to know one that is sent again. */
    uint64_t link;
    uint64_t incarnation;
    char setter[160]; /* for people */
    size_t name_bytes;
    size_t value_bytes;
    uint8_t *value; /* behind the name, which is behind the struct */
    struct constant *prev;
    struct constant *next; /* of its session */
    UT_hash_handle hh;     /* by name */
    char name[];
};

struct request {
    bool kept;
    struct wire_bytes name;
    struct wire_bytes value;
};

/* ---- the table ---- */

static struct constant *find(const struct core *core, struct wire_bytes name)
{
    struct constant *found = NULL;

    HASH_FIND(hh, core->constants.by_name, name.data, name.size, found);
    return found;
}

static uint64_t cost_of(size_t name_bytes, size_t value_bytes)
{
    return name_bytes + value_bytes + CONSTANTS_EACH_BYTES;
}

static void forget(struct core *core, struct constant *c)
{
    if (c->session != NULL)
        DL_DELETE(c->session->constants, c);
    HASH_DEL(core->constants.by_name, c);
    core->counters.constants--;
    core->counters.constant_bytes -= cost_of(c->name_bytes, c->value_bytes);
    free(c);
}

static void give_to(struct constant *c, struct session *session)
{
    if (c->session != NULL)
        DL_DELETE(c->session->constants, c);
    c->session = session;
    if (session != NULL)
        DL_APPEND(session->constants, c);
}

/* NULL: out of memory. */
static struct constant *
add(struct core *core, const struct session *setter, const struct request *request)
{
    const struct peer *peer = setter->peer;
    struct constant *c = malloc(sizeof(*c) + request->name.size + request->value.size);

    if (c == NULL)
        return NULL;
    *c = (struct constant){
        .serial = ++core->constants.serial,
        .link = peer->link.id,
        .incarnation = peer->incarnation,
        .name_bytes = request->name.size,
        .value_bytes = request->value.size,
        .value = (uint8_t *)c->name + request->name.size,
    };
    snprintf(c->setter, sizeof(c->setter), "%s@%s (process %u)", peer->name, peer->host, peer->pid);
    memcpy(c->name, request->name.data, request->name.size);
    if (request->value.size != 0)
        memcpy(c->value, request->value.data, request->value.size);
    HASH_ADD(hh, core->constants.by_name, name, c->name_bytes, c);
    core->counters.constants++;
    core->counters.constant_bytes += cost_of(c->name_bytes, c->value_bytes);
    return c;
}

void constants_drop(struct core *core, struct session *session)
{
    while (session->constants != NULL)
        forget(core, session->constants);
}

void constants_fini(struct core *core)
{
    struct constant *c = NULL;
    struct constant *next = NULL;

    HASH_ITER (hh, core->constants.by_name, c, next)
        forget(core, c);
}

/* ---- requests ---- */

static bool is_name(struct wire_bytes name)
{
    if (name.size == 0 || name.size > CONSTANTS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < ' ' || name.data[i] == 0x7f)
            return false;
    }
    return true;
}

static struct wire_cursor argument_of(const struct task *task)
{
    return (struct wire_cursor){
        .at = task->argument,
        .end = task->argument + task->argument_bytes,
    };
}

/* Read a name. False: there is none that may be one, and the task is refused. */
static bool
read_name(struct core *core, struct task *task, struct wire_cursor *c, struct wire_bytes *name)
{
    *name = wire_get_text(c);
    if (!c->bad && is_name(*name))
        return true;
    ask_refuse(core, task, "the name of a constant has 1 to %zu bytes, no control characters",
               CONSTANTS_NAME_MAX);
    return false;
}

static bool read_set(struct core *core, struct task *task, struct request *out)
{
    struct wire_cursor c = argument_of(task);
    const uint8_t flags = wire_get_u8(&c);

    if (!read_name(core, task, &c, &out->name))
        return false;
    out->kept = (flags & SET_KEPT) != 0;
    out->value = wire_get_bytes(&c, (size_t)(c.end - c.at));
    return true;
}

static bool is_too_much(struct core *core, struct task *task, const struct request *request)
{
    const uint64_t cost = cost_of(request->name.size, request->value.size);
    char name[CONSTANTS_NAME_MAX + 1];

    wire_text_copy(request->name, name, sizeof(name));
    if (request->value.size > CONSTANTS_VALUE_MAX) {
        ask_refuse(core, task, "constant \"%s\" has %zu bytes; the limit is %zu", name,
                   request->value.size, CONSTANTS_VALUE_MAX);
        return true;
    }
    if (core->counters.constant_bytes + cost <= CONSTANTS_BYTES_MAX)
        return false;
    ask_refuse(core, task, "no room for constant \"%s\": the broker keeps %llu of %llu bytes", name,
               (unsigned long long)core->counters.constant_bytes,
               (unsigned long long)CONSTANTS_BYTES_MAX);
    return true;
}

/* The same process sets what it has set before its link was replaced. */
static bool
is_sent_again(const struct constant *c, const struct peer *peer, const struct request *request)
{
    return c->incarnation == peer->incarnation && c->link != peer->link.id &&
           (c->session == NULL) == request->kept && c->value_bytes == request->value.size &&
           (c->value_bytes == 0 || memcmp(c->value, request->value.data, c->value_bytes) == 0);
}

static void
set_again(struct core *core, struct task *task, struct constant *c, const struct request *request)
{
    const struct peer *peer = task->session->peer;

    if (!is_sent_again(c, peer, request)) {
        ask_refuse(core, task, "constant \"%.*s\" is set already, by %s", (int)c->name_bytes,
                   c->name, c->setter);
        return;
    }
    c->link = peer->link.id;
    if (c->session != NULL)
        give_to(c, task->session);
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}

void constants_set(struct core *core, struct task *task)
{
    struct request request;

    if (!read_set(core, task, &request))
        return;
    if (task->session->peer->role == WIRE_AGENT) {
        ask_refuse(core, task, "constants are set by main(), not by functions");
        return;
    }
    struct constant *known = find(core, request.name);
    if (known != NULL) {
        set_again(core, task, known, &request);
        return;
    }
    if (is_too_much(core, task, &request))
        return;
    struct constant *c = add(core, task->session, &request);
    if (c == NULL) {
        ask_refuse(core, task, "the broker is out of memory");
        return;
    }
    if (!request.kept)
        give_to(c, task->session);
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}

static void refuse_unknown(struct core *core, struct task *task, struct wire_bytes name)
{
    ask_refuse(core, task, "no constant \"%.*s\" is set", (int)name.size, (const char *)name.data);
}

void constants_get(struct core *core, struct task *task)
{
    struct wire_cursor c = argument_of(task);
    const uint64_t known = wire_get_u64(&c);
    struct wire_bytes name;

    if (!read_name(core, task, &c, &name))
        return;
    const struct constant *constant = find(core, name);
    if (constant == NULL) {
        refuse_unknown(core, task, name);
        return;
    }
    const size_t size = constant->serial != known ? constant->value_bytes : 0;
    struct blob *answer CLEANUP(blob_unref_p) = blob_new(sizeof(uint64_t) + size);
    if (answer == NULL) {
        ask_refuse(core, task, "the broker is out of memory");
        return;
    }
    wire_put_u64(answer, constant->serial);
    wire_put_bytes(answer, constant->value, size);
    ask_answer(core, task,
               &(struct wire_attempt){
                   .outcome = WIRE_OK,
                   .bytes = {answer->data, answer->size},
               });
}

void constants_unset(struct core *core, struct task *task)
{
    struct wire_cursor c = argument_of(task);
    struct wire_bytes name;

    if (!read_name(core, task, &c, &name))
        return;
    struct constant *constant = find(core, name);
    if (constant == NULL) {
        refuse_unknown(core, task, name);
        return;
    }
    if (constant->session != NULL) {
        ask_refuse(core, task, "constant \"%.*s\" belongs to %s, and ends with it", (int)name.size,
                   (const char *)name.data, constant->setter);
        return;
    }
    forget(core, constant);
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}
