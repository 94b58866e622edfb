/* libscoop's side of a session, and the dialling end of its link, against a broker that sends what the input
 * says: it knows the link's numbers, and the rest is its own. Everything that the client sends must decode,
 * and every job must come back, once. The dialler finds this file in place of ZeroMQ. */
#include "fuzz.h"

#include "base/dialler.h"
#include "libscoop/client.h"
#include "libscoop/notes.h"

#include <sys/random.h>

#define STEPS_MAX   300
#define BODY_MAX    2048
#define JOBS_MAX    12
#define TASKS       3
#define LARGE_BYTES ((size_t)WIRE_INLINE_MAX + 10)
#define SENDS_MAX   1000

struct errand {
    struct job job;
    bool given;
    bool back;
    struct scoop_bytes out_each[TASKS];
    int32_t out[TASKS];
};

static struct client client;
static struct dialler *dialler;
static struct errand errands[JOBS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t now_ms;
static struct blob *arriving; /* the message in the socket; NULL: none */
static uint64_t link_no;      /* of the last HELLO */
static uint64_t sent;         /* by the broker, on this link: seq */
static uint64_t received;
static uint64_t randoms;

/* ---- in place of ZeroMQ and the kernel ---- */

void *__wrap_zmq_socket(void *context, int type);
int __wrap_zmq_close(void *socket);
int __wrap_zmq_connect(void *socket, const char *endpoint);
int __wrap_zframe_prepare(void *socket);
int __wrap_zframe_send(void *socket, struct blob *frame, bool more);
int __wrap_zframe_receive(void *socket, struct blob **out, bool *more);
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags);

void *__wrap_zmq_socket(void *context, int type)
{
    (void)type;
    return context;
}

int __wrap_zmq_close(void *socket)
{
    (void)socket;
    return 0;
}

int __wrap_zmq_connect(void *socket, const char *endpoint)
{
    (void)socket;
    (void)endpoint;
    return 0;
}

int __wrap_zframe_prepare(void *socket)
{
    (void)socket;
    return 0;
}

int __wrap_zframe_send(void *socket, struct blob *frame, bool more)
{
    struct wire_header header;
    struct wire_cursor body;

    (void)socket;
    (void)more;
    FUZZ_CHECK(wire_frame_read(frame->data, frame->size, &header, &body) == 0);
    if (header.type == WIRE_HELLO && header.link != link_no) {
        link_no = header.link;
        sent = 0;
        received = 0;
    }
    if (header.seq > received)
        received = header.seq;
    return 0;
}

int __wrap_zframe_receive(void *socket, struct blob **out, bool *more)
{
    (void)socket;
    *more = false;
    if (arriving == NULL)
        return -EAGAIN;
    *out = arriving;
    arriving = NULL;
    return 0;
}

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags)
{
    (void)flags;
    memset(buffer, 0, size);
    randoms++;
    memcpy(buffer, &randoms, size < sizeof(randoms) ? size : sizeof(randoms));
    return (ssize_t)size;
}

/* ---- as libscoop/session_turn.c does ---- */

static void take_frame(struct dialler_input *in)
{
    switch ((int)in->header.type) {
    case WIRE_RESULTS: FUZZ_ANY(client_take_results(&client, &in->header, &in->body)); break;
    case WIRE_PIECE: FUZZ_ANY(client_take_pieces(&client, &in->header, &in->body)); break;
    case WIRE_WANT: FUZZ_ANY(client_take_wants(&client, &in->header, &in->body)); break;
    case WIRE_NEED: FUZZ_ANY(client_take_needs(&client, &in->header, &in->body)); break;
    case WIRE_NOTES:
        FUZZ_ANY(notes_take(NULL, &client.ledger, &lock, &in->header, &in->body));
        break;
    default: break;
    }
}

static void take_ended(void)
{
    struct job *job = NULL;

    while (client_take_blocked(&client) != NULL)
        ;
    while ((job = client_take_ended(&client)) != NULL) {
        struct errand *e = (struct errand *)((char *)job - offsetof(struct errand, job));

        FUZZ_CHECK(e->given && !e->back && job->ended == job->count);
        FUZZ_CHECK(job->failures <= job->count);
        e->back = true;
    }
}

static void send_all(void)
{
    struct blob *frame = NULL;

    for (int i = 0; i < SENDS_MAX && dialler_is_open(dialler); i++) {
        if (client_next_frame(&client, &frame) != 0 && client_next_piece(&client, &frame) != 0)
            return;
        FUZZ_ANY(dialler_send(dialler, frame));
    }
}

