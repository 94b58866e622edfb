/* Frames over ZeroMQ sockets: one message part <-> one blob, without copying large ones. */
#ifndef BASE_ZFRAME_H
#define BASE_ZFRAME_H

#include "blob.h"
#include "err.h"

#include <stdbool.h>

/* Receive one message part without waiting. *out is owned by the caller; *more tells whether another part of
 * the same message follows. -EAGAIN: nothing there; -ENOMEM; else a negative errno of ZeroMQ. */
NODISCARD int zframe_receive(void *socket, struct blob **out, bool *more);

/* Send one part without waiting; the caller keeps his reference, and the bytes must not change any more.
 * -EAGAIN: the socket is full; -EHOSTUNREACH: no such route (ROUTER); else a negative errno. */
NODISCARD int zframe_send(void *socket, struct blob *frame, bool more);

/* Options that every socket of the project has: no linger, bounded message size and handshake, ZMTP heartbeats of
 * 1 s / 3 s, TCP keep-alive, bounded queues. */
NODISCARD int zframe_prepare(void *socket);

#endif
