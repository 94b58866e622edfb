/* Shared by the files of the HTTP shell only. A worker is one event loop with its own MHD daemon;
 * an exchange is one request from its head to the last byte of the answer; a link is a connection.
 * Everything of a worker is touched by its thread alone, except where a comment says otherwise. */
#ifndef BASE_HTTPD_INTERNAL_H
#define BASE_HTTPD_INTERNAL_H

#include "httpd.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

struct httpd;
struct worker;

struct link {
    struct link *next;
    struct link **place; /* what points to this link */
    struct worker *worker;
    int fd;              /* MHD's */
    int64_t deadline_ms; /* the connection is cut then */
    bool idle;           /* between two requests */
    char peer[INET6_ADDRSTRLEN];
};

enum exchange_phase {
    PHASE_HEAD,    /* the request line is in */
    PHASE_BODY,    /* head accepted, the body comes in */
    PHASE_REFUSED, /* the response is ready, it says no */
    PHASE_LINGER,  /* refused and answered while the body still comes in */
    PHASE_GATED,   /* suspended at the route's gate */
    PHASE_LATER,   /* suspended until somebody answers its ticket */
};

struct exchange {
    struct httpd_request request; /* first: find() casts back */
    struct httpd_response response;
    struct exchange *next; /* in the worker's spare list */
    struct worker *worker;
    struct link *link; /* NULL when there was no memory for one */
    struct MHD_Connection *connection;
    const struct httpd_route *route; /* NULL: none matched */
    enum exchange_phase phase;
    int64_t start_us;       /* the head was in */
    int64_t since_ms;       /* the body began to come in, or the answer to go out */
    bool suspended;         /* counted in worker->suspended */
    bool head;              /* a HEAD request */
    bool bad_line;          /* the request line holds what none may hold */
    size_t target_bytes;    /* of the request line, as it came in */
    bool has_body;          /* announced by the head */
    const char *none_match; /* If-None-Match */
    unsigned status;        /* of the response once sent; 0: none */
    uint64_t lingered_bytes;

    /* Guarded by the mutex of httpd_wait.c while suspended. */
    struct gate_pass pass;
    bool holds_gate;
    bool turned_away;
    struct httpd_ticket *ticket;
};

enum loop_wake { WAKE_MHD, WAKE_LISTENER, WAKE_RESUME, WAKE_DRAIN };

/* Access lines gather here during one turn of the loop and leave in one write, never torn. */
struct access_lines {
    size_t used;
    char text[4096]; /* PIPE_BUF: one write of this size is atomic on a pipe */
};

struct worker {
    struct httpd *httpd;
    unsigned index;
    pthread_t thread;
    bool running;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    int resume_fd;  /* an eventfd, written by worker_resume */
    bool listening; /* the listening socket is in epoll_fd */
    struct exchange *spare;
    struct link *links;
    int64_t next_sweep_ms;
    int64_t turn_ms;       /* how long the last one took */
    atomic_uint in_flight; /* exchanges begun and not ended; written by the worker alone */
    unsigned suspended;    /* of these, waiting at a gate or for a ticket */
    struct access_lines access;
};

/* Gates and tickets: what suspended requests wait for. One thread keeps their times. All under the
 * mutex of httpd_wait.c. */
struct waits {
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    bool stop;
    struct httpd_ticket *tickets; /* unanswered ones */
};

enum refusal_reason {
    REFUSED_CONNECTIONS,
    REFUSED_SLOW,
    REFUSED_MALFORMED,
    REFUSED_TOO_LARGE,
    REFUSED_DRAINING,
    REFUSED_TIMEOUT,
    REFUSAL_REASONS,
};

enum { STATUS_SLOTS = 16, BUILTIN_ROUTES = 2 };

/* The histogram of one route and status; NULL until first used. */
struct latency {
    _Atomic(struct metric *) histogram;
};

