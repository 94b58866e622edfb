/* Clients of the kill campaign (see ./campaign.py, which starts and kills them); the functions are in work.c.
 *
 *   campaign session LOG CLIENT SEED WINDOW    tasks of a session, WINDOW of them unfinished at a time
 *   campaign durable LOG CLIENT SEED WINDOW    durable tasks, WINDOW at a time; started again after a SIGKILL
 *                                              it goes on where LOG ends
 *
 * Both go on until SIGTERM; then they wait for what is unfinished, and end with 0. What they see is in LOG,
 * what functions see in the file $EVIDENCE of the worker: see evidence.h. */
#include "work.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static void must_testify(struct evidence evidence)
{
    if (testify(evidence))
        return;
    perror("campaign: the log");
    _exit(1);
}

static int give_up(const char *what)
{
    fprintf(stderr, "campaign: %s: %s\n", what, scoop_last_error());
    return 1;
}

/* ---- results ---- */

struct entry {
    struct order order;
    scoop_future *future;
    unsigned ends; /* how often it was told to have ended */
};

static bool read_cargo(const struct order *order, struct scoop_bytes bytes, struct answer *answer)
{
    struct cargo cargo;

    if (bytes.size != sizeof(cargo) + bytes_of(order))
        return false;
    memcpy(&cargo, bytes.data, sizeof(cargo));
    *answer = cargo.answer;
    return memcmp(&cargo.order, order, sizeof(*order)) == 0 &&
           is_filled((const uint8_t *)bytes.data + sizeof(cargo), bytes_of(order),
                     value_of(order, 0) + 1);
}

static bool read_answer(const struct order *order, struct scoop_bytes bytes, struct answer *answer)
{
    const enum kind kind = kind_of(order);

    if (kind == CARRIES || kind == CARRIES_MUCH)
        return read_cargo(order, bytes, answer);
    if (bytes.size != sizeof(*answer))
        return false;
    memcpy(answer, bytes.data, sizeof(*answer));
    return true;
}

/* Write down how a future ended. */
static void testify_end(const struct order *order, scoop_future *future, enum evidence_kind kind)
{
    struct scoop_error error = {.text = ""};
    struct scoop_bytes bytes = {NULL, 0};
    struct answer answer = {0};
    const enum scoop_status status = scoop_result_bytes(future, &bytes);
    const bool wrong = status == SCOOP_OK && !read_answer(order, bytes, &answer);

    (void)scoop_error(future, &error);
    if (status != SCOOP_OK)
        fprintf(stderr, "campaign: task %llu of client %u: %s: %s\n", (unsigned long long)order->no,
                order->client, scoop_strerror(status), error.text);
    must_testify((struct evidence){.kind = (uint8_t)kind,
                                   .status = (uint8_t)status,
                                   .wrong = wrong,
                                   .client = order->client,
                                   .no = order->no,
                                   .value = answer.value,
                                   .mark = answer.mark,
                                   .attempts = error.attempts});
}

static void testify_step(const struct order *order, enum evidence_kind kind)
{
    must_testify(
        (struct evidence){.kind = (uint8_t)kind, .client = order->client, .no = order->no});
}

/* ---- submitting ---- */

/* `id`: of a durable task; NULL: one of the session. */
static scoop_future *
submit_bytes(const struct scoop_function *function, const void *bytes, size_t size, uint64_t *id)
{
    return id != NULL ? scoop_submit_durable(NULL, NULL, function, bytes, size, id)
                      : scoop_submit_with(NULL, NULL, function, bytes, size);
}

static scoop_future *submit_cargo(const struct order *order, uint64_t *id)
{
    const size_t size = sizeof(struct cargo) + bytes_of(order);
    const struct cargo cargo = {.order = *order};
    uint8_t *const bytes = malloc(size);

    if (bytes == NULL)
        return NULL;
    memcpy(bytes, &cargo, sizeof(cargo));
    fill(bytes + sizeof(cargo), size - sizeof(cargo), value_of(order, 0));
    scoop_future *const future = submit_bytes(SCOOP_HANDLE(carry), bytes, size, id);
    free(bytes);
    return future;
}

