/* The session's loop. Invariant: all of it but session_wake() and session_run() runs in the thread
 * that drives. */
#include "session_state.h"

#include "base/blob.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

/* Frames handled in one turn, so that requests and timers get their turn too. */
#define FRAMES_PER_TURN 64

/* SUBMIT frames on the way that the broker has not acknowledged: 8 MiB, enough to keep any line
 * busy. */
#define UNACKED_MAX 128

/* The same for pieces of large arguments: what is kept of all frames together. */
#define UNACKED_BYTES_MAX ((size_t)12 << 20)

/* An open link that is silent for longer counts as away: calls wait for it as for one that is not
 * open yet. */
#define SILENT_MS 3000

/* A QUERY or its answer may be lost: it is sent again. */
#define QUERY_AGAIN_MS 500

/* Before dialling a broker again that said it was stopping. */
#define REDIAL_MS 1000

/* How long closing waits for the broker to take note. */
#define CLOSE_MS 500

static void drain_bell(const scoop_session *s)
{
    uint64_t count = 0;

    if (read(s->bell, &count, sizeof(count)) < 0)
        return; /* EAGAIN: nobody rang */
}

/* ---- dialling ---- */

int session_dial(scoop_session *s)
{
    if (s->incarnation == 0 &&
        getrandom(&s->incarnation, sizeof(s->incarnation), 0) != sizeof(s->incarnation))
        return -EIO;
    const struct dialler_config config = {
        .context = s->context,
        .endpoint = s->config.broker,
        .role = WIRE_CLIENT,
        .wants = notes_wanted(s->notes),
        .incarnation = s->incarnation,
        .name = s->config.name,
        .server_key = s->config.curve ? s->config.broker_key.text : NULL,
        .public_key = s->config.curve ? s->config.pair.public_half.text : NULL,
        .secret_key = s->config.curve ? s->config.pair.secret_half.text : NULL,
    };
    return dialler_new(&config, &s->dialler);
}

