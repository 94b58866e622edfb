/* A slot is one loop under way: begin -> (rest) -> draw -> hash -> begin ... It waits either for
 * its exchange or for a time (due_ms); `next_due_ms` is never later than the earliest of those
 * times. */
#include "miner.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 128

/* The loop turns at least this often, so that others can see that it lives. */
#define TURN_LIMIT_MS 1000

/* Pause when there is no room for coins, memory or address. */
#define SHORTAGE_MS 100

#define REQUEST_MAX 1024

enum slot_step { SLOT_BEGIN, SLOT_DRAW, SLOT_HASH };

struct slot {
    struct exchange exchange; /* first: exchanges are known by it */
    struct miner *miner;
    enum slot_step step;
    bool waiting; /* for due_ms */
    bool starved; /* and that for an address */
    int64_t due_ms;
    uint8_t raw[COIN_RAW_BYTES];
    char hash_request[REQUEST_MAX];
};

struct miner {
    struct watch wake; /* first: the addresses of a peer changed */
    struct watch stop;
    struct miner_options options;
    struct metrics *metrics;
    struct ledger *ledger;
    struct peer *rng;
    struct peer *hasher;
    int epoll_fd;
    int wake_fd;
    bool fed; /* the addresses changed in this turn */
    bool stopped;
    int64_t next_due_ms;
    atomic_int_fast64_t turned_ms;
    char draw_request[REQUEST_MAX];
    size_t draw_bytes;
    char hash_head[REQUEST_MAX];
    size_t hash_head_bytes;
    struct slot slots[];
};

static bool is_random_bytes(const struct exchange *exchange)
{
    return exchange->answer_bytes == COIN_RAW_BYTES;
}