static scoop_future *submit(const struct order *order, uint64_t *id)
{
    const enum kind kind = kind_of(order);

    testify_step(order, EVIDENCE_ASKED);
    if (kind == CARRIES || kind == CARRIES_MUCH)
        return submit_cargo(order, id);
    return submit_bytes(kind == NESTS ? SCOOP_HANDLE(nest) : SCOOP_HANDLE(compute), order,
                        sizeof(*order), id);
}

/* ---- tasks of a session ---- */

static void session_task_ended(scoop_future *future, void *context)
{
    struct entry *const entry = context;

    entry->ends++;
    testify_end(&entry->order, future, EVIDENCE_DELIVERED);
}

static int start_task(struct entry *entry, const struct order *order)
{
    *entry = (struct entry){.order = *order};
    entry->future = submit(order, NULL);
    if (entry->future == NULL || scoop_then(entry->future, session_task_ended, entry) != SCOOP_OK)
        return give_up("submit");
    return 0;
}

static int finish_task(struct entry *entry)
{
    if (scoop_wait(entry->future, SCOOP_FOREVER) != SCOOP_OK)
        return give_up("wait");
    scoop_future_free(entry->future);
    if (entry->ends == 1)
        return 0;
    fprintf(stderr, "campaign: task %llu was told to have ended %u times\n",
            (unsigned long long)entry->order.no, entry->ends);
    return 1;
}

/* The oldest is waited for before a new one takes its place. */
static int run_session(struct order first, struct entry *entries, uint64_t window)
{
    struct order next = first;
    uint64_t oldest = first.no;
    int result = 0;

    while (result == 0 && (!stopping || oldest < next.no)) {
        if (!stopping && next.no - oldest < window) {
            result = start_task(&entries[next.no % window], &next);
            next.no++;
        } else {
            result = finish_task(&entries[oldest % window]);
            oldest++;
        }
    }
    return result;
}

/* ---- durable tasks ---- */

/* `past`: what an earlier life of this client has written down of a task, a bit for each evidence_kind. */
static bool has(uint8_t past, enum evidence_kind kind)
{
    return (past >> kind & 1) != 0;
}

static uint64_t id_of(const struct order *order)
{
    return (uint64_t)order->client << 40 | (order->no + 1);
}

static void drop_future(struct entry *entry)
{
    scoop_future_free(entry->future);
    entry->future = NULL;
}

static int accept_task(struct entry *entry)
{
    struct scoop_bytes nothing;

    if (scoop_result_bytes(entry->future, &nothing) != SCOOP_OK)
        return give_up("a durable task was not accepted");
    testify_step(&entry->order, EVIDENCE_ACCEPTED);
    return 0;
}

/* Also those of which it is not known whether they were accepted: under the same id it is the same task. */
static int submit_tasks(struct entry *entries, const uint8_t *past, uint64_t count)
{
    int result = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t id = id_of(&entries[i].order);

        if (has(past[i], EVIDENCE_ACCEPTED))
            continue;
        entries[i].future = submit(&entries[i].order, &id);
        if (entries[i].future == NULL)
            return give_up("submit_durable");
    }
    for (uint64_t i = 0; i < count && result == 0; i++) {
        if (entries[i].future != NULL)
            result = accept_task(&entries[i]);
        drop_future(&entries[i]);
    }
    return result;
}

