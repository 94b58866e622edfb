#include "base/metrics.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static struct metrics *metrics;

static void setup(void)
{
    metrics = metrics_new("test");
    cr_assert_not_null(metrics);
}

static void teardown(void)
{
    metrics_free(metrics);
}

TestSuite(metrics, .init = setup, .fini = teardown);

static void assert_rendered(const char *text)
{
    size_t size = 0;
    char *all = metrics_render(metrics, &size);

    cr_assert_not_null(all);
    cr_assert_eq(size, strlen(all));
    cr_assert_not_null(strstr(all, text), "no \"%s\" in:\n%s", text, all);
    free(all);
}

Test(metrics, name_the_program_and_its_version)
{
    assert_rendered("scoop_build_info{service=\"test\",version=\"");
}

Test(metrics, show_a_counter_with_and_without_labels)
{
    metric_add(metrics_counter(metrics, "plain_total", "", "Plain."), 3);
    metric_add(metrics_counter(metrics, "labelled_total", "colour=\"red\"", "Labelled."), 4);
    assert_rendered("# HELP plain_total Plain.\n# TYPE plain_total counter\nplain_total 3\n");
    assert_rendered("labelled_total{colour=\"red\"} 4\n");
}

Test(metrics, show_a_family_under_one_head_whatever_the_order_of_registration)
{
    metrics_counter(metrics, "a_total", "x=\"1\"", "A.");
    metrics_gauge(metrics, "b", "", "B.");
    metrics_counter(metrics, "a_total", "x=\"2\"", "A.");
    assert_rendered(
        "# TYPE a_total counter\na_total{x=\"1\"} 0\na_total{x=\"2\"} 0\n# HELP b B.\n");
}

Test(metrics, put_a_latency_into_its_bucket_and_all_larger_ones)
{
    struct metric *histogram = metrics_histogram(metrics, "took_seconds", "r=\"/\"", "Took.");

    metric_observe_us(histogram, 250);      /* exactly the end of a bucket */
    metric_observe_us(histogram, 251);      /* the next one */
    metric_observe_us(histogram, 11000000); /* beyond the last */
    cr_assert_eq(metric_value(histogram), 3);
    assert_rendered("took_seconds_bucket{r=\"/\",le=\"0.0001\"} 0\n");
    assert_rendered("took_seconds_bucket{r=\"/\",le=\"0.00025\"} 1\n");
    assert_rendered("took_seconds_bucket{r=\"/\",le=\"0.0005\"} 2\n");
    assert_rendered("took_seconds_bucket{r=\"/\",le=\"10\"} 2\n");
    assert_rendered("took_seconds_bucket{r=\"/\",le=\"+Inf\"} 3\n");
    assert_rendered("took_seconds_sum{r=\"/\"} 11.000501\n");
    assert_rendered("took_seconds_count{r=\"/\"} 3\n");
}

Test(metrics, keep_the_last_value_of_a_gauge)
{
    struct metric *gauge = metrics_gauge(metrics, "depth", "", "Depth.");

    metric_set(gauge, 7);
    metric_set(gauge, -2);
    assert_rendered("depth -2\n");
}

Test(metrics, accept_a_metric_that_could_not_be_made)
{
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe_us(NULL, 1);
    cr_assert_eq(metric_value(NULL), 0);
}

static void *count_a_lot(void *counter)
{
    for (int i = 0; i < 20000; i++)
        metric_add(counter, 1);
    return NULL;
}

Test(metrics, lose_no_update_of_any_thread)
{
    struct metric *counter = metrics_counter(metrics, "busy_total", "", "Busy.");
    pthread_t threads[12]; /* more than there are rows */

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_a_lot, counter), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(metric_value(counter), (int64_t)COUNT_OF(threads) * 20000);
}
