#include "cluster_json.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

struct number {
    const char *name;
    uint64_t value;
};

static void set_numbers(json_t *object, const struct number *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, numbers[i].name, json_integer((json_int_t)numbers[i].value));
}

static json_t *classes_json(const struct scoop_cluster *c)
{
    json_t *list = json_array();

    for (size_t i = 0; i < c->class_count; i++) {
        const struct scoop_class *class = &c->classes[i];

        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "needs", class->needs,
                                              "ready", (json_int_t) class->ready, "leased",
                                              (json_int_t) class->leased, "able",
                                              (json_int_t) class->able));
    }
    return list;
}

json_t *cluster_json(const struct scoop_cluster *c, const char *broker)
{
    const struct number numbers[] = {
        {"workers", c->alive},   {"threads", c->slots},     {"uptime_ms", c->uptime_ms},
        {"ready", c->ready},     {"leased", c->leased},     {"done", c->done},
        {"failed", c->failed},   {"requeued", c->requeued}, {"sessions", c->sessions},
        {"resting", c->resting}, {"held", c->held},         {"blocked", c->blocked},
    };
    json_t *root = json_pack("{s:s, s:s}", "broker", broker, "version", c->version);

    set_numbers(root, numbers, COUNT_OF(numbers));
    json_object_set_new(root, "classes", classes_json(c));
    return root;
}

static json_t *worker_json(const struct scoop_worker *w)
{
    const struct number numbers[] = {
        {"pid", w->pid},
        {"slots", w->slots},
        {"busy", w->busy},
        {"leased", w->leased},
        {"done", w->done},
        {"failed", w->failed},
        {"silent_ms", w->silent_ms},
    };
    char incarnation[17];

    snprintf(incarnation, sizeof(incarnation), "%016" PRIx64, w->incarnation);
    json_t *worker = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "host", w->host, "state", w->state,
                               "version", w->version, "incarnation", incarnation, "resources",
                               w->resources, "taken", w->taken);
    set_numbers(worker, numbers, COUNT_OF(numbers));
    return worker;
}

json_t *workers_json(const struct scoop_cluster *cluster)
{
    json_t *list = json_array();

    for (size_t i = 0; i < cluster->worker_count; i++)
        json_array_append_new(list, worker_json(&cluster->workers[i]));
    return list;
}

/* A name that is no UTF-8 is no reason to leave out the rest. */
static json_t *name_json(const char *name)
{
    json_t *text = json_string(name);

    return text != NULL ? text : json_string("?");
}

static json_t *running_task_json(const struct scoop_running_task *t)
{
    const struct number numbers[] = {
        {"attempt", t->attempt},
        {"running_ms", t->run_ms},
        {"done", t->done},
        {"total", t->total},
    };
    char id[17];

    snprintf(id, sizeof(id), "%016" PRIx64, t->id);
    json_t *task =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "id", id, "program", name_json(t->program),
                  "function", name_json(t->function), "client", name_json(t->client), "host",
                  name_json(t->host), "waiting", t->waiting);
    set_numbers(task, numbers, COUNT_OF(numbers));
    return task;
}

json_t *running_json(const struct scoop_cluster *cluster)
{
    json_t *list = json_array();

    for (size_t i = 0; i < cluster->running_count; i++)
        json_array_append_new(list, running_task_json(&cluster->running[i]));
    return list;
}

void print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(json);
}
