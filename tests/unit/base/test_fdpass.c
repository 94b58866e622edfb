#include "base/fdpass.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static void before(void)
{
    cr_assert_eq(fdpass_open(ends), 0);
}

static void after(void)
{
    close(ends[0]);
    close(ends[1]);
}

TestSuite(fdpass, .init = before, .fini = after);

static int pipe_with(char byte)
{
    int pipe[2];

    cr_assert_eq(pipe2(pipe, O_CLOEXEC), 0);
    cr_assert_eq(write(pipe[1], &byte, 1), 1);
    close(pipe[1]);
    return pipe[0];
}

static void give(uint64_t number, char byte)
{
    const int fd = pipe_with(byte);

    cr_assert_eq(fdpass_send(ends[1], number, fd), 0);
    close(fd);
}

static void assert_byte(int fd, char expected)
{
    char byte = 0;

    cr_assert_eq(read(fd, &byte, 1), 1);
    cr_assert_eq(byte, expected);
    cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
}

Test(fdpass, brings_a_descriptor_and_its_number)
{
    uint64_t number = 0;
    int fd = -1;

    give(7, 'a');
    cr_assert_eq(fdpass_receive(ends[0], &number, &fd), 0);
    cr_assert_eq(number, 7);
    assert_byte(fd, 'a');
    cr_assert_eq(fdpass_receive(ends[0], &number, &fd), -EAGAIN);
}

Test(fdpass, takes_the_one_that_is_meant_and_closes_those_before_it)
{
    int fd = -1;

    give(1, 'a');
    give(2, 'b');
    give(3, 'c');
    const int expected = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
    close(expected);
    cr_assert_eq(fdpass_take(ends[0], 2, &fd), 0);
    cr_assert_eq(fd, expected, "nothing else is open");
    assert_byte(fd, 'b');
    cr_assert_eq(fdpass_take(ends[0], 2, &fd), -EAGAIN);
}

Test(fdpass, refuses_a_message_without_a_descriptor)
{
    uint64_t number = 5;
    int fd = -1;

    cr_assert_eq(send(ends[1], &number, sizeof(number), 0), sizeof(number));
    cr_assert_eq(fdpass_receive(ends[0], &number, &fd), -EPROTO);
}

Test(fdpass, closes_what_comes_with_a_message_of_another_size)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {.bytes = {0}};
    char byte = 'x';
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    uint64_t number = 0;
    int fd = -1;

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(ends));
    __builtin_memcpy(CMSG_DATA(head), ends, sizeof(ends));
    const int expected = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
    close(expected);
    cr_assert_eq(sendmsg(ends[1], &message, 0), 1);
    cr_assert_eq(fdpass_receive(ends[0], &number, &fd), -EPROTO);
    const int free_now = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
    close(free_now);
    cr_assert_eq(free_now, expected);
}
