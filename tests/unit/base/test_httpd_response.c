#include "base/httpd.h"

#include <criterion/criterion.h>
#include <string.h>

static void assert_body(const struct httpd_response *response, const char *text)
{
    cr_assert_eq(response->size, strlen(text), "%llu bytes", (unsigned long long)response->size);
    cr_assert_eq(memcmp(httpd_response_bytes(response), text, strlen(text)), 0, "%.*s",
                 (int)response->size, (const char *)httpd_response_bytes(response));
}

Test(httpd_response, is_text)
{
    struct httpd_response response = {.status = 200};

    httpd_reply_text(&response, "%s is %d\n", "six", 6);
    cr_assert_str_eq(response.type, "text/plain");
    assert_body(&response, "six is 6\n");
}

Test(httpd_response, is_an_error_as_one_json_object)
{
    struct httpd_response response = {.status = 200, .etag = "\"x\""};

    httpd_reply_error(&response, 404, "not_found", "nothing at %s", "/a\"b\\c\n\x80");
    cr_assert_eq(response.status, 404);
    cr_assert_str_eq(response.type, "application/json");
    cr_assert_null(response.etag);
    assert_body(&response,
                "{\"error\":\"not_found\",\"detail\":\"nothing at /a\\\"b\\\\c\\u000a\\u0080\"}\n");
}

Test(httpd_response, cuts_the_detail_of_an_error_and_stays_json)
{
    struct httpd_response response = {.status = 200};
    char detail[1000];

    memset(detail, '"', sizeof(detail) - 1);
    detail[sizeof(detail) - 1] = '\0';
    httpd_reply_error(&response, 400, "bad_request", "%s", detail);
    cr_assert_leq(response.size, sizeof(response.bytes));
    const char *bytes = httpd_response_bytes(&response);
    cr_assert_eq(memcmp(bytes + response.size - 5, "\\\"\"}\n", 5), 0);
}

Test(httpd_response, copies_what_is_small_into_itself_and_what_is_large_elsewhere)
{
    struct httpd_response response = {.status = 200};
    char large[HTTPD_INLINE_BYTES + 1] = "large";

    httpd_reply_copy(&response, "text/plain", "small", 5);
    cr_assert_eq(httpd_response_bytes(&response), response.bytes);
    httpd_reply_copy(&response, "text/plain", large, sizeof(large));
    cr_assert_eq(response.body, HTTPD_BODY_OWNED);
    cr_assert_eq(memcmp(httpd_response_bytes(&response), large, sizeof(large)), 0);
    httpd_response_fini(&response);
}

static int released;

static void count_release(void *state)
{
    (void)state;
    released++;
}

static ssize_t read_nothing(void *state, uint64_t offset, void *buffer, size_t size)
{
    (void)state;
    (void)offset;
    (void)buffer;
    (void)size;
    return -EIO;
}

Test(httpd_response, releases_a_stream_once)
{
    struct httpd_response response = {.status = 200};

    httpd_reply_stream(&response, "text/plain", 10, read_nothing, count_release, NULL);
    cr_assert_null(httpd_response_bytes(&response));
    httpd_response_fini(&response);
    httpd_response_fini(&response);
    cr_assert_eq(released, 1);
}

Test(httpd_response, of_a_request_without_server_finds_no_header)
{
    const struct httpd_request request = {.method = "GET", .path = "/"};

    cr_assert_null(httpd_request_header(&request, "Host"));
    cr_assert_null(httpd_request_query(&request, "n"));
}
