/* The shell with its sockets, in this process: what no service of ours shows by itself. */
#include "base/httpd.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct metrics *metrics;
static struct httpd *httpd;
static pthread_t answerer;
static bool well = true;

static enum httpd_verdict handle_page(struct httpd_request *request,
                                      struct httpd_response *response)
{
    (void)request;
    httpd_reply_static(response, "text/html", "<p>page</p>", 11);
    response->etag = "\"v1\"";
    httpd_reply_header(response, "Cache-Control", "no-cache");
    return HTTPD_ANSWER;
}

static enum httpd_verdict handle_query(struct httpd_request *request,
                                       struct httpd_response *response)
{
    const char *n = httpd_request_query(request, "n");
    const char *agent = httpd_request_header(request, "user-agent");

    httpd_reply_text(response, "n=%s agent=%s", n != NULL ? n : "-", agent != NULL ? agent : "-");
    return HTTPD_ANSWER;
}

static void *answer_soon(void *ticket)
{
    struct httpd_response response = {.status = 200};

    clock_sleep_ms(20);
    httpd_reply_copy(&response, "text/plain", "later", 5);
    httpd_answer(ticket, &response);
    return NULL;
}

static enum httpd_verdict handle_later(struct httpd_request *request,
                                       struct httpd_response *response)
{
    struct httpd_ticket *ticket = httpd_later(request);

    (void)response;
    pthread_create(&answerer, NULL, answer_soon, ticket);
    return HTTPD_LATER;
}

/* The answer is there before the handler has returned. */
static enum httpd_verdict handle_at_once(struct httpd_request *request,
                                         struct httpd_response *response)
{
    (void)response;
    answer_soon(httpd_later(request));
    return HTTPD_LATER;
}

static struct httpd_ticket *forgotten;

static enum httpd_verdict handle_never(struct httpd_request *request,
                                       struct httpd_response *response)
{
    (void)response;
    forgotten = httpd_later(request);
    return HTTPD_LATER;
}

static ssize_t read_half(void *state, uint64_t offset, void *buffer, size_t size)
{
    (void)state;
    if (offset > 0)
        return -EIO;
    memset(buffer, 'x', size < 5 ? size : 5);
    return 5;
}

static enum httpd_verdict handle_broken(struct httpd_request *request,
                                        struct httpd_response *response)
{
    (void)request;
    httpd_reply_stream(response, "text/plain", 10, read_half, NULL, NULL);
    return HTTPD_ANSWER;
}

static const struct httpd_route routes[] = {
    {.method = "GET", .path = "/page", .handle = handle_page, .later_ms = 0},
    {.method = "GET", .path = "/query", .handle = handle_query, .later_ms = 0},
    {.method = "GET", .path = "/later", .handle = handle_later, .later_ms = 0},
    {.method = "GET", .path = "/at-once", .handle = handle_at_once, .later_ms = 0},
    {.method = "GET", .path = "/never", .handle = handle_never, .later_ms = 50},
    {.method = "GET", .path = "/never-ever", .handle = handle_never, .later_ms = 60000},
    {.method = "GET", .path = "/broken", .handle = handle_broken, .later_ms = 0},
};

static bool is_well(void *context, char *detail, size_t size)
{
    (void)context;
    snprintf(detail, size, "it has a cold");
    return well;
}

static void setup(void)
{
    const struct httpd_options options = {
        .listen = "127.0.0.1:0",
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .metrics = metrics = metrics_new("test"),
        .threads = 2,
        .healthy = is_well,
    };

    cr_assert_eq(httpd_start(&options, &httpd), 0);
}

static void teardown(void)
{
    if (answerer != 0)
        pthread_join(answerer, NULL);
    httpd_stop(httpd, 100);
    metrics_free(metrics);
}

TestSuite(httpd, .init = setup, .fini = teardown);

/* A connection that asks for `target`, by HTTP/1.0. */
static int send_request(const char *target, const char *headers)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(httpd_port(httpd)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char text[512];
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int length = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n%s\r\n", target, headers);

    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(send(fd, text, (size_t)length, 0), length);
    return fd;
}

/* Read until the server closes, for at most two seconds. */
static void receive(int fd, char *answer, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    size_t used = 0;
    ssize_t count = 0;

    do {
        cr_assert_eq(poll(&poll_fd, 1, 2000), 1, "no answer");
        count = recv(fd, answer + used, size - 1 - used, 0);
        used += count > 0 ? (size_t)count : 0;
    } while (count > 0);
    answer[used] = '\0';
    close(fd);
}

static void
assert_answer(const char *target, const char *headers, const char *status, const char *part)
{
    char answer[16384];

    receive(send_request(target, headers), answer, sizeof(answer));
    cr_assert_eq(strncmp(answer + 9, status, 3), 0, "%s", answer);
    cr_assert_not_null(strstr(answer, part), "%s", answer);
}

Test(httpd, answers_304_to_who_has_the_page_already)
{
    char answer[1024];

    assert_answer("/page", "", "200", "ETag: \"v1\"\r\n");
    assert_answer("/page", "If-None-Match: \"v0\"\r\n", "200", "<p>page</p>");
    assert_answer("/page", "If-None-Match: \"v0\", W/\"v1\"\r\n", "304", "ETag: \"v1\"\r\n");
    assert_answer("/page", "If-None-Match: *\r\n", "304", "Cache-Control: no-cache\r\n");
    receive(send_request("/page", "If-None-Match: \"v1\"\r\n"), answer, sizeof(answer));
    cr_assert_null(strstr(answer, "<p>"));
}