static bool is_hash(const struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->answer_bytes; i++) {
        const uint8_t c = exchange->answer[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return exchange->answer_bytes == COIN_HEX_BYTES;
}

static void slot_sleep(struct slot *slot, int64_t due_ms)
{
    slot->waiting = true;
    slot->due_ms = due_ms;
    if (due_ms < slot->miner->next_due_ms)
        slot->miner->next_due_ms = due_ms;
}

/* Send the request of the slot's step, or wait until some address may be tried. */
static void slot_ask(struct slot *slot, int64_t now_ms)
{
    struct miner *miner = slot->miner;
    struct peer *peer = slot->step == SLOT_DRAW ? miner->rng : miner->hasher;

    if (slot->step == SLOT_DRAW) {
        slot->exchange.request = miner->draw_request;
        slot->exchange.request_bytes = miner->draw_bytes;
    } else {
        slot->exchange.request = slot->hash_request;
        slot->exchange.request_bytes = miner->hash_head_bytes + COIN_RAW_BYTES;
    }
    const int rc = peer_send(peer, &slot->exchange, now_ms);
    slot->starved = rc != 0;
    if (rc == 0)
        return;
    const int64_t retry_ms = rc == -EAGAIN ? peer_retry_at(peer) : now_ms + SHORTAGE_MS;
    const int64_t latest_ms = now_ms + TURN_LIMIT_MS;
    slot_sleep(slot, retry_ms < latest_ms ? retry_ms : latest_ms);
}

/* Begin a loop: there must be room for its coin, then comes the rest. */
static void slot_begin(struct slot *slot, int64_t now_ms)
{
    struct miner *miner = slot->miner;

    slot->step = SLOT_BEGIN;
    if (!ledger_has_room(miner->ledger, miner->options.concurrency)) {
        slot_sleep(slot, now_ms + SHORTAGE_MS);
        return;
    }
    log_debug("loop_begin", "msg=\"Doing one unit of work\"");
    slot->step = SLOT_DRAW;
    if (miner->options.delay_ms > 0)
        slot_sleep(slot, now_ms + miner->options.delay_ms);
    else
        slot_ask(slot, now_ms);
}

static void slot_drawn(struct slot *slot, int64_t now_ms)
{
    memcpy(slot->raw, slot->exchange.answer, COIN_RAW_BYTES);
    memcpy(slot->hash_request + slot->miner->hash_head_bytes, slot->raw, COIN_RAW_BYTES);
    slot->step = SLOT_HASH;
    slot_ask(slot, now_ms);
}

static void slot_hashed(struct slot *slot, int64_t now_ms)
{
    struct ledger *ledger = slot->miner->ledger;
    char hex[COIN_HEX_BYTES];

    memcpy(hex, slot->exchange.answer, COIN_HEX_BYTES);
    if (hex[0] != '0')
        log_debug("loop_done", "msg=\"No coin found\"");
    else if (ledger_add_coin(ledger, hex, slot->raw) != 0)
        log_error("coin_lost", "reason=\"no memory\" coin=%.8s", hex);
    ledger_add_loop(ledger);
    slot_begin(slot, now_ms);
}

static void slot_finished(struct exchange *exchange, int result, int64_t now_ms)
{
    struct slot *slot = (struct slot *)exchange;

    if (result != 0)
        slot_ask(slot, now_ms);
    else if (slot->step == SLOT_DRAW)
        slot_drawn(slot, now_ms);
    else
        slot_hashed(slot, now_ms);
}

static void wake_slots(struct miner *miner, int64_t now_ms)
{
    if (now_ms < miner->next_due_ms)
        return;
    miner->next_due_ms = INT64_MAX;
    for (size_t i = 0; i < miner->options.concurrency; i++) {
        struct slot *slot = &miner->slots[i];
        if (!slot->waiting)
            continue;
        if (slot->due_ms > now_ms) {
            slot_sleep(slot, slot->due_ms);
            continue;
        }
        slot->waiting = false;
        if (slot->step == SLOT_BEGIN)
            slot_begin(slot, now_ms);
        else
            slot_ask(slot, now_ms);
    }
}

/* New addresses: who waits for one need not wait any longer. */
static void feed_starved(struct miner *miner, int64_t now_ms)
{
    for (size_t i = 0; i < miner->options.concurrency; i++) {
        if (miner->slots[i].waiting && miner->slots[i].starved)
            slot_sleep(&miner->slots[i], now_ms);
    }
}

static void addresses_changed(struct watch *watch, uint32_t events, int64_t now_ms)
{
    struct miner *miner = (struct miner *)watch;
    uint64_t changes = 0;

    (void)events;
    (void)now_ms;
    (void)!read(miner->wake_fd, &changes, sizeof(changes));
    miner->fed = true;
}

static void stop_wanted(struct watch *watch, uint32_t events, int64_t now_ms)
{
    struct miner *miner = (struct miner *)((char *)watch - offsetof(struct miner, stop));

    (void)events;
    (void)now_ms;
    miner->stopped = true;
}

/* How long epoll may wait. */
static int turn_limit(const struct miner *miner, int64_t now_ms)
{
    const int64_t dues[] = {miner->next_due_ms, peer_due(miner->rng), peer_due(miner->hasher)};
    int64_t limit_ms = TURN_LIMIT_MS;

    for (size_t i = 0; i < COUNT_OF(dues); i++) {
        if (dues[i] - now_ms < limit_ms)
            limit_ms = dues[i] - now_ms;
    }
    return limit_ms > 0 ? (int)limit_ms : 0;
}

/* One turn: wait, handle what happened, then what is due. 0 or -errno. */
static int turn(struct miner *miner)
{
    struct epoll_event events[EVENTS_PER_TURN];
    const int count =
        epoll_wait(miner->epoll_fd, events, COUNT_OF(events), turn_limit(miner, clock_now_ms()));
    const int64_t now_ms = clock_now_ms();

    if (count < 0 && errno != EINTR)
        return -errno;
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        watch->ready(watch, events[i].events, now_ms);
    }
    peer_tick(miner->rng, now_ms);
    peer_tick(miner->hasher, now_ms);
    if (miner->fed)
        feed_starved(miner, now_ms);
    miner->fed = false;
    wake_slots(miner, now_ms);
    atomic_store(&miner->turned_ms, now_ms);
    return 0;
}

static int watch_fd(struct miner *miner, int fd, struct watch *watch)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = watch};

    return epoll_ctl(miner->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) == 0 ? 0 : -errno;
}

