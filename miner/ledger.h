/* The books of the miner: finished loops and found coins, on their way to Redis.
 *
 * A thread of its own adds loops to the key `hashes` once a second and puts coins into the hash
 * `wallet`, so mining never waits for Redis. Each loop is counted exactly once, whatever breaks
 * between a command and its reply: loops travel in batches that have a number, one batch at a time,
 * and Redis adds a batch only when its number is above the last one it saw from this miner (key
 * `miner:<id>`, in one script with the addition). A batch whose reply was lost is sent again under
 * the same number. Coins may be put twice: that changes nothing. While Redis is away both wait
 * here. */
#ifndef MINER_LEDGER_H
#define MINER_LEDGER_H

#include "base/metrics.h"
#include "base/redis.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A coin is the lower-case hex SHA-256 of 32 random bytes that starts with '0'. */
#define COIN_HEX_BYTES 64
#define COIN_RAW_BYTES 32

/* Coins that wait while Redis is away; then mining pauses. 97 bytes each, and as many again may
 * be on their way: well within the 64 MiB of a container. */
#define LEDGER_COINS_MAX 131072

struct ledger;

/* Start the thread; it feeds miner_* in `metrics` (borrowed until it ended). *out is owned by
 * the caller: ledger_stop(), then ledger_free(). -EINVAL: bad Redis URL; -ENOMEM, -EAGAIN: no
 * memory or thread. */
NODISCARD int
ledger_start(const struct redis_options *redis, struct metrics *metrics, struct ledger **out);

/* Note one finished loop. Any thread. */
void ledger_add_loop(struct ledger *ledger);

/* Note one coin. Any thread. -ENOBUFS: too many wait for Redis; -ENOMEM. */
NODISCARD int ledger_add_coin(struct ledger *ledger,
                              const char hex[COIN_HEX_BYTES],
                              const uint8_t raw[COIN_RAW_BYTES]);

/* Is there room for `coins` more? */
bool ledger_has_room(struct ledger *ledger, size_t coins);

struct ledger_totals {
    uint64_t loops_done;    /* by this miner since its start */
    uint64_t loops_counted; /* of them, known to be in `hashes` */
    uint64_t coins_found;
    uint64_t coins_stored; /* of them, known to be in `wallet` */
};

void ledger_read(struct ledger *ledger, struct ledger_totals *out);

/* Write out all that waits and end the thread. 0: Redis has it all; -ETIMEDOUT: not within
 * limit_ms, the totals say what is missing. No loop or coin may be added from now on. */
NODISCARD int ledger_stop(struct ledger *ledger, int64_t limit_ms);

/* Free it, after ledger_stop(). A thread that still waits for Redis keeps it until the process
 * ends. / */
void ledger_free(struct ledger *ledger);

#endif
