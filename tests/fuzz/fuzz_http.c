/* The HTTP shell with its sockets: any bytes on a connection of their own. It answers with HTTP or not at
 * all, ends the connection, and serves the next one. */
#include "fuzz.h"

#include "base/httpd.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 20

static struct httpd *httpd;
static struct metrics *metrics;

static enum httpd_verdict handle(struct httpd_request *request, struct httpd_response *response)
{
    const char *n = httpd_request_query(request, "n");

    httpd_reply_text(response, "%s %s", request->path, n != NULL ? n : "");
    return HTTPD_ANSWER;
}

static int take_chunk(struct httpd_request *request, const void *bytes, size_t size)
{
    (void)request;
    (void)bytes;
    (void)size;
    return 0;
}

static bool is_any(const char *path)
{
    return *path == '/';
}

static const struct httpd_route routes[] = {
    {.method = "POST", .path = "/", .handle = handle, .chunk = take_chunk, .body_max = 1000},
    {.method = "GET", .path = "/N", .matches = is_any, .handle = handle},
};

static void start(void)
{
    metrics = metrics_new("fuzz");
    const struct httpd_options options = {
        .listen = "127.0.0.1:0",
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .metrics = metrics,
        .threads = 1,
    };
    FUZZ_CHECK(metrics != NULL && httpd_start(&options, &httpd) == 0);
}

static int dial(void)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(httpd_port(httpd)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    FUZZ_CHECK(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char answer[4096];
    size_t got = 0;
    ssize_t rc = 0;

    if (httpd == NULL)
        start();
    const int fd = dial();
    /* It may have closed already: then there is an answer, or there was nothing to say. */
    (void)!send(fd, data, size, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while ((rc = recv(fd, answer + (got < 8 ? got : 8), sizeof(answer) - 8, 0)) > 0)
        got += (size_t)rc;
    FUZZ_CHECK(rc == 0 || errno == ECONNRESET);
    FUZZ_CHECK(got == 0 || (got >= 8 && memcmp(answer, "HTTP/1.", 7) == 0));
    close(fd);
    return 0;
}
