/* The HTTP shell of every service: rng, hasher, miner and webui.
 *
 * A service is a table of routes. A handler is a plain function, request in, response out, that
 * knows no socket; unit tests call it directly. The shell does the rest: HEAD for every GET, 404,
 * 405 with Allow, 413, 304 for a matching ETag, /health, /metrics, errors as one JSON object
 * {"error","detail"}, one access line per request, limits, and the drain at the end. What two
 * readers could understand differently is 400, and the connection is closed: lines that end in LF
 * alone, folded fields, control characters, two lengths, a length beside a coding. Where
 * libmicrohttpd itself cannot read a request (a length that is no number, malformed chunks, more
 * than HTTPD_HEAD_BYTES_MAX), the answer is its own page: the same statuses, in HTML, and closed.
 *
 * Threads: one event loop per usable CPU (libmicrohttpd with external epoll; why, says
 * httpd_loop.c). A connection stays with its thread, so the calls for one request never overlap;
 * different requests run in parallel. A handler must not block: what takes longer is answered later
 * (httpd_later), what must queue stands at a gate (route.gate). */
#ifndef BASE_HTTPD_H
#define BASE_HTTPD_H

#include "err.h"
#include "gate.h"
#include "metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Limits. What goes beyond one is refused by name, and counted in http_refused_total. */
enum {
    HTTPD_CONNECTIONS_MAX = 4096,     /* open at once; one more gets 503 */
    HTTPD_CONNECTIONS_RESERVED = 16,  /* beyond that, for loopback only: the health check gets in */
    HTTPD_HEAD_BYTES_MAX = 32 * 1024, /* request line and headers; more is 414 or 431 */
    HTTPD_HEAD_MS = 4000,             /* from connecting to a complete first head; then closed */
    HTTPD_IDLE_MS = 60000,            /* between two requests of a connection; then closed */
    HTTPD_STALL_MS = 4000,            /* a body that does not move for so long is given up ... */
    HTTPD_BYTES_PER_MS_MIN = 16,      /* ... and so is one slower than this on the average */
    HTTPD_LATER_MS = 10000,           /* answers promised for later; then 504. See route.later_ms */
    HTTPD_LINGER_BYTES = 64 << 20, /* of a refused body still read, so that the client sees why */
    HTTPD_DRAIN_MS = 800,          /* what runs at SIGTERM may run on for so long */
    HTTPD_THREADS_MAX = 16,
    HTTPD_INLINE_BYTES = 256, /* a response body up to this size lives in the response itself */
    HTTPD_HEADERS_MAX = 4,    /* that a handler may add */
};

enum httpd_field { HTTPD_HEADER, HTTPD_QUERY };

/* What a handler sees of a request. In a unit test: an initialiser with the fields of interest. */
struct httpd_request {
    const char *method; /* "GET", "POST"; a HEAD request shows as "GET" */
    const char *path; /* percent-decoded; escapes that are malformed or mean NUL stay as they are */
    uint64_t body_bytes; /* received so far */
    /* which event loop runs it, below HTTPD_THREADS_MAX: for caches without locks */
    unsigned thread;
    void *context; /* the route's */
    void *state;   /* the handlers' own, from the first chunk of the body until route.end */
    /* How headers and query values are looked up; NULL: there are none. */
    const char *(*find)(const struct httpd_request *request,
                        enum httpd_field field,
                        const char *name);
};

/* Produce bytes of a streamed body from `offset` on. Returns how many (1...size), or a negative
 * errno: then the connection is cut, as the status is already out. Runs in the request's thread. */
typedef ssize_t (*httpd_read)(void *state, uint64_t offset, void *buffer, size_t size);

enum httpd_body {
    HTTPD_BODY_NONE,
    HTTPD_BODY_INLINE,
    HTTPD_BODY_STATIC, /* borrowed for as long as the server runs */
    HTTPD_BODY_OWNED,  /* from malloc; the shell frees it */
    HTTPD_BODY_STREAM,
};

/* What a handler fills in, with the functions below rather than by hand. */
struct httpd_response {
    unsigned status;  /* 200 unless changed */
    const char *type; /* Content-Type; static text */
    /* static text with its quotes; the shell compares If-None-Match; NULL: none */
    const char *etag;
    enum httpd_body body;
    uint64_t size; /* of the body */
    union {
        const void *fixed; /* static */
        void *owned;
        struct {
            httpd_read read;
            void (*release)(void *state); /* called once, also when nothing was read; may be NULL */
            void *state;
        } stream;
    };
    struct httpd_header {
        const char *name; /* both static text */
        const char *value;
    } headers[HTTPD_HEADERS_MAX];
    size_t header_count;
    char bytes[HTTPD_INLINE_BYTES];
};

enum httpd_verdict {
    HTTPD_ANSWER, /* the response is filled in */
    HTTPD_LATER,  /* httpd_later() was called; somebody calls httpd_answer() */
};

