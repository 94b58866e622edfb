/* The text of /status.json. */
#include "webui.h"

#include "base/settings.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* Digits of a number: enough for milliseconds in seconds since 1970. */
#define DIGITS 13

/* Text of the cluster as JSON: what is not printable ASCII becomes '?'. */
static json_t *text_of(const char *text)
{
    char clean[512];
    size_t n = 0;

    for (; text[n] != '\0' && n + 1 < sizeof(clean); n++)
        clean[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    return json_stringn(clean, n);
}

static json_t *rounded(double value)
{
    return isnan(value) ? json_null() : json_real(round(value * 1000) / 1000);
}

static json_t *history_of(const struct counts_view *counts)
{
    json_t *history = json_array();

    for (size_t i = 0; i < counts->count; i++)
        json_array_append_new(history, rounded(counts->history[i]));
    return history;
}

static json_t *broker_of(const struct cluster_view *cluster)
{
    const struct scoop_cluster *known = cluster->known;

    return json_pack("{s:b, s:o, s:o, s:I, s:I}", "up", cluster->up, "detail",
                     text_of(cluster->reason), "version",
                     text_of(known != NULL ? known->version : ""), "uptime_ms",
                     (json_int_t)(known != NULL ? known->uptime_ms : 0), "sessions",
                     (json_int_t)(known != NULL ? known->sessions : 0));
}

static json_int_t slots_busy(const struct scoop_cluster *known)
{
    json_int_t busy = 0;

    for (size_t i = 0; i < known->worker_count; i++)
        busy += known->workers[i].busy;
    return busy;
}

static json_t *tasks_of(const struct scoop_cluster *known)
{
    static const struct scoop_cluster none = {.worker_count = 0};
    const struct scoop_cluster *c = known != NULL ? known : &none;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "waiting",
                     (json_int_t)c->ready + (json_int_t)c->leased - slots_busy(c), "running",
                     slots_busy(c), "done", (json_int_t)c->done, "failed", (json_int_t)c->failed,
                     "accepted", (json_int_t)c->accepted, "requeued", (json_int_t)c->requeued);
}

static json_t *worker_of(const struct scoop_worker *worker, int64_t age_ms)
{
    char id[40];

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)worker->incarnation);
    return json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "id", id, "host",
                     text_of(worker->host), "state", text_of(worker->state), "slots",
                     (json_int_t)worker->slots, "busy", (json_int_t)worker->busy, "done",
                     (json_int_t)worker->done, "failed", (json_int_t)worker->failed, "seen_ms",
                     (json_int_t)worker->silent_ms + (json_int_t)age_ms, "version",
                     text_of(worker->version));
}

static json_t *workers_of(const struct cluster_view *cluster, int64_t now_ms)
{
    json_t *workers = json_array();

    for (size_t i = 0; cluster->known != NULL && i < cluster->known->worker_count; i++)
        json_array_append_new(
            workers, worker_of(&cluster->known->workers[i], now_ms - cluster->answered_ms));
    return workers;
}

static json_t *running_task_of(const struct scoop_running_task *task, int64_t age_ms)
{
    char id[40];

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)task->id);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b}", "id", id, "program",
                     text_of(task->program), "function", text_of(task->function), "client",
                     text_of(task->client), "host", text_of(task->host), "attempt",
                     (json_int_t)task->attempt, "running_ms",
                     (json_int_t)task->run_ms + (json_int_t)age_ms, "done", (json_int_t)task->done,
                     "total", (json_int_t)task->total, "waiting", task->waiting);
}

/* Those that run longest. */
static json_t *running_of(const struct cluster_view *cluster, int64_t now_ms)
{
    json_t *running = json_array();

    for (size_t i = 0; cluster->known != NULL && i < cluster->known->running_count; i++)
        json_array_append_new(
            running, running_task_of(&cluster->known->running[i], now_ms - cluster->answered_ms));
    return running;
}

static json_t *scoop_of(const struct cluster_verdict *last, int64_t now_ms)
{
    if (last == NULL)
        return json_null();
    const json_int_t age_ms = now_ms - last->ended_ms;
    if (!last->computed)
        return json_pack("{s:o, s:I}", "error", text_of(last->reason), "age_ms", age_ms);
    return json_pack("{s:b, s:s, s:I, s:f, s:f, s:I}", "equal", last->equal, "sentence",
                     last->equal ? WEBUI_EQUAL : WEBUI_DIFFERENT, "n", (json_int_t)last->count,
                     "serial_us", (double)last->serial_ns / 1000, "parallel_us",
                     (double)last->parallel_ns / 1000, "age_ms", age_ms);
}

char *webui_status(const struct counts_view *counts,
                   const struct cluster_view *cluster,
                   int64_t now_wall_ms,
                   int64_t now_ms)
{
    char hashes[24];

    snprintf(hashes, sizeof(hashes), "%lld", (long long)counts->hashes);
    json_t *status =
        json_pack("{s:s, s:f, s:I, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
                  settings_version(), "now", (double)now_wall_ms / 1000, "coins",
                  (json_int_t)counts->coins, "hashes", hashes, "rate", rounded(counts->rate),
                  "stale", counts->stale, "rates", history_of(counts), "broker", broker_of(cluster),
                  "tasks", tasks_of(cluster->known), "workers", workers_of(cluster, now_ms),
                  "running", running_of(cluster, now_ms), "scoop", scoop_of(cluster->last, now_ms));
    char *text = json_dumps(status, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS));

    json_decref(status);
    return text;
}
