#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct wire_bytes text(const char *s)
{
    return (struct wire_bytes){(const uint8_t *)s, strlen(s)};
}

struct world given_world(void)
{
    static uint64_t worlds;
    struct world w = {.now_ms = 1000, .epoch = EPOCH + worlds++};

    w.core = core_new(w.epoch, "test", w.now_ms);
    cr_assert_not_null(w.core);
    return w;
}

void finish(struct world *w)
{
    core_free(w->core);
    for (size_t i = 0; i < w->journal_count; i++)
        blob_unref(w->journal[i]);
    core_effects_fini(&w->effects);
    for (size_t i = 0; i < w->end_count; i++) {
        link_fini(&w->ends[i]->link);
        free(w->ends[i]);
    }
}

/* ---- what an end does with a frame ---- */

static void take_tasks(struct end *end, uint32_t count, struct wire_cursor *body)
{
    end->task_frames++;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_lt(end->task_count, TASKS_MAX);
        cr_assert_eq(wire_get_task(body, &end->tasks[end->task_count++]), 0);
        const struct wire_bytes argument = end->tasks[end->task_count - 1].argument;
        end->argument_bytes = argument.size;
        if (argument.data == NULL)
            continue; /* there is only its size */
        memcpy(end->argument, argument.data,
               argument.size < sizeof(end->argument) ? argument.size : sizeof(end->argument));
    }
}

static void take_results(struct end *end, uint32_t count, struct wire_cursor *body)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wire_result result;
        struct wire_failure failure = {0};

        cr_assert_lt(end->result_count, TASKS_MAX);
        cr_assert_eq(wire_get_result(body, &result), 0);
        if (result.outcome != WIRE_OK)
            cr_assert_eq(wire_get_failure(result.bytes, &failure), 0);
        end->results[end->result_count].no = result.no;
        end->results[end->result_count].outcome = result.outcome;
        end->results[end->result_count].attempts = result.attempts;
        end->results[end->result_count].code = failure.code;
        end->results[end->result_count].bytes = result.bytes.size;
        struct wire_cursor number = wire_cursor_of(result.bytes.data, result.bytes.size);
        end->results[end->result_count].number = wire_get_u64(&number);
        wire_text_copy(failure.text, end->results[end->result_count].text,
                       sizeof(end->results[0].text));
        end->results[end->result_count].last_byte =
            result.bytes.size != 0 ? result.bytes.data[result.bytes.size - 1] : 0;
        end->results[end->result_count++].first_byte =
            result.bytes.size != 0 ? result.bytes.data[0] : 0;
    }
}

static void take_notes(struct end *end, uint32_t count, struct wire_cursor *body)
{
    struct wire_note note;

    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(wire_get_note(body, &note), 0);
        struct wire_cursor bytes = {.at = note.bytes.data,
                                    .end = note.bytes.data + note.bytes.size};
        const uint32_t place = end->note_count++ % TASKS_MAX;

        end->notes[place].task = note.task;
        end->notes[place].kind = note.kind;
        end->notes[place].results_before = end->result_count;
        end->notes[place].dropped = note.kind == WIRE_NOTE_DROPPED ? wire_get_u64(&bytes) : 0;
        end->notes[place].done = note.kind == WIRE_NOTE_PROGRESS ? wire_get_u64(&bytes) : 0;
        end->notes[place].run_ms = note.kind == WIRE_NOTE_RUNNING ? wire_get_u32(&bytes) : 0;
    }
    cr_assert_eq(wire_read_ok(body), 0);
}

static void take_wants(struct end *end, uint32_t count, struct wire_cursor *body)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(wire_get_want(body, &end->wants_got[end->want_count++ % TASKS_MAX]), 0);
    cr_assert_eq(wire_read_ok(body), 0);
}

static void take_pieces(struct end *end, uint32_t count, struct wire_cursor *body)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wire_piece *piece = &end->pieces[end->piece_count++ % TASKS_MAX];

        cr_assert_eq(wire_get_piece(body, piece), 0);
        end->piece_first_byte = piece->bytes.size != 0 ? piece->bytes.data[0] : 0;
        piece->bytes.data = NULL;
    }
    cr_assert_eq(wire_read_ok(body), 0);
}

