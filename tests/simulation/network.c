/* The network: frames on their way in a heap, what goes wrong with them, and what the dialler finds in
 * place of ZeroMQ: the linker replaces its functions (CMakeLists.txt), and its socket is a struct proc. */
#include "world.h"

#include "base/zframe.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- messages ---- */

static struct message *message_new(struct world *w)
{
    struct message *m = w->spare;

    if (m != NULL)
        w->spare = m->next;
    else
        m = malloc(sizeof(*m));
    if (m == NULL)
        abort();
    return m;
}

void message_free(struct world *w, struct message *m)
{
    blob_unref(m->frame);
    m->next = w->spare;
    w->spare = m;
}

static void inbox_push(struct inbox *inbox, struct message *m)
{
    m->next = NULL;
    if (inbox->head == NULL)
        inbox->head = m;
    else
        inbox->tail->next = m;
    inbox->tail = m;
    inbox->count++;
}

struct message *inbox_pop(struct inbox *inbox)
{
    struct message *m = inbox->head;

    if (m != NULL) {
        inbox->head = m->next;
        inbox->count--;
    }
    return m;
}

void inbox_clear(struct world *w, struct inbox *inbox)
{
    struct message *m = NULL;

    while ((m = inbox_pop(inbox)) != NULL)
        message_free(w, m);
}

/* ---- the heap ---- */

