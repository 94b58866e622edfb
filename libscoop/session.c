/* What other threads do with a session. Invariants: a job is in the inbox, or with the thread's
 * client, or done; who puts something in for the thread clears `asleep`, and rings the bell if it
 * was set. */
#include "session_state.h"

#include "base/blob.h"
#include "base/clock.h"
#include "base/thread.h"
#include "error.h"
#include "executor_state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#define THREAD_STACK_BYTES ((size_t)256 << 10)

/* Before WELCOME said better. */
#define CREDIT_TASKS 4096
#define CREDIT_BYTES ((uint64_t)16 << 20)

static int start_thread(scoop_session *s)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;

    if (pthread_attr_init(&attributes) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    /* Signals are for the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&s->thread, &attributes, session_run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    s->has_thread = error == 0;
    return -error;
}

int session_new(const struct config *config, scoop_session **out, struct problem *problem)
{
    scoop_session *s = malloc(sizeof(*s));

    if (s == NULL)
        return -ENOMEM;
    *s = (scoop_session){
        .config = *config,
        .bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .context = zmq_ctx_new(),
        .credit_tasks = CREDIT_TASKS,
        .credit_bytes = CREDIT_BYTES,
        .refs = 1,
        .ended_fd = -1,
    };
    s->inbox_tail = &s->inbox;
    pthread_mutex_init(&s->lock, NULL);
    thread_init_condition(&s->changed);
    thread_init_condition(&s->parked);
    client_init(&s->client, &config->program);
    s->client.pieces.lend = session_lend;
    s->client.pieces.lend_context = s;
    int error = notes_open(&s->config, &s->notes, problem);
    if (error != 0) {
        session_close(s);
        return error;
    }
    error = s->context != NULL && s->bell >= 0 ? session_dial(s) : -ENOMEM;
    if (error == 0)
        error = start_thread(s);
    if (error == 0) {
        *out = s;
        return 0;
    }
    session_close(s);
    return problem_set(problem, error, "broker %s: %s", config->broker, strerror(-error));
}

const struct identity *session_program(const scoop_session *s)
{
    return &s->config.program;
}

scoop_session *session_new_nested(struct strand *strand)
{
    scoop_session *s = malloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    *s = (scoop_session){.strand = strand, .bell = -1, .state = STATE_OPEN, .refs = 1};
    pthread_mutex_init(&s->lock, NULL);
    thread_init_condition(&s->changed);
    thread_init_condition(&s->parked);
    return s;
}

void session_ref(scoop_session *s)
{
    if (s != NULL)
        s->refs++;
}

void session_unref(scoop_session *s)
{
    if (s == NULL || --s->refs > 0)
        return;
    pthread_cond_destroy(&s->changed);
    pthread_cond_destroy(&s->parked);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void session_close(scoop_session *s)
{
    if (s == NULL)
        return;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->closing = true;
        session_wake(s);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    } else {
        dialler_free(s->dialler);
    }
    client_fini(&s->client);
    constants_clear(&s->constants);
    scattered_clear(&s->scattered);
    blob_unref(steal(&s->freed));
    notes_close(s->notes);
    s->notes = NULL; /* a reference may keep the session */
    if (s->context != NULL)
        zmq_ctx_term(s->context);
    if (s->bell >= 0)
        close(s->bell);
    if (s->ended_fd >= 0)
        close(s->ended_fd);
    config_wipe(&s->config);
    session_unref(s);
}

/* ---- calls of other threads ---- */

/* Wait for a signal, no longer than `deadline`. False: it has passed. The lock is held. */
static bool wait_on(scoop_session *s, pthread_cond_t *condition, int64_t deadline)
{
    if (deadline == INT64_MAX) {
        pthread_cond_wait(condition, &s->lock);
        return true;
    }
    const struct timespec until = thread_time(deadline);

    return pthread_cond_timedwait(condition, &s->lock, &until) == 0 || clock_now_ms() < deadline;
}

