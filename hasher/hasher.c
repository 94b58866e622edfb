#include "hasher.h"

#include <unistd.h>

enum { SHA256_BYTES = 32 };

int hasher_init(struct hasher *hasher, uint64_t body_max, uint64_t limit, int64_t delay_ms)
{
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);

    if (sha256 == NULL)
        return -ENOTSUP;
    *hasher = (struct hasher){.body_max = body_max, .sha256 = sha256};
    gethostname(hasher->host, sizeof(hasher->host) - 1);
    gate_init(&hasher->gate, limit, delay_ms);
    return 0;
}

void hasher_fini(struct hasher *hasher)
{
    for (size_t i = 0; i < COUNT_OF(hasher->spares); i++) {
        struct hasher_spares *spares = &hasher->spares[i];
        while (spares->count > 0)
            EVP_MD_CTX_free(spares->contexts[--spares->count]);
    }
    EVP_MD_free(hasher->sha256);
}

/* Begin a digest for this request: request->state becomes its context. */
static int begin(struct httpd_request *request)
{
    struct hasher *hasher = request->context;
    struct hasher_spares *spares = &hasher->spares[request->thread];
    EVP_MD_CTX *context = spares->count > 0 ? spares->contexts[--spares->count] : EVP_MD_CTX_new();

    if (context == NULL)
        return -ENOMEM;
    request->state = context;
    return EVP_DigestInit_ex2(context, hasher->sha256, NULL) == 1 ? 0 : -EIO;
}

static int take_chunk(struct httpd_request *request, const void *bytes, size_t size)
{
    const int error = request->state == NULL ? begin(request) : 0;

    if (error != 0)
        return error;
    return EVP_DigestUpdate(request->state, bytes, size) == 1 ? 0 : -EIO;
}

static void end(struct httpd_request *request)
{
    struct hasher *hasher = request->context;
    struct hasher_spares *spares = &hasher->spares[request->thread];

    if (spares->count < HASHER_SPARES_MAX)
        spares->contexts[spares->count++] = request->state;
    else
        EVP_MD_CTX_free(request->state);
}

static enum httpd_verdict handle_root(struct httpd_request *request,
                                      struct httpd_response *response)
{
    const struct hasher *hasher = request->context;

    httpd_reply_text(response, "HASHER running on %s\n", hasher->host);
    return HTTPD_ANSWER;
}

static enum httpd_verdict handle_hash(struct httpd_request *request,
                                      struct httpd_response *response)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_BYTES];

    /* An empty body comes in no chunk. */
    if ((request->state == NULL && begin(request) != 0) ||
        EVP_DigestFinal_ex(request->state, digest, NULL) != 1) {
        httpd_reply_error(response, 500, "internal", "the digest could not be computed");
        return HTTPD_ANSWER;
    }
    for (size_t i = 0; i < sizeof(digest); i++) {
        response->bytes[2 * i] = digits[digest[i] >> 4];
        response->bytes[2 * i + 1] = digits[digest[i] & 15];
    }
    httpd_reply_inline(response, "text/plain", 2 * sizeof(digest));
    return HTTPD_ANSWER;
}

void hasher_routes(struct hasher *hasher, struct httpd_route routes[HASHER_ROUTES])
{
    routes[0] = (struct httpd_route){
        .method = "POST",
        .path = "/",
        .handle = handle_hash,
        .chunk = take_chunk,
        .body_max = hasher->body_max,
        .end = end,
        .gate = &hasher->gate,
        .context = hasher,
    };
    routes[1] = (struct httpd_route){
        .method = "GET",
        .path = "/",
        .handle = handle_root,
        .gate = &hasher->gate,
        .undelayed = true,
        .context = hasher,
    };
}
