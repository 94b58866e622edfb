/* The executor side. Invariants: a task is claimed before it runs, and answered or set aside before
 * the next is claimed; nothing is taken out of the ring before it has been used; a function that writes into
 * our memory or the shared one can only harm this process, whose agent trusts nothing in it. */
#include "executor.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/wire.h"
#include "executor_state.h"
#include "scatter.h"
#include "tidy.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

/* Looks at an empty ring before parking. It moves between these, as looking pays off or not; some
 * 20 us at most. */
#define SPINS_MIN 8U
#define SPINS_MAX 512U

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

struct executor executor;

_Noreturn void executor_give_up(const char *why)
{
    fprintf(stderr, "executor: %s\n", why);
    _exit(2);
}

/* ---- waiting ---- */

static void ring_bell(const struct executor *e)
{
    const uint64_t one = 1;

    /* EAGAIN: it is ringing already. */
    if (!tidy_has_bell() || (write(e->bell, &one, sizeof(one)) < 0 && errno != EAGAIN))
        _exit(CHANNEL_DAMAGE_DESCRIPTORS);
}

static void release_tasks(struct executor *e)
{
    struct ring *ring = &e->channel.tasks;

    if (e->released == ring->own)
        return;
    e->released = ring->own;
    if (ring_release(ring))
        ring_bell(e);
}

static void publish_outcomes(struct executor *e)
{
    if (ring_publish(&e->channel.outcomes))
        ring_bell(e);
}

static bool have_tasks(struct executor *e, size_t size)
{
    size_t ready = 0;

    if (ring_ready(&e->channel.tasks, &ready) != 0)
        executor_give_up("the shared memory was overwritten");
    return ready >= size;
}

size_t executor_results_ready(void)
{
    size_t ready = 0;

    if (ring_ready(&executor.channel.results, &ready) != 0)
        executor_give_up("the shared memory was overwritten");
    return ready;
}

void executor_release_results(void)
{
    if (ring_release(&executor.channel.results))
        ring_bell(&executor);
}

/* May the next record be served, of which there is so much in the ring? No task begins while one
 * waits that has to go on in time, unless the agent says so: it takes back what it has fed. */
static bool may_begin(struct executor *e, size_t size)
{
    struct channel_task head;

    if (!have_tasks(e, size))
        return false;
    if (e->timed == NULL)
        return true;
    memcpy(&head, ring_take_at(&e->channel.tasks), sizeof(head));
    return head.function >= CHANNEL_FUNCTIONS_MAX || (head.attempt & CHANNEL_ANYWAY) != 0;
}

/* Something to do: a task that may begin; or results, while a task waits for them. */
static bool have_input(struct executor *e, size_t size)
{
    return may_begin(e, size) || (e->parked != 0 && executor_results_ready() != 0);
}

static bool spin_for_input(struct executor *e, size_t size)
{
    for (unsigned i = 0; i < e->spins; i++) {
        if (have_input(e, size)) {
            e->spins = e->spins * 2 < SPINS_MAX ? e->spins * 2 : SPINS_MAX;
            return true;
        }
        RELAX();
    }
    if (e->spins != 0)
        e->spins = e->spins / 2 > SPINS_MIN ? e->spins / 2 : SPINS_MIN;
    return false;
}

static void sleep_for_input(struct executor *e, size_t size)
{
    const int patience_ms = strands_patience_ms();
    const int tidy_ms = tidy_before_sleep();
    const bool tidy = tidy_ms >= 0 && (patience_ms < 0 || tidy_ms < patience_ms);

    channel_sleep(&e->channel, e->timed == NULL, e->parked != 0, tidy ? tidy_ms : patience_ms);
    if (tidy && !have_input(e, size))
        tidy_idle();
    if (tidy && !have_input(e, size))
        values_let_go();
}

/* Wait until a task may begin, or something else may be done. False: look what that is. */
static bool wait_for_input(struct executor *e, size_t size)
{
    if (may_begin(e, size))
        return true;
    release_tasks(e);
    e->free_us = 0;
    if (!spin_for_input(e, size))
        sleep_for_input(e, size);
    return may_begin(e, size);
}

/* Wait for the rest of a record whose beginning is here. */
static void wait_for_rest(struct executor *e, size_t size)
{
    while (!have_tasks(e, size)) {
        release_tasks(e);
        channel_sleep(&e->channel, true, false, -1);
    }
}

/* Wait until at least `size` bytes can be written; returns how many. */
static size_t wait_for_room(struct executor *e, size_t size)
{
    struct ring *ring = &e->channel.outcomes;
    size_t room = 0;

    for (;;) {
        if (ring_room(ring, &room) != 0)
            executor_give_up("the shared memory was overwritten");
        if (room >= size)
            return room;
        if (ring_park_writer(ring))
            ring_sleep(&ring->shared->writer_parked, -1);
    }
}

