/* The broker's core: two clients and two agents that are known to it, which then send whatever the input
 * says, while time passes and connections and the journal come and go. Everything it sends must decode. */
#include "fuzz.h"

#include "base/link.h"
#include "broker/core.h"
#include "broker/record.h"

#define PEERS      4
#define BODY_MAX   4096
#define STEPS_MAX  400
#define EPOCH      7
#define START_MS   1000
#define FIRST_LINK 100

struct peer_end {
    enum wire_role role;
    uint64_t hello;
    uint64_t link;     /* that the HELLO of this number opens */
    uint64_t sent;     /* seq */
    uint64_t received; /* likewise */
    uint64_t task;     /* of the last attempt that came */
    uint16_t attempt;
};

static struct core *core;
static struct core_effects effects;
static struct peer_end ends[PEERS];
static int64_t now_ms;
static uint64_t journaled;

static struct core_event event_of(enum core_event_type type, size_t peer)
{
    struct core_event event = {.type = type, .role = ends[peer].role, .now_ms = now_ms};

    event.route.size = 1;
    event.route.bytes[0] = (uint8_t)(peer + 1);
    event.key.text[0] = ends[peer].role == WIRE_CLIENT ? 'c' : 'a';
    return event;
}

static void
take_tasks(struct peer_end *end, const struct wire_header *header, struct wire_cursor *c)
{
    struct wire_task task;

    for (uint32_t i = 0; i < header->count; i++) {
        FUZZ_CHECK(wire_get_task(c, &task) == 0);
        end->task = task.id;
        end->attempt = task.attempt;
    }
    FUZZ_CHECK(wire_read_ok(c) == 0);
}

static void take_frame(const struct core_effect *effect)
{
    struct wire_header header;
    struct wire_cursor body;
    struct peer_end *end = &ends[effect->route.bytes[0] - 1];

    FUZZ_CHECK(effect->frame->size <= WIRE_FRAME_MAX);
    FUZZ_CHECK(wire_frame_read(effect->frame->data, effect->frame->size, &header, &body) == 0);
    if (header.link != end->link)
        return;
    if (header.seq > end->received)
        end->received = header.seq;
    if (header.type == WIRE_TASKS)
        take_tasks(end, &header, &body);
}

static void step(const struct core_event *event)
{
    core_step(core, event, &effects);
    for (size_t i = 0; i < effects.count; i++) {
        if (effects.items[i].type == CORE_SEND)
            take_frame(&effects.items[i]);
        journaled += effects.items[i].type == CORE_JOURNAL;
    }
    core_effects_clear(&effects);
}

static void turn(void)
{
    const struct core_event event = event_of(CORE_TURN, 0);

    step(&event);
}

/* The next sequenced frame of a peer; taken. */
static void send(size_t peer, struct blob *frame)
{
    struct core_event event = event_of(CORE_FRAME, peer);

    wire_frame_stamp(frame, ++ends[peer].sent, ends[peer].received);
    event.frame = frame;
    step(&event);
    blob_unref(frame);
}

static struct blob *frame_of(size_t peer, enum wire_type type)
{
    struct blob *frame = wire_frame_new(type, ends[peer].link, 256);

    FUZZ_CHECK(frame != NULL);
    return frame;
}

static struct wire_bytes bytes_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void say_hello(size_t peer)
{
    const struct wire_hello hello = {
        .role = ends[peer].role,
        .pid = 1,
        .incarnation = ends[peer].hello,
        .slots = ends[peer].role == WIRE_AGENT ? 2 : 0,
        .host = bytes_of("host"),
        .name = bytes_of("name"),
        .version = bytes_of("1"),
    };
    struct blob *frame = wire_frame_new(WIRE_HELLO, ends[peer].hello, 256);
    struct core_event event = event_of(CORE_FRAME, peer);

    FUZZ_CHECK(frame != NULL && wire_put_hello(frame, &hello) == 0);
    wire_frame_add_count(frame, 1);
    event.frame = frame;
    step(&event);
    blob_unref(frame);
}

static void define(size_t peer)
{
    const struct wire_function function = {
        .number = 0,
        .argument_bytes = WIRE_VARIABLE,
        .result_bytes = WIRE_VARIABLE,
        .name = bytes_of("command"),
    };
    struct blob *frame = frame_of(peer, WIRE_FUNCTION);

    FUZZ_CHECK(wire_put_function(frame, &function) == 0);
    wire_frame_add_count(frame, 1);
    send(peer, frame);
}

static void begin(uint8_t how)
{
    now_ms = START_MS;
    journaled = 0;
    core = core_new(EPOCH, "fuzz", now_ms);
    FUZZ_CHECK(core != NULL);
    if ((how & 1U) != 0)
        FUZZ_CHECK(core_keep_durables(core, 60000) == 0);
    if ((how & 2U) != 0)
        core_allow_uploads(core);
    for (size_t i = 0; i < PEERS; i++)
        ends[i] = (struct peer_end){
            .role = i < PEERS / 2 ? WIRE_CLIENT : WIRE_AGENT,
            .hello = FIRST_LINK + i,
            .link = link_number(FIRST_LINK + i, EPOCH),
        };
}

