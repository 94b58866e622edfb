/* The DockerCoins loop: 32 random bytes from rng, their hash from hasher; a hash that starts with
 * '0' is a coin. Several loops may be under way; each finished one is noted in the ledger.
 *
 * A loop that fails somewhere goes on from that step when a peer answers again: none is lost, none
 * is counted that was not finished. One epoll loop on the thread that calls miner_run(). */
#ifndef MINER_MINER_H
#define MINER_MINER_H

#include "ledger.h"
#include "peer.h"

#include <signal.h>

#define MINER_CONCURRENCY_MAX 4096

struct miner_options {
    struct url rng;
    struct url hasher;
    int64_t delay_ms;   /* rest before each loop */
    size_t concurrency; /* loops under way, 1...MINER_CONCURRENCY_MAX */
    int64_t timeout_ms; /* for one answer of rng or hasher */
};

struct miner;

/* Make a miner that notes its work in `ledger` (it and `metrics` borrowed until miner_free()).
 * *out is owned by the caller. -ENOMEM, or the -errno of a descriptor that could not be had. */
NODISCARD int miner_new(const struct miner_options *options,
                        struct metrics *metrics,
                        struct ledger *ledger,
                        struct miner **out);
void miner_free(struct miner *miner);

/* Mine until stop_fd is readable. Loops under way then are dropped: they never count.
 * 0, or the -errno of epoll. */
NODISCARD int miner_run(struct miner *miner, int stop_fd);

/* How long ago the loop last turned, in ms: more than a few seconds means that it hangs. Any
 * thread. / */
int64_t miner_silent_ms(const struct miner *miner);

#endif
