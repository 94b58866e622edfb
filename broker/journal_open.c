/* From a connection to an open journal: claim it, read it, write the first entry. */
#include "journal_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Entries that were read and not yet taken by the loop. */
#define REPLAY_BYTES ((size_t)32 << 20)

static const char *key_of(const struct journal *journal)
{
    return journal->store.journal_key;
}

static int refuse_claim(struct journal *journal, const struct store_claim *claim)
{
    if (claim->verdict == STORE_TORN)
        return journal_end(journal,
                           "%s does not end with entry %" PRIu64
                           ", as %s says: part of it is lost; "
                           "--journal-init takes what is there",
                           key_of(journal), claim->number, journal->store.broker_key);
    return journal_end(
        journal,
        "%s is %s, and %s expects %.8s...: its data were lost, or this is another Redis; "
        "--journal-init takes what is there",
        key_of(journal), claim->identity[0] != '\0' ? "another journal" : "empty",
        journal->mark.path, journal->mark.identity);
}

static int claim_journal(struct journal *journal)
{
    char host[64] = "";
    char owner[96];

    (void)!gethostname(host, sizeof(host) - 1);
    snprintf(owner, sizeof(owner), "%s pid %d", host, (int)getpid());
    struct store_claim claim = {
        .expected = journal->mark.identity,
        .init = journal->init,
        .wall_ms = clock_wall_ms(),
        .owner = owner,
    };
    struct problem problem;
    const int rc = store_claim(&journal->store, &claim);

    if (rc != 0)
        return rc;
    if (claim.verdict != STORE_OK)
        return refuse_claim(journal, &claim);
    if (mark_write(&journal->mark, claim.identity, &problem) != 0)
        return journal_end(journal, "%s", problem.text);
    snprintf(journal->identity, sizeof(journal->identity), "%s", claim.identity);
    journal->confirmed = claim.number;
    journal->claimed = true;
    log_info(claim.created ? "journal_created" : "journal_claimed",
             "key=%s identity=%s epoch=%" PRIu64 " entries_until=%" PRIu64, key_of(journal),
             claim.identity, claim.epoch, claim.number);
    pthread_mutex_lock(&journal->lock);
    journal->news.epoch = claim.epoch;
    pthread_mutex_unlock(&journal->lock);
    return 0;
}

/* Copy the good records of an entry. A bad one ends us, or is left out when salvaging. */
static int
copy_records(struct journal *journal, const char *id, struct wire_cursor *from, struct blob *batch)
{
    while (from->at < from->end) {
        const uint8_t *start = from->at;
        struct record record;
        uint8_t version = 0;
        const int rc = record_get(from, &record, &version);
        const char *what = rc == -EPROTO ? "is cut off" : "has a wrong checksum";

        if (rc == -ENOTSUP)
            return journal_end(journal,
                               "%s entry %s: record %u version %u of id %016" PRIx64
                               " is of a newer scoop, this one knows version %d",
                               key_of(journal), id, record.type, version, record.id,
                               RECORD_VERSION);
        if (rc != 0 && !journal->salvage)
            return journal_end(journal,
                               "%s entry %s: record %s of id %016" PRIx64
                               " %s; --journal-salvage leaves such records out",
                               key_of(journal), id, record_type_name(record.type), record.id, what);
        if (rc != 0) {
            journal->skipped++;
            log_error("journal_record_skipped", "entry=%s type=%s id=%016" PRIx64 " msg=\"%s\"", id,
                      record_type_name(record.type), record.id, what);
        }
        if (rc == -EPROTO)
            return 0;
        if (rc != 0)
            continue;
        const size_t bytes = (size_t)(from->at - start);
        if (blob_reserve(batch, bytes) != 0)
            return journal_end(journal, "out of memory while reading %s", key_of(journal));
        wire_put_bytes(batch, start, bytes);
        journal->replayed++;
    }
    return 0;
}

/* Hand over to the loop, which takes its time: wait while it has enough. */
static void push_replay(struct journal *journal, struct entry *entry)
{
    pthread_mutex_lock(&journal->lock);
    while (journal->replay.bytes > REPLAY_BYTES && journal->stop_ms == 0)
        pthread_cond_wait(&journal->wake, &journal->lock);
    entry_push(&journal->replay, entry);
    pthread_mutex_unlock(&journal->lock);
    journal_ring(journal);
}

static int take_stored(struct journal *journal, const redisReply *reply)
{
    const char *id = "?";
    const redisReply *data = NULL;

    if (!store_entry(reply, &id, &data))
        return journal_end(journal, "%s entry %s is nothing that a broker wrote", key_of(journal),
                           id);
    struct wire_cursor from = wire_cursor_of(data->str, data->len);
    struct blob *batch = blob_new(data->len);

    if (batch == NULL)
        return journal_end(journal, "out of memory while reading %s", key_of(journal));
    const int rc = copy_records(journal, id, &from, batch);
    if (rc != 0) {
        blob_unref(batch);
        return rc;
    }
    struct entry *entry = entry_new(batch, strtoull(id, NULL, 10));
    if (entry == NULL)
        return journal_end(journal, "out of memory while reading %s", key_of(journal));
    push_replay(journal, entry);
    snprintf(journal->read_id, sizeof(journal->read_id), "%s", id);
    return 0;
}

/* Read one page. *more: it was not the last. */
static int read_page(struct journal *journal, bool *more)
{
    redisReply *reply = NULL;
    int rc = store_read(&journal->store, journal->read_id, &reply);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < reply->elements && rc == 0; i++)
        rc = take_stored(journal, reply->element[i]);
    *more = reply->elements > 0;
    freeReplyObject(reply);
    return rc;
}

/* The first entry of ours: it also shows that Redis writes. */
static int append_opening(struct journal *journal)
{
    struct blob *batch CLEANUP(blob_unref_p) = journal_opening(journal);
    enum store_verdict verdict = STORE_OK;

    if (batch == NULL)
        return journal_end(journal, "out of memory while opening %s", key_of(journal));
    int rc = store_queue_append(&journal->store, journal->confirmed + 1, batch);
    if (rc == 0)
        rc = store_read_verdict(&journal->store, &verdict);
    if (rc != 0)
        return rc;
    if (verdict == STORE_TAKEN)
        return journal_end_taken(journal);
    if (verdict == STORE_LOST)
        return journal_end(journal, "%s was emptied while it was read; start again",
                           key_of(journal));
    journal->confirmed++;
    return 0;
}

int journal_open(struct journal *journal)
{
    bool more = true;
    int rc = journal->claimed ? 0 : claim_journal(journal);

    while (rc == 0 && more)
        rc = read_page(journal, &more);
    if (rc == 0)
        rc = append_opening(journal);
    if (rc != 0)
        return rc;
    log_info("journal_open", "records=%" PRIu64 " skipped=%" PRIu64 " position=%" PRIu64,
             journal->replayed, journal->skipped, journal->confirmed);
    journal->open = true;
    pthread_mutex_lock(&journal->lock);
    journal->news.open = true;
    journal->news.position = journal->confirmed;
    journal->appended = journal->confirmed;
    pthread_mutex_unlock(&journal->lock);
    return 0;
}