static void set_state(scoop_session *s, enum state state)
{
    pthread_mutex_lock(&s->lock);
    if (s->state != state) {
        s->state = state;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
}

static void hang_up(scoop_session *s)
{
    dialler_free(s->dialler);
    s->dialler = NULL;
    s->redial_ms = s->now_ms + REDIAL_MS;
    set_state(s, STATE_AWAY);
}

/* Nothing is possible any more, as s->why says. */
static void end_denied(scoop_session *s)
{
    client_give_up(&s->client, SCOOP_DENIED, s->why);
    hang_up(s);
    s->redial_ms = INT64_MAX;
    set_state(s, STATE_DENIED);
}

static void deny(scoop_session *s, const struct wire_refused *refused)
{
    char text[400];

    if (refused->reason == WIRE_REASON_STOPPING) {
        hang_up(s);
        return;
    }
    wire_text_copy(refused->text, text, sizeof(text));
    pthread_mutex_lock(&s->lock);
    snprintf(s->why, sizeof(s->why), "the broker refused this program: %s", text);
    pthread_mutex_unlock(&s->lock);
    end_denied(s);
}

static void add_first(void *context, struct job *job)
{
    client_add_first(context, job);
}

static void open_link(scoop_session *s, const struct dialler_input *in)
{
    const struct wire_welcome *welcome = &in->welcome;

    s->heard_ms = s->now_ms;
    if (client_open(&s->client, in->header.link, welcome->credit_tasks, welcome->credit_bytes) !=
        0) {
        client_give_up(&s->client, SCOOP_NO_MEMORY, "no memory to send it again");
        hang_up(s);
        return;
    }
    pthread_mutex_lock(&s->lock);
    /* First of all: the tasks will read them. */
    constants_set_anew(s->constants, add_first, &s->client);
    s->link = in->header.link;
    s->credit_tasks = welcome->credit_tasks;
    s->credit_bytes = welcome->credit_bytes;
    pthread_mutex_unlock(&s->lock);
    set_state(s, STATE_OPEN);
}

/* ---- frames ---- */

static void answer_queries(scoop_session *s, struct blob *status)
{
    pthread_mutex_lock(&s->lock);
    for (struct query *query = s->queries; query != NULL; query = query->next)
        query->status = blob_ref(status);
    s->queries = NULL;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    s->query_ms = 0;
}

static void take_frame(scoop_session *s, struct dialler_input *in)
{
    if (in->header.type == WIRE_STATUS) {
        answer_queries(s, in->blob);
        return;
    }
    int result = 0;
    if (in->header.type == WIRE_RESULTS)
        result = client_take_results(&s->client, &in->header, &in->body);
    else if (in->header.type == WIRE_NOTES)
        result = notes_take(s->notes, &s->client.ledger, &s->lock, &in->header, &in->body);
    else if (in->header.type == WIRE_PIECE)
        result = client_take_pieces(&s->client, &in->header, &in->body);
    else if (in->header.type == WIRE_WANT)
        result = client_take_wants(&s->client, &in->header, &in->body);
    else if (in->header.type == WIRE_NEED)
        result = client_take_needs(&s->client, &in->header, &in->body);
    /* What does not decode is lost, and with it results: a new link brings them again. */
    if (result != 0)
        hang_up(s);
}

static void take_event(scoop_session *s, enum dialler_event event, struct dialler_input *in)
{
    switch (event) {
    case DIALLER_OPENED: open_link(s, in); return;
    case DIALLER_FRAME: take_frame(s, in); return;
    case DIALLER_REFUSED: deny(s, &in->refused); return;
    case DIALLER_GONE:
    case DIALLER_EXPIRED: set_state(s, STATE_AWAY); return;
    case DIALLER_NOTHING: return;
    }
}

static void receive(scoop_session *s)
{
    struct dialler_input in;

    for (int i = 0; i < FRAMES_PER_TURN && s->dialler != NULL; i++) {
        const enum dialler_event event = dialler_receive(s->dialler, s->now_ms, &in);

        if (event == DIALLER_NOTHING)
            return;
        take_event(s, event, &in);
    }
}

static void send_query(scoop_session *s)
{
    pthread_mutex_lock(&s->lock);
    const bool wanted = s->queries != NULL;
    pthread_mutex_unlock(&s->lock);
    if (!wanted || (s->query_ms != 0 && s->now_ms < s->query_ms + QUERY_AGAIN_MS))
        return;
    struct blob *frame = dialler_frame(s->dialler, WIRE_QUERY, 0);
    if (frame != NULL)
        dialler_send_loose(s->dialler, frame);
    s->query_ms = s->now_ms;
}

/* False: there was no memory to keep it; a new link has to bring it. */
static bool send_or_hang_up(scoop_session *s, struct blob *frame)
{
    if (dialler_send(s->dialler, frame) == 0)
        return true;
    hang_up(s);
    return false;
}

/* Values that will not be read any more. */
static bool send_freed(scoop_session *s)
{
    pthread_mutex_lock(&s->lock);
    struct blob *keys CLEANUP(blob_unref_p) = scattered_take_freed(s);
    pthread_mutex_unlock(&s->lock);
    if (keys == NULL)
        return true;
    struct blob *frame = dialler_frame(s->dialler, WIRE_FORGET, keys->size);
    if (frame == NULL)
        return true; /* hosts let them go by themselves */
    wire_put_bytes(frame, keys->data, keys->size);
    wire_frame_add_count(frame, (uint32_t)(keys->size / WIRE_KEY_BYTES));
    return send_or_hang_up(s, frame);
}

static void send_all(scoop_session *s)
{
    struct blob *frame = NULL;

    if (s->dialler == NULL || !dialler_is_open(s->dialler))
        return;
    send_query(s);
    while (dialler_unacked(s->dialler) < UNACKED_MAX &&
           client_next_frame(&s->client, &frame) == 0) {
        if (!send_or_hang_up(s, frame))
            return;
    }
    while (dialler_unacked_bytes(s->dialler) < UNACKED_BYTES_MAX &&
           client_next_piece(&s->client, &frame) == 0) {
        if (!send_or_hang_up(s, frame))
            return;
    }
    if (!send_freed(s))
        return;
    if (s->client.starved)
        hang_up(s); /* likewise for what could not be made */
}

/* ---- what others ask of it ---- */

/* The lock is held. */
static void leave_jobs(scoop_session *s)
{
    while (s->leaving != NULL) {
        struct job *job = s->leaving;

        s->leaving = job->next_leaving;
        if (job->left != NULL)
            *job->left = true;
        if (atomic_load_explicit(&job->done, memory_order_relaxed))
            job->release(job);
        else if (atomic_load(&job->references) > 1)
            job->forgotten = true;
        else
            client_abandon(&s->client, job);
    }
    pthread_cond_broadcast(&s->changed);
}

/* The lock is held. */
static void carry_out_requests(scoop_session *s)
{
    while (s->requests != NULL) {
        struct request *request = s->requests;

        s->requests = request->next;
        request->carry_out(&s->client, request->job);
        request->taken = true;
    }
    pthread_cond_broadcast(&s->changed);
}

static void take_requests(scoop_session *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->inbox != NULL) {
        struct job *job = s->inbox;

        s->inbox = job->next;
        if (s->config.trace[0] != '\0') {
            job->queued_us = clock_wall_us();
            job->options.traced = true;
        }
        client_add(&s->client, job);
    }
    s->inbox_tail = &s->inbox;
    if (s->requests != NULL)
        carry_out_requests(s);
    if (s->leaving != NULL)
        leave_jobs(s);
    const bool denied = s->state == STATE_DENIED;
    s->asleep = true;
    pthread_mutex_unlock(&s->lock);
    if (denied)
        client_give_up(&s->client, SCOOP_DENIED, s->why);
}

