/* The thread of ledger.h.
 * Invariant: batch_loops was promised to Redis under batch_number; both stay as they are until a
 * reply says that it is in. Loops done = counted + in the batch + not yet in a batch. */
#include "ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* How often coins are written, and loops. Loops are counted right after one ended, so that the
 * counter grows in whole steps and readers see a steady rate; when none ends, after another second.
 */
#define TURN_MS        100
#define LAST_TURN_MS   20
#define COUNT_EVERY_MS 1000
#define COUNT_LATE_MS  1000

/* Coins in one exchange. */
#define COINS_PER_TURN 512

/* Lines about coins in a second; the rest is in the next "units of work" line. */
#define COIN_LINES_PER_SECOND 10

/* How long Redis remembers a miner's last number: longer than any retry. */
#define NUMBER_LIFE_S "604800"

/* KEYS: hashes, the miner's key. ARGV: loops, number, life. Redis runs it whole or not at all. */
static const char add_script[] = "local last = redis.call('GET', KEYS[2]) "
                                 "if not last or tonumber(last) < tonumber(ARGV[2]) then "
                                 "redis.call('INCRBY', KEYS[1], ARGV[1]) "
                                 "redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3]) "
                                 "end "
                                 "return 1";

struct coin {
    char hex[COIN_HEX_BYTES];
    uint8_t raw[COIN_RAW_BYTES];
    bool tried; /* sent before: that it is there then says nothing */
};

struct coin_list {
    struct coin *coins;
    size_t count;
    size_t room;
};

struct ledger {
    atomic_uint_fast64_t loops_done;
    atomic_uint_fast64_t loops_counted;
    atomic_uint_fast64_t coins_found;
    atomic_uint_fast64_t coins_stored;
    atomic_bool stopping;
    atomic_bool count_due; /* the next loop that ends should wake the thread */
    atomic_int owners;     /* thread and caller */

    struct {
        struct metric *loops_done;
        struct metric *loops_counted;
        struct metric *coins_found;
        struct metric *coins_stored;
        struct metric *redis_failures;
        struct metric *redis_up;
    } metric;

    struct thread thread;
    bool ended; /* the thread was joined, or never begun */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct coin_list waiting; /* under the lock */
    bool loop_ended;          /* under the lock: the one that count_due asked for */

    /* Of the thread alone. */
    struct redis *redis;
    char key[48];
    uint64_t batch_number;
    uint64_t batch_loops;
    bool batch_open;
    int64_t next_count_ms;
    bool fresh; /* a loop ended just now */
    struct coin_list sending;
    size_t sent;     /* of `sending`, known to be stored */
    bool redis_down; /* as last logged */
    int coin_lines;  /* written since the last count */
};

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL || !ledger->ended)
        return;
    redis_free(ledger->redis);
    free(ledger->waiting.coins);
    free(ledger->sending.coins);
    pthread_cond_destroy(&ledger->wake);
    pthread_mutex_destroy(&ledger->lock);
    free(ledger);
}

void ledger_add_loop(struct ledger *ledger)
{
    atomic_fetch_add(&ledger->loops_done, 1);
    metric_add(ledger->metric.loops_done, 1);
    if (!atomic_load_explicit(&ledger->count_due, memory_order_relaxed) ||
        !atomic_exchange(&ledger->count_due, false))
        return;
    pthread_mutex_lock(&ledger->lock);
    ledger->loop_ended = true;
    pthread_cond_signal(&ledger->wake);
    pthread_mutex_unlock(&ledger->lock);
}

static int list_grow(struct coin_list *list)
{
    const size_t room = list->room == 0 ? 64 : list->room * 2;
    struct coin *coins = realloc(list->coins, room * sizeof(*coins));

    if (coins == NULL)
        return -ENOMEM;
    list->coins = coins;
    list->room = room;
    return 0;
}

static int list_add(struct coin_list *list, const char *hex, const uint8_t *raw)
{
    if (list->count >= LEDGER_COINS_MAX)
        return -ENOBUFS;
    if (list->count == list->room && list_grow(list) != 0)
        return -ENOMEM;
    struct coin *coin = &list->coins[list->count++];
    coin->tried = false;
    memcpy(coin->hex, hex, COIN_HEX_BYTES);
    memcpy(coin->raw, raw, COIN_RAW_BYTES);
    return 0;
}

