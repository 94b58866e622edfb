/* The thread of counts.h. `view` is under the lock; the rest belongs to the thread. */
#include "counts.h"

#include "rate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/thread.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LOOK_EVERY_MS 100
#define LOOKS_A_POINT 10

/* How long counts_stop() waits for the thread. */
#define STOP_LIMIT_MS 300

struct counts {
    struct thread thread;
    pthread_mutex_t lock;
    struct counts_view view;
    atomic_bool stopping;

    struct redis *redis;
    struct metric *redis_up;
    struct rate rate;
    bool down; /* as last logged */
    unsigned looks;
};

static void free_counts(struct counts *counts)
{
    redis_free(counts->redis);
    pthread_mutex_destroy(&counts->lock);
    free(counts);
}

static int queue(struct redis *redis, const char *verb, const char *key)
{
    const char *words[] = {verb, key};
    const size_t bytes[] = {strlen(verb), strlen(key)};

    return redis_queue(redis, COUNT_OF(words), words, bytes);
}

/* A number, as an integer or as text; a key that is not there is 0. */
static int read_number(struct redis *redis, int64_t *out)
{
    redisReply *reply = NULL;
    uint64_t value = 0;
    int rc = redis_read_reply(redis, &reply);

    if (rc != 0)
        return rc;
    if (reply->type == REDIS_REPLY_INTEGER)
        value = (uint64_t)reply->integer;
    else if (reply->type == REDIS_REPLY_STRING)
        rc = parse_u64(reply->str, 0, INT64_MAX, &value);
    else if (reply->type != REDIS_REPLY_NIL)
        rc = -EPROTO;
    freeReplyObject(reply);
    if (rc != 0) {
        redis_drop(redis, "the key hashes is not a whole number");
        return rc;
    }
    *out = (int64_t)value;
    return 0;
}

/* Ask for both numbers in one exchange. 0 or -errno. */
static int look(struct redis *redis, int64_t *hashes, int64_t *coins)
{
    int rc = redis_connect(redis);

    if (rc == 0)
        rc = queue(redis, "GET", "hashes");
    if (rc == 0)
        rc = queue(redis, "HLEN", "wallet");
    if (rc == 0)
        rc = read_number(redis, hashes);
    if (rc == 0)
        rc = read_number(redis, coins);
    return rc;
}

/* Log once per change of state. */
static void note_redis(struct counts *counts, int rc)
{
    char reason[600];

    metric_set(counts->redis_up, rc == 0);
    if (rc != 0 && !counts->down)
        log_warn("redis_down", "reason=\"%s\" msg=\"the last known numbers are shown\"",
                 log_quote(reason, sizeof(reason), redis_reason(counts->redis)));
    if (rc == 0 && counts->down)
        log_info("redis_up", "reason=\"it answers again\"");
    counts->down = rc != 0;
}

static void push_point(struct counts_view *view)
{
    if (view->count == COUNTS_HISTORY)
        memmove(view->history, view->history + 1, sizeof(double) * --view->count);
    view->history[view->count++] = view->stale ? (double)NAN : view->rate;
}

/* Take over the outcome of one look. */
static void publish(struct counts *counts, int rc, int64_t hashes, int64_t coins, int64_t now_ms)
{
    if (rc == 0)
        rate_note(&counts->rate, hashes, now_ms);
    pthread_mutex_lock(&counts->lock);
    struct counts_view *view = &counts->view;
    view->stale = rc != 0;
    if (rc == 0) {
        view->hashes = hashes;
        view->coins = coins;
        view->rate = rate_per_second(&counts->rate, now_ms);
    }
    if (++counts->looks % LOOKS_A_POINT == 0)
        push_point(view);
    pthread_mutex_unlock(&counts->lock);
}

static void run(void *context)
{
    struct counts *counts = context;
    int64_t next_ms = clock_now_ms();

    while (!atomic_load(&counts->stopping)) {
        int64_t hashes = 0;
        int64_t coins = 0;
        const int rc = look(counts->redis, &hashes, &coins);
        const int64_t now_ms = clock_now_ms();

        if (rc != -EAGAIN)
            note_redis(counts, rc);
        publish(counts, rc, hashes, coins, now_ms);
        /* A look that took longer than a turn is followed by the next one at its own time. */
        next_ms += LOOK_EVERY_MS;
        if (next_ms < now_ms)
            next_ms = now_ms + LOOK_EVERY_MS;
        clock_sleep_ms(next_ms - now_ms);
    }
}

int counts_start(const struct redis_options *redis, struct metrics *metrics, struct counts **out)
{
    struct counts *counts = calloc(1, sizeof(*counts));

    if (counts == NULL)
        return -ENOMEM;
    pthread_mutex_init(&counts->lock, NULL);
    counts->view.stale = true;
    counts->redis_up = metrics_gauge(metrics, "webui_redis_up", "", "1 while Redis answers.");
    rate_init(&counts->rate);
    int rc = redis_new(redis, &counts->redis);
    if (rc == 0)
        rc = thread_start(&counts->thread, run, counts);
    if (rc != 0) {
        free_counts(counts);
        return rc;
    }
    *out = counts;
    return 0;
}

void counts_read(struct counts *counts, struct counts_view *out)
{
    pthread_mutex_lock(&counts->lock);
    *out = counts->view;
    pthread_mutex_unlock(&counts->lock);
}

void counts_stop(struct counts *counts)
{
    if (counts == NULL)
        return;
    atomic_store(&counts->stopping, true);
    if (thread_join(&counts->thread, STOP_LIMIT_MS))
        free_counts(counts);
}
