/* The dialling end of a link. Invariants: `open` means that WELCOME came for `hello`, and link.id is of its
 * epoch; sequenced frames are only made while open; a fresh number is drawn whenever the old one is given
 * up. */
#include "dialler.h"

#include "log.h"
#include "settings.h"
#include "zframe.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

/* HELLO is said again after this; PING as often unless WELCOME says otherwise. */
#define HELLO_MS 1000
#define PING_MS  1000

/* Where an echo takes longer than this, PINGs are sent four times as often: the lease counts from them. */
#define ROUND_SLOW_MS 600

/* A lost HELLO at the very start costs little when it is repeated soon. */
#define FIRST_HELLO_MS 100

struct dialler {
    void *socket;
    struct link link; /* its number is `hello` until WELCOME comes */
    uint64_t hello;   /* the number that HELLO says */
    enum wire_role role;
    uint64_t incarnation;
    uint32_t slots;
    uint32_t wants;
    const char *resources; /* borrowed */
    const char *name;
    char host[64];
    bool open;
    bool refused;
    int64_t hello_wait_ms; /* before the next HELLO; grows to HELLO_MS */
    int64_t next_ms;       /* of the next HELLO or PING */
    int64_t hello_ms;      /* when the last HELLO was sent */
    int64_t heard_ms;      /* when the last frame came */
    int64_t lease_end_ms;  /* agents, while open */
    uint32_t lease_ms;
    uint32_t ping_ms;
    uint64_t rounds; /* PINGs that were echoed */
    int64_t round_ms;
    struct blob *input; /* the frame that the owner looks at */
};

static uint64_t draw_number(void)
{
    uint64_t number = 0;

    while (number == 0) {
        if (getrandom(&number, sizeof(number), 0) != sizeof(number))
            number = 0;
    }
    return number;
}

static void start_over(struct dialler *d, int64_t now_ms)
{
    link_fini(&d->link);
    d->hello = draw_number();
    link_init(&d->link, d->hello);
    d->open = false;
    d->hello_wait_ms = FIRST_HELLO_MS;
    d->next_ms = now_ms;
}

/* A frame that the socket does not take is lost like one on the network: the link repairs it. */
static void transmit(struct dialler *d, struct blob *frame)
{
    const int result = zframe_send(d->socket, frame, false);

    if (result != 0)
        log_debug("frame_not_sent", "type=%s error=\"%s\"", wire_type_name(frame->data[1]),
                  strerror(-result));
}

static void transmit_owned(struct dialler *d, struct blob *frame)
{
    if (frame == NULL)
        return;
    transmit(d, frame);
    blob_unref(frame);
}

static struct wire_bytes text_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static void say_hello(struct dialler *d, int64_t now_ms)
{
    const struct wire_hello hello = {
        .role = d->role,
        .pid = (uint32_t)getpid(),
        .incarnation = d->incarnation,
        .slots = d->slots,
        .wants = d->wants,
        .host = text_of(d->host),
        .name = text_of(d->name),
        .version = text_of(settings_version()),
        .resources = text_of(d->resources),
    };
    struct blob *frame = wire_frame_new(WIRE_HELLO, d->hello, 256);

    if (frame != NULL && wire_put_hello(frame, &hello) == 0) {
        wire_frame_add_count(frame, 1);
        transmit(d, frame);
    }
    blob_unref(frame);
    d->hello_ms = now_ms;
    d->next_ms = now_ms + d->hello_wait_ms;
    d->hello_wait_ms = d->hello_wait_ms * 2 < HELLO_MS ? d->hello_wait_ms * 2 : HELLO_MS;
}

/* ---- making and freeing ---- */

static bool keys_fit(const struct dialler_config *config)
{
    const bool any =
        config->server_key != NULL || config->public_key != NULL || config->secret_key != NULL;
    const bool all =
        config->server_key != NULL && config->public_key != NULL && config->secret_key != NULL;

    if (strncmp(config->endpoint, "ipc://", 6) == 0)
        return !any;
    return strncmp(config->endpoint, "tcp://", 6) == 0 && all;
}

