#include "rng.h"

#include "base/parse.h"

#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>

static const char bytes_type[] = "application/octet-stream";

static bool fill_from_openssl(void *buffer, size_t size)
{
    return RAND_bytes(buffer, (int)size) == 1;
}

void rng_init(struct rng *rng, uint64_t bytes_max, uint64_t limit, int64_t delay_ms)
{
    *rng = (struct rng){.bytes_max = bytes_max, .fill = fill_from_openssl};
    gethostname(rng->host, sizeof(rng->host) - 1);
    gate_init(&rng->gate, limit, delay_ms);
}

/* "/" and digits: of any number, as an N that is too large is refused, not unknown. */
static bool is_count(const char *path)
{
    const size_t digits = strspn(path + 1, "0123456789");

    return path[0] == '/' && digits > 0 && path[1 + digits] == '\0';
}

static enum httpd_verdict handle_root(struct httpd_request *request,
                                      struct httpd_response *response)
{
    const struct rng *rng = request->context;

    httpd_reply_text(response, "RNG running on %s\n", rng->host);
    return HTTPD_ANSWER;
}

static void no_entropy(struct httpd_response *response)
{
    httpd_reply_error(response, 503, "no_entropy", "the random generator failed");
}

static ssize_t read_bytes(void *state, uint64_t offset, void *buffer, size_t size)
{
    const struct rng *rng = state;

    (void)offset;
    return rng->fill(buffer, size) ? (ssize_t)size : -EIO;
}

/* Too many for the response itself. The first draw decides about the status; if a later one fails,
 * the connection is cut short, and the client sees that bytes are missing. */
static void reply_stream(struct rng *rng, struct httpd_response *response, uint64_t count)
{
    unsigned char probe[16];

    if (!rng->fill(probe, sizeof(probe))) {
        no_entropy(response);
        return;
    }
    httpd_reply_stream(response, bytes_type, count, read_bytes, NULL, rng);
}

static enum httpd_verdict handle_count(struct httpd_request *request,
                                       struct httpd_response *response)
{
    struct rng *rng = request->context;
    uint64_t count = 0;

    if (parse_u64(request->path + 1, 0, rng->bytes_max, &count) != 0) {
        httpd_reply_error(response, 413, "too_large", "at most %llu bytes a request",
                          (unsigned long long)rng->bytes_max);
        return HTTPD_ANSWER;
    }
    if (count > sizeof(response->bytes)) {
        reply_stream(rng, response, count);
        return HTTPD_ANSWER;
    }
    if (!rng->fill(response->bytes, (size_t)count)) {
        no_entropy(response);
        return HTTPD_ANSWER;
    }
    httpd_reply_inline(response, bytes_type, (size_t)count);
    return HTTPD_ANSWER;
}

void rng_routes(struct rng *rng, struct httpd_route routes[RNG_ROUTES])
{
    routes[0] = (struct httpd_route){
        .method = "GET",
        .path = "/",
        .handle = handle_root,
        .gate = &rng->gate,
        .undelayed = true,
        .context = rng,
    };
    routes[1] = (struct httpd_route){
        .method = "GET",
        .path = "/N",
        .matches = is_count,
        .handle = handle_count,
        .gate = &rng->gate,
        .context = rng,
    };
}
