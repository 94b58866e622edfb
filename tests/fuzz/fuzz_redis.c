/* Replies of Redis as they reach those that read them, through base/redis.h and hiredis: the journal, the miner's
 * books, and the page's counts. The server at the other end of a socket sends what the input says, and nothing more;
 * each connection gets the next part of it. The readers' threads run in this one, on a clock that the target moves.
 *
 * An entry counts as written only when the server has said so. */
#include "fuzz.h"

#include "base/address.h"
#include "base/thread.h"
#include "broker/journal_state.h"
#include "broker/record.h"
#include "miner/ledger.h"
#include "webui/counts.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define URL       "redis://127.0.0.1:1"
#define TURNS_MAX 12
#define PART_MAX  4096
#define TURN_MS   200

static struct wire_cursor script;
static int64_t now_ms;
static unsigned turns; /* of a reader's loop */
static bool stopping;
static int server = -1; /* the other end */
static size_t words;    /* "OK" in what it has said */
static void (*entry)(void *context);
static void *entry_context;
static struct metrics *metrics;
static struct journal *journal;
static struct ledger *ledger;
static struct counts *counts;
static size_t appended;

/* ---- in place of the network, the threads and the clock ---- */

int64_t __wrap_clock_now_ms(void);
void __wrap_clock_sleep_ms(int64_t ms);
int __wrap_thread_start(struct thread *thread, void (*run)(void *context), void *context);
bool __wrap_thread_join(struct thread *thread, int64_t limit_ms);
int __wrap_address_connect(const struct address *address, int lost_ms);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition,
                                  pthread_mutex_t *mutex,
                                  const struct timespec *due);

/* What the owner of a reader does meanwhile. */
static void turn(void)
{
    now_ms += TURN_MS;
    turns++;
    if (journal != NULL && journal->news.open && !stopping) {
        struct blob *batch = blob_new(RECORD_HEAD_BYTES);

        FUZZ_CHECK(batch != NULL && record_begin(batch, RECORD_OPEN, 1, 0) == 0);
        FUZZ_CHECK(journal_append(journal, batch) == 0);
        appended++;
        if (turns % 4 == 0)
            journal_trim(journal, journal->news.position);
    }
    if (ledger != NULL && !stopping)
        ledger_add_loop(ledger);
    if (turns < TURNS_MAX || stopping)
        return;
    stopping = true;
    if (server >= 0)
        close(server);
    server = -1;
    journal_stop(journal, 0);
    counts_stop(counts);
    if (ledger != NULL)
        FUZZ_ANY(ledger_stop(ledger, 0));
}

int64_t __wrap_clock_now_ms(void)
{
    return now_ms;
}

void __wrap_clock_sleep_ms(int64_t ms)
{
    (void)ms;
    turn();
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition,
                                  pthread_mutex_t *mutex,
                                  const struct timespec *due)
{
    (void)condition;
    (void)due;
    pthread_mutex_unlock(mutex);
    turn();
    pthread_mutex_lock(mutex);
    return ETIMEDOUT;
}

int __wrap_thread_start(struct thread *thread, void (*run)(void *context), void *context)
{
    (void)thread;
    entry = run;
    entry_context = context;
    return 0;
}

bool __wrap_thread_join(struct thread *thread, int64_t limit_ms)
{
    (void)thread;
    (void)limit_ms;
    return entry == NULL;
}

static void say(const void *bytes, size_t size)
{
    FUZZ_CHECK(size == 0 || write(server, bytes, size) == (ssize_t)size);
}

/* The next part of the input. At the end Redis is itself again: the miner does not give up before. */
int __wrap_address_connect(const struct address *address, int lost_ms)
{
    int ends[2];
    const uint16_t size = wire_get_u16(&script);
    const struct wire_bytes part = fuzz_take(&script, size % PART_MAX);

    (void)address;
    (void)lost_ms;
    if (server >= 0)
        close(server);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    server = ends[0];
    if (stopping) {
        for (unsigned i = 0; i < 4; i++)
            say(":1\r\n", 4);
    } else {
        say(part.data, part.size);
        for (size_t i = 0; i + 1 < part.size; i++)
            words += memcmp(part.data + i, "OK", 2) == 0;
    }
    shutdown(server, SHUT_WR);
    return ends[1];
}

/* ---- the readers ---- */

static void run(void)
{
    entry(entry_context);
    entry = NULL;
}

static void read_journal(bool salvage)
{
    const struct journal_config config = {
        .url = URL, .name = "fuzz", .salvage = salvage, .metrics = metrics};
    struct problem problem;
    uint64_t position = 0;
    struct blob *batch = NULL;

    FUZZ_CHECK(journal_start(&config, &journal, &problem) == 0);
    run();
    while ((batch = journal_take_replay(journal, &position)) != NULL)
        blob_unref(batch);
    FUZZ_CHECK(appended - journal->waiting.count - journal->sending.count <= words);
    journal_stop(journal, 0);
}

static void read_counts(void)
{
    const struct redis_options options = {.url = URL, .timeout_ms = 1000};
    struct counts_view view;

    FUZZ_CHECK(counts_start(&options, metrics, &counts) == 0);
    run();
    counts_read(counts, &view);
    FUZZ_CHECK(view.hashes >= 0);
    counts_stop(counts);
}

static void read_ledger(void)
{
    const struct redis_options options = {.url = URL, .timeout_ms = 1000};
    struct ledger_totals totals;

    FUZZ_CHECK(ledger_start(&options, metrics, &ledger) == 0);
    ledger_add_loop(ledger);
    FUZZ_CHECK(ledger_add_coin(ledger, (const char[COIN_HEX_BYTES]){"0"},
                               (const uint8_t[COIN_RAW_BYTES]){0}) == 0);
    run();
    ledger_read(ledger, &totals);
    FUZZ_CHECK(totals.loops_counted == totals.loops_done && totals.coins_stored == 1);
    FUZZ_CHECK(ledger_stop(ledger, 0) == 0);
    ledger_free(ledger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script = wire_cursor_of(data, size);
    const uint8_t which = wire_get_u8(&script);

    now_ms = 1000;
    turns = 0;
    stopping = false;
    words = 0;
    appended = 0;
    signal(SIGPIPE, SIG_IGN);
    metrics = metrics_new("fuzz");
    FUZZ_CHECK(metrics != NULL);
    switch (which % 4) {
    case 0: read_counts(); break;
    case 1: read_ledger(); break;
    default: read_journal(which % 4 == 3); break;
    }
    journal = NULL;
    ledger = NULL;
    counts = NULL;
    metrics_free(metrics);
    if (server >= 0)
        close(server);
    server = -1;
    return 0;
}
