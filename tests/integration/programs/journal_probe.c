/* The broker's journal alone, driven by lines on standard input; says what happens, a line each.
 *
 *   journal_probe URL NAME PASSWORD_FILE MARK_FILE [init] [salvage]
 *
 *   put ID TEXT     a batch with one TASK record   bulk ID COUNT BYTES   one with many
 *   forget ID       with one FORGET record         trim POSITION         newer TYPE VERSION
 *
 *   state NAME REASON, replayed POSITION TYPE ID TEXT, open EPOCH POSITION, written POSITION,
 *   lost TIMES */
#include "base/clock.h"
#include "base/log.h"
#include "broker/journal.h"
#include "broker/record.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct journal_news shown;
static uint64_t replayed;

static void show_replay(struct journal *journal)
{
    uint64_t position = 0;
    struct blob *batch = NULL;

    while ((batch = journal_take_replay(journal, &position)) != NULL) {
        struct wire_cursor c = wire_cursor_of(batch->data, batch->size);
        struct record record;
        uint8_t version = 0;

        while (c.at < c.end && record_get(&c, &record, &version) == 0) {
            if (record.type != RECORD_OPEN && ++replayed <= 20)
                printf("replayed %" PRIu64 " %s %" PRIu64 " %.*s\n", position,
                       record_type_name(record.type), record.id,
                       record.body.size < 20 ? (int)record.body.size : 20,
                       (const char *)record.body.data);
        }
        blob_unref(batch);
    }
}

static void show_news(struct journal *journal)
{
    static const char *const states[] = {"away", "full", "up", "ended"};
    struct journal_news news;

    journal_drain(journal);
    show_replay(journal);
    journal_take(journal, &news);
    if (news.open && !shown.open)
        printf("open %" PRIu64 " %" PRIu64 " records=%" PRIu64 "\n", news.epoch, news.position,
               replayed);
    if (news.open && news.position != shown.position)
        printf("written %" PRIu64 " at=%" PRId64 "\n", news.position, clock_now_us());
    if (news.losses != shown.losses)
        printf("lost %u\n", news.losses);
    if (news.state != shown.state || strcmp(news.reason, shown.reason) != 0)
        printf("state %s %s\n", states[news.state], news.reason);
    shown = news;
    fflush(stdout);
}

static void put(struct journal *journal, enum record_type type, uint64_t id, const char *text)
{
    struct blob *batch = blob_new(64);

    if (batch == NULL || record_begin(batch, type, id, strlen(text)) != 0)
        abort();
    wire_put_bytes(batch, text, strlen(text));
    if (journal_append(journal, batch) != 0)
        abort();
}

static void put_many(struct journal *journal, uint64_t id, uint64_t count, size_t bytes)
{
    struct blob *batch = blob_new(64);
    char body[4096];

    memset(body, 'x', sizeof(body));
    for (uint64_t i = 0; batch != NULL && i < count; i++) {
        if (record_begin(batch, RECORD_TASK, id + i, bytes) != 0)
            abort();
        wire_put_bytes(batch, body, bytes);
    }
    if (batch == NULL || journal_append(journal, batch) != 0)
        abort();
}

static void obey(struct journal *journal, char *line)
{
    char *rest = NULL;
    char *verb = strtok_r(line, " \n", &rest);
    char *number = strtok_r(NULL, " \n", &rest);
    char *text = strtok_r(NULL, "\n", &rest);
    const uint64_t id = number != NULL ? strtoull(number, NULL, 10) : 0;

    if (verb == NULL)
        return;
    printf("began at=%" PRId64 "\n", clock_now_us());
    fflush(stdout);
    if (strcmp(verb, "put") == 0)
        put(journal, RECORD_TASK, id, text != NULL ? text : "");
    else if (strcmp(verb, "forget") == 0)
        put(journal, RECORD_FORGET, id, "");
    else if (strcmp(verb, "newer") == 0)
        put(journal, (enum record_type)id, 7, "");
    else if (strcmp(verb, "trim") == 0)
        journal_trim(journal, id);
    else if (strcmp(verb, "bulk") == 0 && text != NULL)
        put_many(journal, id, strtoull(text, &text, 10), strtoull(text, NULL, 10));
}

/* Lines until the input ends, or the journal does. */
static void serve(struct journal *journal)
{
    struct pollfd fds[] = {
        {.fd = journal_fd(journal), .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    char line[8192];

    while (shown.state != JOURNAL_ENDED && poll(fds, COUNT_OF(fds), -1) > 0) {
        if (fds[0].revents != 0)
            show_news(journal);
        if (fds[1].revents == 0)
            continue;
        if (fgets(line, sizeof(line), stdin) == NULL)
            return;
        obey(journal, line);
    }
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 5; i < argc; i++) {
        if (strcmp(argv[i], word) == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct metrics *metrics = metrics_new("probe");
    struct journal *journal = NULL;
    struct problem problem;

    if (argc < 5 || metrics == NULL)
        return 2;
    log_init("probe");
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what is there */
    const struct journal_config config = {
        .url = argv[1],
        .name = argv[2],
        .password_file = argv[3],
        .mark_file = argv[4],
        .init = has_word(argc, argv, "init"),
        .salvage = has_word(argc, argv, "salvage"),
        .metrics = metrics,
    };
    if (journal_start(&config, &journal, &problem) != 0) {
        printf("refused %s\n", problem.text);
        metrics_free(metrics);
        return 1;
    }
    serve(journal);
    const int rc = journal_stop(journal, 2000);
    printf("stopped %d\n", rc);
    metrics_free(metrics);
    return rc == 0 ? 0 : 1;
}
