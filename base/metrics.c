/* A metric is SHARDS rows of atomic cells. A thread always adds to its own row, so two threads
 * seldom share a cache line; a reader sums the column. Sums are of moments that differ by
 * nanoseconds. */
#include "metrics.h"

#include "settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    SHARDS = 8,
    CELLS_PER_LINE = 8, /* of 64 bytes */
    LABELS_MAX = 256,
};

/* Upper ends of the histogram's buckets; the last bucket has none. */
static const int64_t bounds_us[] = {25,     50,     100,     250,     500,     1000,
                                    2500,   5000,   10000,   25000,   50000,   100000,
                                    250000, 500000, 1000000, 2500000, 5000000, 10000000};

enum {
    BUCKETS = COUNT_OF(bounds_us) + 1,
    SUM_CELL = BUCKETS,
    HISTOGRAM_CELLS = BUCKETS + 1,
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct cell {
    _Atomic int64_t value;
};

struct metric {
    struct metric *next;
    const char *name;
    const char *help;
    char *labels;
    enum metric_kind kind;
    size_t row_cells; /* a whole number of cache lines */
    struct cell *cells;
};

struct metrics {
    pthread_mutex_t mutex;
    struct metric *first; /* ordered by name: a family stands together */
};

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

/* This thread's row; numbers are given out in turn, so the first SHARDS threads never collide. */
static unsigned my_row(void)
{
    static _Atomic unsigned threads;
    static _Thread_local unsigned mine; /* plus one; 0: not yet known */

    if (mine == 0)
        mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS + 1;
    return mine - 1;
}

static void add_to_cell(struct metric *metric, size_t cell, int64_t amount)
{
    atomic_fetch_add_explicit(&metric->cells[my_row() * metric->row_cells + cell].value, amount,
                              memory_order_relaxed);
}

static int64_t sum_of_cell(const struct metric *metric, size_t cell)
{
    int64_t sum = 0;

    for (size_t row = 0; row < SHARDS; row++)
        sum += atomic_load_explicit(&metric->cells[row * metric->row_cells + cell].value,
                                    memory_order_relaxed);
    return sum;
}

static void metric_free(struct metric *metric)
{
    if (metric == NULL)
        return;
    free(metric->labels);
    free(metric->cells);
    free(metric);
}

static struct metric *
metric_new(const char *name, const char *labels, const char *help, enum metric_kind kind)
{
    const size_t used = kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : 1;
    const size_t row_cells = (used + CELLS_PER_LINE - 1) / CELLS_PER_LINE * CELLS_PER_LINE;
    const size_t bytes = SHARDS * row_cells * sizeof(struct cell);
    struct metric *metric = calloc(1, sizeof(*metric));

    if (metric == NULL)
        return NULL;
    *metric = (struct metric){.name = name, .help = help, .kind = kind, .row_cells = row_cells};
    metric->labels = strdup(labels);
    metric->cells = aligned_alloc(CELLS_PER_LINE * sizeof(struct cell), bytes);
    if (metric->labels == NULL || metric->cells == NULL) {
        metric_free(metric);
        return NULL;
    }
    for (size_t i = 0; i < SHARDS * row_cells; i++)
        atomic_init(&metric->cells[i].value, 0);
    return metric;
}

static struct metric *metrics_add(struct metrics *metrics, struct metric *metric)
{
    if (metric == NULL)
        return NULL;
    pthread_mutex_lock(&metrics->mutex);
    struct metric **place = &metrics->first;
    while (*place != NULL && strcmp((*place)->name, metric->name) <= 0)
        place = &(*place)->next;
    metric->next = *place;
    *place = metric;
    pthread_mutex_unlock(&metrics->mutex);
    return metric;
}

struct metrics *metrics_new(const char *service)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    char labels[LABELS_MAX];

    if (metrics == NULL)
        return NULL;
    pthread_mutex_init(&metrics->mutex, NULL);
    snprintf(labels, sizeof(labels), "service=\"%s\",version=\"%s\"", service, settings_version());
    metric_set(metrics_gauge(metrics, "scoop_build_info", labels, "Always 1; what runs here."), 1);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->first != NULL) {
        struct metric *metric = metrics->first;
        metrics->first = metric->next;
        metric_free(metric);
    }
    pthread_mutex_destroy(&metrics->mutex);
    free(metrics);
}

struct metric *
metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    return metrics_add(metrics, metric_new(name, labels, help, METRIC_COUNTER));
}

struct metric *
metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    return metrics_add(metrics, metric_new(name, labels, help, METRIC_GAUGE));
}

struct metric *
metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    return metrics_add(metrics, metric_new(name, labels, help, METRIC_HISTOGRAM));
}

void metric_add(struct metric *metric, int64_t amount)
{
    if (metric != NULL)
        add_to_cell(metric, 0, amount);
}

void metric_set(struct metric *metric, int64_t value)
{
    if (metric != NULL)
        atomic_store_explicit(&metric->cells[0].value, value, memory_order_relaxed);
}

void metric_observe_us(struct metric *metric, int64_t latency_us)
{
    size_t bucket = 0;

    if (metric == NULL)
        return;
    while (bucket < COUNT_OF(bounds_us) && latency_us > bounds_us[bucket])
        bucket++;
    add_to_cell(metric, bucket, 1);
    add_to_cell(metric, SUM_CELL, latency_us);
}

int64_t metric_value(const struct metric *metric)
{
    int64_t count = 0;

    if (metric == NULL)
        return 0;
    if (metric->kind != METRIC_HISTOGRAM)
        return sum_of_cell(metric, 0);
    for (size_t i = 0; i < BUCKETS; i++)
        count += sum_of_cell(metric, i);
    return count;
}

static void render_histogram(FILE *out, const struct metric *metric)
{
    const char *comma = metric->labels[0] != '\0' ? "," : "";
    int64_t count = 0;

    for (size_t i = 0; i < COUNT_OF(bounds_us); i++) {
        count += sum_of_cell(metric, i);
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", metric->name, metric->labels, comma,
                (double)bounds_us[i] / 1e6, (long long)count);
    }
    count += sum_of_cell(metric, BUCKETS - 1);
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", metric->name, metric->labels, comma,
            (long long)count);
    fprintf(out, "%s_sum{%s} %.6f\n", metric->name, metric->labels,
            (double)sum_of_cell(metric, SUM_CELL) / 1e6);
    fprintf(out, "%s_count{%s} %lld\n", metric->name, metric->labels, (long long)count);
}

static void render_metric(FILE *out, const struct metric *metric, bool first_of_family)
{
    if (first_of_family)
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                kind_names[metric->kind]);
    if (metric->kind == METRIC_HISTOGRAM)
        render_histogram(out, metric);
    else if (metric->labels[0] != '\0')
        fprintf(out, "%s{%s} %lld\n", metric->name, metric->labels,
                (long long)sum_of_cell(metric, 0));
    else
        fprintf(out, "%s %lld\n", metric->name, (long long)sum_of_cell(metric, 0));
}

char *metrics_render(struct metrics *metrics, size_t *size)
{
    const char *family = "";
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        return NULL;
    pthread_mutex_lock(&metrics->mutex);
    for (const struct metric *metric = metrics->first; metric != NULL; metric = metric->next) {
        render_metric(out, metric, strcmp(family, metric->name) != 0);
        family = metric->name;
    }
    pthread_mutex_unlock(&metrics->mutex);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    *size = length;
    return text;
}
