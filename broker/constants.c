/* Invariants: a constant that is not kept is in its session's list, and has no entry; the counters are the
 * number and the bytes of what is in both tables. */
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
    struct durable *entry;   /* in the journal's list; owned; NULL: it is not journaled */
    bool hidden;
    /* Of the link that set it, to know one that is sent again. */
    uint64_t link;
    uint64_t incarnation;
    char setter[160]; /* for people */
    size_t name_bytes;
    size_t value_bytes;
    const uint8_t *value; /* of its entry; or behind the name, which is behind the struct */
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

static struct wire_bytes name_of(const struct constant *c)
{
    return (struct wire_bytes){(const uint8_t *)c->name, c->name_bytes};
}

/* It may be read. */
static bool is_there(const struct constant *c)
{
    return c != NULL && (c->entry == NULL || c->entry->state == DURABLE_DONE);
}

static uint64_t cost_of(size_t name_bytes, size_t value_bytes)
{
    return name_bytes + value_bytes + CONSTANTS_EACH_BYTES;
}

/* The one that is in the journal. */
static struct constant *find_kept(const struct core *core, struct wire_bytes name)
{
    struct constant *c = find(core, name);

    if (c == NULL || c->entry == NULL)
        HASH_FIND(hh, core->constants.hidden, name.data, name.size, c);
    return c;
}

/* The name is free: for one that is behind it. */
static void uncover(struct core *core, struct wire_bytes name)
{
    struct constant *c = NULL;

    HASH_FIND(hh, core->constants.hidden, name.data, name.size, c);
    if (c == NULL)
        return;
    HASH_DEL(core->constants.hidden, c);
    c->hidden = false;
    HASH_ADD(hh, core->constants.by_name, name, c->name_bytes, c);
}

