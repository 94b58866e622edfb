#include "store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Entries in one reply of store_read(). They are as large as a batch: below a MiB, unless one task
 * is larger. */
#define PAGE_ENTRIES "16"

#define NUMBER_TEXT 24

/* Lua prints large numbers as floating point unless told otherwise. */
#define LUA_TEXT(value) "string.format('%.0f', " value ")"

/* ARGV: wall clock in ms, fresh identity, expected identity, "init" or "", owner. */
static const char claim_script[] =
    "local o = redis.call('HMGET', KEYS[1], 'identity', 'epoch', 'number') "
    "local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1] "
    "local present = last and tonumber(string.match(last[1], '^%d+')) or 0 "
    "local number = tonumber(o[3] or 0) "
    "local epoch = tonumber(ARGV[1]) "
    "local function answer(word) return {word, o[1] or '', " LUA_TEXT("epoch") ", " LUA_TEXT(
        "number") "} end "
                  "if ARGV[4] ~= 'init' then "
                  "if ARGV[3] ~= '' and o[1] ~= ARGV[3] then return answer('OTHER') end "
                  "if present ~= number then return answer('TORN') end "
                  "end "
                  "if number < present then number = present end "
                  "if o[2] and tonumber(o[2]) >= epoch then epoch = tonumber(o[2]) + 1 end "
                  "local made = answer('OK') "
                  "redis.call('HSET', KEYS[1], 'identity', o[1] or ARGV[2], 'epoch', made[3], "
                  "'number', made[4], 'owner', ARGV[5]) "
                  "return made";

/* ARGV: epoch, number, batch; without a batch it only looks. */
static const char append_script[] =
    "local o = redis.call('HMGET', KEYS[1], 'epoch', 'number') "
    "if not o[1] or redis.call('EXISTS', KEYS[2]) == 0 and o[2] ~= '0' then return 'LOST' end "
    "if o[1] ~= ARGV[1] then return 'TAKEN' end "
    "local last, number = tonumber(o[2]), tonumber(ARGV[2]) "
    "if number <= last then return 'OK' end "
    "if number ~= last + 1 or ARGV[3] == '' then return 'LOST' end "
    "redis.call('XADD', KEYS[2], ARGV[2] .. '-0', 'r', ARGV[3]) "
    "redis.call('HSET', KEYS[1], 'number', ARGV[2]) "
    "return 'OK'";

/* ARGV: epoch, number, batch, identity. */
static const char restore_script[] =
    "local o = redis.call('HMGET', KEYS[1], 'epoch', 'number') "
    "if o[1] and o[1] ~= ARGV[1] then return 'TAKEN' end "
    "if o[1] and redis.call('EXISTS', KEYS[2]) == 1 and "
    "tonumber(o[2]) >= tonumber(ARGV[2]) then return 'OK' end "
    "redis.call('XADD', KEYS[2], ARGV[2] .. '-*', 'r', ARGV[3]) "
    "redis.call('HSET', KEYS[1], 'identity', ARGV[4], 'epoch', ARGV[1], 'number', ARGV[2]) "
    "return 'OK'";

void store_init(struct store *store, struct redis *redis, const char *name)
{
    *store = (struct store){.redis = redis};
    snprintf(store->broker_key, sizeof(store->broker_key), "scoop:%.64s:broker", name);
    snprintf(store->journal_key, sizeof(store->journal_key), "scoop:%.64s:journal", name);
}

/* ---- commands ---- */

struct word {
    const char *data;
    size_t size;
};

static struct word word_of(const char *text)
{
    return (struct word){text, strlen(text)};
}

static int queue_words(struct store *store, const struct word *given, size_t count)
{
    const char *words[12];
    size_t bytes[12];

    for (size_t i = 0; i < count; i++) {
        words[i] = given[i].data;
        bytes[i] = given[i].size;
    }
    return redis_queue(store->redis, (int)count, words, bytes);
}

/* False: none of the words of our scripts. */
static bool verdict_of(const redisReply *reply, enum store_verdict *out)
{
    static const struct {
        const char *word;
        enum store_verdict verdict;
    } rows[] = {
        {"OK", STORE_OK},       {"TAKEN", STORE_TAKEN}, {"LOST", STORE_LOST},
        {"OTHER", STORE_OTHER}, {"TORN", STORE_TORN},
    };

    for (size_t i = 0; reply->type == REDIS_REPLY_STRING && i < COUNT_OF(rows); i++) {
        if (strcmp(reply->str, rows[i].word) == 0) {
            *out = rows[i].verdict;
            return true;
        }
    }
    return false;
}

/* The reply is `fine`, or the connection is closed. Takes the reply. */
static int end_reply(struct store *store, redisReply *reply, bool fine)
{
    freeReplyObject(reply);
    if (fine)
        return 0;
    redis_drop(store->redis, "an answer that is not Redis'");
    return -EPROTO;
}

int store_read_verdict(struct store *store, enum store_verdict *out)
{
    redisReply *reply = NULL;
    const int rc = redis_read_reply(store->redis, &reply);

    if (rc != 0)
        return rc;
    return end_reply(store, reply, verdict_of(reply, out));
}

int store_read_trimmed(struct store *store)
{
    redisReply *reply = NULL;
    const int rc = redis_read_reply(store->redis, &reply);

    return rc != 0 ? rc : end_reply(store, reply, reply->type == REDIS_REPLY_INTEGER);
}

