/* rng: a web service of random bytes, the first of the DockerCoins.
 *
 *   GET /    "RNG running on HOST\n"
 *   GET /N   N random bytes; N is decimal, in digits only, leading zeros allowed
 *
 * Both pass the same gate: with a limit of 1 and a delay, a ping waits behind the byte requests.
 * The delay is that of the bytes: a ping that need not wait is answered at once. */
#ifndef RNG_RNG_H
#define RNG_RNG_H

#include "base/gate.h"
#include "base/httpd.h"

#include <limits.h>

enum { RNG_ROUTES = 2 };

struct rng {
    uint64_t bytes_max; /* a larger N is refused with 413 */
    /* Fill `buffer` with random bytes; false: there are none, and the request fails with 503. */
    bool (*fill)(void *buffer, size_t size);
    char host[HOST_NAME_MAX + 1];
    struct gate gate;
};

/* Bytes from OpenSSL's generator, seeded by the kernel. `limit` requests at a time (0: any number),
 * each held for delay_ms. Must not be moved afterwards. */
void rng_init(struct rng *rng, uint64_t bytes_max, uint64_t limit, int64_t delay_ms);

/* The routes of the service; `rng` is borrowed for as long as they are used. */
void rng_routes(struct rng *rng, struct httpd_route routes[RNG_ROUTES]);

#endif