static enum scoop_status no_broker(const scoop_session *s, bool was_there)
{
    if (was_there)
        return error_set(SCOOP_NO_BROKER,
                         "the broker %s went away and did not come back within %d ms",
                         s->config.broker, s->config.reconnect_ms);
    return error_set(SCOOP_NO_BROKER, "the broker %s did not answer within %d ms%s",
                     s->config.broker, s->config.connect_ms,
                     s->config.curve ? " (is the address right, and this client's key admitted?)"
                                     : "");
}

enum scoop_status session_await(scoop_session *s, int64_t deadline)
{
    bool in_time = true;

    pthread_mutex_lock(&s->lock);
    /* A broker that left is as welcome to new tasks as to those that it had. */
    const bool was_there = s->link != 0;
    const int64_t patience =
        clock_now_ms() + (was_there ? s->config.reconnect_ms : s->config.connect_ms);
    const int64_t until = deadline < patience ? deadline : patience;
    while (s->state == STATE_AWAY && in_time)
        in_time = wait_on(s, &s->changed, until);
    const enum state state = s->state;
    pthread_mutex_unlock(&s->lock);
    if (state == STATE_OPEN)
        return SCOOP_OK;
    if (state == STATE_DENIED)
        return error_set(SCOOP_DENIED, "%s", s->why);
    if (until == patience)
        return no_broker(s, was_there);
    return error_set(SCOOP_TIMEOUT, "the broker %s did not answer in time", s->config.broker);
}

/* The lock is held. */
static void put_in_inbox(scoop_session *s, struct job *job)
{
    job->next = NULL;
    *s->inbox_tail = job;
    s->inbox_tail = &job->next;
}

void session_add(scoop_session *s, struct job *job)
{
    if (s->strand != NULL) {
        nested_add(s->strand, job);
        return;
    }
    pthread_mutex_lock(&s->lock);
    put_in_inbox(s, job);
    /* When nobody drives, the caller will, at once: see session_wait(). */
    if (s->driven)
        session_wake(s);
    pthread_mutex_unlock(&s->lock);
}

static enum scoop_status no_room(const struct job *job)
{
    return error_set(SCOOP_TIMEOUT, "%s: the broker's credit stayed used up", job->function->name);
}

/* The lock is held. One is always let in, whatever its size. */
static bool has_room(const scoop_session *s, size_t bytes)
{
    return s->held_tasks == 0 ||
           (s->held_tasks < s->credit_tasks && s->held_bytes + bytes <= s->credit_bytes);
}

enum scoop_status
session_add_held(scoop_session *s, struct job *job, size_t bytes, int64_t deadline)
{
    bool in_time = true;

    if (s->strand != NULL) {
        if (!nested_wait_for_room(s->strand, deadline))
            return no_room(job);
        nested_add(s->strand, job);
        return SCOOP_OK;
    }
    /* An empty argument takes a place as well. */
    job->held_bytes = bytes != 0 ? (uint32_t)bytes : 1;
    pthread_mutex_lock(&s->lock);
    s->waiting_for_room++;
    if (!has_room(s, job->held_bytes))
        session_wake(s);
    while (!has_room(s, job->held_bytes) && in_time)
        in_time = wait_on(s, &s->changed, deadline);
    s->waiting_for_room--;
    if (!in_time && !has_room(s, job->held_bytes)) {
        pthread_mutex_unlock(&s->lock);
        return no_room(job);
    }
    s->held_tasks++;
    s->held_bytes += job->held_bytes;
    const bool lone = !s->driven && !session_has_work(s);
    put_in_inbox(s, job);
    /* A lone task is sent from here; whoever waits for it receives, be it the session's thread for
     * who polls. More of them gather in the inbox, to leave in one frame by the session's thread. */
    if (lone)
        session_push(s);
    if (!lone || s->ended_fd >= 0)
        session_wake(s);
    pthread_mutex_unlock(&s->lock);
    return SCOOP_OK;
}

/* The lock is held. What a caller leaves behind is driven on by the session's thread. */
static void stop_driving(scoop_session *s)
{
    if (s->strand == NULL && !s->driven && session_has_work(s))
        session_wake(s);
    pthread_mutex_unlock(&s->lock);
}

