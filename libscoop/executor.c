/* The executor side. Invariants: a task is claimed before it runs and answered before the next is
 * claimed; nothing is taken out of the ring before it has been used; a function that writes into
 * our memory or the shared one can only harm this process, whose agent trusts nothing in it. */
#include "executor.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/wire.h"
#include "function.h"

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

/* A function as the agent defined it, and as this program has it. */
struct definition {
    const struct scoop_function *function; /* NULL: not in this program */
    uint32_t argument_bytes;
    uint32_t result_bytes;
    char *name;
};

struct executor {
    struct channel channel;
    int bell;
    uint64_t claimed;
    uint64_t released; /* position in the ring of tasks that the agent knows of */
    int64_t free_us;   /* when the last task ended, if nothing was waited for since; else 0 */
    unsigned spins;    /* 0: never */
    struct definition *definitions;
    uint32_t defined;
    uint8_t *large; /* body of a record that does not fit the ring; room of large_capacity */
    size_t large_capacity;
    struct scoop_output output;
    struct blob *failure; /* scratch */
    char host[64];
};

_Noreturn static void give_up(const char *why)
{
    fprintf(stderr, "executor: %s\n", why);
    _exit(2);
}

/* ---- waiting ---- */

static void ring_bell(const struct executor *e)
{
    const uint64_t one = 1;

    /* EAGAIN: it is ringing already. */
    if (write(e->bell, &one, sizeof(one)) < 0 && errno != EAGAIN)
        give_up("a function closed a descriptor that is not its own");
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
        give_up("the shared memory was overwritten");
    return ready >= size;
}

static bool spin_for_tasks(struct executor *e, size_t size)
{
    for (unsigned i = 0; i < e->spins; i++) {
        if (have_tasks(e, size)) {
            e->spins = e->spins * 2 < SPINS_MAX ? e->spins * 2 : SPINS_MAX;
            return true;
        }
        RELAX();
    }
    if (e->spins != 0)
        e->spins = e->spins / 2 > SPINS_MIN ? e->spins / 2 : SPINS_MIN;
    return false;
}

/* Wait until `size` bytes of the ring of tasks can be read. */
static void wait_for_tasks(struct executor *e, size_t size)
{
    if (have_tasks(e, size))
        return;
    release_tasks(e);
    e->free_us = 0;
    while (!have_tasks(e, size)) {
        if (spin_for_tasks(e, size))
            return;
        if (ring_park_reader(&e->channel.tasks))
            ring_sleep(&e->channel.tasks.shared->reader_parked, -1);
    }
}

