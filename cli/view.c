#include "view.h"

#include "base/wire.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 512

/* A bar has one character for each slot, as long as there are not more. */
#define BAR_MAX 16

/* That of a task's progress. */
#define PROGRESS_BAR 20

/* On a screen that is too small for all, workers leave room for so many tasks. */
#define TASKS_MIN 5

struct writing {
    const struct view *view;
    struct blob *out;
    unsigned lines;
    int error;
};

/* Names are others' words: what is not printable does not reach the terminal. */
static void clean(char *line)
{
    for (; *line != '\0'; line++) {
        if ((unsigned char)*line < ' ' || *line == 127)
            *line = '?';
    }
}

/* One line, cut to the screen. After an error, and below the screen, nothing is written. */
PRINTF(2, 3) static void put_line(struct writing *w, const char *format, ...)
{
    const struct view *view = w->view;
    char line[LINE_MAX_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    clean(line);
    if (w->error != 0 || (view->rows != 0 && w->lines == view->rows))
        return;
    size_t length = strlen(line);
    if (view->columns != 0 && length > view->columns)
        length = view->columns;
    const size_t end = strlen(view->line_end);
    w->error = blob_reserve(w->out, end + length);
    if (w->error != 0)
        return;
    if (w->lines++ > 0)
        wire_put_bytes(w->out, view->line_end, end);
    wire_put_bytes(w->out, line, length);
}

/* ---- rates ---- */

/* Per second, of a counter that starts anew when its owner does. */
static void print_rate(const struct view *view, uint64_t now, uint64_t before, char text[16])
{
    if (view->since == NULL || view->since_ms <= 0 || now < before)
        snprintf(text, 16, "-");
    else
        snprintf(text, 16, "%.1f", (double)(now - before) * 1000.0 / (double)view->since_ms);
}

/* The same worker in the older state. NULL: it was not there. */
static const struct scoop_worker *older(const struct view *view, const struct scoop_worker *worker)
{
    for (size_t i = 0; view->since != NULL && i < view->since->worker_count; i++) {
        const struct scoop_worker *other = &view->since->workers[i];

        if (other->incarnation == worker->incarnation && strcmp(other->host, worker->host) == 0)
            return other;
    }
    return NULL;
}

/* ---- lines ---- */

static void print_duration(uint64_t ms, char text[32])
{
    const uint64_t seconds = ms / 1000;
    const unsigned hours = (unsigned)(seconds / 3600 % 24);
    const unsigned minutes = (unsigned)(seconds / 60 % 60);

    if (seconds >= 86400)
        snprintf(text, 32, "%" PRIu64 "d %u:%02u", seconds / 86400, hours, minutes);
    else
        snprintf(text, 32, "%u:%02u:%02u", hours, minutes, (unsigned)(seconds % 60));
}

/* Tasks that wait for something that workers must have. */
static void put_class(struct writing *w, const struct scoop_class *class)
{
    const bool one = class->ready == 1;

    if (class->ready == 0)
        return;
    if (class->able == 0)
        put_line(w, "         %" PRIu64 " task%s wait%s for %s, no worker has it", class->ready,
                 one ? "" : "s", one ? "s" : "", class->needs);
    else
        put_line(w, "         %" PRIu64 " task%s wait%s for %s, %u worker%s it", class->ready,
                 one ? "" : "s", one ? "s" : "", class->needs, class->able,
                 class->able == 1 ? " has" : "s have");
}

static void put_head(struct writing *w)
{
    const struct view *view = w->view;
    const struct scoop_cluster *now = view->now;
    const struct scoop_cluster *since = view->since;
    uint32_t busy = 0;
    char uptime[32];
    char done[16];
    char failed[16];

    for (size_t i = 0; i < now->worker_count; i++)
        busy += now->workers[i].busy;
    print_duration(now->uptime_ms, uptime);
    print_rate(view, now->done, since != NULL ? since->done : 0, done);
    print_rate(view, now->failed, since != NULL ? since->failed : 0, failed);
    put_line(w, "broker   %s, up %s, version %s", view->broker, uptime, now->version);
    put_line(w, "workers  %u, busy %u of %u slots, %u session%s", now->alive, busy, now->slots,
             now->sessions, now->sessions == 1 ? "" : "s");
    put_line(w,
             "tasks    %" PRIu64 " waiting, %" PRIu64 " with workers, %" PRIu64 " done, %" PRIu64
             " failed, %" PRIu64 " run again",
             now->ready, now->leased, now->done, now->failed, now->requeued);
    if (now->held + now->blocked + now->resting != 0)
        put_line(w,
                 "         %" PRIu64 " waiting for others, %" PRIu64
                 " blocked by a failure, %" PRIu64 " to be tried again",
                 now->held, now->blocked, now->resting);
    for (size_t i = 0; i < now->class_count; i++)
        put_class(w, &now->classes[i]);
    if (since != NULL)
        put_line(w, "rate     %s/s done, %s/s failed", done, failed);
}

static void draw_bar(const struct scoop_worker *worker, char bar[BAR_MAX + 1])
{
    const uint32_t length = worker->slots < BAR_MAX ? worker->slots : BAR_MAX;
    const uint32_t busy = worker->busy < worker->slots ? worker->busy : worker->slots;
    /* Rounded up: a single busy slot shows. */
    const uint32_t full =
        worker->slots != 0 ? (busy * length + worker->slots - 1) / worker->slots : 0;

    memset(bar, '.', length);
    memset(bar, '#', full);
    bar[length] = '\0';
}

static void put_worker(struct writing *w, const struct scoop_worker *worker, int host, int bars)
{
    const struct scoop_worker *before = older(w->view, worker);
    char bar[BAR_MAX + 1];
    char slots[32];
    char rate[16];

    draw_bar(worker, bar);
    snprintf(slots, sizeof(slots), "%u/%u", worker->busy, worker->slots);
    print_rate(w->view, worker->done, before != NULL ? before->done : worker->done + 1, rate);
    put_line(w, "%-*s  %-8s  %-*s %9s %10" PRIu64 " %8" PRIu64 " %8s %7.1f s", host, worker->host,
             worker->state, bars, bar, slots, worker->done, worker->failed, rate,
             worker->silent_ms / 1000.0);
}

/* Lines that workers leave to tasks. */
static unsigned room_for_tasks(const struct view *view)
{
    const size_t count = view->now->running_count;

    if (view->rows == 0 || count == 0)
        return 0;
    return 2 + (unsigned)(count < TASKS_MIN ? count : TASKS_MIN);
}

static bool is_last_line(const struct writing *w)
{
    const unsigned room = room_for_tasks(w->view);

    return room != 0 && w->lines + 1 + room >= w->view->rows;
}

static void put_workers(struct writing *w)
{
    const struct scoop_cluster *now = w->view->now;
    int host = (int)strlen("HOST");
    int bars = (int)strlen("SLOTS");

    for (size_t i = 0; i < now->worker_count; i++) {
        const int length = (int)strlen(now->workers[i].host);
        const int slots = now->workers[i].slots < BAR_MAX ? (int)now->workers[i].slots : BAR_MAX;

        host = length > host ? length : host;
        bars = slots > bars ? slots : bars;
    }
    put_line(w, "%s", "");
    put_line(w, "%-*s  %-8s  %-*s %9s %10s %8s %8s %9s", host, "HOST", "STATE", bars, "SLOTS",
             "BUSY", "DONE", "FAILED", "DONE/S", "LAST SEEN");
    for (size_t i = 0; i < now->worker_count; i++) {
        if (is_last_line(w) && i + 1 < now->worker_count) {
            put_line(w, "and %zu more", now->worker_count - i);
            return;
        }
        put_worker(w, &now->workers[i], host, bars);
    }
}

/* ---- tasks ---- */

static void name_task(const struct scoop_running_task *task, char text[128])
{
    snprintf(text, 128, "%s%s%s", task->program, task->program[0] != '\0' ? ":" : "",
             task->function);
}

/* "12.3 s", and from a minute on as the broker's uptime. */
static void print_run_time(uint64_t ms, char text[32])
{
    if (ms < 60000)
        snprintf(text, 32, "%.1f s", (double)ms / 1000.0);
    else
        print_duration(ms, text);
}

/* "######..............  30%"; without a total the number that is done. */
static void draw_progress(const struct scoop_running_task *task, char text[64])
{
    char bar[PROGRESS_BAR + 1];

    if (task->total == 0) {
        snprintf(text, 64, task->done != 0 ? "%" PRIu64 " done" : "-", task->done);
        return;
    }
    const uint64_t done = task->done < task->total ? task->done : task->total;
    const double part = (double)done / (double)task->total;

    memset(bar, '.', PROGRESS_BAR);
    memset(bar, '#', (size_t)(part * PROGRESS_BAR));
    bar[PROGRESS_BAR] = '\0';
    snprintf(text, 64, "%s %3d%%", bar, (int)(part * 100.0));
}

struct columns {
    int task;
    int client;
    int host;
};

static void widen(int *column, const char *text)
{
    const int length = (int)strlen(text);

    *column = length > *column ? length : *column;
}

static void
put_task(struct writing *w, const struct scoop_running_task *task, const struct columns *columns)
{
    char name[128];
    char time[32];
    char progress[64];

    name_task(task, name);
    print_run_time(task->run_ms, time);
    draw_progress(task, progress);
    put_line(w, "%-*s  %-*s  %-*s %4u %10s  %s%s", columns->task, name, columns->client,
             task->client, columns->host, task->host, task->attempt, time, progress,
             task->waiting ? "  waits for its children" : "");
}

/* Those that run longest; nothing when all are short. */
static void put_tasks(struct writing *w)
{
    const struct scoop_cluster *now = w->view->now;
    struct columns columns = {
        .task = (int)strlen("SLOWEST TASKS"),
        .client = (int)strlen("CLIENT"),
        .host = (int)strlen("HOST"),
    };
    char name[128];

    for (size_t i = 0; i < now->running_count; i++) {
        name_task(&now->running[i], name);
        widen(&columns.task, name);
        widen(&columns.client, now->running[i].client);
        widen(&columns.host, now->running[i].host);
    }
    if (now->running_count == 0)
        return;
    put_line(w, "%s", "");
    put_line(w, "%-*s  %-*s  %-*s %4s %10s  %s", columns.task, "SLOWEST TASKS", columns.client,
             "CLIENT", columns.host, "HOST", "TRY", "RUNNING", "PROGRESS");
    for (size_t i = 0; i < now->running_count; i++)
        put_task(w, &now->running[i], &columns);
}

int view_write(const struct view *view, struct blob *out)
{
    struct writing w = {.view = view, .out = out};

    if (view->now == NULL)
        put_line(&w, "broker   %s", view->broker);
    else
        put_head(&w);
    if (view->trouble[0] != '\0')
        put_line(&w, "trouble  %s", view->trouble);
    if (view->now != NULL) {
        put_workers(&w);
        put_tasks(&w);
    }
    return w.error;
}
