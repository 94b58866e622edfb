#include "rng/rng.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

static struct rng rng;
static struct httpd_route routes[RNG_ROUTES];

static void setup(void)
{
    rng_init(&rng, 1 << 20, 0, 0);
    rng_routes(&rng, routes);
}

TestSuite(rng, .init = setup);

static struct httpd_response get(const struct httpd_route *route, const char *path)
{
    struct httpd_request request = {.method = "GET", .path = path, .context = route->context};
    struct httpd_response response = {.status = 200};

    cr_assert_eq(route->handle(&request, &response), HTTPD_ANSWER);
    return response;
}

Test(rng, says_where_it_runs)
{
    char expected[128];
    const struct httpd_response response = get(&routes[0], "/");

    snprintf(expected, sizeof(expected), "RNG running on %s\n", rng.host);
    cr_assert_eq(response.size, strlen(expected));
    cr_assert_eq(memcmp(response.bytes, expected, response.size), 0);
}

struct path_case {
    const char path[24];
    bool count;
};

ParameterizedTestParameters(rng, takes_only_digits_for_a_count)
{
    static struct path_case cases[] = {
        {"/0", true},         {"/32", true},   {"/00032", true}, {"/99999999999999999999", true},
        {"/", false},         {"/-1", false},  {"/+5", false},   {"/1.5", false},
        {"/0x10", false},     {"/32/", false}, {"/abc", false},  {"/ 5", false},
        {"/32%00", false},    {"/1e9", false}, {"32", false},    {"//32", false},
        {"/\xd9\xa3", false}, {"", false},
    };
    return cr_make_param_array(struct path_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct path_case *row, rng, takes_only_digits_for_a_count)
{
    setup();
    cr_assert_eq(routes[1].matches(row->path), row->count, "%s", row->path);
}

Test(rng, answers_as_many_bytes_as_asked_for)
{
    const struct httpd_response none = get(&routes[1], "/0");
    const struct httpd_response some = get(&routes[1], "/00032");
    const struct httpd_response others = get(&routes[1], "/32");

    cr_assert_eq(none.status, 200);
    cr_assert_eq(none.size, 0);
    cr_assert_str_eq(some.type, "application/octet-stream");
    cr_assert_eq(some.size, 32);
    cr_assert_neq(memcmp(some.bytes, others.bytes, 32), 0);
}

Test(rng, streams_many_bytes)
{
    const struct httpd_response response = get(&routes[1], "/1048576");
    unsigned char block[4096] = {0};
    static const unsigned char zeros[4096];

    cr_assert_eq(response.body, HTTPD_BODY_STREAM);
    cr_assert_eq(response.size, 1 << 20);
    cr_assert_eq(response.stream.read(response.stream.state, 0, block, sizeof(block)),
                 (ssize_t)sizeof(block));
    cr_assert_neq(memcmp(block, zeros, sizeof(block)), 0);
}

ParameterizedTestParameters(rng, refuses_more_than_its_limit)
{
    static const char cases[][32] = {"/1048577", "/99999999999", "/18446744073709551616",
                                     "/9999999999999999999999999999"};
    return cr_make_param_array(char[32], (void *)(uintptr_t)cases, COUNT_OF(cases));
}

ParameterizedTest(char (*path)[32], rng, refuses_more_than_its_limit)
{
    setup();
    const struct httpd_response response = get(&routes[1], *path);

    cr_assert_eq(response.status, 413);
    cr_assert_str_eq(response.type, "application/json");
}

static bool fill_nothing(void *buffer, size_t size)
{
    (void)buffer;
    (void)size;
    return false;
}

Test(rng, answers_503_and_no_zeros_without_entropy)
{
    rng.fill = fill_nothing;
    cr_assert_eq(get(&routes[1], "/32").status, 503);
    const struct httpd_response large = get(&routes[1], "/100000");
    cr_assert_eq(large.status, 503);
    cr_assert_eq(large.body, HTTPD_BODY_INLINE);
}

Test(rng, cuts_a_stream_when_entropy_fails_in_the_middle)
{
    char block[64];
    const struct httpd_response response = get(&routes[1], "/100000");

    rng.fill = fill_nothing;
    cr_assert_lt(response.stream.read(response.stream.state, 64, block, sizeof(block)), 0);
}

Test(rng, holds_pings_and_byte_requests_at_the_same_gate)
{
    cr_assert_eq(routes[0].gate, &rng.gate);
    cr_assert_eq(routes[1].gate, &rng.gate);
}
