/* hasher: a web service of SHA-256, the second of the DockerCoins.
 *
 *   GET /    "HASHER running on HOST\n"
 *   POST /   the lower-case hex digest of the body, without a newline
 *
 * The body is hashed as it comes in, so its size costs no memory. Both stand at the same gate,
 * which a POST reaches after its body. */
#ifndef HASHER_HASHER_H
#define HASHER_HASHER_H

#include "base/gate.h"
#include "base/httpd.h"

#include <limits.h>
#include <openssl/evp.h>

enum {
    HASHER_ROUTES = 2,
    HASHER_SPARES_MAX = 64, /* idle digest contexts kept per thread */
};

/* Digest contexts that wait for their next use: making one costs more than hashing 32 bytes with
 * it. */
struct hasher_spares {
    _Alignas(64) size_t count;
    EVP_MD_CTX *contexts[HASHER_SPARES_MAX];
};

struct hasher {
    uint64_t body_max;
    char host[HOST_NAME_MAX + 1];
    struct gate gate;
    EVP_MD *sha256;
    struct hasher_spares spares[HTTPD_THREADS_MAX]; /* each touched by its own thread only */
};

/* `limit` requests at a time (0: any number), each held for delay_ms. Must not be moved afterwards.
 * -ENOTSUP where OpenSSL offers no SHA-256; *hasher is then nothing to fini. */
NODISCARD int
hasher_init(struct hasher *hasher, uint64_t body_max, uint64_t limit, int64_t delay_ms);

/* After the last request. */
void hasher_fini(struct hasher *hasher);

/* The routes of the service; `hasher` is borrowed for as long as they are used. */
void hasher_routes(struct hasher *hasher, struct httpd_route routes[HASHER_ROUTES]);

#endif