static void turn(void)
{
    struct dialler_input in;
    int64_t next_ms = 0;
    enum dialler_event event = DIALLER_NOTHING;

    send_all();
    while ((event = dialler_receive(dialler, now_ms, &in)) != DIALLER_NOTHING) {
        if (event == DIALLER_OPENED)
            FUZZ_CHECK(client_open(&client, in.header.link, in.welcome.credit_tasks,
                                   in.welcome.credit_bytes) == 0);
        if (event == DIALLER_FRAME)
            take_frame(&in);
        if (event == DIALLER_REFUSED)
            client_give_up(&client, SCOOP_DENIED, "refused");
    }
    FUZZ_ANY(dialler_tick(dialler, now_ms, &next_ms));
    take_ended();
}

/* ---- what a broker sends ---- */

static void arrive(struct blob *frame)
{
    blob_unref(arriving);
    arriving = frame;
    turn();
}

static struct blob *frame_of(enum wire_type type)
{
    struct blob *frame = wire_frame_new(type, link_no, 256);

    FUZZ_CHECK(frame != NULL);
    return frame;
}

static void arrive_in_order(struct blob *frame)
{
    wire_frame_stamp(frame, ++sent, received);
    arrive(frame);
}

static void say_welcome(uint32_t credit_tasks)
{
    const struct wire_welcome welcome = {
        .epoch = 7,
        .lease_ms = 3000,
        .ping_ms = 1000,
        .credit_tasks = credit_tasks,
        .credit_bytes = (uint64_t)1 << 28,
        .version = {(const uint8_t *)"1", 1},
    };
    struct blob *frame = frame_of(WIRE_WELCOME);

    FUZZ_CHECK(wire_put_welcome(frame, &welcome) == 0);
    wire_frame_add_count(frame, 1);
    arrive(frame);
}

/* ---- what an input can do ---- */

static void do_frame(struct wire_cursor *c)
{
    const enum wire_type type = (enum wire_type)wire_get_u8(c);
    const uint8_t count = wire_get_u8(c);
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes body = fuzz_take(c, size < BODY_MAX ? size : BODY_MAX);
    struct blob *frame = frame_of(type);

    FUZZ_CHECK(blob_reserve(frame, body.size) == 0);
    wire_put_bytes(frame, body.data, body.size);
    wire_frame_add_count(frame, count);
    if (type == WIRE_WELCOME || type == WIRE_GONE || type == WIRE_REFUSED || type == WIRE_PING)
        arrive(frame);
    else
        arrive_in_order(frame);
}

/* Bytes of its own making, header and all. */
static void do_bytes(struct wire_cursor *c)
{
    const uint16_t size = wire_get_u16(c);
    const struct wire_bytes bytes = fuzz_take(c, size < BODY_MAX ? size : BODY_MAX);
    struct blob *frame = blob_new(bytes.size + 1);

    FUZZ_CHECK(frame != NULL);
    wire_put_bytes(frame, bytes.data, bytes.size);
    arrive(frame);
}

/* The outcome of a task that is likely to be known: no input guesses its number. */
static void do_result(struct wire_cursor *c)
{
    struct wire_result result = {
        .no = ledger_next_no(&client.ledger) - wire_get_u8(c) % 8,
        .attempts = wire_get_u8(c),
        .outcome = (enum wire_outcome)(wire_get_u8(c) % WIRE_OUTCOME_END),
    };
    struct blob *frame = frame_of(WIRE_RESULTS);
    const uint8_t size = wire_get_u8(c);

    result.bytes = fuzz_take(c, size);
    FUZZ_CHECK(wire_put_result(frame, &result) == 0);
    wire_frame_add_count(frame, 1);
    arrive_in_order(frame);
}

static struct wire_cargo any_cargo(struct wire_cursor *c)
{
    struct wire_cargo cargo = {
        .task = ledger_next_no(&client.ledger) - wire_get_u8(c) % 8,
        .attempt = (uint16_t)(wire_get_u8(c) % 4),
        .what = (enum wire_what)(wire_get_u8(c) % WIRE_WHAT_END),
    };

    cargo.offset = wire_get_u8(c) * (uint64_t)16384;
    return cargo;
}

static void do_want(struct wire_cursor *c)
{
    const struct wire_want want = {.cargo = any_cargo(c), .length = wire_get_u32(c)};
    struct blob *frame = frame_of(WIRE_WANT);

    FUZZ_CHECK(wire_put_want(frame, &want) == 0);
    wire_frame_add_count(frame, 1);
    arrive_in_order(frame);
}

