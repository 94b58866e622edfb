#include "webui/assets.h"
#include "webui/webui.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define WALL_MS 1700000000123
#define NOW_MS  50000

static json_t *given_status(const struct counts_view *counts, const struct cluster_view *cluster)
{
    char *text = webui_status(counts, cluster, WALL_MS, NOW_MS);
    json_error_t error;

    cr_assert_not_null(text);
    json_t *status = json_loads(text, 0, &error);
    cr_assert_not_null(status, "%s in %s", error.text, text);
    free(text);
    return status;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static json_int_t number_at(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

Test(json, has_the_keys_and_types_of_the_original)
{
    const struct counts_view view = {.coins = 12, .hashes = 200, .rate = 3.3333333};
    char text[HTTPD_INLINE_BYTES];

    cr_assert_eq(webui_json(&view, WALL_MS, text, sizeof(text)), strlen(text));
    cr_assert_str_eq(text,
                     "{\"coins\":12,\"hashes\":\"200\",\"now\":1700000000.123,\"rate\":3.333}");
}

Test(json, says_when_its_numbers_are_old)
{
    const struct counts_view view = {.stale = true};
    char text[HTTPD_INLINE_BYTES];

    webui_json(&view, WALL_MS, text, sizeof(text));
    cr_assert_str_eq(text, "{\"coins\":0,\"hashes\":\"0\",\"now\":1700000000.123,\"rate\":0.000,"
                           "\"stale\":true}");
}

Test(json, fits_into_a_response_whatever_the_numbers)
{
    const struct counts_view view = {
        .coins = INT64_MAX, .hashes = INT64_MAX, .rate = 1e12, .stale = true};
    char text[HTTPD_INLINE_BYTES];

    cr_assert_lt(webui_json(&view, INT64_MAX, text, sizeof(text)), sizeof(text));
}

Test(status, of_a_broker_that_never_answered_is_complete_too)
{
    const struct counts_view counts = {.stale = true, .count = 2, .history = {(double)NAN, 1.5}};
    const struct cluster_view cluster = {.reason = "no \"broker\" \xff\n"};
    json_t *status = given_status(&counts, &cluster);
    const json_t *broker = json_object_get(status, "broker");
    const json_t *rates = json_object_get(status, "rates");

    cr_assert(json_is_false(json_object_get(broker, "up")));
    cr_assert_str_eq(text_at(broker, "detail"), "no \"broker\" ??");
    cr_assert(json_is_null(json_array_get(rates, 0)));
    cr_assert_float_eq(json_real_value(json_array_get(rates, 1)), 1.5, 1e-9);
    cr_assert_eq(json_array_size(json_object_get(status, "workers")), 0);
    cr_assert_eq(json_array_size(json_object_get(status, "running")), 0);
    cr_assert(json_is_null(json_object_get(status, "scoop")));
    json_decref(status);
}

Test(status, shows_workers_tasks_and_the_last_computation)
{
    const struct counts_view counts = {.coins = 1, .hashes = 16};
    const struct scoop_worker workers[] = {
        {.host = "w1", .version = "1", .state = "ready", .slots = 2, .busy = 1, .done = 7},
        {.host = "w2", .version = "1", .state = "lost", .slots = 2, .silent_ms = 4000},
    };
    const struct scoop_running_task running[] = {
        {.id = 5,
         .run_ms = 2000,
         .done = 1,
         .total = 4,
         .attempt = 2,
         .function = "f",
         .program = "p\xff",
         .client = "c",
         .host = "w1"},
    };
    const struct scoop_cluster known = {
        .version = "1",
        .ready = 3,
        .leased = 2,
        .done = 7,
        .worker_count = 2,
        .workers = workers,
        .running_count = 1,
        .running = running,
    };
    const struct cluster_verdict last = {
        .computed = true, .equal = true, .count = 1000, .parallel_ns = 2500, .ended_ms = 49000};
    const struct cluster_view cluster = {
        .up = true, .reason = "", .known = &known, .answered_ms = NOW_MS - 500, .last = &last};
    json_t *status = given_status(&counts, &cluster);
    const json_t *tasks = json_object_get(status, "tasks");
    const json_t *lost = json_array_get(json_object_get(status, "workers"), 1);
    const json_t *scoop = json_object_get(status, "scoop");
    const json_t *task = json_array_get(json_object_get(status, "running"), 0);

    cr_assert_str_eq(text_at(task, "program"), "p?");
    cr_assert_eq(number_at(task, "running_ms"), 2500);
    cr_assert_eq(number_at(task, "done"), 1);
    cr_assert_eq(number_at(task, "total"), 4);
    cr_assert_eq(number_at(tasks, "waiting"), 4);
    cr_assert_eq(number_at(tasks, "running"), 1);
    cr_assert_str_eq(text_at(lost, "state"), "lost");
    cr_assert_eq(number_at(lost, "seen_ms"), 4500);
    cr_assert_str_eq(text_at(scoop, "sentence"), "dataSerial and dataParallel are equal");
    cr_assert_float_eq(json_real_value(json_object_get(scoop, "parallel_us")), 2.5, 1e-9);
    cr_assert_eq(number_at(scoop, "age_ms"), 1000);
    json_decref(status);
}

Test(assets, are_all_there_with_type_and_tag)
{
    struct webui webui = {.counts = NULL};
    struct httpd_route routes[WEBUI_ROUTES_MAX];
    const size_t count = webui_routes(&webui, routes);

    cr_assert_eq(count, 3 + asset_count + 1);
    for (size_t i = 0; i < asset_count; i++) {
        cr_assert_gt(assets[i].size, 100, "%s", assets[i].path);
        cr_assert_eq(strlen(assets[i].etag), 34, "%s", assets[i].path);
        cr_assert_not_null(strchr(assets[i].type, '/'), "%s", assets[i].path);
    }
}