Test(httpd, decodes_the_query_and_finds_headers_in_any_case)
{
    assert_answer("/query?x=1&n=a%20b", "User-Agent: me\r\n", "200", "n=a b agent=me");
    assert_answer("/query", "", "200", "n=- agent=-");
}

Test(httpd, closes_a_connection_whose_client_has_ended_its_half)
{
    int fds[8];
    char answer[1024];

    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = send_request("/page", "Connection: keep-alive\r\n");
        cr_assert_eq(shutdown(fds[i], SHUT_WR), 0);
    }
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        receive(fds[i], answer, sizeof(answer));
        cr_assert_eq(strncmp(answer + 9, "200", 3), 0, "%s", answer);
    }
}

Test(httpd, answers_later_from_another_thread)
{
    assert_answer("/later", "", "200", "later");
}

Test(httpd, answers_when_the_answer_is_there_before_the_handler_returns)
{
    assert_answer("/at-once", "", "200", "later");
}

Test(httpd, answers_504_when_the_answer_does_not_come_in_time)
{
    struct httpd_response late = {.status = 200};

    assert_answer("/never", "", "504", "\"error\":\"timeout\"");
    httpd_reply_owned(&late, "text/plain", strdup("too late"), 8);
    httpd_answer(forgotten, &late);
}

Test(httpd, drain_does_not_wait_for_an_answer_that_does_not_come)
{
    struct httpd_response late = {.status = 200};
    char answer[1024];
    const int fd = send_request("/never-ever", "");
    const int64_t start_ms = clock_now_ms();

    while (forgotten == NULL && clock_now_ms() < start_ms + 2000)
        clock_sleep_ms(1);
    cr_assert_not_null(forgotten);
    httpd_stop(httpd, 50);
    httpd = NULL;
    cr_assert_lt(clock_now_ms() - start_ms, 1000);
    receive(fd, answer, sizeof(answer));
    cr_assert_eq(strncmp(answer + 9, "503", 3), 0, "%s", answer);
    httpd_answer(forgotten, &late);
}

Test(httpd, cuts_a_stream_that_fails_rather_than_fill_it_up)
{
    char answer[1024];

    receive(send_request("/broken", ""), answer, sizeof(answer));
    cr_assert_not_null(strstr(answer, "Content-Length: 10\r\n"));
    cr_assert_str_eq(strstr(answer, "\r\n\r\n") + 4, "xxxxx");
}

Test(httpd, tells_by_health_what_the_service_says)
{
    assert_answer("/health", "", "200", "{\"status\":\"ok\"}");
    well = false;
    assert_answer("/health", "", "503", "it has a cold");
}

Test(httpd, counts_by_route_and_status)
{
    assert_answer("/page", "", "200", "page");
    assert_answer("/nowhere", "", "404", "not_found");
    assert_answer("/metrics", "", "200",
                  "http_request_duration_seconds_count"
                  "{method=\"GET\",route=\"/page\",status=\"200\"} 1\n");
    assert_answer("/metrics", "", "200", "{method=\"any\",route=\"other\",status=\"404\"} 1\n");
}

Test(httpd, refuses_an_address_that_is_not_its_own)
{
    struct httpd *other = NULL;
    struct httpd_options options = {.listen = "192.0.2.1:0", .metrics = metrics};

    cr_assert_eq(httpd_start(&options, &other), -EADDRNOTAVAIL);
    options.listen = "nonsense";
    cr_assert_eq(httpd_start(&options, &other), -EINVAL);
    cr_assert_null(other);
}

/* Files that this process may open; the server keeps 144 of them for itself and for loopback. */
static const struct rlimit few_files = {.rlim_cur = 200, .rlim_max = 200};
enum { FEW_CONNECTIONS = 200 - 144 + HTTPD_CONNECTIONS_RESERVED };

static void setup_with_few_files(void)
{
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few_files), 0);
    setup();
}

/* Ask on a connection that stays open; returns it once the answer began. */
static int ask_and_stay(char *answer, size_t size)
{
    const int fd = send_request("/page", "Connection: keep-alive\r\n");
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    cr_assert_eq(poll(&poll_fd, 1, 2000), 1, "no answer");
    const ssize_t count = recv(fd, answer, size - 1, 0);
    answer[count > 0 ? count : 0] = '\0';
    return fd;
}

Test(httpd_limit,
     of_connections_answers_503_and_lets_in_again_when_one_has_left,
     .init = setup_with_few_files,
     .fini = teardown)
{
    int fds[FEW_CONNECTIONS];
    char answer[1024];

    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = ask_and_stay(answer, sizeof(answer));
        cr_assert_eq(strncmp(answer + 9, "200", 3), 0, "connection %zu: %s", i, answer);
    }
    close(ask_and_stay(answer, sizeof(answer)));
    cr_assert_eq(strncmp(answer + 9, "503", 3), 0, "%s", answer);
    const char *body = strstr(answer, "\r\n\r\n") + 4;
    cr_assert_eq(strtoul(strstr(answer, "Content-Length: ") + 16, NULL, 10), strlen(body));
    close(fds[0]);
    const int64_t end_ms = clock_now_ms() + 2000;
    do {
        clock_sleep_ms(10);
        close(ask_and_stay(answer, sizeof(answer)));
    } while (strncmp(answer + 9, "200", 3) != 0 && clock_now_ms() < end_ms);
    cr_assert_eq(strncmp(answer + 9, "200", 3), 0, "%s", answer);
}
