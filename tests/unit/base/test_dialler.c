/* The dialling end of a link, against a ROUTER that the test plays by hand. */
#include "base/dialler.h"
#include "base/zframe.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

#define WAIT_MS 2000

static void *context;
static void *router;
static struct dialler *dialler;
static uint8_t route[64];
static size_t route_bytes;
static int64_t now_ms;

static void prepare(void)
{
    char endpoint[64];
    struct dialler_config config = {
        .endpoint = endpoint,
        .role = WIRE_AGENT,
        .slots = 1,
        .incarnation = 1,
        .name = "agent",
    };

    /* A name in the abstract name space, which leaves no file. */
    snprintf(endpoint, sizeof(endpoint), "ipc://@scoop-test-dialler-%d", (int)getpid());
    context = zmq_ctx_new();
    router = zmq_socket(context, ZMQ_ROUTER);
    cr_assert_eq(zmq_bind(router, endpoint), 0);
    config.context = context;
    cr_assert_eq(dialler_new(&config, &dialler), 0);
    now_ms = 1000;
}

static void finish(void)
{
    const int none = 0;

    dialler_free(dialler);
    zmq_setsockopt(router, ZMQ_LINGER, &none, sizeof(none));
    zmq_close(router);
    zmq_ctx_term(context);
}

TestSuite(dialler, .init = prepare, .fini = finish);

/* The next frame that the dialler sends, which is of this type; later ones are driven out by its timer. */
static struct wire_header heard(enum wire_type type)
{
    uint8_t bytes[1024];
    struct wire_header header = {.type = WIRE_TYPE_END};
    struct wire_cursor body;
    int64_t next_ms = 0;
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};

    cr_assert_eq(dialler_tick(dialler, now_ms, &next_ms), DIALLER_NOTHING);
    cr_assert_eq(zmq_poll(&item, 1, WAIT_MS), 1);
    route_bytes = (size_t)zmq_recv(router, route, sizeof(route), 0);
    const int size = zmq_recv(router, bytes, sizeof(bytes), 0);
    cr_assert_eq(wire_frame_read(bytes, (size_t)size, &header, &body), 0);
    cr_assert_eq(header.type, type);
    return header;
}

static void say(struct blob *frame)
{
    zmq_send(router, route, route_bytes, ZMQ_SNDMORE);
    zmq_send(router, frame->data, frame->size, 0);
    blob_unref(frame);
}

static void welcome(uint64_t link, uint64_t epoch)
{
    struct blob *frame = wire_frame_new(WIRE_WELCOME, link, 64);
    const struct wire_welcome record = {
        .epoch = epoch,
        .lease_ms = 3000,
        .ping_ms = 1000,
        .version = {(const uint8_t *)"v", 1},
    };

    cr_assert_eq(wire_put_welcome(frame, &record), 0);
    wire_frame_add_count(frame, 1);
    say(frame);
}

static void send_revoke(uint64_t link, uint64_t seq)
{
    struct blob *frame = wire_frame_new(WIRE_REVOKE, link, 0);

    wire_frame_stamp(frame, seq, 0);
    say(frame);
}

/* What the dialler makes of what comes; NOTHING is waited over. */
static enum dialler_event event(struct dialler_input *in)
{
    zmq_pollitem_t item = {.socket = dialler_socket(dialler), .events = ZMQ_POLLIN};

    for (int tries = 0; tries < 10 && zmq_poll(&item, 1, WAIT_MS) == 1; tries++) {
        const enum dialler_event what = dialler_receive(dialler, now_ms, in);

        if (what != DIALLER_NOTHING)
            return what;
    }
    return DIALLER_NOTHING;
}

Test(dialler, does_not_count_frames_as_received_that_come_before_the_welcome)
{
    struct dialler_input in;
    const uint64_t hello = heard(WIRE_HELLO).link;
    const uint64_t link = link_number(hello, 7);

    send_revoke(
        link,
        1); /* sent again after the connection broke, before the WELCOME that was lost with it */
    welcome(hello, 7);
    cr_assert_eq(event(&in), DIALLER_OPENED);
    cr_assert_eq(in.header.link, link);
    now_ms += 1000;
    cr_assert_eq(heard(WIRE_PING).ack, 0);
    send_revoke(link, 1);
    cr_assert_eq(event(&in), DIALLER_FRAME);
    cr_assert_eq(in.header.type, WIRE_REVOKE);
}

Test(dialler, obeys_nothing_of_another_epoch)
{
    struct dialler_input in;
    const uint64_t hello = heard(WIRE_HELLO).link;

    welcome(hello, 7);
    cr_assert_eq(event(&in), DIALLER_OPENED);
    welcome(hello,
            8); /* a HELLO that was still on its way met the next broker, which sends tasks */
    send_revoke(link_number(hello, 8), 1);
    cr_assert_eq(event(&in), DIALLER_NOTHING);
    now_ms += 1000;
    const struct wire_header ping = heard(WIRE_PING);
    cr_assert_eq(ping.ack, 0);
    cr_assert_eq(ping.link, link_number(hello, 7),
                 "so that broker knows no such link, and says so");
    say(wire_frame_new(WIRE_GONE, ping.link, 0));
    cr_assert_eq(event(&in), DIALLER_GONE);
    cr_assert_not(dialler_is_open(dialler));
    cr_assert_neq(heard(WIRE_HELLO).link, hello);
}