static void take(struct executor *e, size_t size)
{
    struct ring *ring = &e->channel.tasks;

    ring_take(ring, size);
    if (ring->own - e->released >= ring->capacity / 4)
        release_tasks(e);
}

/* ---- outcomes ---- */

/* A record that does not fit the ring, in pieces. */
static void put_in_pieces(struct executor *e, const uint8_t *data, size_t size)
{
    struct ring *ring = &e->channel.outcomes;

    while (size != 0) {
        const size_t room = wait_for_room(e, 1);
        const size_t piece = room < size ? room : size;

        memcpy(ring_put_at(ring), data, piece);
        ring_put(ring, piece);
        publish_outcomes(e);
        data += piece;
        size -= piece;
    }
}

void executor_put(const struct channel_outcome *head,
                  const struct channel_child *child,
                  const void *body,
                  size_t bytes)
{
    static const uint8_t zeros[CHANNEL_ALIGNMENT];
    struct executor *const e = &executor;
    struct ring *const ring = &e->channel.outcomes;
    const size_t total = channel_record_bytes(head->bytes);
    const size_t child_bytes = child != NULL ? sizeof(*child) : 0;

    if (total > ring->capacity) {
        put_in_pieces(e, (const uint8_t *)head, sizeof(*head));
        put_in_pieces(e, (const uint8_t *)child, child_bytes);
        put_in_pieces(e, body, bytes);
        put_in_pieces(e, zeros, total - sizeof(*head) - head->bytes);
        return;
    }
    wait_for_room(e, total);
    uint8_t *at = ring_put_at(ring);
    memcpy(at, head, sizeof(*head));
    at += sizeof(*head);
    if (child != NULL)
        memcpy(at, child, sizeof(*child));
    if (bytes != 0)
        memcpy(at + child_bytes, body, bytes);
    ring_put(ring, total);
    publish_outcomes(e);
}

