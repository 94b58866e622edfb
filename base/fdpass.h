/* Descriptors that pass between two processes of one host, each with a number that says what for.
 * Over a pair of sockets that keeps messages apart. An end that does not trust the other looks at what
 * it got before it uses it. Any thread; one at a time at each end. */
#ifndef BASE_FDPASS_H
#define BASE_FDPASS_H

#include "err.h"

#include <stdint.h>

/* Two ends, close-on-exec; the first never blocks. Both are owned by the caller. Negative errno of
 * socketpair or fcntl. */
NODISCARD int fdpass_open(int ends[2]);

/* The descriptor stays the caller's. Never waits. -EAGAIN: too many have not been taken; else a negative
 * errno of sendmsg. */
NODISCARD int fdpass_send(int end, uint64_t number, int fd);

/* Take the oldest one, close-on-exec; *fd is owned by the caller. Never waits. -EAGAIN: there is none;
 * -EPROTO: a message that is none of ours; else a negative errno of recvmsg. */
NODISCARD int fdpass_receive(int end, uint64_t *number, int *fd);

/* Take descriptors until the one with this number comes, and close those before it: they were for what
 * is not wanted any more. Errors: as above. */
NODISCARD int fdpass_take(int end, uint64_t number, int *fd);

#endif