static bool is_before(const struct message *a, const struct message *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

/* Its order is given. */
static void heap_put(struct world *w, struct message *m)
{
    if (w->heap_count == w->heap_capacity) {
        w->heap_capacity = w->heap_capacity != 0 ? w->heap_capacity * 2 : 256;
        w->heap = realloc(w->heap, w->heap_capacity * sizeof(struct message *));
        if (w->heap == NULL)
            abort();
    }
    uint32_t at = w->heap_count++;
    for (; at > 0 && is_before(m, w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = m;
}

static void heap_push(struct world *w, struct message *m)
{
    m->order = ++w->order;
    heap_put(w, m);
}

static struct message *heap_pop(struct world *w)
{
    struct message *top = w->heap[0];
    struct message *last = w->heap[--w->heap_count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = at * 2 + 1;

        if (child >= w->heap_count)
            break;
        if (child + 1 < w->heap_count && is_before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!is_before(w->heap[child], last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return top;
}

int64_t network_next_ms(const struct world *w)
{
    return w->heap_count > 0 ? w->heap[0]->at_ms : INT64_MAX;
}

void network_fini(struct world *w)
{
    while (w->heap_count > 0)
        message_free(w, heap_pop(w));
    free(w->heap);
    while (w->spare != NULL) {
        struct message *m = w->spare;

        w->spare = m->next;
        free(m);
    }
}

/* ---- on its way ---- */

static int64_t latency(struct world *w)
{
    int64_t ms = rng_between(&w->rng, 0, w->latency_ms);

    if (w->now_ms < w->spike_ms)
        ms += rng_between(&w->rng, 0, 4000);
    return ms;
}

/* Later than what was sent before, unless frames overtake each other here. */
static int64_t arrival(struct world *w, struct proc *p, int64_t *last_ms)
{
    int64_t at_ms = w->now_ms + latency(w);

    if (at_ms < p->clog_ms)
        at_ms = p->clog_ms;
    if (w->reorder_rate != 0 && rng_chance(&w->rng, (uint32_t)w->reorder_rate))
        return at_ms + rng_between(&w->rng, 0, 50);
    if (at_ms < *last_ms)
        at_ms = *last_ms;
    *last_ms = at_ms;
    return at_ms;
}

static void put(struct world *w, struct proc *p, struct blob *frame, bool to_broker)
{
    struct message *m = message_new(w);

    *m = (struct message){
        .frame = blob_ref(frame),
        .proc = p->index,
        .generation = p->generation,
        .to_broker = to_broker,
        .forger = PROCS_MAX,
    };
    m->at_ms = arrival(w, p, to_broker ? &p->last_out_ms : &p->last_in_ms);
    heap_push(w, m);
}

/* The same frame by the connection of another process of that role. */
static void forge(struct world *w, struct proc *p, struct blob *frame)
{
    struct message *m = message_new(w);
    const uint32_t other = rng_below(&w->rng, w->proc_count);

    *m = (struct message){
        .at_ms = w->now_ms + rng_between(&w->rng, 0, 20),
        .frame = blob_ref(frame),
        .proc = p->index,
        .generation = p->generation,
        .to_broker = true,
        .forger = other,
    };
    /* Nobody can know the number of a link before its HELLO. */
    if (other == p->index || w->procs[other].role != p->role || frame->data[1] == WIRE_HELLO) {
        message_free(w, m);
        return;
    }
    heap_push(w, m);
}

static void transmit(struct world *w, struct proc *p, struct blob *frame, bool to_broker)
{
    const int64_t cut_ms = to_broker ? p->cut_out_ms : p->cut_in_ms;

    if (!p->connected || w->now_ms < cut_ms)
        return;
    if (w->drop_rate != 0 && rng_chance(&w->rng, (uint32_t)w->drop_rate))
        return;
    put(w, p, frame, to_broker);
    if (w->duplicate_rate != 0 && rng_chance(&w->rng, (uint32_t)w->duplicate_rate))
        put(w, p, frame, to_broker);
    if (to_broker && w->forge_rate != 0 && rng_chance(&w->rng, (uint32_t)w->forge_rate))
        forge(w, p, frame);
}

void network_to_proc(struct world *w, struct proc *p, struct blob *frame)
{
    transmit(w, p, frame, false);
}

static void deliver(struct world *w, struct message *m)
{
    struct proc *p = &w->procs[m->proc];

    if (m->generation != p->generation || (m->to_broker ? w->host.core == NULL : !p->alive)) {
        message_free(w, m);
        return;
    }
    w->events++;
    if (m->to_broker) {
        inbox_push(&w->host.inbox, m);
        w->host.wake_ms = w->now_ms;
    } else {
        inbox_push(&p->inbox, m);
        if (w->now_ms >= p->slow_ms)
            p->wake_ms = w->now_ms;
    }
}

void network_deliver(struct world *w)
{
    while (w->heap_count > 0 && w->heap[0]->at_ms <= w->now_ms)
        deliver(w, heap_pop(w));
}

/* ---- connections ---- */

struct core_route network_route(const struct proc *p)
{
    struct core_route route = {.size = 5};

    route.bytes[1] = (uint8_t)(p->index + 1);
    route.bytes[2] = (uint8_t)(p->generation >> 16);
    route.bytes[3] = (uint8_t)(p->generation >> 8);
    route.bytes[4] = (uint8_t)p->generation;
    return route;
}

struct proc *network_proc(struct world *w, enum wire_role role, const struct core_route *route)
{
    const uint32_t index = route->bytes[1] - 1U;

    if (route->size != 5 || index >= w->proc_count)
        return NULL;
    struct proc *p = &w->procs[index];
    const struct core_route present = network_route(p);

    return p->role == role && p->connected && memcmp(&present, route, 6) == 0 ? p : NULL;
}

/* What ZeroMQ had not written goes by the next connection; and what it had read comes before, or among, what
 * the next connection brings. */
static bool survives(struct world *w, const struct proc *p, const struct message *m)
{
    const bool lingers = world_suffers(w, KIND_LINGER);

    if (m->proc != p->index || m->generation + 1 != p->generation || (!m->to_broker && !lingers))
        return false;
    return rng_chance(&w->rng, lingers ? 600 : 300);
}

static void carry_over(struct world *w, const struct proc *p)
{
    const uint32_t count = w->heap_count;
    struct message **old = w->heap;

    w->heap = NULL;
    w->heap_count = 0;
    w->heap_capacity = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct message *m = old[i];

        if (survives(w, p, m)) {
            m->generation++;
            if (m->to_broker)
                m->at_ms = p->connect_ms + 1;
            if (world_suffers(w, KIND_LINGER))
                m->at_ms += rng_between(&w->rng, 0, 3000);
        }
        heap_put(w, m);
    }
    free(old);
}

void network_reset(struct world *w, struct proc *p, int64_t delay_ms, bool tell)
{
    const struct core_route route = network_route(p);

    if (!p->connected)
        return;
    world_event(w, "reset", p->index, p->generation, (uint64_t)delay_ms);
    p->connected = false;
    p->generation++;
    p->connect_ms = w->now_ms + delay_ms;
    inbox_clear(w, &p->inbox);
    if (p->alive)
        carry_over(w, p);
    if (tell && w->host.core != NULL)
        host_event(w, &(struct core_event){
                          .type = CORE_UNREACHABLE,
                          .role = p->role,
                          .now_ms = w->now_ms,
                          .route = route,
                      });
}

void network_connect(struct world *w, struct proc *p)
{
    p->connected = true;
    p->connect_ms = INT64_MAX;
    p->last_in_ms = w->now_ms;
    p->last_out_ms = w->now_ms;
}

/* ---- in place of ZeroMQ and the kernel ---- */

void *__wrap_zmq_socket(void *context, int type);
int __wrap_zmq_close(void *socket);
int __wrap_zmq_connect(void *socket, const char *endpoint);
int __wrap_zframe_prepare(void *socket);
int __wrap_zframe_send(void *socket, struct blob *frame, bool more);
int __wrap_zframe_receive(void *socket, struct blob **out, bool *more);
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags);
int __wrap_gethostname(char *name, size_t size);
pid_t __wrap_getpid(void);

/* Whose turn it is: for what has no socket. */
static struct world *the_world;

void *__wrap_zmq_socket(void *context, int type)
{
    struct proc *p = context;

    (void)type;
    the_world = p->world;
    return p;
}

int __wrap_zmq_close(void *socket)
{
    struct proc *p = socket;

    network_reset(p->world, p, 0, rng_chance(&p->world->rng, 900));
    return 0;
}

int __wrap_zmq_connect(void *socket, const char *endpoint)
{
    struct proc *p = socket;

    (void)endpoint;
    p->generation++;
    network_connect(p->world, p);
    return 0;
}

int __wrap_zframe_prepare(void *socket)
{
    (void)socket;
    return 0;
}

int __wrap_zframe_send(void *socket, struct blob *frame, bool more)
{
    struct proc *p = socket;

    (void)more;
    transmit(p->world, p, frame, true);
    return 0;
}

int __wrap_zframe_receive(void *socket, struct blob **out, bool *more)
{
    struct proc *p = socket;
    struct message *m = inbox_pop(&p->inbox);

    *more = false;
    if (m == NULL)
        return -EAGAIN;
    *out = blob_ref(m->frame);
    message_free(p->world, m);
    return 0;
}

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned int flags)
{
    const uint64_t number = rng_next(&the_world->rng);

    (void)flags;
    memcpy(buffer, &number, size < sizeof(number) ? size : sizeof(number));
    return (ssize_t)size;
}

int __wrap_gethostname(char *name, size_t size)
{
    memcpy(name, "host", size < 5 ? size : 5);
    return 0;
}

pid_t __wrap_getpid(void)
{
    return 1;
}
