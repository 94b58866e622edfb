/* The STATUS frame as structs. One allocation holds all of it, texts included. */
#include "base/blob.h"
#include "base/wire.h"
#include "error.h"
#include "program.h"
#include "session.h"

#include <string.h>

struct cluster {
    struct scoop_cluster head; /* first: what the caller holds */
    char *text;                /* where the next text goes */
};

static const char *keep_text(struct cluster *c, struct wire_bytes bytes)
{
    const char *text = wire_text_copy(bytes, c->text, bytes.size + 1);

    c->text += bytes.size + 1;
    return text;
}

static void take_counters(struct cluster *c, const struct wire_counters *counters)
{
    c->head.version = keep_text(c, counters->version);
    c->head.epoch = counters->epoch;
    c->head.uptime_ms = counters->uptime_ms;
    c->head.ready = counters->ready;
    c->head.leased = counters->leased;
    c->head.resting = counters->resting;
    c->head.held = counters->held;
    c->head.blocked = counters->blocked;
    c->head.accepted = counters->accepted;
    c->head.done = counters->done;
    c->head.failed = counters->failed;
    c->head.requeued = counters->requeued;
    c->head.stale = counters->stale;
    c->head.sessions = counters->sessions;
}

static void
take_worker(struct cluster *c, struct scoop_worker *out, const struct wire_worker *worker)
{
    *out = (struct scoop_worker){
        .host = keep_text(c, worker->host),
        .version = keep_text(c, worker->version),
        .state = wire_worker_state_name(worker->state),
        .incarnation = worker->incarnation,
        .done = worker->done,
        .failed = worker->failed,
        .pid = worker->pid,
        .slots = worker->slots,
        .busy = worker->busy,
        .leased = worker->leased,
        .silent_ms = worker->silent_ms,
        .resources = keep_text(c, worker->resources),
        .taken = keep_text(c, worker->taken),
    };
    if (worker->state == WIRE_WORKER_LOST || worker->state == WIRE_WORKER_LEFT)
        return;
    c->head.alive++;
    c->head.slots += worker->slots;
}

static int take_classes(struct cluster *c,
                        struct scoop_class *classes,
                        uint16_t count,
                        struct wire_cursor *body)
{
    struct wire_class record;

    if (count > WIRE_CLASSES_MAX)
        return -EPROTO;
    c->head.classes = classes;
    for (uint16_t i = 0; i < count; i++) {
        if (wire_get_class(body, &record) != 0)
            return -EPROTO;
        if (record.ready + record.leased == 0)
            continue;
        classes[c->head.class_count++] = (struct scoop_class){
            .needs = keep_text(c, record.needs),
            .ready = record.ready,
            .leased = record.leased,
            .able = record.able,
        };
    }
    return 0;
}

static int take_workers(struct cluster *c,
                        struct scoop_worker *workers,
                        uint32_t count,
                        struct wire_cursor *body)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wire_worker worker;

        if (wire_get_worker(body, &worker) != 0)
            return -EPROTO;
        take_worker(c, &workers[i], &worker);
    }
    c->head.workers = workers;
    c->head.worker_count = count;
    return 0;
}

static struct scoop_running_task keep_running(struct cluster *c, const struct wire_running *running)
{
    return (struct scoop_running_task){
        .id = running->id,
        .run_ms = running->run_ms,
        .done = running->progress.done,
        .total = running->progress.total,
        .attempt = running->attempt,
        .waiting = running->parked,
        .function = keep_text(c, running->function),
        .program = keep_text(c, running->program),
        .client = keep_text(c, running->client),
        .host = keep_text(c, running->host),
    };
}

static int
take_running(struct cluster *c, struct scoop_running_task *tasks, struct wire_cursor *body)
{
    const uint32_t count = wire_get_u32(body);

    if (count > WIRE_RUNNING_MAX)
        return -EPROTO;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_running running;

        if (wire_get_running(body, &running) != 0)
            return -EPROTO;
        tasks[i] = keep_running(c, &running);
    }
    c->head.running = tasks;
    c->head.running_count = count;
    return wire_read_ok(body);
}

/* Everything in one piece of memory: head, tasks, classes, workers, texts. */
static int take_status(struct cluster *c, uint32_t workers, struct wire_cursor *body)
{
    struct scoop_running_task *const tasks = (struct scoop_running_task *)(c + 1);
    struct scoop_class *const classes = (struct scoop_class *)(tasks + WIRE_RUNNING_MAX);
    struct scoop_worker *const first = (struct scoop_worker *)(classes + WIRE_CLASSES_MAX);
    struct wire_counters counters;

    c->text = (char *)(first + workers);
    if (wire_get_counters(body, &counters) != 0)
        return -EPROTO;
    take_counters(c, &counters);
    if (take_classes(c, classes, counters.classes, body) != 0)
        return -EPROTO;
    if (take_workers(c, first, workers, body) != 0)
        return -EPROTO;
    return take_running(c, tasks, body);
}

static enum scoop_status parse(const struct blob *status, struct scoop_cluster **out)
{
    struct wire_header header;
    struct wire_cursor body;

    /* Every record takes more bytes in the frame than its texts and their ends take here. */
    if (wire_frame_read(status->data, status->size, &header, &body) != 0 ||
        header.count > status->size / 32)
        return error_set(SCOOP_NO_BROKER, "the broker's status is not readable");
    struct cluster *c =
        calloc(1, sizeof(*c) + WIRE_RUNNING_MAX * sizeof(struct scoop_running_task) +
                      WIRE_CLASSES_MAX * sizeof(struct scoop_class) +
                      header.count * sizeof(struct scoop_worker) + status->size);
    if (c == NULL)
        return error_set(SCOOP_NO_MEMORY, "no memory for the broker's status");
    if (take_status(c, header.count, &body) != 0) {
        free(c);
        return error_set(SCOOP_NO_BROKER, "the broker's status is not readable");
    }
    *out = &c->head;
    return SCOOP_OK;
}

enum scoop_status scoop_cluster(scoop_session *given, int deadline_ms, struct scoop_cluster **out)
{
    struct query query = {.status = NULL};
    scoop_session *session = NULL;
    enum scoop_status status = program_root_session("scoop_cluster", given, &session);

    *out = NULL;
    if (status != SCOOP_OK)
        return status;
    if (session == NULL)
        return error_set(SCOOP_NO_BROKER, "no broker is set (SCOOP_BROKER)");
    status = session_ask(session, &query, program_deadline(deadline_ms));
    if (status != SCOOP_OK)
        return status;
    status = parse(query.status, out);
    blob_unref(query.status);
    return status;
}

void scoop_cluster_free(struct scoop_cluster *cluster)
{
    free(cluster);
}
