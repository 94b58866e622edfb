#include "zframe.h"

#include "wire.h"

#include <string.h>
#include <zmq.h>

/* Below this, copying into ZeroMQ's own message is cheaper than counting references. */
#define COPY_BYTES 4096

/* Messages in a socket's queue. What does not fit is sent again by the link. */
#define QUEUE_FRAMES 8192

static void release_message(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

static void release_blob(void *data, void *hint)
{
    (void)data;
    blob_unref(hint);
}

int zframe_receive(void *socket, struct blob **out, bool *more)
{
    zmq_msg_t *message = malloc(sizeof(*message));

    if (message == NULL)
        return -ENOMEM;
    zmq_msg_init(message);
    if (zmq_msg_recv(message, socket, ZMQ_DONTWAIT) < 0) {
        const int error = zmq_errno();

        free(message);
        return -error;
    }
    struct blob *blob =
        blob_wrap(zmq_msg_data(message), zmq_msg_size(message), release_message, message);
    if (blob == NULL) {
        release_message(message);
        return -ENOMEM;
    }
    *more = zmq_msg_more(message) != 0;
    *out = blob;
    return 0;
}

void zframe_origin(const struct blob *frame, struct zframe_origin *out)
{
    zmq_msg_t *message = frame->owner;
    const char *key = zmq_msg_gets(message, "User-Id");

    *out = (struct zframe_origin){.fd = zmq_msg_get(message, ZMQ_SRCFD)};
    if (key != NULL && strlen(key) < sizeof(out->key))
        memcpy(out->key, key, strlen(key) + 1);
}

int zframe_send(void *socket, struct blob *frame, bool more)
{
    const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    zmq_msg_t message;

    if (frame->size <= COPY_BYTES)
        return zmq_send(socket, frame->data, frame->size, flags) < 0 ? -zmq_errno() : 0;
    if (zmq_msg_init_data(&message, frame->data, frame->size, release_blob, blob_ref(frame)) != 0) {
        blob_unref(frame);
        return -ENOMEM;
    }
    if (zmq_msg_send(&message, socket, flags) < 0) {
        const int error = zmq_errno();

        zmq_msg_close(&message);
        return -error;
    }
    return 0;
}

int zframe_prepare(void *socket)
{
    static const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, QUEUE_FRAMES},
        {ZMQ_RCVHWM, QUEUE_FRAMES},
        {ZMQ_HANDSHAKE_IVL, 3000},
        {ZMQ_HEARTBEAT_IVL, 1000},
        {ZMQ_HEARTBEAT_TIMEOUT, 3000},
        {ZMQ_HEARTBEAT_TTL, 3000},
        {ZMQ_CONNECT_TIMEOUT, 3000},
        {ZMQ_RECONNECT_IVL, 50},
        {ZMQ_RECONNECT_IVL_MAX, 1000},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 10},
        {ZMQ_TCP_KEEPALIVE_INTVL, 3},
        {ZMQ_TCP_KEEPALIVE_CNT, 3},
        {ZMQ_IPV6, 1},
    };
    const int64_t frame_max = WIRE_FRAME_MAX;

    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int)) != 0)
            return -zmq_errno();
    }
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) != 0)
        return -zmq_errno();
    return 0;
}