static void take_status(struct end *end, uint32_t workers, struct wire_cursor *body)
{
    struct wire_class class;
    struct wire_worker worker;

    cr_assert_eq(wire_get_counters(body, &end->counters), 0);
    for (uint32_t i = 0; i < end->counters.classes; i++) {
        cr_assert_eq(wire_get_class(body, &class), 0);
        wire_text_copy(class.needs, end->classes[i % CLASSES_SEEN].needs,
                       sizeof(end->classes[0].needs));
        end->classes[i % CLASSES_SEEN].ready = class.ready;
        end->classes[i % CLASSES_SEEN].leased = class.leased;
        end->classes[i % CLASSES_SEEN].able = class.able;
    }
    for (uint32_t i = 0; i < workers; i++)
        cr_assert_eq(wire_get_worker(body, &worker), 0);
    wire_text_copy(worker.resources, end->resources_seen, sizeof(end->resources_seen));
    wire_text_copy(worker.taken, end->taken_seen, sizeof(end->taken_seen));
    end->running_count = wire_get_u32(body);
    cr_assert_leq(end->running_count, WIRE_RUNNING_MAX);
    for (uint32_t i = 0; i < end->running_count; i++)
        cr_assert_eq(wire_get_running(body, &end->running[i]), 0);
    cr_assert_eq(wire_read_ok(body), 0);
}

static void take_frame(const struct world *w, struct end *end, struct blob *frame)
{
    struct wire_header header;
    struct wire_cursor body;
    enum link_verdict verdict = LINK_GAP;

    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    if (header.link != end->link.id && header.link != end->hello)
        return;
    end->gone |= header.type == WIRE_GONE;
    cr_assert_eq(link_receive(&end->link, &header, frame->size, &verdict), 0);
    if (verdict != LINK_DELIVER)
        return;
    if (header.type == WIRE_WELCOME) {
        end->welcome = true;
        end->link.id = link_number(end->hello, w->epoch);
    }
    end->refused |= header.type == WIRE_REFUSED;
    if (header.type == WIRE_TASKS)
        take_tasks(end, header.count, &body);
    else if (header.type == WIRE_RESULTS)
        take_results(end, header.count, &body);
    else if (header.type == WIRE_NOTES)
        take_notes(end, header.count, &body);
    else if (header.type == WIRE_WANT)
        take_wants(end, header.count, &body);
    else if (header.type == WIRE_PIECE)
        take_pieces(end, header.count, &body);
    else if (header.type == WIRE_FORGET)
        for (uint32_t i = 0; i < header.count; i++, end->forget_count++)
            end->forgotten = wire_get_bytes(&body, WIRE_KEY_BYTES).data[0];
    else if (header.type == WIRE_REVOKE)
        for (uint32_t i = 0; i < header.count; i++)
            end->revoked[end->revoked_count++] = wire_get_u64(&body);
    else if (header.type == WIRE_NEED)
        for (uint32_t i = 0; i < header.count; i++)
            cr_assert_eq(wire_get_place(&body, &end->needs[end->need_count++]), 0);
    else if (header.type == WIRE_STATUS)
        take_status(end, header.count, &body);
}

void carry_out(struct world *w)
{
    for (size_t i = 0; i < w->effects.count; i++) {
        const struct core_effect *effect = &w->effects.items[i];

        if (effect->type == CORE_JOURNAL) {
            cr_assert_lt(w->journal_count, BATCHES_MAX);
            w->journal[w->journal_count++] = blob_ref(effect->frame);
        }
        if (effect->type == CORE_TRIM)
            w->trimmed = effect->position;
        for (size_t e = 0; effect->type == CORE_SEND && e < w->end_count; e++) {
            if (w->ends[e]->role == effect->role &&
                w->ends[e]->route.bytes[0] == effect->route.bytes[0])
                take_frame(w, w->ends[e], effect->frame);
        }
    }
    core_effects_clear(&w->effects);
}

