/* What clients ask the broker itself for, besides durable tasks: constants, lists, its status. Each has
 * one question at a time. */
#include "world.h"

#include "base/durable_list.h"

#include <stdio.h>
#include <string.h>

enum question {
    ASKS_SET,
    ASKS_GET,
    ASKS_UNSET,
    ASKS_LIST,
    ASKS_COUNT,
};

static const struct scoop_function functions[ASKS_COUNT] = {
#define ASKS(place, text, index)                                                                   \
    [place] = {.name = (text),                                                                     \
               .argument_bytes = SCOOP_VARIABLE,                                                   \
               .result_bytes = SCOOP_VARIABLE,                                                     \
               .builtin = true,                                                                    \
               .number = (index)}
    ASKS(ASKS_SET, "broker.set", 20),
    ASKS(ASKS_GET, "broker.get", 21),
    ASKS(ASKS_UNSET, "broker.unset", 22),
    ASKS(ASKS_LIST, "broker.list", 23),
#undef ASKS
};

/* A constant's value says whose it is. */
static uint64_t value_of(uint32_t name)
{
    return rng_mix(name + 77);
}

static void put_name(struct blob *b, uint32_t name)
{
    char text[16];

    snprintf(text, sizeof(text), "name-%u", name);
    if (blob_reserve(b, 32) != 0)
        abort();
    wire_put_text(b, text);
}

static struct blob *argument_of(struct world *w, const struct asker *asker)
{
    const struct durable_query query = {.most = 100, .failed_only = asker->name == 1};
    struct blob *b = blob_new(64);

    if (b == NULL)
        abort();
    switch (asker->question) {
    case ASKS_SET:
        wire_put_u8(b, rng_chance(&w->rng, 300) ? 1 : 0); /* it is kept */
        put_name(b, asker->name);
        wire_put_u64(b, value_of(asker->name));
        return b;
    case ASKS_GET:
        wire_put_u64(b, rng_chance(&w->rng, 500) ? asker->serial : 0);
        put_name(b, asker->name);
        return b;
    case ASKS_UNSET: put_name(b, asker->name); return b;
    default:
        if (durable_put_query(b, &query) != 0)
            abort();
        return b;
    }
}

static void ask(struct proc *p, struct asker *asker)
{
    struct world *w = p->world;

    job_fini(&asker->job);
    free((void *)(uintptr_t)asker->out.data);
    blob_unref(asker->argument);
    asker->out = (struct scoop_bytes){NULL, 0};
    asker->question = rng_below(&w->rng, world_has(w, KIND_DURABLE) ? ASKS_COUNT : ASKS_LIST);
    asker->name = rng_below(&w->rng, 3);
    asker->argument = argument_of(w, asker);
    asker->in = (struct scoop_bytes){asker->argument->data, asker->argument->size};
    asker->job = (struct job){
        .function = &functions[asker->question],
        .count = 1,
        .in_each = &asker->in,
        .out_each = &asker->out,
    };
    atomic_init(&asker->job.references, 1000);
    asker->asked = true;
    world_event(w, "asks of", p->index, asker->question, asker->name);
    client_add(&p->client, &asker->job);
}

static void check_constant(struct world *w, struct asker *asker)
{
    struct wire_cursor c = {.at = asker->out.data, .end = asker->out.data};

    c.end += asker->out.size;
    asker->serial = wire_get_u64(&c);
    CHECK(w, !c.bad && asker->serial != 0, "a constant without a serial");
    CHECK(w, c.at == c.end || wire_get_u64(&c) == value_of(asker->name),
          "a constant has the value of another one");
}

static void check_list(struct world *w, const struct asker *asker)
{
    struct wire_cursor c = {.at = asker->out.data, .end = asker->out.data};
    struct durable_entry entry;

    c.end += asker->out.size;
    wire_get_u64(&c); /* how many are kept */
    while (c.at < c.end) {
        CHECK(w, durable_get_entry(&c, &entry) == 0, "a list that cannot be read");
        (void)durable_of_id(w, entry.id);
        CHECK(w,
              asker->name != 1 || entry.outcome != WIRE_OK || entry.state != DURABLE_LISTED_ENDED,
              "a list of failures has one that ended well");
    }
}

bool asks_took(struct proc *p, struct job *job)
{
    struct world *w = p->world;
    struct asker *asker = &p->asker;

    if (&asker->job != job)
        return false;
    CHECK(w, asker->asked, "a question was answered twice");
    CHECK(w, job->failure == NULL || job->failure->status == SCOOP_REFUSED,
          "a question of the broker itself ended with status %d", (int)job->failure->status);
    asker->asked = false;
    asker->next_ms = w->now_ms + rng_between(&w->rng, 50, 1500);
    if (job->failure == NULL && asker->question == ASKS_GET)
        check_constant(w, asker);
    if (job->failure == NULL && asker->question == ASKS_LIST)
        check_list(w, asker);
    return true;
}

void asks_take_status(struct proc *p, struct dialler_input *in)
{
    struct wire_counters counters;

    CHECK(p->world, wire_get_counters(&in->body, &counters) == 0, "a status that cannot be read");
    CHECK(p->world, counters.epoch >= p->epoch, "a status of an older epoch");
}

int64_t asks_give(struct proc *p)
{
    struct world *w = p->world;
    struct asker *asker = &p->asker;

    if (!world_has(w, KIND_CONSTANTS) || w->now_ms >= w->calm_ms)
        return INT64_MAX;
    if (!asker->asked && w->now_ms >= asker->next_ms) {
        ask(p, asker);
        if (dialler_is_open(p->dialler))
            dialler_send_loose(p->dialler, dialler_frame(p->dialler, WIRE_QUERY, 0));
    }
    return asker->asked ? INT64_MAX : asker->next_ms;
}

void asks_fini(struct proc *p)
{
    job_fini(&p->asker.job);
    free((void *)(uintptr_t)p->asker.out.data);
    blob_unref(p->asker.argument);
    p->asker = (struct asker){.next_ms = p->world->now_ms};
}
