/* The loop's side of journal.h: what it hands over and takes, and the journal's life. */
#include "journal_state.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How long the thread may take to notice that its time is over, when it does not wait for Redis. */
#define NOTICE_MS 500

bool journal_name_is_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t length = strlen(name);

    return length > 0 && length <= STORE_NAME_MAX && strspn(name, allowed) == length;
}

int journal_fd(const struct journal *journal)
{
    return journal->bell;
}

void journal_drain(struct journal *journal)
{
    uint64_t rings = 0;

    (void)!read(journal->bell, &rings, sizeof(rings));
}

void journal_take(struct journal *journal, struct journal_news *out)
{
    pthread_mutex_lock(&journal->lock);
    *out = journal->news;
    out->open = out->open && journal->replay.head == NULL;
    pthread_mutex_unlock(&journal->lock);
}

struct blob *journal_take_replay(struct journal *journal, uint64_t *position)
{
    struct blob *batch = NULL;

    pthread_mutex_lock(&journal->lock);
    struct entry *entry = entry_pop(&journal->replay);
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    if (entry != NULL) {
        *position = entry->number;
        batch = steal(&entry->batch);
    }
    entry_free(entry);
    return batch;
}

int journal_append(struct journal *journal, struct blob *batch)
{
    struct entry *entry = entry_new(batch, 0);

    if (entry == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&journal->lock);
    entry->number = ++journal->appended;
    entry_push(&journal->waiting, entry);
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    return 0;
}

void journal_trim(struct journal *journal, uint64_t position)
{
    pthread_mutex_lock(&journal->lock);
    journal->trim = position;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
}

/* ---- life ---- */

static void register_metrics(struct journal *journal, struct metrics *metrics)
{
    journal->metric.up =
        metrics_gauge(metrics, "scoop_journal_up", "", "1 while the journal is written to.");
    journal->metric.entries = metrics_counter(metrics, "scoop_journal_entries_total", "",
                                              "Entries written to the journal.");
    journal->metric.bytes =
        metrics_counter(metrics, "scoop_journal_bytes_total", "", "Bytes written to the journal.");
    journal->metric.failures = metrics_counter(metrics, "scoop_journal_failures_total", "",
                                               "Exchanges with Redis that failed.");
    journal->metric.losses = metrics_counter(metrics, "scoop_journal_losses_total", "",
                                             "Times that Redis had lost what it acknowledged.");
}

static void free_journal(struct journal *journal)
{
    entry_clear(&journal->waiting);
    entry_clear(&journal->sending);
    entry_clear(&journal->replay);
    redis_free(journal->redis);
    if (journal->bell >= 0)
        close(journal->bell);
    pthread_cond_destroy(&journal->wake);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
}

static int
begin(struct journal *journal, const struct journal_config *config, struct problem *problem)
{
    int rc = mark_read(&journal->mark, config->mark_file, problem);

    if (rc != 0)
        return rc;
    rc = redis_new(&(struct redis_options){.url = config->url,
                                           .password_file = config->password_file,
                                           .timeout_ms = JOURNAL_TIMEOUT_MS},
                   &journal->redis);
    if (rc == 0) {
        store_init(&journal->store, journal->redis, config->name);
        rc = thread_start(&journal->thread, journal_run, journal);
    }
    return rc != 0 ? problem_set(problem, rc, "the journal cannot start: %s", strerror(-rc)) : 0;
}

int journal_start(const struct journal_config *config,
                  struct journal **out,
                  struct problem *problem)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    if (journal == NULL)
        return problem_set(problem, -ENOMEM, "the journal cannot start: out of memory");
    pthread_mutex_init(&journal->lock, NULL);
    thread_init_condition(&journal->wake);
    journal->init = config->init;
    journal->salvage = config->salvage;
    journal->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    register_metrics(journal, config->metrics);
    const int rc = journal->bell >= 0 ? begin(journal, config, problem)
                                      : problem_set(problem, -errno, "the journal: no descriptor");
    if (rc != 0) {
        free_journal(journal);
        return rc;
    }
    *out = journal;
    return 0;
}

int journal_stop(struct journal *journal, int64_t limit_ms)
{
    if (journal == NULL)
        return 0;
    pthread_mutex_lock(&journal->lock);
    journal->stop_ms = clock_now_ms() + limit_ms;
    pthread_cond_broadcast(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    /* A thread that still waits for Redis keeps its memory until the process ends. */
    if (!thread_join(&journal->thread, limit_ms + NOTICE_MS))
        return -ETIMEDOUT;
    const bool written = journal->waiting.head == NULL && journal->sending.head == NULL;
    free_journal(journal);
    return written ? 0 : -ETIMEDOUT;
}
