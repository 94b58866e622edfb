/* Frames over ZeroMQ sockets: one message part <-> one blob, without copying large ones. */
#ifndef BASE_ZFRAME_H
#define BASE_ZFRAME_H

#include "blob.h"
#include "err.h"

#include <stdbool.h>

/* Receive one message part without waiting. *out is owned by the caller; *more tells whether
 * another part of the same message follows. -EAGAIN: nothing there; -ENOMEM; else a negative
 * errno of ZeroMQ. */
NODISCARD int zframe_receive(void *socket, struct blob **out, bool *more);

/* Where a received part came from. ZeroMQ ties this to the message's body, not always to the
 * routing id before it. */
struct zframe_origin {
    int fd;       /* descriptor of the connection; -1: unknown */
    char key[41]; /* CURVE public key of the peer as Z85 text (ZAP "User-Id"); empty: none */
};

/* Read the origin of a blob that zframe_receive() made. */
void zframe_origin(const struct blob *frame, struct zframe_origin *out);

/* Send one part without waiting; the caller keeps his reference, and the bytes must not change
 * any more. -EAGAIN: the socket is full; -EHOSTUNREACH: no such route (ROUTER); else a negative
 * errno. */
NODISCARD int zframe_send(void *socket, struct blob *frame, bool more);

/* Options that every socket of the project has: no linger, bounded message size and handshake,
 * ZMTP heartbeats of 1 s / 3 s, TCP keep-alive, bounded queues. */
NODISCARD int zframe_prepare(void *socket);

#endif
