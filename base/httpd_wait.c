/* Requests that wait: at a gate for their turn, or with a ticket for an answer from another thread.
 *
 * No thread sleeps per request. A waiting connection is suspended in MHD and resumed when its time
 * has come; MHD_resume_connection is the one MHD call that is made from other threads. The
 * suspension happens under the mutex, and whoever resumes has taken the exchange out of its queue
 * under the mutex: so never a resume before the suspension. */
#include "httpd_internal.h"

#include "clock.h"

#include <time.h>

/* One for the process: a ticket may outlive its server. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

struct httpd_ticket {
    struct httpd_ticket *next; /* among the unanswered ones */
    struct httpd_ticket **place;
    struct exchange *exchange; /* NULL: its request ended; the answer will be dropped */
    int64_t deadline_us;
    unsigned refs; /* the exchange's and the answerer's */
    bool answered;
    bool parked; /* the exchange is suspended for it */
    struct httpd_response response;
};

static struct exchange *exchange_of_pass(struct gate_pass *pass)
{
    return (struct exchange *)((char *)pass - offsetof(struct exchange, pass));
}

/* The rest of this file's helpers run under the mutex. */

/* Let through whoever may pass. Returns how long until the next one may; -1: unknown. */
static int64_t open_gate(struct gate *gate, int64_t now_us, bool turn_away)
{
    struct gate_pass *pass = NULL;
    int64_t wait_us = -1;

    while ((pass = gate_next(gate, now_us, &wait_us)) != NULL) {
        struct exchange *x = exchange_of_pass(pass);
        x->holds_gate = true;
        x->turned_away = turn_away;
        worker_resume(x);
    }
    return wait_us;
}

static void ticket_unlink(struct httpd_ticket *ticket)
{
    if (ticket->place == NULL)
        return;
    *ticket->place = ticket->next;
    if (ticket->next != NULL)
        ticket->next->place = ticket->place;
    ticket->place = NULL;
}

static void ticket_unref(struct httpd_ticket *ticket)
{
    if (--ticket->refs > 0)
        return;
    httpd_response_fini(&ticket->response);
    free(ticket);
}

/* The answer is in ticket->response: whoever waits for it may go on. */
static void ticket_settle(struct httpd_ticket *ticket)
{
    ticket->answered = true;
    ticket_unlink(ticket);
    if (ticket->parked)
        worker_resume(ticket->exchange);
}

static int64_t expire_tickets(struct httpd *httpd, int64_t now_us, bool drained)
{
    struct httpd_ticket *next = NULL;
    int64_t wait_us = -1;

    for (struct httpd_ticket *ticket = httpd->wait.tickets; ticket != NULL; ticket = next) {
        next = ticket->next;
        if (ticket->deadline_us > now_us && !drained) {
            const int64_t left_us = ticket->deadline_us - now_us;
            wait_us = wait_us < 0 || left_us < wait_us ? left_us : wait_us;
            continue;
        }
        stats_refused(httpd, drained ? REFUSED_DRAINING : REFUSED_TIMEOUT);
        if (drained)
            httpd_reply_error(&ticket->response, 503, "draining", "this server is stopping");
        else
            httpd_reply_error(&ticket->response, 504, "timeout", "no answer in time");
        ticket_settle(ticket);
    }
    return wait_us;
}

static int64_t sooner(int64_t a_us, int64_t b_us)
{
    if (a_us < 0 || b_us < 0)
        return a_us < 0 ? b_us : a_us;
    return a_us < b_us ? a_us : b_us;
}

/* One look at everything that waits. The end of the drain is everybody's deadline. */
static int64_t let_go(struct httpd *httpd, int64_t now_us)
{
    const bool draining = atomic_load(&httpd->draining);
    const int64_t end_us = draining ? atomic_load(&httpd->drain_until_ms) * 1000 : INT64_MAX;
    const bool over = now_us >= end_us;
    int64_t wait_us = draining && !over ? end_us - now_us : -1;

    for (size_t i = 0; i < httpd->options.route_count; i++) {
        struct gate *gate = httpd->options.routes[i].gate;
        if (gate != NULL && !gate_is_open(gate))
            wait_us = sooner(wait_us, open_gate(gate, over ? INT64_MAX : now_us, over));
    }
    return sooner(wait_us, expire_tickets(httpd, now_us, over));
}

static void wait_for_change(struct waits *wait, int64_t now_us, int64_t wait_us)
{
    const int64_t until_us = now_us + wait_us;
    const struct timespec until = {
        .tv_sec = until_us / 1000000,
        .tv_nsec = (until_us % 1000000) * 1000,
    };

    if (wait_us < 0)
        pthread_cond_wait(&wait->changed, &mutex);
    else
        pthread_cond_timedwait(&wait->changed, &mutex, &until);
}