void turn(struct world *w)
{
    const struct core_event event = {.type = CORE_TURN, .now_ms = w->now_ms};

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

void deliver(struct world *w, struct end *from, struct blob *frame)
{
    const struct core_event event = {
        .type = CORE_FRAME,
        .role = from->role,
        .now_ms = w->now_ms,
        .route = from->route,
        .key = from->key,
        .frame = frame,
    };

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

void send_frame(struct world *w, struct end *end, struct blob *frame)
{
    cr_assert_eq(link_push(&end->link, frame), 0);
    deliver(w, end, frame);
    blob_unref(frame);
}

void say_hello(struct world *w, struct end *end, uint32_t slots)
{
    if (end->link.id != link_number(end->hello, w->epoch))
        end->hello = end->link.id; /* it is new */
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_HELLO, end->hello, 64);
    const struct wire_hello hello = {
        .role = end->role,
        .pid = 1,
        .incarnation = end->incarnation,
        .slots = slots,
        .wants = end->wants,
        .host = text("h"),
        .name = text("n"),
        .version = text("v"),
        .resources = text(end->resources != NULL ? end->resources : ""),
    };

    cr_assert_eq(wire_put_hello(frame, &hello), 0);
    wire_frame_add_count(frame, 1);
    deliver(w, end, frame);
}

static struct end *given_end(
    struct world *w, enum wire_role role, uint32_t slots, uint32_t wants, const char *resources)
{
    struct end *end = calloc(1, sizeof(*end));

    end->role = role;
    end->wants = wants;
    end->resources = resources;
    end->incarnation = 100 + w->end_count;
    end->route = (struct core_route){.size = 1, .bytes = {(uint8_t)(w->end_count + 1)}};
    snprintf(end->key.text, sizeof(end->key.text), "key-%zu", w->end_count);
    link_init(&end->link, 1000 + w->end_count);
    w->ends[w->end_count++] = end;
    say_hello(w, end, slots);
    cr_assert(end->welcome);
    return end;
}

struct end *given_agent(struct world *w, uint32_t slots)
{
    return given_agent_with(w, slots, NULL);
}

struct end *given_agent_with(struct world *w, uint32_t slots, const char *resources)
{
    return given_end(w, WIRE_AGENT, slots, 0, resources);
}

void define(struct world *w, struct end *end)
{
    struct blob *frame = wire_frame_new(WIRE_FUNCTION, end->link.id, 64);
    const struct wire_function function = {
        .argument_bytes = 1,
        .result_bytes = 1,
        .program = text("p"),
        .name = text("f"),
    };

    cr_assert_eq(wire_put_function(frame, &function), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, end, frame);
}

struct end *given_client(struct world *w)
{
    return given_listener(w, 0);
}

struct end *given_listener(struct world *w, uint32_t wants)
{
    struct end *client = given_end(w, WIRE_CLIENT, 0, wants, NULL);

    define(w, client);
    return client;
}

static struct blob *frame_of(struct end *client,
                             uint64_t first_no,
                             uint32_t count,
                             const struct wire_options *options,
                             const char *needs)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 0);
    const struct wire_run run = {
        .count = count,
        .argument_bytes = 1,
        .first_no = first_no,
        .options = *options,
        .needs = text(needs),
    };

    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(blob_reserve(frame, count), 0);
    for (uint32_t i = 0; i < count; i++)
        wire_put_u8(frame, (uint8_t)(first_no + i));
    wire_frame_add_count(frame, count);
    return frame;
}

struct blob *submit_frame(struct end *client, uint64_t first_no, uint32_t count)
{
    return run_frame(client, first_no, count, &(struct wire_options){0});
}

struct blob *
run_frame(struct end *client, uint64_t first_no, uint32_t count, const struct wire_options *options)
{
    return frame_of(client, first_no, count, options, "");
}

struct blob *needing_frame(struct end *client, uint64_t first_no, uint32_t count, const char *needs)
{
    return frame_of(client, first_no, count, &(struct wire_options){.retries = 0}, needs);
}

void submit_with(struct world *w,
                 struct end *client,
                 uint64_t first_no,
                 uint32_t count,
                 const struct wire_options *options)
{
    send_frame(w, client, run_frame(client, first_no, count, options));
    turn(w);
}

void submit(struct world *w, struct end *client, uint64_t first_no, uint32_t count)
{
    send_frame(w, client, submit_frame(client, first_no, count));
    turn(w);
}

void put_outcome(struct blob *frame, const struct wire_task *task, enum wire_outcome outcome)
{
    struct blob *failure CLEANUP(blob_unref_p) = blob_new(64);
    const struct wire_failure record = {.code = 139, .host = text("h"), .text = text("t")};
    const uint8_t value = (uint8_t)task->id;
    struct wire_attempt attempt = {
        .id = task->id,
        .attempt = task->attempt,
        .outcome = outcome,
        .run_us = 60 * 1000, /* too long for leasing ahead */
        .bytes = {&value, 1},
    };

    if (outcome != WIRE_OK) {
        cr_assert_eq(wire_put_failure(failure, &record), 0);
        attempt.bytes = (struct wire_bytes){failure->data, failure->size};
    }
    cr_assert_eq(wire_put_attempt(frame, &attempt), 0);
    wire_frame_add_count(frame, 1);
}