int ledger_add_coin(struct ledger *ledger,
                    const char hex[COIN_HEX_BYTES],
                    const uint8_t raw[COIN_RAW_BYTES])
{
    pthread_mutex_lock(&ledger->lock);
    const int rc = list_add(&ledger->waiting, hex, raw);
    pthread_mutex_unlock(&ledger->lock);
    if (rc != 0)
        return rc;
    atomic_fetch_add(&ledger->coins_found, 1);
    metric_add(ledger->metric.coins_found, 1);
    return 0;
}

bool ledger_has_room(struct ledger *ledger, size_t coins)
{
    pthread_mutex_lock(&ledger->lock);
    const bool room = ledger->waiting.count + coins <= LEDGER_COINS_MAX;
    pthread_mutex_unlock(&ledger->lock);
    return room;
}

void ledger_read(struct ledger *ledger, struct ledger_totals *out)
{
    *out = (struct ledger_totals){
        .loops_counted = atomic_load(&ledger->loops_counted),
        .loops_done = atomic_load(&ledger->loops_done),
        .coins_stored = atomic_load(&ledger->coins_stored),
        .coins_found = atomic_load(&ledger->coins_found),
    };
}

/* Log once per change of state; count every failure. */
static void note_redis(struct ledger *ledger, int rc)
{
    char reason[300];

    metric_set(ledger->metric.redis_up, rc == 0);
    if (rc != 0)
        metric_add(ledger->metric.redis_failures, 1);
    if (rc != 0 && !ledger->redis_down)
        log_warn("redis_down", "reason=\"%s\" msg=\"counts and coins are kept here\"",
                 log_quote(reason, sizeof(reason), redis_reason(ledger->redis)));
    if (rc == 0 && ledger->redis_down)
        log_info("redis_up", "loops_waiting=%llu",
                 (unsigned long long)(atomic_load(&ledger->loops_done) -
                                      atomic_load(&ledger->loops_counted)));
    ledger->redis_down = rc != 0;
}

/* Is it time to count? Then either a loop just ended, or we ask the next one to wake us. */
static bool count_is_due(struct ledger *ledger, int64_t now_ms)
{
    if (now_ms < ledger->next_count_ms)
        return false;
    if (!ledger->fresh && now_ms < ledger->next_count_ms + COUNT_LATE_MS) {
        atomic_store(&ledger->count_due, true);
        return false;
    }
    atomic_store(&ledger->count_due, false);
    return true;
}

/* Close a batch over all loops done so far, when it is time and none is open. */
static void open_batch(struct ledger *ledger, int64_t now_ms, bool last)
{
    if (ledger->batch_open || (!last && !count_is_due(ledger, now_ms)))
        return;
    const uint64_t loops = atomic_load(&ledger->loops_done) - atomic_load(&ledger->loops_counted);
    if (last && loops == 0)
        return;
    ledger->batch_open = true;
    ledger->batch_loops = loops;
    ledger->batch_number++;
    ledger->next_count_ms = now_ms + COUNT_EVERY_MS;
    ledger->coin_lines = 0;
    log_info("loops_counted", "msg=\"%llu units of work done, updating hash counter\" coins=%llu",
             (unsigned long long)loops, (unsigned long long)atomic_load(&ledger->coins_found));
}

static int queue_batch(struct ledger *ledger)
{
    char loops[24];
    char number[24];
    const int loops_bytes =
        snprintf(loops, sizeof(loops), "%llu", (unsigned long long)ledger->batch_loops);
    const int number_bytes =
        snprintf(number, sizeof(number), "%llu", (unsigned long long)ledger->batch_number);
    const char *words[] = {"EVAL",      add_script, "2",    "hashes",
                           ledger->key, loops,      number, NUMBER_LIFE_S};
    const size_t bytes[] = {4,
                            sizeof(add_script) - 1,
                            1,
                            6,
                            strlen(ledger->key),
                            (size_t)loops_bytes,
                            (size_t)number_bytes,
                            sizeof(NUMBER_LIFE_S) - 1};

    return redis_queue(ledger->redis, COUNT_OF(words), words, bytes);
}

