/* scoop_stream(): a map over arguments that come one after the other. Memory is that of one window
 * of futures, in a ring in the order of their arguments. */
#include "await.h"
#include "error.h"
#include "program.h"

#define WINDOW_DEFAULT 1024

/* No more are begun while arguments of so many bytes are in the window. */
#define WINDOW_BYTES ((size_t)64 << 20)

struct stream {
    scoop_session *session;
    const struct scoop_options *options;
    const struct scoop_function *function;
    const struct scoop_stream *ends;
    int64_t deadline;
    scoop_future **ring;
    size_t window;
    uint64_t begun; /* tasks so far; the newest one's place is that of its number in the ring */
    uint64_t taken;
    size_t bytes; /* of the arguments of what was begun and not taken */
    bool dry;     /* the source has no more */
};

static scoop_future **place(const struct stream *s, uint64_t number)
{
    return &s->ring[number % s->window];
}

/* Start tasks until the window is full or there are no more arguments. */
static enum scoop_status fill(struct stream *s)
{
    enum scoop_status status = SCOOP_OK;

    while (status == SCOOP_OK && !s->dry && s->begun - s->taken < s->window &&
           s->bytes < WINDOW_BYTES) {
        struct scoop_bytes argument = {NULL, 0};

        if (!s->ends->source(s->ends->context, &argument)) {
            s->dry = true;
            return SCOOP_OK;
        }
        status = future_check(s->function, argument.size);
        if (status == SCOOP_OK)
            status = future_submit(s->session, s->options, s->function, argument, s->deadline,
                                   place(s, s->begun));
        if (status == SCOOP_OK) {
            s->begun++;
            s->bytes += argument.size;
        }
    }
    return status;
}

/* Hand out the oldest result, once it is there. */
static enum scoop_status drain_one(struct stream *s, bool *go_on)
{
    scoop_future *future = *place(s, s->taken);
    struct scoop_bytes result = {NULL, 0};
    struct scoop_error error;

    if (!await_future(future, s->deadline))
        return error_set(SCOOP_TIMEOUT, "%s: not all tasks ended before the deadline",
                         s->function->name);
    scoop_error(future, &error);
    if (error.status == SCOOP_OK)
        scoop_result_bytes(future, &result);
    *go_on =
        s->ends->sink(s->ends->context, s->taken, result, error.status == SCOOP_OK ? NULL : &error);
    s->bytes -= future->argument.size;
    scoop_future_free(future);
    s->taken++;
    return SCOOP_OK;
}

static enum scoop_status run(struct stream *s)
{
    bool go_on = true;
    enum scoop_status status = fill(s);

    while (go_on && status == SCOOP_OK && s->taken < s->begun) {
        status = drain_one(s, &go_on);
        if (status == SCOOP_OK && go_on)
            status = fill(s);
    }
    for (; s->taken < s->begun; s->taken++)
        scoop_future_free(*place(s, s->taken));
    return status;
}

enum scoop_status scoop_stream_with(scoop_session *session,
                                    const struct scoop_options *options,
                                    const struct scoop_function *function,
                                    const struct scoop_stream *ends)
{
    struct stream s = {
        .options = options,
        .function = function,
        .ends = ends,
        .deadline = program_deadline_of(options),
        .window = ends->window != 0 ? ends->window : WINDOW_DEFAULT,
    };
    enum scoop_status status = program_session(session, &s.session);

    if (status != SCOOP_OK)
        return status;
    if (function == NULL)
        return error_set(SCOOP_NO_FUNCTION, "scoop_stream: there is no such function");
    s.ring = calloc(s.window, sizeof(scoop_future *));
    if (s.ring == NULL)
        return error_set(SCOOP_NO_MEMORY, "scoop_stream: no memory for a window of %zu tasks",
                         s.window);
    status = run(&s);
    free(s.ring);
    return status;
}