static void *wait_run(void *argument)
{
    struct httpd *httpd = argument;
    struct waits *wait = &httpd->wait;

    pthread_mutex_lock(&mutex);
    while (!wait->stop) {
        const int64_t now_us = clock_now_us();
        wait_for_change(wait, now_us, let_go(httpd, now_us));
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

int wait_start(struct httpd *httpd)
{
    struct waits *wait = &httpd->wait;
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&wait->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int error = pthread_create(&wait->thread, NULL, wait_run, httpd);
    wait->running = error == 0;
    return -error;
}

void wait_stop(struct httpd *httpd)
{
    struct waits *wait = &httpd->wait;

    if (wait->running) {
        pthread_mutex_lock(&mutex);
        wait->stop = true;
        pthread_cond_signal(&wait->changed);
        pthread_mutex_unlock(&mutex);
        pthread_join(wait->thread, NULL);
        wait->running = false;
    }
    pthread_cond_destroy(&wait->changed);
}

static void suspend(struct exchange *x, enum exchange_phase phase)
{
    x->phase = phase;
    x->suspended = true;
    x->worker->suspended++;
    link_set_deadline(x->link, INT64_MAX);
    MHD_suspend_connection(x->connection);
}

bool wait_at_gate(struct exchange *x)
{
    struct waits *wait = &x->worker->httpd->wait;
    struct gate *gate = x->route->gate;

    if (gate == NULL || gate_is_open(gate))
        return true;
    if (atomic_load(&x->worker->httpd->draining)) {
        x->turned_away = true;
        return true;
    }
    pthread_mutex_lock(&mutex);
    x->pass.undelayed = x->route->undelayed;
    x->holds_gate = gate_enter(gate, &x->pass, clock_now_us());
    const bool go = x->holds_gate;
    if (!go) {
        suspend(x, PHASE_GATED);
        pthread_cond_signal(&wait->changed);
    }
    pthread_mutex_unlock(&mutex);
    return go;
}

void wait_leave_gate(struct exchange *x)
{
    struct waits *wait = &x->worker->httpd->wait;
    const int64_t now_us = clock_now_us();

    if (!x->holds_gate)
        return;
    x->holds_gate = false;
    pthread_mutex_lock(&mutex);
    gate_leave(x->route->gate, now_us);
    if (open_gate(x->route->gate, now_us, false) >= 0)
        pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&mutex);
}

void wait_turn_away(struct httpd *httpd)
{
    struct waits *wait = &httpd->wait;
    struct gate_pass *pass = NULL;

    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < httpd->options.route_count; i++) {
        struct gate *gate = httpd->options.routes[i].gate;
        while (gate != NULL && (pass = gate_turn_away(gate)) != NULL) {
            struct exchange *x = exchange_of_pass(pass);
            x->turned_away = true;
            worker_resume(x);
        }
    }
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&mutex);
}

void wait_settle(void)
{
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
}

struct httpd_ticket *httpd_later(struct httpd_request *request)
{
    struct exchange *x = (struct exchange *)request;
    struct httpd *httpd = x->worker->httpd;
    const int64_t later_ms = x->route->later_ms != 0 ? x->route->later_ms : HTTPD_LATER_MS;
    struct httpd_ticket *ticket = calloc(1, sizeof(*ticket));

    if (ticket == NULL)
        return NULL;
    ticket->exchange = x;
    ticket->deadline_us = clock_now_us() + later_ms * 1000;
    ticket->refs = 2;
    ticket->response.status = 200;
    x->ticket = ticket;
    pthread_mutex_lock(&mutex);
    ticket->next = httpd->wait.tickets;
    ticket->place = &httpd->wait.tickets;
    if (ticket->next != NULL)
        ticket->next->place = &ticket->next;
    httpd->wait.tickets = ticket;
    pthread_cond_signal(&httpd->wait.changed);
    pthread_mutex_unlock(&mutex);
    return ticket;
}

void httpd_answer(struct httpd_ticket *ticket, struct httpd_response *response)
{
    pthread_mutex_lock(&mutex);
    if (ticket->answered || ticket->exchange == NULL) {
        httpd_response_fini(response);
    } else {
        ticket->response = *response;
        response->body = HTTPD_BODY_NONE;
        ticket_settle(ticket);
    }
    ticket_unref(ticket);
    pthread_mutex_unlock(&mutex);
}

bool wait_for_ticket(struct exchange *x)
{
    pthread_mutex_lock(&mutex);
    const bool answered = x->ticket->answered;
    if (!answered) {
        x->ticket->parked = true;
        suspend(x, PHASE_LATER);
    }
    pthread_mutex_unlock(&mutex);
    return answered;
}

void wait_take_answer(struct exchange *x)
{
    pthread_mutex_lock(&mutex);
    x->response = x->ticket->response;
    x->ticket->response.body = HTTPD_BODY_NONE;
    pthread_mutex_unlock(&mutex);
    wait_forget_ticket(x);
}

void wait_forget_ticket(struct exchange *x)
{
    if (x->ticket == NULL)
        return;
    pthread_mutex_lock(&mutex);
    x->ticket->exchange = NULL;
    ticket_unlink(x->ticket);
    ticket_unref(x->ticket);
    x->ticket = NULL;
    pthread_mutex_unlock(&mutex);
}
