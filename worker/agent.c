/* The agent's loop: one thread, one zmq_poll over the broker's socket and one epoll descriptor
 * that gathers signals, bells and pipes. Invariants: what came is reported before the loop
 * sleeps; nothing of an older link is obeyed: when the link is gone, everything is killed and
 * forgotten. */
#include "agent.h"

#include "base/clock.h"
#include "base/dialler.h"
#include "base/log.h"
#include "cargo.h"
#include "lending.h"
#include "oom.h"
#include "pool.h"
#include "report.h"
#include "transfers.h"
#include "values.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <zmq.h>

/* Frames and descriptor events handled in one turn. */
#define FRAMES_MAX 64

/* Without a link for so long, the agent says that it has no broker. */
#define MISSING_MS 3000
#define EVENTS_MAX 64

/* How long BYE may take to be acknowledged. */
#define BYE_MS 500

enum agent_state {
    AGENT_WORKING,
    AGENT_DRAINING, /* finishes what it holds */
    AGENT_LEAVING,  /* said BYE */
    AGENT_DONE,
};

struct agent {
    const struct agent_config *config;
    void *context;
    struct dialler *dialler;
    int epoll_fd;
    int signal_fd;
    char host[64];
    struct report report;
    struct nested nested;
    struct pool pool;
    struct transfers transfers;
    struct store store;
    struct lending lending;
    struct values values;
    struct bounds bounds;
    struct oom oom;
    struct function **functions; /* by the broker's number; NULL: not defined */
    uint32_t function_count;
    enum agent_state state;
    int64_t state_end_ms; /* of DRAINING and LEAVING */
    int64_t checked_ms;
    int64_t linked_ms; /* when the link was open last, or the start */
    bool told_missing; /* that the broker is not there, since then */
    int exit_code;
};

/* ---- frames of the broker ---- */

static void forget_link(struct agent *a)
{
    report_fini(&a->report);
    lending_reset(&a->lending);
    values_reset(&a->values);
    store_reset(&a->store);
    nested_reset(&a->nested);
    transfers_reset(&a->transfers);
    pool_reset(&a->pool);
    free(a->functions);
    a->functions = NULL;
    a->function_count = 0;
}

static int store_function(struct agent *a, uint32_t number, struct function *function)
{
    if (number >= a->function_count) {
        const uint32_t count = number + 32;
        struct function **functions = realloc(a->functions, count * sizeof(struct function *));

        if (functions == NULL)
            return -ENOMEM;
        memset(functions + a->function_count, 0,
               (count - a->function_count) * sizeof(struct function *));
        a->functions = functions;
        a->function_count = count;
    }
    a->functions[number] = function;
    return 0;
}

static int take_function(struct agent *a, struct dialler_input *in)
{
    struct wire_function wire;

    if (wire_get_function(&in->body, &wire) != 0 || wire.number > UINT16_MAX)
        return -EPROTO;
    struct function *const function = pool_function(&a->pool, &wire);
    return function != NULL ? store_function(a, wire.number, function) : -ENOMEM;
}

static int
take_task(struct agent *a, struct blob *frame, const struct wire_task *wire, int64_t now_ms)
{
    const struct task task = {
        .id = wire->id,
        .function = wire->function < a->function_count ? a->functions[wire->function] : NULL,
        .frame = (wire->flags & WIRE_TASK_LARGE) == 0 ? frame : NULL,
        .argument = wire->argument.data,
        .argument_bytes = (uint32_t)wire->argument.size,
        .limit_ms = wire->limit_ms,
        .session = wire->session,
        .attempt = wire->attempt,
        .traced = (wire->flags & WIRE_TASK_SPAN) != 0,
        .bundle = (wire->flags & WIRE_TASK_BUNDLE) != 0,
        .moves = (wire->flags & WIRE_TASK_MOVES) != 0,
    };

    if (task.function == NULL)
        return -EPROTO;
    if ((wire->flags & WIRE_TASK_LARGE) != 0)
        return transfers_fetch(&a->transfers, &task);
    blob_ref(frame);
    const int result = pool_add(&a->pool, &task, now_ms);
    if (result != 0)
        blob_unref(frame);
    return result;
}

