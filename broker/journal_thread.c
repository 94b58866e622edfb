/* Writing, in exchanges: what waits goes out together, then the answers are read. */
#include "journal_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How often we look whether the journal is still ours, when nothing is written. */
#define CHECK_MS 1000

/* Between two tries while Redis is away; base/redis.h has its own back-off above that. */
#define RETRY_MS 50

/* In one exchange with Redis. */
#define EXCHANGE_ENTRIES 256
#define EXCHANGE_BYTES   ((size_t)8 << 20)

/* ---- telling the loop ---- */

void journal_ring(struct journal *journal)
{
    const uint64_t one = 1;

    while (write(journal->bell, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static void publish_position(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    journal->news.position = journal->confirmed;
    pthread_mutex_unlock(&journal->lock);
    journal_ring(journal);
}

/* The reason without the address before it: Redis may have several. */
static const char *without_address(const char *reason)
{
    const char *at = strstr(reason, ": ");

    return at != NULL ? at : reason;
}

/* Tell and log a change; the same state for the same reason is no news. */
static void set_state(struct journal *journal, enum journal_state state, const char *reason)
{
    char text[400];
    static const struct {
        enum log_level level;
        const char *event;
    } lines[] = {
        [JOURNAL_AWAY] = {LOG_WARN, "journal_away"},
        [JOURNAL_FULL] = {LOG_ERROR, "journal_full"},
        [JOURNAL_UP] = {LOG_INFO, "journal_up"},
        [JOURNAL_ENDED] = {LOG_ERROR, "journal_ended"},
    };

    pthread_mutex_lock(&journal->lock);
    const bool same = journal->news.state == state &&
                      strcmp(without_address(journal->news.reason), without_address(reason)) == 0;
    journal->news.state = state;
    snprintf(journal->news.reason, sizeof(journal->news.reason), "%s", reason);
    pthread_mutex_unlock(&journal->lock);
    metric_set(journal->metric.up, state == JOURNAL_UP);
    if (same)
        return;
    log_event(lines[state].level, lines[state].event, "reason=\"%s\" position=%" PRIu64,
              log_quote(text, sizeof(text), reason), journal->confirmed);
    journal_ring(journal);
}

int journal_end(struct journal *journal, const char *format, ...)
{
    char text[400];
    va_list fields;

    va_start(fields, format);
    vsnprintf(text, sizeof(text), format, fields);
    va_end(fields);
    journal->ended = true;
    set_state(journal, JOURNAL_ENDED, text);
    return -ESTALE;
}

/* What a failed exchange says about the state. */
static void note_failure(struct journal *journal)
{
    const char *reason = redis_reason(journal->redis);
    const bool full = strstr(reason, "MISCONF") != NULL || strstr(reason, ": OOM ") != NULL;

    metric_add(journal->metric.failures, 1);
    set_state(journal, full ? JOURNAL_FULL : JOURNAL_AWAY, reason);
}

static const char *key_of(const struct journal *journal)
{
    return journal->store.journal_key;
}

struct blob *journal_opening(const struct journal *journal)
{
    struct blob *batch = blob_new(RECORD_HEAD_BYTES);

    if (batch == NULL ||
        record_begin(batch, RECORD_OPEN, strtoull(journal->store.epoch, NULL, 10), 0) != 0) {
        blob_unref(batch);
        return NULL;
    }
    record_seal(batch);
    return batch;
}

int journal_end_taken(struct journal *journal)
{
    return journal_end(journal, "another broker has taken %s over; who: redis-cli HGETALL %s",
                       key_of(journal), journal->store.broker_key);
}

/* ---- writing ---- */

/* Take over what waits, as far as one exchange holds. Returns the trim position that is wanted. */
static uint64_t take_waiting(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    while (journal->waiting.head != NULL && journal->sending.count < EXCHANGE_ENTRIES &&
           journal->sending.bytes < EXCHANGE_BYTES) {
        struct entry *entry = entry_pop(&journal->waiting);

        entry_push(&journal->sending, entry);
        pthread_mutex_unlock(&journal->lock);
        record_seal(entry->batch);
        pthread_mutex_lock(&journal->lock);
    }
    const uint64_t trim = journal->trim;
    pthread_mutex_unlock(&journal->lock);
    return trim;
}

static void confirm_first(struct journal *journal)
{
    struct entry *entry = entry_pop(&journal->sending);

    journal->confirmed = entry->number;
    metric_add(journal->metric.entries, 1);
    metric_add(journal->metric.bytes, (int64_t)entry->batch->size);
    entry_free(entry);
}

/* Redis has forgotten something that it had acknowledged: begin again behind it. The loop appends
 * what is still needed. */
static int restore(struct journal *journal)
{
    struct blob *batch CLEANUP(blob_unref_p) = journal_opening(journal);
    enum store_verdict verdict = STORE_OK;

    if (batch == NULL)
        return -ENOMEM;
    const int rc =
        store_restore(&journal->store, journal->identity, journal->confirmed, batch, &verdict);
    if (rc != 0)
        return rc;
    if (verdict == STORE_TAKEN)
        return journal_end_taken(journal);
    log_error("journal_lost",
              "key=%s position=%" PRIu64 " msg=\"Redis lost what it had: all that "
              "is still needed is written again\"",
              key_of(journal), journal->confirmed);
    metric_add(journal->metric.losses, 1);
    pthread_mutex_lock(&journal->lock);
    journal->news.losses++;
    pthread_mutex_unlock(&journal->lock);
    journal_ring(journal);
    return 0;
}

/* Queue everything; *count: how many verdicts will come, before the answer to a trim. */
static int queue_all(struct journal *journal, uint64_t trim, size_t *count)
{
    int rc = 0;

    *count = 0;
    for (struct entry *entry = journal->sending.head; entry != NULL && rc == 0;
         entry = entry->next, ++*count)
        rc = store_queue_append(&journal->store, entry->number, entry->batch);
    if (rc == 0 && *count == 0) {
        rc = store_queue_check(&journal->store, journal->confirmed);
        ++*count;
    }
    if (rc == 0 && trim > journal->trimmed)
        rc = store_queue_trim(&journal->store, trim);
    return rc;
}

/* Read the answers. *worst: the first that was not STORE_OK; nothing behind it counts. */
static int
read_all(struct journal *journal, size_t appends, size_t count, enum store_verdict *worst)
{
    for (size_t i = 0; i < count; i++) {
        enum store_verdict verdict = STORE_OK;
        const int rc = store_read_verdict(&journal->store, &verdict);

        if (rc != 0)
            return rc;
        if (*worst == STORE_OK)
            *worst = verdict;
        if (i < appends && *worst == STORE_OK)
            confirm_first(journal);
    }
    return 0;
}

/* One exchange: everything that waits, or a look whether the journal is still ours. */
static int exchange(struct journal *journal)
{
    const uint64_t trim = take_waiting(journal);
    const size_t appends = journal->sending.count;
    enum store_verdict worst = STORE_OK;
    size_t count = 0;
    int rc = queue_all(journal, trim, &count);

    if (rc == 0)
        rc = read_all(journal, appends, count, &worst);
    if (rc == 0 && trim > journal->trimmed)
        rc = store_read_trimmed(&journal->store);
    if (appends != journal->sending.count)
        publish_position(journal);
    if (rc != 0)
        return rc;
    journal->checked_ms = clock_now_ms();
    if (worst == STORE_TAKEN)
        return journal_end_taken(journal);
    if (worst == STORE_LOST)
        return restore(journal);
    if (trim > journal->trimmed)
        journal->trimmed = trim;
    return 0;
}

/* ---- the thread ---- */

static bool is_over(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    const int64_t stop_ms = journal->stop_ms;
    const bool written = journal->waiting.head == NULL && journal->sending.head == NULL;
    pthread_mutex_unlock(&journal->lock);
    return journal->ended ||
           (stop_ms != 0 && (written || !journal->open || clock_now_ms() >= stop_ms));
}

/* Sleep until there is something to do, or a check or a try is due. */
static void rest(struct journal *journal, int rc)
{
    const int64_t due_ms = rc != 0 ? clock_now_ms() + RETRY_MS : journal->checked_ms + CHECK_MS;
    const struct timespec due = thread_time(due_ms);

    pthread_mutex_lock(&journal->lock);
    /* What is appended while Redis is away is no reason to try earlier. */
    while ((rc != 0 || (journal->waiting.head == NULL && journal->trim <= journal->trimmed)) &&
           journal->stop_ms == 0 &&
           pthread_cond_timedwait(&journal->wake, &journal->lock, &due) == 0)
        ;
    const bool hurry = journal->stop_ms != 0;
    pthread_mutex_unlock(&journal->lock);
    if (hurry && rc != 0)
        clock_sleep_ms(RETRY_MS);
}

void journal_run(void *context)
{
    struct journal *journal = context;

    while (!is_over(journal)) {
        int rc = redis_connect(journal->redis);

        if (rc == 0)
            rc = journal->open ? exchange(journal) : journal_open(journal);
        if (journal->ended)
            break;
        if (rc == 0)
            set_state(journal, JOURNAL_UP, "");
        else if (rc != -EAGAIN)
            note_failure(journal);
        rest(journal, rc);
    }
}