/* The next reply, which is a number: whatever answers otherwise has not counted anything. */
static int read_number(struct ledger *ledger, long long *number)
{
    redisReply *reply = NULL;
    const int rc = redis_read_reply(ledger->redis, &reply);

    if (rc != 0)
        return rc;
    const bool is_number = reply->type == REDIS_REPLY_INTEGER;
    *number = reply->integer;
    freeReplyObject(reply);
    if (is_number)
        return 0;
    redis_drop(ledger->redis, "it answered with something else than a number");
    return -EPROTO;
}

static int read_batch(struct ledger *ledger)
{
    long long counted = 0;
    const int rc = read_number(ledger, &counted);

    if (rc != 0)
        return rc;
    ledger->batch_open = false;
    atomic_fetch_add(&ledger->loops_counted, ledger->batch_loops);
    metric_add(ledger->metric.loops_counted, (int64_t)ledger->batch_loops);
    return 0;
}

/* Have coins to send in `sending`, when any wait. The lists change places, so nothing is copied. */
static size_t take_coins(struct ledger *ledger)
{
    if (ledger->sent == ledger->sending.count) {
        pthread_mutex_lock(&ledger->lock);
        const struct coin_list empty = ledger->sending;
        ledger->sending = ledger->waiting;
        ledger->waiting = empty;
        ledger->waiting.count = 0;
        pthread_mutex_unlock(&ledger->lock);
        ledger->sent = 0;
    }
    const size_t left = ledger->sending.count - ledger->sent;
    return left < COINS_PER_TURN ? left : COINS_PER_TURN;
}

static int queue_coins(struct ledger *ledger, size_t count)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct coin *coin = &ledger->sending.coins[ledger->sent + i];
        const char *words[] = {"HSET", "wallet", coin->hex, (const char *)coin->raw};
        const size_t bytes[] = {4, 6, COIN_HEX_BYTES, COIN_RAW_BYTES};
        rc = redis_queue(ledger->redis, COUNT_OF(words), words, bytes);
    }
    return rc;
}

static void log_coin(struct ledger *ledger, const struct coin *coin, bool created)
{
    if (ledger->coin_lines >= COIN_LINES_PER_SECOND && !log_enabled(LOG_DEBUG))
        return;
    ledger->coin_lines++;
    log_info("coin_found", "msg=\"Coin found: %.8s...\"", coin->hex);
    if (!created && !coin->tried)
        log_info("coin_known", "msg=\"We already had that coin\" coin=%.8s", coin->hex);
}

static int read_coins(struct ledger *ledger, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct coin *coin = &ledger->sending.coins[ledger->sent];
        long long created = 0;
        const int rc = read_number(ledger, &created);

        if (rc != 0)
            return rc;
        log_coin(ledger, coin, created == 1);
        ledger->sent++;
        atomic_fetch_add(&ledger->coins_stored, 1);
        metric_add(ledger->metric.coins_stored, 1);
    }
    return 0;
}

static void mark_tried(struct ledger *ledger, size_t end)
{
    for (size_t i = ledger->sent; i < end; i++)
        ledger->sending.coins[i].tried = true;
}

/* One exchange with Redis: the open batch, then some coins. Sets *more when coins are left. */
static int exchange(struct ledger *ledger, bool *more)
{
    int rc = redis_connect(ledger->redis);

    if (rc != 0)
        return rc;
    const size_t coins = take_coins(ledger);
    const size_t coins_end = ledger->sent + coins;
    if (ledger->batch_open)
        rc = queue_batch(ledger);
    if (rc == 0)
        rc = queue_coins(ledger, coins);
    if (rc == 0 && ledger->batch_open)
        rc = read_batch(ledger);
    if (rc == 0)
        rc = read_coins(ledger, coins);
    if (rc != 0)
        mark_tried(ledger, coins_end);
    *more = rc == 0 && coins == COINS_PER_TURN;
    return rc;
}

/* Does Redis have everything? */
static bool is_written(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    const bool none_waits = ledger->waiting.count == 0;
    pthread_mutex_unlock(&ledger->lock);
    return none_waits && ledger->sent == ledger->sending.count &&
           atomic_load(&ledger->loops_counted) == atomic_load(&ledger->loops_done);
}

