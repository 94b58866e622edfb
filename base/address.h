/* A TCP address of a peer, IPv4 or IPv6, and sockets to it that notice when it is gone. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "err.h"

#include <netinet/in.h>
#include <stdbool.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t length; /* of the member that is in use */
};

/* Room for the longest address_text(), its end included. */
#define ADDRESS_TEXT_MAX 64

/* Make one from what getaddrinfo or accept gave. -EAFNOSUPPORT: neither IPv4 nor IPv6. */
NODISCARD int address_from(const struct sockaddr *from, struct address *out);

/* Order two addresses by family, host and port: < 0, 0 or > 0, as qsort wants it. */
int address_compare(const struct address *a, const struct address *b);

/* Write "192.0.2.1:80" or "[2001:db8::1]:80" into `text` and return it. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* Begin to connect: a non-blocking, close-on-exec socket without Nagle's delay. A peer whose host
 * vanished is noticed within about `lost_ms` (1000...60000), also while we only wait for it: its
 * kernel must acknowledge what we send and answer keep-alive probes. Returns the descriptor (owned
 * by the caller; writable once connected, see address_connected()), or -errno when the connection
 * failed at once. */
NODISCARD int address_connect(const struct address *address, int lost_ms);

/* The outcome of a connect whose socket became writable: 0, or -errno. */
NODISCARD int address_connected(int fd);

#endif