void answer(struct world *w, struct end *agent, uint32_t count, enum wire_outcome outcome)
{
    struct blob *frame = wire_frame_new(WIRE_OUTCOMES, agent->link.id, 64);

    cr_assert_leq(count, agent->task_count);
    for (uint32_t i = 0; i < count; i++)
        put_outcome(frame, &agent->tasks[i], outcome);
    agent->task_count -= count;
    memmove(agent->tasks, agent->tasks + count, agent->task_count * sizeof(agent->tasks[0]));
    send_frame(w, agent, frame);
    turn(w);
}

void unreachable(struct world *w, struct end *end)
{
    const struct core_event event = {
        .type = CORE_UNREACHABLE,
        .role = end->role,
        .now_ms = w->now_ms,
        .route = end->route,
    };

    core_step(w->core, &event, &w->effects);
    carry_out(w);
}

void pass(struct world *w, int64_t ms)
{
    for (int64_t end_ms = w->now_ms + ms; w->now_ms < end_ms;) {
        w->now_ms += 100;
        turn(w);
    }
}

void ping(struct world *w, struct end *end)
{
    struct blob *frame CLEANUP(blob_unref_p) = link_ping(&end->link, 1);

    deliver(w, end, frame);
}

void tell_bytes(struct world *w,
                struct end *agent,
                const struct wire_task *task,
                enum wire_note_kind kind,
                struct wire_bytes bytes)
{
    struct blob *frame = wire_frame_new(WIRE_NOTES, agent->link.id, bytes.size);
    const struct wire_note note = {
        .task = task->id,
        .attempt = task->attempt,
        .kind = kind,
        .host = text("h"),
        .bytes = bytes,
    };

    cr_assert_eq(wire_put_note(frame, &note), 0);
    wire_frame_add_count(frame, 1);
    send_frame(w, agent, frame);
}

void tell(struct world *w,
          struct end *agent,
          const struct wire_task *task,
          enum wire_note_kind kind,
          size_t bytes)
{
    static const uint8_t line[WIRE_NOTE_MAX];

    tell_bytes(w, agent, task, kind, (struct wire_bytes){line, bytes});
}

void tell_running(struct world *w, struct end *agent, const struct wire_task *task, uint32_t ms)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(4);

    cr_assert_eq(wire_put_running_ms(bytes, ms), 0);
    tell_bytes(w, agent, task, WIRE_NOTE_RUNNING, (struct wire_bytes){bytes->data, bytes->size});
}

void tell_progress(struct world *w, struct end *agent, const struct wire_task *task, uint64_t done)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(WIRE_PROGRESS_BYTES);

    cr_assert_eq(wire_put_progress(bytes, &(struct wire_progress){done, 4}), 0);
    tell_bytes(w, agent, task, WIRE_NOTE_PROGRESS, (struct wire_bytes){bytes->data, bytes->size});
}

void define_asks(struct world *w, struct end *client, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct blob *frame = wire_frame_new(WIRE_FUNCTION, client->link.id, 64);
        const struct wire_function function = {
            .number = (uint32_t)i + 1,
            .argument_bytes = WIRE_VARIABLE,
            .result_bytes = WIRE_VARIABLE,
            .name = {(const uint8_t *)names[i], strlen(names[i])},
        };

        cr_assert_eq(wire_put_function(frame, &function), 0);
        wire_frame_add_count(frame, 1);
        send_frame(w, client, frame);
    }
}

void ask_needing(struct world *w,
                 struct end *client,
                 uint64_t no,
                 struct blob *argument,
                 uint32_t what,
                 const char *needs)
{
    struct blob *frame = wire_frame_new(WIRE_SUBMIT, client->link.id, 256);
    const struct wire_run run = {
        .function = (uint16_t)what,
        .count = 1,
        .argument_bytes = WIRE_VARIABLE,
        .first_no = no,
        .needs = text(needs),
    };

    cr_assert_eq(wire_put_run(frame, &run), 0);
    cr_assert_eq(blob_reserve(frame, 4 + argument->size), 0);
    wire_put_u32(frame, (uint32_t)argument->size);
    wire_put_bytes(frame, argument->data, argument->size);
    wire_frame_add_count(frame, 1);
    send_frame(w, client, frame);
    turn(w);
    blob_unref(argument);
}

void ask_with(
    struct world *w, struct end *client, uint64_t no, struct blob *argument, uint32_t what)
{
    ask_needing(w, client, no, argument, what, "");
}

void query(struct world *w, struct end *client)
{
    struct blob *frame CLEANUP(blob_unref_p) = wire_frame_new(WIRE_QUERY, client->link.id, 0);

    deliver(w, client, frame);
}