static int take_tasks(struct agent *a, struct dialler_input *in, int64_t now_ms)
{
    struct wire_task wire;
    int result = 0;

    for (uint32_t i = 0; i < in->header.count && result == 0; i++) {
        result = wire_get_task(&in->body, &wire);
        if (result == 0)
            result = take_task(a, in->blob, &wire, now_ms);
    }
    return result != 0 ? result : wire_read_ok(&in->body);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static int take_revoke(struct agent *a, struct dialler_input *in, int64_t now_ms)
{
    const size_t count = in->header.count;

    if (count == 0 || count > WIRE_FRAME_MAX / sizeof(uint64_t))
        return -EPROTO;
    uint64_t *ids CLEANUP(free_p) = malloc(count * sizeof(*ids));
    if (ids == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        ids[i] = wire_get_u64(&in->body);
    if (wire_read_ok(&in->body) != 0)
        return -EPROTO;
    qsort(ids, count, sizeof(*ids), compare_ids);
    pool_revoke(&a->pool, ids, count, now_ms);
    /* Behind it: a result may have been collected. */
    transfers_revoke(&a->transfers, ids, count);
    return 0;
}

/* Values that their client has freed, or that have lost it. */
static int take_forget(struct agent *a, struct dialler_input *in)
{
    for (uint32_t i = 0; i < in->header.count; i++) {
        const struct wire_bytes key = wire_get_bytes(&in->body, WIRE_KEY_BYTES);

        if (in->body.bad)
            return -EPROTO;
        store_forget(&a->store, WIRE_WHAT_VALUE, key.data);
    }
    return wire_read_ok(&in->body);
}

static void stop(struct agent *a, int exit_code)
{
    a->state = AGENT_DONE;
    a->exit_code = exit_code;
}

static void take_frame(struct agent *a, struct dialler_input *in, int64_t now_ms)
{
    int result = -EPROTO;

    if (a->state == AGENT_LEAVING)
        return;
    if (in->header.type == WIRE_TASKS)
        result = take_tasks(a, in, now_ms);
    else if (in->header.type == WIRE_FUNCTION)
        result = take_function(a, in);
    else if (in->header.type == WIRE_REVOKE)
        result = take_revoke(a, in, now_ms);
    else if (in->header.type == WIRE_RESULTS)
        result = nested_results(&a->nested, in);
    else if (in->header.type == WIRE_PIECE)
        result = transfers_piece(&a->transfers, in);
    else if (in->header.type == WIRE_WANT)
        result = transfers_want(&a->transfers, in);
    else if (in->header.type == WIRE_FORGET)
        result = take_forget(a, in);
    else if (in->header.type == WIRE_NOTES)
        result = nested_notes(&a->nested, &a->report, in);
    if (result == 0)
        return;
    /* What it leased and we could not take would be lost silently: better that all our tasks run
     * elsewhere. */
    log_error("frame_not_taken", "type=%s error=\"%s\"", wire_type_name(in->header.type),
              strerror(-result));
    stop(a, EXIT_FAILURE);
}

static void
take_event(struct agent *a, enum dialler_event event, struct dialler_input *in, int64_t now_ms)
{
    char text[512];

    switch (event) {
    case DIALLER_FRAME: take_frame(a, in, now_ms); return;
    case DIALLER_OPENED:
        nested_open(&a->nested, &in->welcome);
        a->pool.uploads = (in->welcome.flags & WIRE_WELCOME_UPLOAD) != 0;
        log_info("link_open", "epoch=%llu lease_ms=%u", (unsigned long long)in->welcome.epoch,
                 in->welcome.lease_ms);
        return;
    case DIALLER_GONE:
        log_warn("link_gone", "reason=\"the broker does not know us any more\"");
        forget_link(a);
        return;
    case DIALLER_EXPIRED:
        log_warn("lease_expired", "silent_ms=%lld",
                 (long long)dialler_silent_ms(a->dialler, now_ms));
        forget_link(a);
        return;
    case DIALLER_REFUSED:
        log_error("refused", "reason=\"%s\"", wire_text_copy(in->refused.text, text, sizeof(text)));
        stop(a, EXIT_FAILURE);
        return;
    case DIALLER_NOTHING: return;
    }
}

static bool receive_frames(struct agent *a, int64_t now_ms)
{
    struct dialler_input in;

    for (int i = 0; i < FRAMES_MAX && a->state != AGENT_DONE; i++) {
        const enum dialler_event event = dialler_receive(a->dialler, now_ms, &in);

        if (event == DIALLER_NOTHING)
            return i != 0;
        take_event(a, event, &in, now_ms);
    }
    return true;
}

/* ---- leaving ---- */

static void send_empty(struct agent *a, enum wire_type type)
{
    struct blob *const frame = dialler_frame(a->dialler, type, 0);

    if (frame == NULL || dialler_send(a->dialler, frame) != 0)
        log_warn("not_said", "type=%s reason=\"no link\"", wire_type_name(type));
}

static void drain(struct agent *a, int64_t now_ms)
{
    log_info("draining", "waiting=%u busy=%u grace_ms=%u", a->pool.waiting.count, a->pool.busy,
             a->config->grace_ms);
    a->state = AGENT_DRAINING;
    a->state_end_ms = now_ms + a->config->grace_ms;
    if (dialler_is_open(a->dialler))
        send_empty(a, WIRE_DRAIN);
}

static bool is_empty(const struct agent *a)
{
    return pool_is_empty(&a->pool) && a->transfers.count == 0;
}

static void leave(struct agent *a, int64_t now_ms)
{
    if (!is_empty(a))
        log_warn("grace_over", "waiting=%u busy=%u", a->pool.waiting.count, a->pool.busy);
    report_flush(&a->report);
    lending_reset(&a->lending);
    values_reset(&a->values);
    store_reset(&a->store);
    nested_reset(&a->nested);
    transfers_reset(&a->transfers);
    pool_reset(&a->pool);
    if (!dialler_is_open(a->dialler)) {
        stop(a, EXIT_SUCCESS);
        return;
    }
    send_empty(a, WIRE_BYE);
    a->state = AGENT_LEAVING;
    a->state_end_ms = now_ms + BYE_MS;
}

static void take_signal(struct agent *a, int64_t now_ms)
{
    struct signalfd_siginfo info;
    bool child = false;

    while (read(a->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            child = true;
        else if (a->state == AGENT_WORKING)
            drain(a, now_ms);
        else
            stop(a, EXIT_SUCCESS);
    }
    if (child)
        pool_reap(&a->pool, now_ms);
}

/* Without a broker for a while: say so, once. For too long: nobody would ever end us. */
static void check_link(struct agent *a, int64_t now_ms)
{
    if (dialler_is_open(a->dialler)) {
        a->linked_ms = now_ms;
        a->told_missing = false;
        return;
    }
    const int64_t missing_ms = now_ms - a->linked_ms;
    if (!a->told_missing && missing_ms >= MISSING_MS) {
        log_warn("broker_unreachable", "endpoint=%s silent_ms=%lld", a->config->endpoint,
                 (long long)missing_ms);
        a->told_missing = true;
    }
    if (a->config->gone_ms == 0 || missing_ms < a->config->gone_ms)
        return;
    log_error("broker_missing", "endpoint=%s silent_ms=%lld", a->config->endpoint,
              (long long)missing_ms);
    stop(a, EXIT_FAILURE);
}

/* Go on to the next state when this one is over. */
static void advance(struct agent *a, int64_t now_ms)
{
    if (a->report.out_of_memory || a->nested.out_of_memory || a->transfers.out_of_memory ||
        a->lending.out_of_memory || a->values.out_of_memory) {
        log_error("out_of_memory", "what=outcomes");
        stop(a, EXIT_FAILURE);
    }
    check_link(a, now_ms);
    if (a->state == AGENT_DRAINING && (is_empty(a) || now_ms >= a->state_end_ms))
        leave(a, now_ms);
    if (a->state == AGENT_LEAVING && (dialler_unacked(a->dialler) == 0 ||
                                      !dialler_is_open(a->dialler) || now_ms >= a->state_end_ms))
        stop(a, EXIT_SUCCESS);
}

/* ---- the loop ---- */

static void take_descriptors(struct agent *a, int64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    bool signalled = false;
    const int count = epoll_wait(a->epoll_fd, events, EVENTS_MAX, 0);

    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            signalled = true;
        else
            pool_event(events[i].data.ptr, now_ms);
    }
    /* Last: it frees executors, which the other events point to. */
    if (signalled)
        take_signal(a, now_ms);
}

/* When something is due by itself. */
static int64_t next_due_ms(struct agent *a, int64_t now_ms)
{
    struct dialler_input none = {0};
    int64_t dialler_ms = 0;
    const enum dialler_event event = dialler_tick(a->dialler, now_ms, &dialler_ms);

    if (event != DIALLER_NOTHING)
        take_event(a, event, &none, now_ms);
    const int64_t pool_ms = pool_check(&a->pool, now_ms);
    int64_t due_ms = dialler_ms < pool_ms ? dialler_ms : pool_ms;
    if (a->state != AGENT_WORKING && a->state_end_ms < due_ms)
        due_ms = a->state_end_ms;
    return due_ms;
}

/* Sleep until something comes or is due. Bells are asked for first, so that nothing is overslept.
 */
static void wait_for_more(struct agent *a, bool worked)
{
    zmq_pollitem_t items[] = {
        {.socket = dialler_socket(a->dialler), .events = ZMQ_POLLIN},
        {.fd = a->epoll_fd, .events = ZMQ_POLLIN},
    };
    int64_t wait_ms = 0;

    if (!worked && pool_park(&a->pool)) {
        const int64_t now_ms = clock_now_ms();

        wait_ms = next_due_ms(a, now_ms) - now_ms;
        /* What is told of tasks meanwhile does not wait. */
        wait_ms = wait_ms > 0 && a->report.notes == NULL ? wait_ms : 0;
    }
    (void)zmq_poll(items, COUNT_OF(items), (long)wait_ms);
    if (!worked)
        pool_unpark(&a->pool);
    if ((items[1].revents & ZMQ_POLLIN) != 0)
        take_descriptors(a, clock_now_ms());
}

/* One turn. Returns whether there was anything to do, so that there may be more. */
static bool turn(struct agent *a)
{
    const int64_t now_ms = clock_now_ms();
    const uint64_t reported = a->report.total;
    bool worked = receive_frames(a, now_ms);

    pool_collect(&a->pool, now_ms);
    lending_turn(&a->lending, now_ms);
    store_turn(&a->store, now_ms);
    transfers_turn(&a->transfers);
    if (now_ms != a->checked_ms) {
        a->checked_ms = now_ms;
        (void)next_due_ms(a, now_ms);
    }
    const bool more = pool_feed(&a->pool, now_ms);
    worked = worked || more || a->report.total != reported;
    nested_flush(&a->nested);
    report_flush(&a->report);
    advance(a, now_ms);
    return worked;
}

static void run(struct agent *a)
{
    while (a->state != AGENT_DONE) {
        const bool worked = turn(a);

        if (a->state != AGENT_DONE)
            wait_for_more(a, worked);
    }
}

/* ---- start and end ---- */

static int open_signals(struct agent *a)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (a->signal_fd < 0 || a->epoll_fd < 0 ||
        epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, a->signal_fd, &event) != 0)
        return -errno;
    return 0;
}

