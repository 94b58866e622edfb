#include "hasher/hasher.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct hasher hasher;
static struct httpd_route routes[HASHER_ROUTES];

static void setup(void)
{
    cr_assert_eq(hasher_init(&hasher, 1 << 20, 0, 0), 0);
    hasher_routes(&hasher, routes);
}

static void teardown(void)
{
    hasher_fini(&hasher);
}

TestSuite(hasher, .init = setup, .fini = teardown);

static void assert_digest(struct httpd_request *request, const char *digest)
{
    struct httpd_response response = {.status = 200};

    cr_assert_eq(routes[0].handle(request, &response), HTTPD_ANSWER);
    routes[0].end(request);
    request->state = NULL;
    cr_assert_eq(response.status, 200);
    cr_assert_str_eq(response.type, "text/plain");
    cr_assert_eq(response.size, 64);
    cr_assert_eq(memcmp(response.bytes, digest, 64), 0, "%.64s", response.bytes);
}

Test(hasher, says_where_it_runs)
{
    char expected[128];
    struct httpd_request request = {.method = "GET", .path = "/", .context = &hasher};
    struct httpd_response response = {.status = 200};

    snprintf(expected, sizeof(expected), "HASHER running on %s\n", hasher.host);
    routes[1].handle(&request, &response);
    cr_assert_eq(response.size, strlen(expected));
    cr_assert_eq(memcmp(response.bytes, expected, response.size), 0);
}

/* The digests are those of FIPS 180-4's examples. */
Test(hasher, hashes_no_body)
{
    struct httpd_request request = {.method = "POST", .path = "/", .context = &hasher};

    assert_digest(&request, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

Test(hasher, hashes_a_body_in_pieces)
{
    struct httpd_request request = {.method = "POST", .path = "/", .context = &hasher};

    cr_assert_eq(routes[0].chunk(&request, "a", 1), 0);
    cr_assert_eq(routes[0].chunk(&request, "bc", 2), 0);
    assert_digest(&request, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(hasher, starts_afresh_after_a_body_that_was_given_up)
{
    struct httpd_request request = {.method = "POST", .path = "/", .context = &hasher};

    cr_assert_eq(routes[0].chunk(&request, "half a bo", 9), 0);
    routes[0].end(&request);
    request.state = NULL;
    cr_assert_eq(routes[0].chunk(&request, "abc", 3), 0);
    assert_digest(&request, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(hasher, keeps_digest_contexts_per_thread_and_not_without_end)
{
    static struct httpd_request requests[HASHER_SPARES_MAX + 5];

    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        requests[i] = (struct httpd_request){.context = &hasher, .thread = 1};
        cr_assert_eq(routes[0].chunk(&requests[i], "x", 1), 0);
    }
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        routes[0].end(&requests[i]);
    cr_assert_eq(hasher.spares[1].count, HASHER_SPARES_MAX);
    cr_assert_eq(hasher.spares[0].count, 0);
}