static void forget(struct core *core, struct constant *c)
{
    if (c->session != NULL)
        DL_DELETE(c->session->constants, c);
    if (c->hidden) {
        HASH_DEL(core->constants.hidden, c);
    } else {
        HASH_DEL(core->constants.by_name, c);
        uncover(core, name_of(c));
    }
    if (c->entry != NULL)
        durable_free_constant(core, c->entry);
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

/* A constant without a value, in the table, or hidden behind one of its name. `room`: bytes behind the
 * name. NULL: out of memory. */
static struct constant *add(struct core *core, const struct record_constant *what, size_t room)
{
    struct constant *c = malloc(sizeof(*c) + what->name.size + room);

    if (c == NULL)
        return NULL;
    *c = (struct constant){
        /* Processes remember values by this: it is no other's, of whatever epoch. */
        .serial = (core->epoch << 20) + ++core->constants.made,
        .incarnation = what->incarnation,
        .name_bytes = what->name.size,
        .value_bytes = what->value.size,
        .hidden = find(core, what->name) != NULL,
    };
    wire_text_copy(what->setter, c->setter, sizeof(c->setter));
    memcpy(c->name, what->name.data, what->name.size);
    if (c->hidden)
        HASH_ADD(hh, core->constants.hidden, name, c->name_bytes, c);
    else
        HASH_ADD(hh, core->constants.by_name, name, c->name_bytes, c);
    core->counters.constants++;
    core->counters.constant_bytes += cost_of(c->name_bytes, c->value_bytes);
    return c;
}

/* NULL: out of memory. */
static struct constant *add_here(struct core *core, const struct record_constant *what)
{
    struct constant *c = add(core, what, what->value.size);

    if (c == NULL)
        return NULL;
    uint8_t *value = (uint8_t *)c->name + c->name_bytes;
    if (what->value.size != 0)
        memcpy(value, what->value.data, what->value.size);
    c->value = value;
    return c;
}

/* With an entry in the journal, whose body (taken) has the value. NULL: out of memory. */
static struct constant *
add_journaled(struct core *core, const struct record_constant *what, struct blob *body, bool in)
{
    struct constant *c = body != NULL ? add(core, what, 0) : NULL;

    if (c == NULL) {
        blob_unref(body);
        return NULL;
    }
    c->entry = durable_for_constant(core, c, body, in);
    if (c->entry == NULL) {
        forget(core, c);
        return NULL;
    }
    c->value = body->data + (body->size - c->value_bytes);
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

    HASH_ITER (hh, core->constants.hidden, c, next)
        forget(core, c);
    HASH_ITER (hh, core->constants.by_name, c, next)
        forget(core, c);
}

/* ---- the journal ---- */

struct durable *constants_restore(struct core *core, struct wire_bytes record, struct blob *body)
{
    struct record_constant what;
    struct constant *c = NULL;

    if (record_get_constant(record, &what) == 0) {
        c = find_kept(core, what.name);
        if (c != NULL) { /* it was written anew */
            blob_unref(body);
            return c->entry;
        }
        c = add_journaled(core, &what, body, true);
    } else {
        blob_unref(body);
    }
    if (c == NULL)
        core_note(core, LOG_ERROR, "constant_lost", "msg=\"not readable, or out of memory\"");
    return c != NULL ? c->entry : NULL;
}

void constants_lose(struct core *core, struct wire_bytes record)
{
    struct wire_cursor at = wire_cursor_of(record.data, record.size);
    const struct wire_bytes name = wire_get_text(&at);
    struct constant *c = at.bad ? NULL : find_kept(core, name);

    if (c != NULL)
        forget(core, c);
}

void constants_withdraw(struct core *core, struct constant *c)
{
    ledger_write_unset(core, name_of(c));
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
    if (!is_there(c)) {
        ask_wait_in(task, &c->entry->submitters);
        return;
    }
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}

/* Who sets it, in words; the views are into it and into the request. */
static struct record_constant
describe(const struct session *setter, const struct request *request, char text[160])
{
    const struct peer *peer = setter->peer;

    snprintf(text, 160, "%s@%s (process %u)", peer->name, peer->host, peer->pid);
    return (struct record_constant){
        .incarnation = peer->incarnation,
        .setter = {(const uint8_t *)text, strlen(text)},
        .name = request->name,
        .value = request->value,
    };
}

static void set_new(struct core *core, struct task *task, const struct request *request)
{
    char text[160];
    const struct record_constant what = describe(task->session, request, text);
    struct constant *c = add_here(core, &what);

    if (c == NULL) {
        ask_refuse(core, task, "the broker is out of memory");
        return;
    }
    c->link = task->session->peer->link.id;
    if (!request->kept)
        give_to(c, task->session);
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}

/* The answer comes when it is in the journal. */
static void keep(struct core *core, struct task *task, const struct request *request)
{
    char text[300];
    const char *why = ask_trouble(core, text);

    if (why != NULL) {
        ask_refuse(core, task, "%s", why);
        return;
    }
    const struct record_constant what = describe(task->session, request, text);
    struct constant *c = add_journaled(core, &what, record_constant_body(&what), false);
    if (c == NULL) {
        ask_refuse(core, task, "the broker is out of memory");
        return;
    }
    c->link = task->session->peer->link.id;
    ledger_write(core, c->entry);
    ask_wait_in(task, &c->entry->submitters);
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
    if (request.kept && ask_is_early(core, task))
        return;
    struct constant *known = find(core, request.name);
    if (known != NULL) {
        set_again(core, task, known, &request);
        return;
    }
    if (is_too_much(core, task, &request))
        return;
    if (request.kept && core->durables.session != NULL)
        keep(core, task, &request);
    else
        set_new(core, task, &request);
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
    if (constant == NULL && ask_is_early(core, task))
        return;
    if (!is_there(constant)) {
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
    if (ask_is_early(core, task))
        return;
    struct constant *constant = find(core, name);
    if (!is_there(constant)) {
        refuse_unknown(core, task, name);
        return;
    }
    if (constant->session != NULL) {
        ask_refuse(core, task, "constant \"%.*s\" belongs to %s, and ends with it", (int)name.size,
                   (const char *)name.data, constant->setter);
        return;
    }
    if (constant->entry != NULL)
        ledger_write_unset(core, name_of(constant));
    forget(core, constant);
    ask_answer(core, task, &(struct wire_attempt){.outcome = WIRE_OK});
}