struct httpd_route {
    const char *method;                /* "GET", which answers HEAD too, or "POST" */
    const char *path;                  /* the decoded path; also the label in metrics */
    bool (*matches)(const char *path); /* asked instead of comparing with `path`; NULL: compare */

    /* The whole request is in. Never called for one that the shell refuses. */
    enum httpd_verdict (*handle)(struct httpd_request *request, struct httpd_response *response);

    /* The next bytes of the body, in order. 0, or a negative errno: the request ends with 500.
     * NULL: a request with a body is refused with 413. */
    int (*chunk)(struct httpd_request *request, const void *bytes, size_t size);
    uint64_t body_max; /* bytes; 413 above, before the body where its length is declared */

    /* The request is over, answered or not. Called when request->state is not NULL: release it. */
    void (*end)(struct httpd_request *request);

    struct gate *gate; /* passed between the body and handle; the shell locks it. NULL: no gate */
    bool undelayed;    /* wait for a turn at the gate, but not for its delay */
    int64_t later_ms;  /* how long an answer may be kept waiting; 0: HTTPD_LATER_MS */
    void *context;
};

struct httpd_options {
    const char *listen;               /* "ADDR:PORT"; port 0: any free one */
    const struct httpd_route *routes; /* borrowed until httpd_stop */
    size_t route_count;
    struct metrics *metrics; /* borrowed; shown at /metrics, the shell adds its own */
    bool alone;              /* no new sockets once it listens: base/fence.h */
    bool access_log;         /* one line per request on stdout */
    unsigned threads;        /* event loops; 0: one per usable CPU, at most HTTPD_THREADS_MAX */

    /* Asked by /health: is the service well? If not, put the reason into `detail`. NULL: it is. */
    bool (*healthy)(void *context, char *detail, size_t size);
    void *health_context;
};

struct httpd;

/* Listen and serve in own threads; logs the ready line, ev=listening address=127.0.0.1:8001.
 * Block SIGTERM and SIGINT before, so that the threads inherit it. On success *out is owned by the
 * caller (httpd_stop). Else a negative errno, and one error line says what could not be had. */
NODISCARD int httpd_start(const struct httpd_options *options, struct httpd **out);

/* The port listened on. */
uint16_t httpd_port(const struct httpd *httpd);

/* Stop accepting, let what runs finish for up to drain_ms, answer 503 to what still queues, end the
 * threads and free. Accepts NULL. */
void httpd_stop(struct httpd *httpd, int64_t drain_ms);

/* A whole service: start, wait for SIGTERM or SIGINT, drain. Main thread. Returns the exit code. */
int httpd_serve(const struct httpd_options *options);

/* Of a request: a header, or a decoded value of the query. NULL when absent. Borrowed until handle
 * returns. */
const char *httpd_request_header(const struct httpd_request *request, const char *name);
const char *httpd_request_query(const struct httpd_request *request, const char *name);

/* Fill in a response. `type` is static text. */
void httpd_reply_static(struct httpd_response *response,
                        const char *type,
                        const void *bytes,
                        size_t size);
void httpd_reply_copy(struct httpd_response *response,
                      const char *type,
                      const void *bytes,
                      size_t size);
void httpd_reply_text(struct httpd_response *response, const char *format, ...) PRINTF(2, 3);
/* The caller has put `size` bytes (at most HTTPD_INLINE_BYTES) into response->bytes. */
void httpd_reply_inline(struct httpd_response *response, const char *type, size_t size);
/* `bytes` is taken (from malloc). */
void httpd_reply_owned(struct httpd_response *response, const char *type, void *bytes, size_t size);
/* `state` is taken: given to `release` in the end. */
void httpd_reply_stream(struct httpd_response *response,
                        const char *type,
                        uint64_t size,
                        httpd_read read,
                        void (*release)(void *state),
                        void *state);
/* The JSON object {"error":"...","detail":"..."}; `error` is a short static name: "not_found". */
void httpd_reply_error(struct httpd_response *response,
                       unsigned status,
                       const char *error,
                       const char *detail_format,
                       ...) PRINTF(4, 5);

/* Add a header (static texts); more than HTTPD_HEADERS_MAX is a bug of the caller. */
void httpd_reply_header(struct httpd_response *response, const char *name, const char *value);

/* The body as one piece of memory, for tests: NULL for a stream or none. */
const void *httpd_response_bytes(const struct httpd_response *response);

/* Release what a response owns: for responses that were never handed to the shell, as in tests. */
void httpd_response_fini(struct httpd_response *response);

/* Answering later. In a handler: take a ticket, hand it to whoever will know, return HTTPD_LATER.
 * NULL: out of memory; the handler answers 503 itself. */
struct httpd_ticket;
NODISCARD struct httpd_ticket *httpd_later(struct httpd_request *request);

/* Answer it, from any thread, once. Both are taken; `response` (its fields, not the struct) is
 * released unsent when the client, the deadline or the drain was faster. */
void httpd_answer(struct httpd_ticket *ticket, struct httpd_response *response);

#endif