static void read_journal(struct wire_cursor *c)
{
    struct core_event event = event_of(CORE_JOURNAL_READ, 0);
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes bytes = fuzz_take(c, size);

    event.frame = blob_new(bytes.size + 1);
    FUZZ_CHECK(event.frame != NULL);
    wire_put_bytes(event.frame, bytes.data, bytes.size);
    record_seal(event.frame); /* or nothing would pass its checksum */
    event.position = ++journaled;
    step(&event);
    blob_unref(event.frame);
}

/* ---- what an input can do ---- */

/* Type, number of records, and their bytes, of the next frame in order. */
static void do_frame(size_t peer, struct wire_cursor *c)
{
    const enum wire_type type = (enum wire_type)wire_get_u8(c);
    const uint8_t count = wire_get_u8(c);
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes body = fuzz_take(c, size < BODY_MAX ? size : BODY_MAX);
    struct blob *frame = frame_of(peer, type);

    FUZZ_CHECK(blob_reserve(frame, body.size) == 0);
    wire_put_bytes(frame, body.data, body.size);
    wire_frame_add_count(frame, count);
    send(peer, frame);
}

/* Bytes of its own making, header and all. */
static void do_bytes(size_t peer, struct wire_cursor *c)
{
    struct core_event event = event_of(CORE_FRAME, peer);
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes bytes = fuzz_take(c, size < BODY_MAX ? size : BODY_MAX);

    event.frame = blob_new(bytes.size + 1);
    FUZZ_CHECK(event.frame != NULL);
    wire_put_bytes(event.frame, bytes.data, bytes.size);
    step(&event);
    blob_unref(event.frame);
}

/* The outcome of the task that came last: no input guesses its number. */
static void do_outcome(size_t peer, struct wire_cursor *c)
{
    struct wire_attempt attempt = {
        .id = ends[peer].task,
        .attempt = ends[peer].attempt,
        .outcome = (enum wire_outcome)(wire_get_u8(c) % WIRE_OUTCOME_END),
        .flags = wire_get_u8(c),
    };
    struct blob *frame = frame_of(peer, WIRE_OUTCOMES);
    const uint8_t size = wire_get_u8(c);

    attempt.bytes = fuzz_take(c, size);
    FUZZ_CHECK(wire_put_attempt(frame, &attempt) == 0);
    wire_frame_add_count(frame, 1);
    send(peer, frame);
}

static void do_pass(size_t peer, struct wire_cursor *c)
{
    (void)peer;
    now_ms += wire_get_u16(c);
    turn();
}

static void do_hello(size_t peer, struct wire_cursor *c)
{
    ends[peer].hello += PEERS * (uint64_t)wire_get_u8(c);
    ends[peer].link = link_number(ends[peer].hello, EPOCH);
    ends[peer].sent = 0;
    ends[peer].received = 0;
    say_hello(peer);
    define(peer);
}

static void do_unreachable(size_t peer, struct wire_cursor *c)
{
    const struct core_event event = event_of(CORE_UNREACHABLE, peer);

    (void)c;
    step(&event);
}

static void do_revoke(size_t peer, struct wire_cursor *c)
{
    const struct core_event event = event_of(CORE_KEY_REVOKED, peer);

    (void)c;
    step(&event);
}

static void do_journal(size_t peer, struct wire_cursor *c)
{
    static const enum core_event_type types[] = {CORE_JOURNALED, CORE_JOURNAL_CHANGED,
                                                 CORE_JOURNAL_LOST};
    const uint8_t which = wire_get_u8(c);
    struct core_event event = event_of(types[which % 3], peer);

    event.position = journaled;
    event.journal = (enum core_journal)((which / 3) % 3);
    event.text = "as the input says";
    step(&event);
}

static void (*const deeds[])(size_t peer, struct wire_cursor *c) = {
    do_frame, do_outcome, do_pass, do_bytes, do_hello, do_unreachable, do_revoke, do_journal,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    const uint8_t how = wire_get_u8(&c);

    begin(how);
    if ((how & 1U) != 0) {
        if ((how & 4U) != 0)
            read_journal(&c);
        struct core_event event = event_of(CORE_JOURNAL_OPENED, 0);
        event.position = journaled;
        step(&event);
    }
    for (size_t i = 0; i < PEERS; i++) {
        say_hello(i);
        define(i);
    }
    for (unsigned i = 0; i < STEPS_MAX && fuzz_left(&c) > 0; i++) {
        const uint8_t what = wire_get_u8(&c);

        deeds[what & 7U]((what >> 3) % PEERS, &c);
        if ((what & 0x80U) == 0)
            turn();
    }
    core_free(core);
    core_effects_fini(&effects);
    effects = (struct core_effects){.items = NULL};
    return 0;
}