static void do_piece(struct wire_cursor *c)
{
    struct wire_piece piece = {.cargo = any_cargo(c), .total = wire_get_u32(c)};
    struct blob *frame = frame_of(WIRE_PIECE);
    const uint16_t size = wire_get_u16(c);

    piece.cargo.flags = wire_get_u8(c) & WIRE_PIECE_GONE;
    piece.bytes = fuzz_take(c, size % BODY_MAX);
    FUZZ_CHECK(wire_put_piece(frame, &piece) == 0);
    wire_frame_add_count(frame, 1);
    arrive_in_order(frame);
}

static void do_pass(struct wire_cursor *c)
{
    now_ms += wire_get_u16(c);
    turn();
}

static void do_welcome(struct wire_cursor *c)
{
    say_welcome(wire_get_u8(c));
}

static struct scoop_function fixed = {.name = "fixed", .argument_bytes = 4, .result_bytes = 4};
static struct scoop_function any = {
    .name = "any", .argument_bytes = SCOOP_VARIABLE, .result_bytes = SCOOP_VARIABLE};

/* Kinds 0: numbers, 1: texts, 2: one too large for a record. */
static void give(uint8_t kind)
{
    static const int32_t numbers[TASKS] = {1, 2, 3};
    static const struct scoop_bytes texts[TASKS] = {{"one", 3}, {"", 0}, {"three", 5}};
    static uint8_t large[LARGE_BYTES];
    static const struct scoop_bytes large_one = {large, LARGE_BYTES};
    struct errand *e = errands;

    while (e < errands + JOBS_MAX && e->given)
        e++;
    if (e == errands + JOBS_MAX)
        return;
    e->given = true;
    e->job = (struct job){.function = kind == 0 ? &fixed : &any, .count = kind == 2 ? 1 : TASKS};
    atomic_init(&e->job.references, 1);
    if (kind == 0) {
        e->job.in = (const uint8_t *)numbers;
        e->job.out = (uint8_t *)e->out;
    } else {
        e->job.in_each = kind == 1 ? texts : &large_one;
        e->job.out_each = e->out_each;
    }
    client_add(&client, &e->job);
}

static void do_job(struct wire_cursor *c)
{
    give(wire_get_u8(c) % 3);
    turn();
}

static void do_leave(struct wire_cursor *c)
{
    const uint8_t which = wire_get_u8(c);
    struct errand *e = &errands[which % JOBS_MAX];

    if (!e->given || e->back)
        return;
    if (which >= 128 && !e->job.abandoned)
        client_abandon(&client, &e->job);
    else if (e->job.count == 1)
        client_cancel(&client, &e->job);
    turn();
}

static void (*const deeds[])(struct wire_cursor *c) = {
    do_frame, do_result, do_piece, do_want, do_bytes, do_pass, do_welcome, do_job, do_leave,
};

/* ---- a life ---- */

static void begin(void)
{
    static int context;
    const struct identity program = {.name = "prog"};
    const struct dialler_config config = {
        .context = &context,
        .endpoint = "ipc:///fuzz",
        .role = WIRE_CLIENT,
        .incarnation = 1,
        .name = "fuzz",
    };

    now_ms = 1000;
    link_no = 0;
    randoms = 0;
    client_init(&client, &program);
    FUZZ_CHECK(dialler_new(&config, &dialler) == 0);
    turn();
    for (uint8_t kind = 0; kind < 3; kind++)
        give(kind);
}

static void finish(void)
{
    client_give_up(&client, SCOOP_NO_BROKER, "the end");
    take_ended();
    FUZZ_CHECK(client_is_idle(&client));
    client_fini(&client);
    dialler_free(dialler);
    blob_unref(arriving);
    arriving = NULL;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        FUZZ_CHECK(errands[i].given == errands[i].back);
        job_fini(&errands[i].job);
        scoop_bytes_free(errands[i].out_each, TASKS);
        errands[i] = (struct errand){.given = false};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);

    if (fixed.number == any.number) {
        scoop_register(&fixed);
        scoop_register(&any);
    }
    begin();
    say_welcome(100);
    for (unsigned i = 0; i < STEPS_MAX && fuzz_left(&c) > 0; i++)
        deeds[wire_get_u8(&c) % (sizeof(deeds) / sizeof(deeds[0]))](&c);
    finish();
    return 0;
}