static int connect_socket(struct dialler *d, const struct dialler_config *config)
{
    int result = zframe_prepare(d->socket);

    if (result != 0)
        return result;
    if (config->server_key != NULL &&
        (zmq_setsockopt(d->socket, ZMQ_CURVE_SERVERKEY, config->server_key, 41) != 0 ||
         zmq_setsockopt(d->socket, ZMQ_CURVE_PUBLICKEY, config->public_key, 41) != 0 ||
         zmq_setsockopt(d->socket, ZMQ_CURVE_SECRETKEY, config->secret_key, 41) != 0))
        return -EINVAL;
    return zmq_connect(d->socket, config->endpoint) == 0 ? 0 : -zmq_errno();
}

int dialler_new(const struct dialler_config *config, struct dialler **out)
{
    struct dialler *d = NULL;
    int result = -ENOMEM;

    if (!keys_fit(config))
        return -EINVAL;
    d = malloc(sizeof(*d));
    if (d == NULL)
        return -ENOMEM;
    *d = (struct dialler){
        .role = config->role,
        .incarnation = config->incarnation,
        .slots = config->slots,
        .wants = config->wants,
        .resources = config->resources != NULL ? config->resources : "",
        .name = config->name,
        .ping_ms = PING_MS,
        .socket = zmq_socket(config->context, ZMQ_DEALER),
    };
    if (d->socket == NULL)
        goto fail;
    gethostname(d->host, sizeof(d->host) - 1);
    result = connect_socket(d, config);
    if (result != 0)
        goto fail;
    start_over(d, 0);
    *out = d;
    return 0;
fail:
    dialler_free(d);
    return result;
}

void dialler_free(struct dialler *d)
{
    if (d == NULL)
        return;
    blob_unref(d->input);
    link_fini(&d->link);
    if (d->socket != NULL)
        zmq_close(d->socket);
    free(d);
}

void *dialler_socket(const struct dialler *d)
{
    return d->socket;
}

bool dialler_is_open(const struct dialler *d)
{
    return d->open;
}

uint64_t dialler_unacked(const struct dialler *d)
{
    return link_unacked(&d->link);
}

size_t dialler_unacked_bytes(const struct dialler *d)
{
    return d->link.kept_bytes;
}

uint64_t dialler_rounds(const struct dialler *d)
{
    return d->rounds;
}

int64_t dialler_round_ms(const struct dialler *d)
{
    return d->round_ms;
}

int64_t dialler_silent_ms(const struct dialler *d, int64_t now_ms)
{
    return now_ms - d->heard_ms;
}

/* ---- receiving ---- */

static void resend(struct dialler *d)
{
    for (uint64_t seq = d->link.acked + 1; seq <= d->link.sent; seq++)
        transmit(d, link_kept(&d->link, seq));
}

/* A second WELCOME answers a HELLO that came late. When that met another broker its link is not ours: we
 * are told GONE as soon as we say anything. */
static enum dialler_event take_welcome(struct dialler *d, struct dialler_input *in)
{
    if (wire_get_welcome(&in->body, &in->welcome) != 0 || d->open)
        return DIALLER_NOTHING;
    d->open = true;
    d->link.id = link_number(d->hello, in->welcome.epoch);
    in->header.link = d->link.id;
    d->lease_ms = in->welcome.lease_ms;
    d->ping_ms = in->welcome.ping_ms != 0 ? in->welcome.ping_ms : PING_MS;
    d->lease_end_ms = d->hello_ms + d->lease_ms;
    d->next_ms = d->hello_ms + d->ping_ms;
    return DIALLER_OPENED;
}

static enum dialler_event take_ping(struct dialler *d, struct dialler_input *in)
{
    struct wire_ping ping;

    if (wire_get_ping(&in->body, &ping) != 0)
        return DIALLER_NOTHING;
    d->rounds++;
    d->round_ms = d->heard_ms - (int64_t)ping.clock;
    if ((int64_t)ping.clock + d->lease_ms > d->lease_end_ms)
        d->lease_end_ms = (int64_t)ping.clock + d->lease_ms;
    if (link_lags(&d->link, &ping))
        transmit_owned(d, link_ack(&d->link, true));
    return DIALLER_NOTHING;
}

