#include "health.h"

#include "clock.h"
#include "parse.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Enough for the status line and our own /health; the rest of a longer answer is not read. */
enum { ANSWER_MAX = 2048 };

struct question {
    int fd;
    int64_t deadline_ms;
};

static int wait_until(const struct question *question, short events)
{
    struct pollfd poll_fd = {.fd = question->fd, .events = events};
    const int64_t left_ms = question->deadline_ms - clock_now_ms();

    if (left_ms <= 0)
        return -ETIMEDOUT;
    const int count = poll(&poll_fd, 1, (int)left_ms);
    if (count < 0)
        return -errno;
    return count == 0 ? -ETIMEDOUT : 0;
}

static int connect_to(struct question *question, const struct host_port *where)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    char port[8];
    int error = 0;
    socklen_t size = sizeof(error);

    snprintf(port, sizeof(port), "%u", where->port);
    if (getaddrinfo(where->host, port, &hints, &address) != 0)
        return -EADDRNOTAVAIL;
    question->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          address->ai_protocol);
    if (question->fd < 0)
        error = errno;
    else if (connect(question->fd, address->ai_addr, address->ai_addrlen) != 0)
        error = errno;
    freeaddrinfo(address);
    if (error != EINPROGRESS)
        return -error;
    error = wait_until(question, POLLOUT);
    if (error != 0)
        return error;
    if (getsockopt(question->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -errno;
    return -error;
}

/* Send the request and read until the peer closes. 0, or a negative errno. */
static int exchange(const struct question *question, char *answer, size_t size)
{
    static const char request[] = "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n";
    size_t used = 0;

    if (send(question->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
        return -EIO;
    while (used < size - 1) {
        const int error = wait_until(question, POLLIN);
        if (error != 0)
            return error;
        const ssize_t count = recv(question->fd, answer + used, size - 1 - used, 0);
        if (count < 0)
            return -errno;
        if (count == 0)
            break;
        used += (size_t)count;
    }
    answer[used] = '\0';
    return 0;
}

static int ask(const struct host_port *where, char *answer, size_t size)
{
    struct question question = {.fd = -1, .deadline_ms = clock_now_ms() + HEALTH_DEADLINE_MS};
    int error = connect_to(&question, where);

    if (error == 0)
        error = exchange(&question, answer, size);
    if (question.fd >= 0)
        close(question.fd);
    return error;
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

int health_ask(const char *program, const char *listen)
{
    struct host_port where;
    char answer[ANSWER_MAX] = "";

    if (parse_host_port(listen, &where) != 0) {
        fprintf(stderr, "%s: \"%s\" is not HOST:PORT\n", program, listen);
        return EXIT_FAILURE;
    }
    if (is_any(where.host))
        snprintf(where.host, sizeof(where.host), "%s",
                 strchr(where.host, ':') ? "::1" : "127.0.0.1");
    const int error = ask(&where, answer, sizeof(answer));
    if (error != 0) {
        fprintf(stderr, "%s: not healthy: %s port %u: %s\n", program, where.host, where.port,
                strerror(-error));
        return EXIT_FAILURE;
    }
    if (strncmp(answer, "HTTP/1.", 7) != 0 || strncmp(answer + 8, " 200 ", 5) != 0) {
        const char *body = strstr(answer, "\r\n\r\n");
        fprintf(stderr, "%s: not healthy: %s port %u: %s\n", program, where.host, where.port,
                body != NULL ? body + 4 : "no answer that makes sense");
        return EXIT_FAILURE;
    }
    printf("%s: healthy at %s port %u\n", program, where.host, where.port);
    return EXIT_SUCCESS;
}