static struct wire_bytes text_view(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

/* The bytes of an outcome that is not OK. */
static void put_failure(struct executor *e, struct channel_outcome *head)
{
    const struct scoop_output *const output = &e->current->output;
    const struct wire_failure failure = {
        .code = output->code,
        .host = text_view(e->host),
        .text = text_view(output->text),
    };

    e->failure->size = 0;
    if (wire_put_failure(e->failure, &failure) != 0)
        executor_give_up("out of memory");
    head->bytes = (uint32_t)e->failure->size;
    executor_put(head, NULL, e->failure->data, head->bytes);
}

/* ---- tasks ---- */

void executor_put_progress(void)
{
    struct strand *const s = executor.current;
    const struct channel_outcome head = {
        .bytes = sizeof(struct channel_progress),
        .id = s->id,
        .outcome = CHANNEL_PROGRESS,
    };
    struct channel_progress progress;

    if (!s->has_progress)
        return;
    s->has_progress = false;
    if (channel_see_progress(&executor.channel, s->id, &progress))
        executor_put(&head, NULL, &progress, sizeof(progress));
}

void executor_say_progress(uint64_t done, uint64_t total)
{
    struct strand *const s = executor.current;

    s->has_progress = true;
    channel_say_progress(&executor.channel, s->id, (struct channel_progress){done, total});
}

void executor_put_partial(const void *data, size_t size)
{
    struct strand *const s = executor.current;
    const struct channel_outcome head = {
        .bytes = (uint32_t)size,
        .run_us = s->partials++,
        .id = s->id,
        .outcome = CHANNEL_PARTIAL,
    };

    executor_put(&head, NULL, data, size);
}

bool executor_is_here(void)
{
    return executor.current != NULL;
}

/* What is wrong with calling this definition here; NULL: nothing. `text` has room for the answer.
 */
static bool refuse(const struct executor *e, const struct definition *d, char *text, size_t size)
{
    if (d->function == NULL) {
        snprintf(text, size, "function %s: %s on %s has none of that name", d->name,
                 program_invocation_short_name, e->host);
        return true;
    }
    if (d->function->argument_bytes == d->argument_bytes &&
        d->function->result_bytes == d->result_bytes)
        return false;
    snprintf(text, size,
             "function %s: %s on %s takes %d and returns %d bytes, the client says %d and %d "
             "(-1: any number)",
             d->name, program_invocation_short_name, e->host, (int)d->function->argument_bytes,
             (int)d->function->result_bytes, (int)d->argument_bytes, (int)d->result_bytes);
    return true;
}

/* What a function prints is shown line by line, and belongs to its task. */
void executor_end_line(void)
{
    if (__fpending(stdout) == 0)
        return;
    putchar('\n');
    (void)fflush(stdout);
}

void executor_take_record(void)
{
    if (executor.record != 0)
        take(&executor, executor.record);
    executor.record = 0;
}

/* A bytes function looks at its argument for as long as it runs, while the ring goes on when it is
 * set aside. Others have taken a copy before they begin. */
static const uint8_t *keep_argument(struct executor *e, const uint8_t *argument, size_t size)
{
    struct strand *const s = e->current;

    if (argument == e->large) {
        uint8_t *const buffer = s->argument;
        const size_t capacity = s->argument_capacity;

        s->argument = e->large;
        s->argument_capacity = e->large_capacity;
        e->large = buffer;
        e->large_capacity = capacity;
        return s->argument;
    }
    if (size > s->argument_capacity) {
        free(s->argument);
        s->argument_capacity = channel_record_bytes(size);
        s->argument = aligned_alloc(CHANNEL_ALIGNMENT, s->argument_capacity);
    }
    if (s->argument == NULL && size != 0)
        executor_give_up("out of memory for an argument");
    return size != 0 ? memcpy(s->argument, argument, size) : argument;
}

/* What function_call() does with the task on this strand. Returns its outcome. */
static enum wire_outcome call(struct executor *e,
                              const struct definition *d,
                              const struct channel_task *task,
                              const uint8_t *argument)
{
    struct strand *const s = e->current;

    s->output.code = 0;
    if (refuse(e, d, s->output.text, sizeof(s->output.text)))
        return WIRE_REFUSED_TASK;
    const bool bundle = (task->attempt & CHANNEL_BUNDLE) != 0;
    const bool mapped = (task->attempt & CHANNEL_MAPPED) != 0;
    struct mapping mapping = {(void *)(uintptr_t)argument, task->bytes};
    if (mapped && !files_map(task->id, &mapping, s->output.text, sizeof(s->output.text)))
        return WIRE_REFUSED_TASK;
    if (!mapped && (bundle || d->function->invoke_bytes != NULL))
        mapping.at = (void *)(uintptr_t)keep_argument(e, argument, task->bytes);
    s->output.movable =
        (task->attempt & CHANNEL_MOVES) != 0 && d->function->result_bytes == SCOOP_VARIABLE;
    s->output.limit = s->output.movable ? WIRE_LARGE_MAX : WIRE_PAYLOAD_MAX;
    const enum wire_outcome outcome =
        bundle ? function_call_bundle(d->function, mapping.at, mapping.size, &s->output)
               : function_call(d->function, mapping.at, mapping.size, &s->output);
    if (mapped)
        files_unmap(&mapping);
    if (s->session != NULL)
        nested_leave(s);
    if (s->session != NULL)
        nested_forget(s->session);
    return outcome;
}

static void run_task(struct executor *e, const struct channel_task *task, const uint8_t *argument)
{
    struct strand *const s = e->current;
    struct channel_outcome head = {.id = (uint32_t)task->id};

    s->id = (uint32_t)task->id;
    s->ran_us = 0;
    s->has_progress = false;
    s->partials = 0;
    s->since_us = e->free_us != 0 ? e->free_us : clock_now_us();
    const enum wire_outcome outcome = call(e, &e->definitions[task->function], task, argument);
    head.outcome = (uint16_t)outcome;
    if ((atomic_load(&e->channel.shared->claim) & ~CHANNEL_CLOSED) != e->claimed)
        executor_give_up("the shared memory was overwritten");
    executor_end_line();
    executor_put_progress();
    e->free_us = clock_now_us();
    head.run_us = (uint32_t)(s->ran_us + (uint64_t)(e->free_us - s->since_us));
    channel_stamp(&head, e->free_us);
    if (outcome != WIRE_OK) {
        head.flags |= outcome == WIRE_FAILED && s->output.forever ? CHANNEL_FINAL : 0;
        put_failure(e, &head);
    } else if (s->output.file >= 0) {
        files_put_moved(&head);
    } else {
        head.bytes = (uint32_t)s->output.size;
        executor_put(&head, NULL, s->output.data, s->output.size);
    }
    output_drop_file(&s->output);
    if (tidy_after(head.run_us))
        e->free_us = 0;
}

/* False: the agent has recalled this task and all after it, up to CHANNEL_RESUME. */
static bool claim(struct executor *e)
{
    uint64_t expected = e->claimed;

    if (atomic_compare_exchange_strong(&e->channel.shared->claim, &expected, expected + 1)) {
        e->claimed++;
        return true;
    }
    if (expected != (e->claimed | CHANNEL_CLOSED))
        executor_give_up("the shared memory was overwritten");
    return false;
}

static void define(struct executor *e, const struct channel_task *record, const uint8_t *name)
{
    struct definition *definitions =
        realloc(e->definitions, (e->defined + 1) * sizeof(*definitions));
    char *const copy = strndup((const char *)name, record->bytes);

    if (definitions == NULL || copy == NULL)
        executor_give_up("out of memory");
    e->definitions = definitions;
    definitions[e->defined++] = (struct definition){
        .function = function_find(copy, strlen(copy)),
        .argument_bytes = (uint32_t)(record->id >> 32),
        .result_bytes = (uint32_t)record->id,
        .name = copy,
    };
}

static void handle(struct executor *e, const struct channel_task *record, const uint8_t *body)
{
    if (record->function == CHANNEL_DEFINE)
        define(e, record, body);
    else if (record->function == CHANNEL_RESUME)
        atomic_store(&e->channel.shared->claim, e->claimed);
    else if (record->function >= e->defined)
        executor_give_up("a task of a function that was not defined");
    else if (claim(e))
        run_task(e, record, body);
}

/* The body of a record that does not fit the ring, and its padding, taken out in pieces. */
static const uint8_t *gather(struct executor *e, size_t size)
{
    struct ring *ring = &e->channel.tasks;

    if (size > e->large_capacity) {
        free(e->large);
        e->large = aligned_alloc(CHANNEL_ALIGNMENT, size);
        e->large_capacity = size;
    }
    if (e->large == NULL)
        executor_give_up("out of memory");
    for (size_t got = 0; got < size;) {
        size_t piece = 0;

        wait_for_rest(e, 1);
        if (ring_ready(ring, &piece) != 0)
            executor_give_up("the shared memory was overwritten");
        piece = piece < size - got ? piece : size - got;
        memcpy(e->large + got, ring_take_at(ring), piece);
        ring_take(ring, piece);
        release_tasks(e);
        got += piece;
    }
    return e->large;
}

static void serve_record(struct executor *e)
{
    struct ring *ring = &e->channel.tasks;
    struct channel_task record;

    memcpy(&record, ring_take_at(ring), sizeof(record));
    const size_t total = channel_record_bytes(record.bytes);
    if (total > ring->capacity) {
        take(e, sizeof(record));
        handle(e, &record, gather(e, total - sizeof(record)));
        return;
    }
    wait_for_rest(e, total);
    e->record = total;
    handle(e, &record, ring_take_at(ring) + sizeof(record));
    executor_take_record();
}

_Noreturn void executor_serve(void)
{
    struct executor *const e = &executor;

    for (;;) {
        struct strand *const next = e->parked != 0 || e->ready != NULL ? strand_take_ready() : NULL;

        if (next != NULL)
            strand_retire(next);
        else if (wait_for_input(e, sizeof(struct channel_task)))
            serve_record(e);
    }
}

/* ---- start ---- */

bool executor_is_wanted(void)
{
    return getenv(CHANNEL_VARIABLE) != NULL;
}

/* "MEMORY,BELL,VERSION,FILES" */
static void read_variable(uint64_t numbers[4])
{
    char text[64];
    char *rest = text;

    snprintf(text, sizeof(text), "%s", getenv(CHANNEL_VARIABLE));
    unsetenv(CHANNEL_VARIABLE);
    for (int i = 0; i < 4; i++) {
        const char *const word = strsep(&rest, ",");

        /* What comes behind the version may be otherwise in another one. */
        if (i == 3 && numbers[2] != CHANNEL_VERSION)
            break;

        if (word == NULL || parse_u64(word, 0, INT32_MAX, &numbers[i]) != 0)
            executor_give_up(CHANNEL_VARIABLE
                             " is malformed: it is for the agent of a worker to set");
    }
    if (numbers[2] != CHANNEL_VERSION)
        executor_give_up("this program is linked with another version of libscoop than the worker");
}

static void start(struct executor *e)
{
    uint64_t numbers[4] = {0};
    cpu_set_t cpus;

    read_variable(numbers);
    if (channel_map(&e->channel, (int)numbers[0]) != 0)
        executor_give_up(CHANNEL_VARIABLE " does not name the memory of an agent");
    close((int)numbers[0]);
    e->bell = (int)numbers[1];
    e->files = (int)numbers[3];
    fcntl(e->bell, F_SETFD, FD_CLOEXEC);
    fcntl(e->files, F_SETFD, FD_CLOEXEC);
    e->failure = blob_new(WIRE_TEXT_MAX);
    if (e->failure == NULL)
        executor_give_up("out of memory");
    ledger_init(&e->children);
    strands_init();
    gethostname(e->host, sizeof(e->host) - 1);
    /* Looking on is of no use where it keeps the agent off the only CPU. */
    const bool alone = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1;
    e->spins = alone ? 0 : SPINS_MIN;
    /* What a function prints goes to the agent line by line, not when the process ends. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    tidy_init(e->bell, e->files);
}

_Noreturn void executor_main(unsigned wants)
{
    const struct channel_outcome ready = {.outcome = CHANNEL_READY, .run_us = wants};

    start(&executor);
    executor_put(&ready, NULL, NULL, 0);
    executor_serve();
}
