#include "base/resolve.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 5000

static struct address given_address(const char *host, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct address address;

    cr_assert_eq(inet_pton(AF_INET, host, &v4.sin_addr), 1);
    cr_assert_eq(address_from((const struct sockaddr *)&v4, &address), 0);
    return address;
}

static struct resolver *given_resolver(const char *name, int wake_fd)
{
    struct resolver *resolver = NULL;
    const struct resolve_options options = {
        .name = name, .port = 80, .interval_ms = 50, .wake_fd = wake_fd};

    cr_assert_eq(resolve_start(&options, &resolver), 0);
    return resolver;
}

static bool becomes_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    return poll(&wanted, 1, PATIENCE_MS) == 1;
}

Test(address, is_written_as_one_would_type_it)
{
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(8000), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct address address = given_address("192.0.2.1", 80);
    char text[ADDRESS_TEXT_MAX];

    cr_assert_str_eq(address_text(&address, text), "192.0.2.1:80");
    cr_assert_eq(address_from((const struct sockaddr *)&v6, &address), 0);
    cr_assert_str_eq(address_text(&address, text), "[::1]:8000");
}

Test(address, of_another_family_is_refused)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct address address;

    cr_assert_eq(address_from(&local, &address), -EAFNOSUPPORT);
}

Test(address, differs_by_host_and_by_port)
{
    const struct address a = given_address("192.0.2.1", 80);
    const struct address b = given_address("192.0.2.2", 80);
    const struct address c = given_address("192.0.2.1", 81);

    cr_assert_eq(address_compare(&a, &a), 0);
    cr_assert_lt(address_compare(&a, &b), 0);
    cr_assert_gt(address_compare(&c, &a), 0);
}

Test(address, that_nobody_listens_at_is_refused_in_the_end)
{
    const struct address nobody = given_address("127.0.0.1", 1);
    const int fd = address_connect(&nobody, 1000);
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};

    if (fd >= 0) {
        cr_assert_eq(poll(&wanted, 1, PATIENCE_MS), 1);
        cr_assert_eq(address_connected(fd), -ECONNREFUSED);
        close(fd);
    } else {
        cr_assert_eq(fd, -ECONNREFUSED);
    }
}

Test(resolve, knows_a_numeric_address_at_once)
{
    struct resolver *resolver = given_resolver("127.0.0.1", -1);
    struct resolve_snapshot known;
    char text[ADDRESS_TEXT_MAX];

    resolve_read(resolver, &known);
    cr_assert_eq(known.version, 1);
    cr_assert_eq(known.count, 1);
    cr_assert_str_eq(address_text(&known.addresses[0], text), "127.0.0.1:80");
    resolve_stop(resolver);
}

Test(resolve, wakes_its_owner_when_a_name_is_answered)
{
    const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct resolver *resolver = given_resolver("localhost", wake_fd);
    struct resolve_snapshot known;

    cr_assert(becomes_readable(wake_fd));
    resolve_read(resolver, &known);
    cr_assert_eq(known.version, resolve_version(resolver));
    cr_assert_eq(known.error, 0);
    cr_assert_gt(known.count, 0);
    cr_assert_geq(known.answered_ms, clock_now_ms() - PATIENCE_MS);
    resolve_stop(resolver);
    close(wake_fd);
}

Test(resolve, does_not_grow_its_version_while_the_answer_stays)
{
    struct resolver *resolver = given_resolver("localhost", -1);
    const int64_t end_ms = clock_now_ms() + PATIENCE_MS;

    while (resolve_version(resolver) == 0 && clock_now_ms() < end_ms)
        clock_sleep_ms(5);
    clock_sleep_ms(200); /* four more lookups */
    cr_assert_eq(resolve_version(resolver), 1);
    resolve_stop(resolver);
}

Test(resolve, refuses_a_name_that_is_none)
{
    struct resolver *resolver = NULL;
    const struct resolve_options options = {.name = "", .interval_ms = 50, .wake_fd = -1};

    cr_assert_eq(resolve_start(&options, &resolver), -EINVAL);
    cr_assert_null(resolver);
}

Test(resolve, stops_at_once_also_while_a_lookup_is_under_way)
{
    const int64_t start_ms = clock_now_ms();
    struct resolver *resolver = given_resolver("no-such-name.invalid", -1);

    resolve_stop(resolver);
    cr_assert_lt(clock_now_ms() - start_ms, 1000);
    resolve_stop(NULL);
}