/* Ask for the results; `kind`: EVIDENCE_DELIVERED, or EVIDENCE_AGAIN once more. */
static int
attach_tasks(struct entry *entries, const uint8_t *past, uint64_t count, enum evidence_kind kind)
{
    for (uint64_t i = 0; i < count; i++) {
        if (has(past[i], kind) || has(past[i], EVIDENCE_FORGETS))
            continue;
        entries[i].future = scoop_attach(NULL, id_of(&entries[i].order));
        if (entries[i].future == NULL)
            return give_up("attach");
    }
    for (uint64_t i = 0; i < count; i++) {
        if (entries[i].future != NULL)
            testify_end(&entries[i].order, entries[i].future, kind);
        drop_future(&entries[i]);
    }
    return 0;
}

static int forget_tasks(struct entry *entries, const uint8_t *past, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct order *const order = &entries[i].order;

        if (has(past[i], EVIDENCE_FORGOTTEN))
            continue;
        testify_step(order, EVIDENCE_FORGETS);
        if (scoop_durable_forget(NULL, id_of(order), SCOOP_FOREVER) != SCOOP_OK)
            return give_up("forget");
        testify_step(order, EVIDENCE_FORGOTTEN);
    }
    return 0;
}

static int run_batch(struct order first, struct entry *entries, const uint8_t *past, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        entries[i] = (struct entry){.order = first};
        entries[i].order.no += i;
    }
    int result = submit_tasks(entries, past, count);
    if (result == 0)
        result = attach_tasks(entries, past, count, EVIDENCE_DELIVERED);
    if (result == 0)
        result = attach_tasks(entries, past, count, EVIDENCE_AGAIN);
    if (result == 0)
        result = forget_tasks(entries, past, count);
    return result;
}

/* Where the log ends: the number of the batch that is to be gone on with, and what is known of it. */
static uint64_t read_log(const char *path, uint8_t *past, uint64_t window)
{
    FILE *const log = fopen(path, "re");
    struct evidence evidence;
    uint64_t batch = 0;

    while (log != NULL && fread(&evidence, sizeof(evidence), 1, log) == 1) {
        if (evidence.no / window != batch)
            memset(past, 0, window);
        batch = evidence.no / window;
        past[evidence.no % window] |= (uint8_t)(1 << evidence.kind);
    }
    if (log != NULL)
        fclose(log);
    return batch;
}

static int run_durable(struct order order, struct entry *entries, uint64_t window, const char *log)
{
    uint8_t *const past = calloc(1, window);
    int result = past == NULL;

    if (past == NULL)
        return 1;
    order.no = read_log(log, past, window) * window;
    while (result == 0 && !stopping) {
        result = run_batch(order, entries, past, window);
        memset(past, 0, window);
        order.no += window;
    }
    free(past);
    return result;
}

/* ---- both ---- */

static int run(char **argv)
{
    const struct order order = {
        .client = (uint32_t)strtoul(argv[3], NULL, 10),
        .seed = strtoull(argv[4], NULL, 10),
    };
    const uint64_t window = strtoull(argv[5], NULL, 10);
    struct entry *const entries = calloc(window, sizeof(*entries));

    if (entries == NULL || window == 0)
        return 1;
    const int result = strcmp(argv[1], "durable") == 0
                           ? run_durable(order, entries, window, argv[2])
                           : run_session(order, entries, window);
    free(entries);
    return result;
}

static int open_evidence(const char *path)
{
    evidence_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (evidence_fd < 0)
        perror(path);
    return evidence_fd;
}

/* On a worker scoop_init() does not return, and what was opened before it stays open. */
int main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
    const char *const path = getenv("EVIDENCE");

    if (path != NULL && open_evidence(path) < 0)
        return 1;
    if (scoop_init(&argc, &argv) != SCOOP_OK)
        return scoop_report();
    if (argc != 6) {
        fprintf(stderr, "usage: campaign session|durable LOG CLIENT SEED WINDOW\n");
        return 2;
    }
    if (open_evidence(argv[2]) < 0 || sigaction(SIGTERM, &action, NULL) != 0)
        return 1;
    fprintf(stderr, "campaign: ready\n");
    return run(argv);
}
