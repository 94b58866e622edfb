#include "address.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int address_from(const struct sockaddr *from, struct address *out)
{
    switch (from->sa_family) {
    case AF_INET:
        memcpy(&out->at.v4, from, sizeof(out->at.v4));
        out->length = sizeof(out->at.v4);
        return 0;
    case AF_INET6:
        memcpy(&out->at.v6, from, sizeof(out->at.v6));
        out->length = sizeof(out->at.v6);
        return 0;
    default: return -EAFNOSUPPORT;
    }
}

static uint16_t address_port(const struct address *address)
{
    return ntohs(address->at.any.sa_family == AF_INET ? address->at.v4.sin_port
                                                      : address->at.v6.sin6_port);
}

int address_compare(const struct address *a, const struct address *b)
{
    int order = (int)a->at.any.sa_family - (int)b->at.any.sa_family;

    if (order == 0 && a->at.any.sa_family == AF_INET)
        order = memcmp(&a->at.v4.sin_addr, &b->at.v4.sin_addr, sizeof(a->at.v4.sin_addr));
    else if (order == 0)
        order = memcmp(&a->at.v6.sin6_addr, &b->at.v6.sin6_addr, sizeof(a->at.v6.sin6_addr));
    return order != 0 ? order : (int)address_port(a) - (int)address_port(b);
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    const bool v4 = address->at.any.sa_family == AF_INET;

    if (v4)
        inet_ntop(AF_INET, &address->at.v4.sin_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET6, &address->at.v6.sin6_addr, host, sizeof(host));
    snprintf(text, ADDRESS_TEXT_MAX, v4 ? "%s:%u" : "[%s]:%u", host, address_port(address));
    return text;
}

/* Options only make failures faster; a kernel that refuses one still gives a working socket. */
static void set_options(int fd, int lost_ms)
{
    const int on = 1;
    const int probe_s = lost_ms < 3000 ? 1 : lost_ms / 3000;
    const int probes = 2;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof(lost_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &probe_s, sizeof(probe_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof(probe_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

int address_connect(const struct address *address, int lost_ms)
{
    const int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    set_options(fd, lost_ms);
    if (connect(fd, &address->at.any, address->length) != 0 && errno != EINPROGRESS) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int address_connected(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        return -errno;
    return -error;
}