/* Redis need not remember a miner that ended well. Failing to tell it costs nothing. */
static void forget_number(struct ledger *ledger)
{
    const char *words[] = {"DEL", ledger->key};
    const size_t bytes[] = {3, strlen(ledger->key)};
    redisReply *reply = NULL;

    if (redis_queue(ledger->redis, COUNT_OF(words), words, bytes) == 0 &&
        redis_read_reply(ledger->redis, &reply) == 0)
        freeReplyObject(reply);
}

/* Sleep for a turn, or until a loop ended that is waited for, or ledger_stop() wants us. */
static void rest(struct ledger *ledger)
{
    const bool stopping = atomic_load(&ledger->stopping);
    const struct timespec due = thread_time(clock_now_ms() + (stopping ? LAST_TURN_MS : TURN_MS));

    pthread_mutex_lock(&ledger->lock);
    while (atomic_load(&ledger->stopping) == stopping && !ledger->loop_ended &&
           pthread_cond_timedwait(&ledger->wake, &ledger->lock, &due) == 0)
        ;
    ledger->fresh = ledger->loop_ended;
    ledger->loop_ended = false;
    pthread_mutex_unlock(&ledger->lock);
}

static void run(void *context)
{
    struct ledger *ledger = context;

    for (;;) {
        const bool last = atomic_load(&ledger->stopping);
        bool more = false;

        open_batch(ledger, clock_now_ms(), last);
        const int rc = exchange(ledger, &more);
        if (rc != -EAGAIN)
            note_redis(ledger, rc);
        if (last && is_written(ledger))
            break;
        if (!more)
            rest(ledger);
    }
    forget_number(ledger);
}

/* A name that no other miner has, also not an earlier life of this one. */
static void choose_key(struct ledger *ledger)
{
    uint64_t id[2] = {(uint64_t)clock_wall_ms(), (uint64_t)clock_now_us()};

    /* Cannot fail for so few bytes once the kernel has seeded itself; then the clocks stand in. */
    (void)!getrandom(id, sizeof(id), 0);
    snprintf(ledger->key, sizeof(ledger->key), "miner:%016llx%016llx", (unsigned long long)id[0],
             (unsigned long long)id[1]);
}

static void register_metrics(struct ledger *ledger, struct metrics *metrics)
{
    const struct {
        struct metric **metric;
        const char *name;
        const char *help;
    } counters[] = {
        {&ledger->metric.loops_done, "miner_loops_total", "Loops done by this miner."},
        {&ledger->metric.loops_counted, "miner_loops_counted_total", "Of them, counted in Redis."},
        {&ledger->metric.coins_found, "miner_coins_total", "Coins found by this miner."},
        {&ledger->metric.coins_stored, "miner_coins_stored_total", "Of them, stored in Redis."},
        {&ledger->metric.redis_failures, "miner_redis_failures_total", "Failed tries with Redis."},
    };

    for (size_t i = 0; i < COUNT_OF(counters); i++)
        *counters[i].metric = metrics_counter(metrics, counters[i].name, "", counters[i].help);
    ledger->metric.redis_up =
        metrics_gauge(metrics, "miner_redis_up", "", "1 while Redis answers.");
}

int ledger_start(const struct redis_options *redis, struct metrics *metrics, struct ledger **out)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));

    if (ledger == NULL)
        return -ENOMEM;
    pthread_mutex_init(&ledger->lock, NULL);
    thread_init_condition(&ledger->wake);
    choose_key(ledger);
    register_metrics(ledger, metrics);
    int rc = redis_new(redis, &ledger->redis);
    if (rc == 0)
        rc = thread_start(&ledger->thread, run, ledger);
    if (rc != 0) {
        ledger->ended = true;
        ledger_free(ledger);
        return rc;
    }
    *out = ledger;
    return 0;
}

int ledger_stop(struct ledger *ledger, int64_t limit_ms)
{
    pthread_mutex_lock(&ledger->lock);
    atomic_store(&ledger->stopping, true);
    pthread_cond_signal(&ledger->wake);
    pthread_mutex_unlock(&ledger->lock);
    ledger->ended = thread_join(&ledger->thread, limit_ms);
    return ledger->ended ? 0 : -ETIMEDOUT;
}