/* Wait until at least `size` bytes can be written; returns how many. */
static size_t wait_for_room(struct executor *e, size_t size)
{
    struct ring *ring = &e->channel.outcomes;
    size_t room = 0;

    for (;;) {
        if (ring_room(ring, &room) != 0)
            give_up("the shared memory was overwritten");
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

static void put_outcome(struct executor *e, const struct channel_outcome *head, const uint8_t *body)
{
    static const uint8_t zeros[CHANNEL_ALIGNMENT];
    struct ring *ring = &e->channel.outcomes;
    const size_t total = channel_record_bytes(head->bytes);

    if (total > ring->capacity) {
        put_in_pieces(e, (const uint8_t *)head, sizeof(*head));
        put_in_pieces(e, body, head->bytes);
        put_in_pieces(e, zeros, total - sizeof(*head) - head->bytes);
        return;
    }
    wait_for_room(e, total);
    memcpy(ring_put_at(ring), head, sizeof(*head));
    if (head->bytes != 0)
        memcpy(ring_put_at(ring) + sizeof(*head), body, head->bytes);
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
    const struct wire_failure failure = {
        .code = e->output.code,
        .host = text_view(e->host),
        .text = text_view(e->output.text),
    };

    e->failure->size = 0;
    if (wire_put_failure(e->failure, &failure) != 0)
        give_up("out of memory");
    head->bytes = (uint32_t)e->failure->size;
    put_outcome(e, head, e->failure->data);
}

/* ---- tasks ---- */

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
static void end_line(void)
{
    if (__fpending(stdout) == 0)
        return;
    putchar('\n');
    (void)fflush(stdout);
}

static void run_task(struct executor *e, const struct channel_task *task, const uint8_t *argument)
{
    const struct definition *d = &e->definitions[task->function];
    struct channel_outcome head = {.id = (uint32_t)task->id, .outcome = WIRE_REFUSED_TASK};
    const int64_t start_us = e->free_us != 0 ? e->free_us : clock_now_us();

    e->output.code = 0;
    if (!refuse(e, d, e->output.text, sizeof(e->output.text)))
        head.outcome = (uint16_t)function_call(d->function, argument, task->bytes, &e->output);
    end_line();
    e->free_us = clock_now_us();
    head.run_us = (uint32_t)(e->free_us - start_us);
    head.flags = (uint16_t)e->free_us & (uint16_t)~CHANNEL_FINAL;
    if (head.outcome != WIRE_OK) {
        head.flags |= head.outcome == WIRE_FAILED && e->output.forever ? CHANNEL_FINAL : 0;
        put_failure(e, &head);
        return;
    }
    head.bytes = (uint32_t)e->output.size;
    put_outcome(e, &head, e->output.data);
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
        give_up("the shared memory was overwritten");
    return false;
}

static void define(struct executor *e, const struct channel_task *record, const uint8_t *name)
{
    struct definition *definitions =
        realloc(e->definitions, (e->defined + 1) * sizeof(*definitions));
    char *const copy = strndup((const char *)name, record->bytes);

    if (definitions == NULL || copy == NULL)
        give_up("out of memory");
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
        give_up("a task of a function that was not defined");
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
        give_up("out of memory");
    for (size_t got = 0; got < size;) {
        size_t piece = 0;

        wait_for_tasks(e, 1);
        if (ring_ready(ring, &piece) != 0)
            give_up("the shared memory was overwritten");
        piece = piece < size - got ? piece : size - got;
        memcpy(e->large + got, ring_take_at(ring), piece);
        ring_take(ring, piece);
        release_tasks(e);
        got += piece;
    }
    return e->large;
}

static void serve_one(struct executor *e)
{
    struct ring *ring = &e->channel.tasks;
    struct channel_task record;

    wait_for_tasks(e, sizeof(record));
    memcpy(&record, ring_take_at(ring), sizeof(record));
    const size_t total = channel_record_bytes(record.bytes);
    if (total > ring->capacity) {
        take(e, sizeof(record));
        handle(e, &record, gather(e, total - sizeof(record)));
        return;
    }
    wait_for_tasks(e, total);
    handle(e, &record, ring_take_at(ring) + sizeof(record));
    take(e, total);
}

/* ---- start ---- */

bool executor_is_wanted(void)
{
    return getenv(CHANNEL_VARIABLE) != NULL;
}

/* "MEMORY,BELL,VERSION" */
static void read_variable(uint64_t numbers[3])
{
    char text[64];
    char *rest = text;

    snprintf(text, sizeof(text), "%s", getenv(CHANNEL_VARIABLE));
    unsetenv(CHANNEL_VARIABLE);
    for (int i = 0; i < 3; i++) {
        const char *const word = strsep(&rest, ",");

        if (word == NULL || parse_u64(word, 0, INT32_MAX, &numbers[i]) != 0)
            give_up(CHANNEL_VARIABLE " is malformed: it is for the agent of a worker to set");
    }
    if (numbers[2] != CHANNEL_VERSION)
        give_up("this program is linked with another version of libscoop than the worker");
}

static void start(struct executor *e)
{
    uint64_t numbers[3] = {0};
    cpu_set_t cpus;

    read_variable(numbers);
    if (channel_map(&e->channel, (int)numbers[0]) != 0)
        give_up(CHANNEL_VARIABLE " does not name the memory of an agent");
    close((int)numbers[0]);
    e->bell = (int)numbers[1];
    fcntl(e->bell, F_SETFD, FD_CLOEXEC);
    e->failure = blob_new(WIRE_TEXT_MAX);
    if (e->failure == NULL)
        give_up("out of memory");
    output_init(&e->output);
    gethostname(e->host, sizeof(e->host) - 1);
    /* Looking on is of no use where it keeps the agent off the only CPU. */
    const bool alone = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1;
    e->spins = alone ? 0 : SPINS_MIN;
    /* What a function prints goes to the agent line by line, not when the process ends. */
    setvbuf(stdout, NULL, _IOLBF, 0);
}

_Noreturn void executor_main(void)
{
    static struct executor executor;
    const struct channel_outcome ready = {.outcome = CHANNEL_READY};

    start(&executor);
    put_outcome(&executor, &ready, NULL);
    for (;;)
        serve_one(&executor);
}