/* The lock is held. */
static void raise_descriptor(scoop_session *s)
{
    const uint64_t one = 1;

    if (s->ended_fd >= 0 && !s->ended_raised)
        s->ended_raised = write(s->ended_fd, &one, sizeof(one)) == sizeof(one);
}

/* The lock is held. */
static void finish_job(scoop_session *s, struct job *job)
{
    if (job->held_bytes != 0) {
        s->held_tasks--;
        s->held_bytes -= job->held_bytes;
        raise_descriptor(s);
    }
    if (job->abandoned || job->forgotten) {
        job->release(job);
        return;
    }
    if (job->sets_anew && job->failure != NULL && job->failure->status == SCOOP_REFUSED) {
        snprintf(s->why, sizeof(s->why), "the broker was lost, and then: %.400s",
                 job->failure->text);
        s->bereft = true;
    }
    job_tell(job);
    /* From here on the job is the caller's, who may free it. */
    atomic_store_explicit(&job->done, true, memory_order_release);
}

static void hand_back(scoop_session *s)
{
    struct job *blocked = client_take_blocked(&s->client);
    struct job *job = client_take_ended(&s->client);

    if (job == NULL && blocked == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    /* First: one of these may have ended meanwhile. */
    for (; blocked != NULL; blocked = client_take_blocked(&s->client))
        job_tell_blocked(blocked);
    for (; job != NULL; job = client_take_ended(&s->client))
        finish_job(s, job);
    if (s->waiting_for_room > 0)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* ---- time ---- */

static void check_silence(scoop_session *s)
{
    char text[sizeof(s->config.broker) + 100];

    if (s->dialler != NULL && dialler_is_open(s->dialler)) {
        const int64_t silent_ms = dialler_silent_ms(s->dialler, s->now_ms);

        s->heard_ms = s->now_ms - silent_ms;
        set_state(s, silent_ms < SILENT_MS ? STATE_OPEN : STATE_AWAY);
    }
    if (client_is_idle(&s->client) || s->now_ms < s->heard_ms + s->config.reconnect_ms)
        return;
    snprintf(text, sizeof(text), "the broker %s went away and did not come back within %d ms",
             s->config.broker, s->config.reconnect_ms);
    client_give_up(&s->client, SCOOP_NO_BROKER, text);
}

static void tick(scoop_session *s)
{
    if (s->dialler == NULL && s->now_ms >= s->redial_ms && session_dial(s) != 0)
        s->redial_ms = s->now_ms + REDIAL_MS;
    s->tick_ms = s->now_ms + REDIAL_MS;
    if (s->dialler != NULL && dialler_tick(s->dialler, s->now_ms, &s->tick_ms) != DIALLER_NOTHING)
        set_state(s, STATE_AWAY);
    if (s->query_ms != 0 && s->tick_ms > s->query_ms + QUERY_AGAIN_MS)
        s->tick_ms = s->query_ms + QUERY_AGAIN_MS;
    check_silence(s);
}

static void wait_for_work(scoop_session *s, int64_t until_ms)
{
    const int64_t end_ms = until_ms < s->tick_ms ? until_ms : s->tick_ms;
    const int64_t left = end_ms - clock_now_ms();
    zmq_pollitem_t items[] = {
        {.fd = s->bell, .events = ZMQ_POLLIN},
        {.socket = s->dialler != NULL ? dialler_socket(s->dialler) : NULL, .events = ZMQ_POLLIN},
    };

    zmq_poll(items, s->dialler != NULL ? 2 : 1, left > 0 ? (long)left : 0);
    if ((items[0].revents & ZMQ_POLLIN) != 0)
        drain_bell(s);
    s->now_ms = clock_now_ms();
}

/* ---- its life ---- */

/* Tell the broker that nothing is wanted any more, and give it a moment to take note. */
static void say_bye(scoop_session *s)
{
    const int64_t end_ms = s->now_ms + CLOSE_MS;

    if (s->dialler == NULL || !dialler_is_open(s->dialler))
        return;
    struct blob *frame = dialler_frame(s->dialler, WIRE_BYE, 0);
    if (frame == NULL || dialler_send(s->dialler, frame) != 0)
        return;
    while (s->now_ms < end_ms && s->dialler != NULL && dialler_is_open(s->dialler) &&
           dialler_unacked(s->dialler) > 0) {
        s->tick_ms = end_ms;
        wait_for_work(s, end_ms);
        receive(s);
    }
}

/* A constant of ours could not be set anew: the tasks, of which none was sent since, would not read
 * what they should. The lock is not held. */
static void end_bereft(scoop_session *s)
{
    client_give_up(&s->client, SCOOP_DENIED, s->why);
    say_bye(s);
    end_denied(s);
    hand_back(s);
}

static void finish_jobs(scoop_session *s)
{
    hand_back(s);
    if (!s->bereft)
        return;
    s->bereft = false;
    end_bereft(s);
}

/* ---- driving ---- */

static void begin(scoop_session *s)
{
    s->driven = true;
    pthread_mutex_unlock(&s->lock);
    s->now_ms = clock_now_ms();
}

static void end(scoop_session *s)
{
    const bool idle = client_is_idle(&s->client);

    pthread_mutex_lock(&s->lock);
    s->driven = false;
    s->asleep = false;
    s->idle = idle && s->state != STATE_AWAY;
}

/* Hand out what was asked for and hand back what has ended. */
static void push(scoop_session *s)
{
    take_requests(s);
    send_all(s);
    finish_jobs(s);
}

void session_push(scoop_session *s)
{
    begin(s);
    push(s);
    end(s);
}

void session_drive(scoop_session *s, int64_t until_ms)
{
    begin(s);
    push(s);
    wait_for_work(s, until_ms);
    receive(s);
    if (s->now_ms >= s->tick_ms)
        tick(s);
    finish_jobs(s);
    end(s);
}

bool session_has_work(const scoop_session *s)
{
    return !s->idle || s->inbox != NULL || s->leaving != NULL || s->requests != NULL ||
           s->queries != NULL || s->freed != NULL;
}

void session_wake(scoop_session *s)
{
    const uint64_t one = 1;

    if (!s->driven) {
        pthread_cond_signal(&s->parked);
        return;
    }
    if (!s->asleep)
        return;
    s->asleep = false;
    while (write(s->bell, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* Wait until asked to drive, or until a timer is due. The lock is held. */
static void park(scoop_session *s)
{
    const int64_t until_ms = s->driven ? clock_now_ms() + REDIAL_MS : s->tick_ms;
    const struct timespec until = thread_time(until_ms);

    pthread_cond_timedwait(&s->parked, &s->lock, &until);
}

void *session_run(void *argument)
{
    scoop_session *s = argument;

    pthread_mutex_lock(&s->lock);
    while (!s->closing || s->driven) {
        if (!s->driven && (session_has_work(s) || clock_now_ms() >= s->tick_ms))
            session_drive(s, INT64_MAX);
        else
            park(s);
    }
    pthread_mutex_unlock(&s->lock);
    take_requests(s);
    client_give_up(&s->client, SCOOP_SHUT_DOWN, "the session was closed");
    finish_jobs(s);
    say_bye(s);
    dialler_free(s->dialler);
    return NULL;
}