static int open_dialler(struct agent *a)
{
    struct dialler_config config = {
        .context = a->context,
        .endpoint = a->config->endpoint,
        .role = WIRE_AGENT,
        .slots = a->config->slots,
        .resources = a->config->resources,
        .name = "agent",
        .server_key = a->config->server_key,
        .public_key = a->config->public_key,
        .secret_key = a->config->secret_key,
    };

    if (getrandom(&config.incarnation, sizeof(config.incarnation), 0) != sizeof(config.incarnation))
        return -EIO;
    return dialler_new(&config, &a->dialler);
}

static int start(struct agent *a)
{
    int result = open_signals(a);

    if (result != 0)
        return result;
    a->linked_ms = clock_now_ms();
    gethostname(a->host, sizeof(a->host) - 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    result = bounds_open(&a->bounds, a->config->may, a->config->hide, a->config->hide_too);
    if (result != 0)
        return result;
    a->context = zmq_ctx_new();
    if (a->context == NULL)
        return -ENOMEM;
    result = open_dialler(a);
    if (result != 0)
        return result;
    a->report = (struct report){.dialler = a->dialler, .host = a->host};
    a->nested = (struct nested){.dialler = a->dialler, .host = a->host, .values = &a->values};
    a->transfers = (struct transfers){
        .dialler = a->dialler,
        .report = &a->report,
        .pool = &a->pool,
        .fetches.dialler = a->dialler,
        .room = cargo_room,
        .lending = &a->lending,
    };
    a->store = (struct store){.fetches = &a->transfers.fetches, .room = cargo_room};
    a->values = (struct values){.store = &a->store, .host = a->host};
    a->lending = (struct lending){
        .dialler = a->dialler,
        .nested = &a->nested,
        .store = &a->store,
        .pool = &a->pool,
    };
    a->pool = (struct pool){
        .slots = a->config->slots,
        .folders = a->config->programs,
        .host = a->host,
        .epoll_fd = a->epoll_fd,
        .report = &a->report,
        .nested = &a->nested,
        .transfers = &a->transfers,
        .store = &a->store,
        .bounds = &a->bounds,
        .oom = &a->oom,
        .task_memory = a->config->task_memory,
        .executor_tasks = a->config->executor_tasks,
    };
    oom_open(&a->oom, "");
    pool_prepare(&a->pool);
    return 0;
}

static void finish(struct agent *a)
{
    forget_link(a);
    store_fini(&a->store);
    dialler_free(a->dialler);
    if (a->context != NULL)
        zmq_ctx_term(a->context);
    if (a->signal_fd >= 0)
        close(a->signal_fd);
    if (a->epoll_fd >= 0)
        close(a->epoll_fd);
    oom_close(&a->oom);
    bounds_close(&a->bounds);
}

int agent_run(const struct agent_config *config)
{
    struct agent agent = {
        .config = config, .epoll_fd = -1, .signal_fd = -1, .oom.fd = -1, .bounds.scope = -1};
    const int result = start(&agent);

    if (result == 0) {
        log_info("agent_started", "broker=%s slots=%u programs=%s", config->endpoint, config->slots,
                 config->programs);
        run(&agent);
        log_info("agent_stopped", "ok=%llu other=%llu",
                 (unsigned long long)agent.report.counts[WIRE_OK],
                 (unsigned long long)(agent.report.total - agent.report.counts[WIRE_OK]));
    } else {
        log_error("agent_not_started", "broker=%s error=\"%s\"", config->endpoint,
                  zmq_strerror(-result));
        agent.exit_code = EXIT_FAILURE;
    }
    finish(&agent);
    return agent.exit_code;
}