static enum dialler_event take_refused(struct dialler *d, struct dialler_input *in)
{
    if (wire_get_refused(&in->body, &in->refused) != 0)
        return DIALLER_NOTHING;
    d->refused = true;
    d->open = false;
    return DIALLER_REFUSED;
}

/* The link's own frames. Others are the owner's. */
static enum dialler_event take_frame(struct dialler *d, struct dialler_input *in)
{
    switch ((int)in->header.type) {
    case WIRE_WELCOME: return take_welcome(d, in);
    case WIRE_REFUSED: return take_refused(d, in);
    case WIRE_PING: return take_ping(d, in);
    case WIRE_ACK:
        if ((in->header.flags & WIRE_FLAG_RESEND) != 0)
            resend(d);
        return DIALLER_NOTHING;
    default: return d->open ? DIALLER_FRAME : DIALLER_NOTHING;
    }
}

static enum dialler_event take_message(struct dialler *d, int64_t now_ms, struct dialler_input *in)
{
    enum link_verdict verdict = LINK_DUPLICATE;

    in->blob = d->input;
    if (wire_frame_read(d->input->data, d->input->size, &in->header, &in->body) != 0) {
        log_warn("frame_malformed", "from=broker bytes=%zu", d->input->size);
        return DIALLER_NOTHING;
    }
    if (in->header.link != d->link.id && in->header.link != d->hello)
        return DIALLER_NOTHING; /* of a link given up earlier, of another epoch, or WELCOME is not here yet */
    d->heard_ms = now_ms;
    if (in->header.type == WIRE_GONE) {
        const bool was_open = d->open;

        start_over(d, now_ms);
        return was_open ? DIALLER_GONE : DIALLER_NOTHING;
    }
    if (link_receive(&d->link, &in->header, d->input->size, &verdict) != 0) {
        log_warn("ack_beyond_sent", "link=%016llx", (unsigned long long)d->link.id);
        return DIALLER_NOTHING;
    }
    if (verdict == LINK_GAP)
        transmit_owned(d, link_ack(&d->link, true));
    if (verdict != LINK_DELIVER)
        return DIALLER_NOTHING;
    return take_frame(d, in);
}

enum dialler_event dialler_receive(struct dialler *d, int64_t now_ms, struct dialler_input *out)
{
    enum dialler_event event = DIALLER_NOTHING;
    bool more = false;

    while (event == DIALLER_NOTHING && !d->refused) {
        if (link_owes_ack(&d->link))
            transmit_owned(d, link_ack(&d->link, false));
        blob_unref(d->input);
        d->input = NULL;
        if (zframe_receive(d->socket, &d->input, &more) != 0)
            break;
        event = take_message(d, now_ms, out);
    }
    return event;
}

/* ---- timers and sending ---- */

enum dialler_event dialler_tick(struct dialler *d, int64_t now_ms, int64_t *next_ms)
{
    enum dialler_event event = DIALLER_NOTHING;

    if (d->open && d->role == WIRE_AGENT && now_ms >= d->lease_end_ms) {
        start_over(d, now_ms);
        event = DIALLER_EXPIRED;
    }
    if (now_ms >= d->next_ms && !d->refused) {
        if (!d->open) {
            say_hello(d, now_ms);
        } else {
            transmit_owned(d, link_ping(&d->link, (uint64_t)now_ms));
            d->next_ms = now_ms + (d->round_ms > ROUND_SLOW_MS ? d->ping_ms / 4 : d->ping_ms);
        }
    }
    *next_ms = d->next_ms;
    if (d->open && d->role == WIRE_AGENT && d->lease_end_ms < *next_ms)
        *next_ms = d->lease_end_ms;
    return event;
}

int dialler_send(struct dialler *d, struct blob *frame)
{
    int result = d->open ? link_push(&d->link, frame) : -ENOTCONN;

    if (result == 0)
        transmit(d, frame);
    blob_unref(frame);
    return result;
}

void dialler_send_loose(struct dialler *d, struct blob *frame)
{
    transmit_owned(d, frame);
}

struct blob *dialler_frame(struct dialler *d, enum wire_type type, size_t body_bytes)
{
    return wire_frame_new(type, d->link.id, body_bytes);
}