/* ---- claim ---- */

static void make_identity(char text[STORE_IDENTITY_BYTES + 1], int64_t wall_ms)
{
    uint64_t id[2] = {(uint64_t)wall_ms, 0};

    /* Cannot fail for so few bytes once the kernel has seeded itself; then the clock stands in. */
    (void)!getrandom(id, sizeof(id), 0);
    snprintf(text, STORE_IDENTITY_BYTES + 1, "%016" PRIx64 "%016" PRIx64, id[0], id[1]);
}

static void read_claim(struct store *store,
                       const redisReply *reply,
                       const char *fresh,
                       struct store_claim *claim)
{
    claim->created = reply->element[1]->str[0] == '\0';
    claim->epoch = strtoull(reply->element[2]->str, NULL, 10);
    claim->number = strtoull(reply->element[3]->str, NULL, 10);
    snprintf(claim->identity, sizeof(claim->identity), "%s",
             claim->created && claim->verdict == STORE_OK ? fresh : reply->element[1]->str);
    snprintf(store->epoch, sizeof(store->epoch), "%" PRIu64, claim->epoch);
}

static bool is_claim(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            return false;
    }
    return true;
}

int store_claim(struct store *store, struct store_claim *claim)
{
    char fresh[STORE_IDENTITY_BYTES + 1];
    char wall[NUMBER_TEXT];
    redisReply *reply = NULL;

    make_identity(fresh, claim->wall_ms);
    snprintf(wall, sizeof(wall), "%" PRId64, claim->wall_ms);
    const struct word words[] = {
        {"EVAL", 4},
        {claim_script, sizeof(claim_script) - 1},
        {"2", 1},
        word_of(store->broker_key),
        word_of(store->journal_key),
        word_of(wall),
        word_of(fresh),
        word_of(claim->expected),
        word_of(claim->init ? "init" : ""),
        word_of(claim->owner),
    };
    int rc = queue_words(store, words, COUNT_OF(words));
    if (rc == 0)
        rc = redis_read_reply(store->redis, &reply);
    if (rc != 0)
        return rc;
    const bool fine = is_claim(reply) && verdict_of(reply->element[0], &claim->verdict);
    if (fine)
        read_claim(store, reply, fresh, claim);
    return end_reply(store, reply, fine);
}

/* ---- appending ---- */

static int queue_script(struct store *store,
                        struct word script,
                        uint64_t number,
                        struct word batch,
                        const char *identity)
{
    char text[NUMBER_TEXT];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    const struct word words[] = {
        {"EVAL", 4},
        script,
        {"2", 1},
        word_of(store->broker_key),
        word_of(store->journal_key),
        word_of(store->epoch),
        word_of(text),
        batch,
        word_of(identity != NULL ? identity : ""),
    };
    return queue_words(store, words, COUNT_OF(words) - (identity == NULL));
}

static struct word word_of_batch(const struct blob *batch)
{
    return (struct word){(const char *)batch->data, batch->size};
}

int store_queue_append(struct store *store, uint64_t number, const struct blob *batch)
{
    const struct word script = {append_script, sizeof(append_script) - 1};

    return queue_script(store, script, number, word_of_batch(batch), NULL);
}

int store_queue_check(struct store *store, uint64_t number)
{
    const struct word script = {append_script, sizeof(append_script) - 1};

    return queue_script(store, script, number, word_of(""), NULL);
}

int store_restore(struct store *store,
                  const char *identity,
                  uint64_t number,
                  const struct blob *batch,
                  enum store_verdict *out)
{
    const struct word script = {restore_script, sizeof(restore_script) - 1};
    const int rc = queue_script(store, script, number, word_of_batch(batch), identity);

    return rc != 0 ? rc : store_read_verdict(store, out);
}

int store_queue_trim(struct store *store, uint64_t number)
{
    char id[STORE_ID_MAX];

    snprintf(id, sizeof(id), "%" PRIu64 "-0", number);
    const struct word words[] = {
        {"XTRIM", 5}, word_of(store->journal_key), {"MINID", 5}, {"=", 1}, word_of(id)};
    return queue_words(store, words, COUNT_OF(words));
}

/* ---- reading ---- */

int store_read(struct store *store, const char *after, redisReply **out)
{
    char start[STORE_ID_MAX + 1];

    snprintf(start, sizeof(start), "%s%s", after[0] != '\0' ? "(" : "-", after);
    const struct word words[] = {
        {"XRANGE", 6}, word_of(store->journal_key), word_of(start), {"+", 1},
        {"COUNT", 5},  word_of(PAGE_ENTRIES),
    };
    redisReply *reply = NULL;
    int rc = queue_words(store, words, COUNT_OF(words));

    if (rc == 0)
        rc = redis_read_reply(store->redis, &reply);
    if (rc != 0)
        return rc;
    if (reply->type != REDIS_REPLY_ARRAY) /* or it would be the end */
        return end_reply(store, reply, false);
    *out = reply;
    return 0;
}

bool store_entry(const redisReply *entry, const char **id, const redisReply **batch)
{
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[0]->type != REDIS_REPLY_STRING)
        return false;
    const redisReply *fields = entry->element[1];

    *id = entry->element[0]->str;
    if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 2 ||
        fields->element[1]->type != REDIS_REPLY_STRING)
        return false;
    *batch = fields->element[1];
    return entry->element[0]->len < STORE_ID_MAX;
}