/* ---- waiting for jobs ---- */

static void wake_caller(struct tray *tray)
{
    struct waiter *const waiter = (struct waiter *)tray;

    if (waiter->strand != NULL)
        strand_tell(waiter->strand);
    else
        pthread_cond_signal(&waiter->condition);
}

void waiter_init(struct waiter *waiter)
{
    tray_init(&waiter->tray, wake_caller);
    thread_init_condition(&waiter->condition);
    waiter->strand = NULL;
}

void waiter_fini(struct waiter *waiter)
{
    pthread_cond_destroy(&waiter->condition);
}

void session_watch(scoop_session *s, struct watch *watch, struct waiter *waiter, struct job *job)
{
    pthread_mutex_lock(&s->lock);
    watch_job(watch, &waiter->tray, job);
    pthread_mutex_unlock(&s->lock);
}

void session_unwatch(scoop_session *s, struct watch *watches, size_t n)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++)
        watch_leave(&watches[i]);
    pthread_mutex_unlock(&s->lock);
}

/* The lock is held. */
static struct watch *take_from_desk(struct desk *desk)
{
    struct watch *watch = desk != NULL ? tray_take(&desk->tray) : NULL;

    if (watch != NULL)
        desk->watches--;
    return watch;
}

/* Wait for something to happen. False: `end` has come. The lock is held. */
static bool wait_once(scoop_session *s, struct waiter *w, int64_t end)
{
    if (s->strand != NULL) {
        pthread_mutex_unlock(&s->lock);
        const bool told = strand_park(end);
        pthread_mutex_lock(&s->lock);
        return told;
    }
    if (s->driven)
        return wait_on(s, &w->condition, end);
    session_drive(s, end);
    return clock_now_ms() < end;
}

/* The lock is held. Nobody but the calling thread hangs more on its desk. */
static struct watch *
take_or_wait(scoop_session *s, struct waiter *w, struct desk *desk, int64_t end)
{
    bool in_time = true;

    for (;;) {
        struct watch *watch = take_from_desk(desk);

        if (watch == NULL)
            watch = tray_take(&w->tray);
        if (watch != NULL || !in_time)
            return watch;
        in_time = wait_once(s, w, end);
    }
}

struct watch *session_wait(scoop_session *s, struct waiter *waiter, int64_t deadline)
{
    if (s->strand != NULL)
        nested_look();
    pthread_mutex_lock(&s->lock);
    waiter->strand = s->strand; /* under the lock: who tells a watch that hangs here reads it */
    struct desk *desk = desk_find(s->desks);
    if (desk != NULL)
        desk->waiting = &waiter->tray;
    struct watch *watch = take_or_wait(s, waiter, desk, deadline);
    if (desk != NULL)
        desk->waiting = NULL;
    desk_settle(&s->desks, desk);
    stop_driving(s);
    notes_drain(s->notes);
    return watch;
}

void session_look(scoop_session *s)
{
    if (s->strand != NULL) {
        nested_look();
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (!s->driven && session_has_work(s))
        session_drive(s, 0);
    pthread_mutex_unlock(&s->lock);
}

int session_descriptor(scoop_session *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->ended_fd < 0) {
        /* What has ended before may not have been looked at. */
        s->ended_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        s->ended_raised = s->ended_fd >= 0;
        session_wake(s);
    }
    const int fd = s->ended_fd;
    pthread_mutex_unlock(&s->lock);
    return fd;
}

void session_process(scoop_session *s)
{
    if (s->strand != NULL) {
        nested_look();
        return;
    }
    uint64_t count = 0;

    pthread_mutex_lock(&s->lock);
    if (!s->driven && session_has_work(s))
        session_drive(s, 0);
    if (s->ended_raised && read(s->ended_fd, &count, sizeof(count)) == sizeof(count))
        s->ended_raised = false;
    stop_driving(s);
}

int session_watch_at_desk(scoop_session *s, struct watch *watch, struct job *job)
{
    pthread_mutex_lock(&s->lock);
    struct desk *desk = desk_open(&s->desks);
    if (desk != NULL) {
        desk->watches++;
        session_ref(s);
        watch_job(watch, &desk->tray, job);
    }
    pthread_mutex_unlock(&s->lock);
    return desk != NULL ? 0 : -ENOMEM;
}