struct httpd {
    struct httpd_options options;
    struct httpd_route builtin[BUILTIN_ROUTES]; /* /health, /metrics */
    int listen_fd;
    int drain_fd; /* an eventfd that stays readable once the drain began */
    uint16_t port;
    unsigned connections_max;
    atomic_uint connections;
    atomic_bool draining;
    _Atomic int64_t drain_until_ms; /* valid once draining */
    struct worker workers[HTTPD_THREADS_MAX];
    atomic_uint worker_count; /* a worker is counted when it can be read: others serve already */
    struct waits wait;

    struct metric *refused[REFUSAL_REASONS];
    struct metric *open_connections;
    struct metric *open_requests;
    pthread_mutex_t stats_mutex; /* for creating the next one */
    struct latency *latencies;   /* [route_rows][STATUS_SLOTS] */
    size_t route_rows;           /* routes, built-in ones, and one for "no route" */
};

/* httpd_loop.c: one worker's event loop and its connections. */
/* On an error what was opened stays for worker_join. */
NODISCARD int worker_start(struct worker *worker);
/* Wait until the loop has ended, cut what it left, and close all. */
void worker_join(struct worker *worker);
/* Let a suspended exchange go on; the one call for other threads, under the mutex of httpd_wait.c.
 */
void worker_resume(struct exchange *x);
void link_set_idle(struct link *link, bool idle);
void link_set_deadline(struct link *link, int64_t deadline_ms);

/* httpd_head.c: the head of a request, read more strictly than MHD does. */
struct head {
    size_t bytes;     /* that it has when its lines end in CRLF and nothing is left out */
    const char *at;   /* where its next field begins, then */
    unsigned lengths; /* how many Content-Length fields */
    unsigned codings; /* Transfer-Encoding */
    unsigned hosts;
    const char *length;
    const char *coding;
    const char *none_match;
    bool expects_continue;
    bool malformed; /* or ambiguous */
};

/* Is this what may stand in a request line? MHD itself would let a space pass. */
bool head_is_target(const char *target);
/* Read method and fields of a request whose target was seen; sets x->bad_line, too. */
void head_read(struct exchange *x, const char *method, const char *version, struct head *out);

/* httpd_exchange.c: the callbacks that MHD calls for a request. */
void *exchange_on_target(void *worker, const char *target, struct MHD_Connection *connection);
enum MHD_Result exchange_on_request(void *unused,
                                    struct MHD_Connection *connection,
                                    const char *path,
                                    const char *method,
                                    const char *version,
                                    const char *bytes,
                                    size_t *size,
                                    void **slot);
void exchange_on_completed(void *worker,
                           struct MHD_Connection *connection,
                           void **slot,
                           enum MHD_RequestTerminationCode code);
size_t exchange_unescape(void *unused, struct MHD_Connection *connection, char *text);
void exchange_free_spares(struct worker *worker);

/* httpd_wait.c */
NODISCARD int wait_start(struct httpd *httpd);
void wait_stop(struct httpd *httpd);
/* At the route's gate. True: go on now. False: suspended, MHD calls again; see x->turned_away then.
 */
NODISCARD bool wait_at_gate(struct exchange *x);
void wait_leave_gate(struct exchange *x);
/* After the handler said later. True: the answer is there already, in x->response. False:
 * suspended. */
NODISCARD bool wait_for_ticket(struct exchange *x);
/* Take the answer into x->response and let go of the ticket. */
void wait_take_answer(struct exchange *x);
/* Let go of a ticket whose answer no longer matters. */
void wait_forget_ticket(struct exchange *x);
/* The drain began: turn away whoever waits for a slot. */
void wait_turn_away(struct httpd *httpd);
/* Return when every worker_resume that began before is over. */
void wait_settle(void);

/* httpd_stats.c */
NODISCARD int stats_init(struct httpd *httpd);
void stats_fini(struct httpd *httpd);
void stats_refused(struct httpd *httpd, enum refusal_reason reason);
void stats_record(struct exchange *x, int64_t latency_us);
void stats_flush_access(struct worker *worker);
void stats_handle_metrics(struct httpd *httpd, struct httpd_response *response);

#endif
