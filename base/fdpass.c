#include "fdpass.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors that one message of a stranger can carry: they are closed. */
#define STRANGE_MAX 253

union control {
    struct cmsghdr head; /* aligns it */
    char bytes[CMSG_SPACE(STRANGE_MAX * sizeof(int))];
};

int fdpass_open(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    return -error;
}

int fdpass_send(int end, uint64_t number, int fd)
{
    union control control = {.bytes = {0}};
    struct iovec data = {.iov_base = &number, .iov_len = sizeof(number)};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE(sizeof(fd)),
    };
    struct cmsghdr *const head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    ssize_t sent = -1;
    do
        sent = sendmsg(end, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* The only descriptor of the message; all of them are closed when it is not the only one. -1: none. */
static int take_only(struct msghdr *message)
{
    int only = -1;
    size_t count = 0;

    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        for (size_t i = 0; i < here; i++, count++) {
            if (only >= 0)
                close(only);
            memcpy(&only, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
        }
    }
    if (count > 1) {
        close(only);
        only = -1;
    }
    return only;
}

int fdpass_receive(int end, uint64_t *number, int *fd)
{
    union control control;
    struct iovec data = {.iov_base = number, .iov_len = sizeof(*number)};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t got = -1;

    do
        got = recvmsg(end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    const int only = take_only(&message);
    if (only < 0)
        return -EPROTO;
    if (got != sizeof(*number) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        close(only);
        return -EPROTO;
    }
    *fd = only;
    return 0;
}

int fdpass_take(int end, uint64_t number, int *fd)
{
    uint64_t came = 0;
    int result = 0;

    while ((result = fdpass_receive(end, &came, fd)) == 0 && came != number)
        close(*fd);
    return result;
}