struct watch *session_take_from_desk(scoop_session *s)
{
    pthread_mutex_lock(&s->lock);
    struct desk *desk = desk_find(s->desks);
    struct watch *watch = take_from_desk(desk);
    desk_settle(&s->desks, desk);
    pthread_mutex_unlock(&s->lock);
    return watch;
}

void session_clear_desk(scoop_session *s)
{
    while (session_take_from_desk(s) != NULL)
        continue;
}

void session_unwatch_at_desk(scoop_session *s, struct watch *watch)
{
    pthread_mutex_lock(&s->lock);
    if (watch->place != NULL) {
        struct desk *desk = (struct desk *)watch->tray;

        watch_leave(watch);
        desk->watches--;
        desk_settle(&s->desks, desk);
    }
    pthread_mutex_unlock(&s->lock);
    session_unref(s);
}

static void put_in_leaving(scoop_session *s, struct job *job, void (*release)(struct job *))
{
    job->release = release;
    job->next_leaving = s->leaving;
    s->leaving = job;
}

void session_abandon(scoop_session *s, struct job *job, void (*release)(struct job *))
{
    bool left = false;

    if (s->strand != NULL) {
        nested_drop(s->strand, job, release);
        return;
    }
    pthread_mutex_lock(&s->lock);
    job->left = &left;
    put_in_leaving(s, job, release);
    session_wake(s);
    while (!left)
        wait_on(s, &s->changed, INT64_MAX);
    pthread_mutex_unlock(&s->lock);
}

void session_forget(scoop_session *s, struct job *job, void (*release)(struct job *))
{
    pthread_mutex_lock(&s->lock);
    job_tell(job);
    if (s->strand == NULL) {
        put_in_leaving(s, job, release);
        session_wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (s->strand != NULL)
        nested_drop(s->strand, job, release);
}

/* Have it done by whoever drives; returns when it is. */
static void
request(scoop_session *s, struct job *job, void (*carry_out)(struct client *, struct job *))
{
    struct request request = {.carry_out = carry_out, .job = job};

    pthread_mutex_lock(&s->lock);
    request.next = s->requests;
    s->requests = &request;
    session_wake(s);
    while (!request.taken)
        wait_on(s, &s->changed, INT64_MAX);
    pthread_mutex_unlock(&s->lock);
}

void session_cancel(scoop_session *s, struct job *job)
{
    if (s->strand != NULL)
        nested_cancel_job(s->strand, job);
    else
        request(s, job, client_cancel);
}

static void do_nothing(struct client *client, struct job *job)
{
    (void)client;
    (void)job;
}

void session_settle(scoop_session *s)
{
    if (s->strand == NULL)
        request(s, NULL, do_nothing);
}

bool session_is_nested(const scoop_session *s)
{
    return s != NULL && s->strand != NULL;
}

void session_forgive(scoop_session *s, struct job *job)
{
    if (s->strand == NULL) /* else nothing waits for it */
        request(s, job, client_forgive);
}

static void drop_query(scoop_session *s, struct query *query)
{
    struct query **place = &s->queries;

    while (*place != NULL && *place != query)
        place = &(*place)->next;
    if (*place == query)
        *place = query->next;
}

enum scoop_status session_ask(scoop_session *s, struct query *query, int64_t deadline)
{
    const enum scoop_status status = session_await(s, deadline);
    bool in_time = true;

    if (status != SCOOP_OK)
        return status;
    query->status = NULL;
    pthread_mutex_lock(&s->lock);
    query->next = s->queries;
    s->queries = query;
    session_wake(s);
    while (query->status == NULL && in_time)
        in_time = wait_on(s, &s->changed, deadline);
    drop_query(s, query);
    pthread_mutex_unlock(&s->lock);
    if (query->status != NULL)
        return SCOOP_OK;
    return error_set(SCOOP_TIMEOUT, "the broker %s did not answer in time", s->config.broker);
}