int miner_run(struct miner *miner, int stop_fd)
{
    int rc = watch_fd(miner, stop_fd, &miner->stop);

    for (size_t i = 0; i < miner->options.concurrency; i++)
        slot_begin(&miner->slots[i], clock_now_ms());
    while (rc == 0 && !miner->stopped)
        rc = turn(miner);
    return rc;
}

/* The path of the service with a slash at its end. */
static const char *slash_after(const char *path)
{
    return path[strlen(path) - 1] == '/' ? "" : "/";
}

static void write_host(const struct url *url, char *text, size_t size)
{
    const bool v6 = strchr(url->authority.host, ':') != NULL;

    snprintf(text, size, v6 ? "[%s]:%u" : "%s:%u", url->authority.host, url->authority.port);
}

/* The two requests never change, but for the 32 bytes behind the second. */
static void write_requests(struct miner *miner)
{
    const struct url *rng = &miner->options.rng;
    const struct url *hasher = &miner->options.hasher;
    char host[300];

    write_host(rng, host, sizeof(host));
    miner->draw_bytes = (size_t)snprintf(miner->draw_request, REQUEST_MAX,
                                         "GET %s%s%d HTTP/1.1\r\nHost: %s\r\n\r\n", rng->path,
                                         slash_after(rng->path), COIN_RAW_BYTES, host);
    write_host(hasher, host, sizeof(host));
    miner->hash_head_bytes = (size_t)snprintf(
        miner->hash_head, REQUEST_MAX - COIN_RAW_BYTES,
        "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\n"
        "Content-Length: %d\r\n\r\n",
        hasher->path, host, COIN_RAW_BYTES);
    for (size_t i = 0; i < miner->options.concurrency; i++)
        memcpy(miner->slots[i].hash_request, miner->hash_head, miner->hash_head_bytes);
}

static int start_peer(struct miner *miner,
                      const char *name,
                      const struct url *url,
                      bool (*accepts)(const struct exchange *),
                      struct peer **out)
{
    return peer_new(&(struct peer_options){.name = name,
                                           .metrics = miner->metrics,
                                           .url = *url,
                                           .epoll_fd = miner->epoll_fd,
                                           .wake_fd = miner->wake_fd,
                                           .timeout_ms = miner->options.timeout_ms,
                                           .accepts = accepts},
                    out);
}

static int open_descriptors(struct miner *miner)
{
    miner->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (miner->epoll_fd < 0)
        return -errno;
    miner->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (miner->wake_fd < 0)
        return -errno;
    return watch_fd(miner, miner->wake_fd, &miner->wake);
}

int miner_new(const struct miner_options *options,
              struct metrics *metrics,
              struct ledger *ledger,
              struct miner **out)
{
    struct miner *miner = calloc(1, sizeof(*miner) + options->concurrency * sizeof(struct slot));
    int rc = 0;

    if (miner == NULL)
        return -ENOMEM;
    miner->wake.ready = addresses_changed;
    miner->stop.ready = stop_wanted;
    miner->options = *options;
    miner->metrics = metrics;
    miner->ledger = ledger;
    miner->epoll_fd = -1;
    miner->wake_fd = -1;
    miner->next_due_ms = INT64_MAX;
    atomic_store(&miner->turned_ms, clock_now_ms());
    for (size_t i = 0; i < options->concurrency; i++) {
        miner->slots[i].miner = miner;
        miner->slots[i].exchange.finished = slot_finished;
    }
    write_requests(miner);
    rc = open_descriptors(miner);
    if (rc == 0)
        rc = start_peer(miner, "rng", &options->rng, is_random_bytes, &miner->rng);
    if (rc == 0)
        rc = start_peer(miner, "hasher", &options->hasher, is_hash, &miner->hasher);
    if (rc != 0) {
        miner_free(miner);
        return rc;
    }
    *out = miner;
    return 0;
}

void miner_free(struct miner *miner)
{
    if (miner == NULL)
        return;
    peer_free(miner->rng);
    peer_free(miner->hasher);
    if (miner->epoll_fd >= 0)
        close(miner->epoll_fd);
    if (miner->wake_fd >= 0)
        close(miner->wake_fd);
    free(miner);
}

int64_t miner_silent_ms(const struct miner *miner)
{
    return clock_now_ms() - atomic_load(&miner->turned_ms);
}
