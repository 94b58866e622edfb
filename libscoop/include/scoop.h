/* scoop: futures for C. This header is the manual of libscoop.
 *
 * A *program* is an ordinary executable linked with libscoop. Its main() runs once, on the root. On
 * the workers the same executable is started as executors: there scoop_init() never returns, it
 * computes tasks. Functions that may run anywhere are registered by a macro:
 *
 *     #include <scoop.h>
 *
 *     SCOOP_FUNCTION(int, absolute, int x) { return x < 0 ? -x : x; }
 *
 *     int main(int argc, char **argv)
 *     {
 *         int in[] = {3, -4, 5}, out[3];
 *
 *         scoop_init(&argc, &argv);
 *         if (scoop_map(absolute, in, out, 3) != SCOOP_OK)
 *             return scoop_report();
 *         return 0;
 *     }
 *
 *     cc program.c $(pkg-config --cflags --libs scoop) && scoop run ./a.out
 *
 * Settings are environment variables; `scoop run` sets them:
 *     SCOOP_BROKER           tcp://HOST:PORT or ipc:///PATH; unset: compute serially, and say so
 *     SCOOP_CLIENT_KEY_FILE  own secret CURVE key, for tcp (/run/secrets/client_curve_key)
 *     SCOOP_BROKER_KEY_FILE  broker's public CURVE key (/run/secrets/broker_curve_key.pub)
 *     SCOOP_CONNECT_MS       how long a call waits for a broker that never answered (10000)
 *     SCOOP_RECONNECT_MS     how long calls and unfinished tasks wait for one that left (120000)
 *     SCOOP_OUTPUT           what functions print: "labelled" lines on this process's stdout and
 *                            stderr (default), or "none"
 *     SCOOP_TRACE            file for a trace of every task, as Chrome trace JSON; ui.perfetto.dev
 *                            shows it
 *
 * Sizes. An argument or a result of a bytes function has at most SCOOP_LARGE_MAX bytes (1 GiB); with a
 * fixed size, and in some places below, SCOOP_PAYLOAD_MAX (16 MiB). They travel as they lie in memory:
 * hosts of one broker have one architecture, and pointers mean nothing on another host (the macros refuse
 * them). Above 1 MiB they travel in pieces between this process and the worker: the broker never has the
 * whole, this process has its argument and its result once, the worker as a mapped file, which counts as
 * its memory. SCOOP_PAYLOAD_MAX is the limit for tasks that functions submit on workers, for their
 * results, for the results that a task waits for (scoop_options.after) together with its own argument,
 * and for durable tasks and constants, which say less. What is above a limit is SCOOP_TOO_LARGE, or a
 * failure of the task, with both numbers. scoop_submit() waits while the arguments that this process
 * keeps are more than 256 MiB together, but for the first.
 *
 * Threads. Every call may be made from every thread, beside every other, but for these:
 *     scoop_init(), scoop_fini(), scoop_close()   not beside another call on the same session
 *     scoop_then(), scoop_future_free()           not beside another call on the same future;
 *                                                 several threads may wait for one, and read it
 *     scoop_next(), scoop_iterator_...()          one thread at a time uses an iterator
 *     scoop_wait_news(), scoop_partial_next()     one thread at a time for the same future
 *     scoop_..._free() of what a call handed out  not beside a call that uses it
 *     inside a function: all                      the thread that runs the function; one that it has
 *                                                 started makes no call (SCOOP_MISUSE)
 * Callbacks, sources and sinks run in the thread whose call asked for them. libscoop has a thread of
 * its own per session; no function of yours runs in it. A child process of fork() makes no call.
 *
 * Ownership. Arguments are copied by scoop_submit(); the arrays of scoop_map() belong to the call
 * until it returns. What a call hands out is *borrowed* (its comment says until when) or *owned by
 * the caller* (it says how to free).
 *
 * Errors. A call returns an enum scoop_status, or NULL; the calling thread's last error is kept for
 * scoop_last_error(), which names the call, the task, the host and the reason, and scoop_report(),
 * which prints it.
 *
 * Output. What a function prints to stdout or stderr appears on the root's, line by line, each
 * labelled with host and executor ("w1/0| text"), before the call that waits for the task returns.
 * Lines that come faster than they are read are dropped and counted. Only the default session does
 * so.
 *
 * Inside a function. A function may submit and wait as main() does, by all of these calls: its tasks
 * are *children*. While it waits for them it takes no slot: other tasks run in its process, on stacks
 * of their own, so it must not hold a lock meanwhile, and thread-local data may be another when it
 * goes on. What a function has not waited for when it returns is not wanted any more: those children
 * are revoked, and their futures freed. When the process of a task ends while it waits, the task runs
 * again and submits anew.
 *     SCOOP_STACK_KIB        stack of a task while others wait in its process (1024); memory is taken
 *                            as it is touched
 *
 * After a function. What it changed of its process is set back: working directory, umask, signal mask,
 * alarm, locale, rounding, limits. A process in which it closed our descriptors, or left threads or
 * processes running, is replaced by a new one; threads are looked for when there was nothing to do
 * for 5 ms. So make what shall stay, such as a pool of threads, in main() before scoop_init(). */
#ifndef SCOOP_H
#define SCOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCOOP_API __attribute__((visibility("default")))

/* Most bytes of one argument and of one result, with fixed sizes, and where else SCOOP_LARGE_MAX does not
 * hold. */
#define SCOOP_PAYLOAD_MAX ((size_t)16 << 20)
/* Most bytes of an argument or a result of any size. */
#define SCOOP_LARGE_MAX ((size_t)1 << 30)
/* Most functions that one process may register or name. */
#define SCOOP_FUNCTIONS_MAX 1024
/* As a size: each argument or result has a length of its own. */
#define SCOOP_VARIABLE UINT32_MAX
/* As a deadline: wait as long as it takes. */
#define SCOOP_FOREVER (-1)

/* How a call or a task ended. */
enum scoop_status {
    SCOOP_OK,
    /* The task ended, but not well; scoop_error() has the details. */
    SCOOP_FAILED,    /* its function called scoop_fail() */
    SCOOP_CRASHED,   /* it killed its process too often: signal or exit code */
    SCOOP_LOST,      /* the hosts that ran it were lost too often */
    SCOOP_OVERTIME,  /* killed at its own run time limit */
    SCOOP_CANCELLED, /* revoked */
    SCOOP_REFUSED,   /* the workers have no such program or function, or a different one; or the
                      * broker does not keep a durable task */
    SCOOP_EXPIRED,   /* not started within its expires_ms */
    SCOOP_BLOCKED,   /* not ended: a task that it waits for did not end well; see scoop_retry() */
    /* The call could not do it. */
    SCOOP_TIMEOUT,     /* the deadline of the call passed; the task goes on */
    SCOOP_NO_BROKER,   /* not reachable, or gone for too long */
    SCOOP_DENIED,      /* the broker refused us: key, version or limit */
    SCOOP_NO_FUNCTION, /* not registered here */
    SCOOP_TOO_LARGE,   /* above SCOOP_LARGE_MAX, SCOOP_PAYLOAD_MAX or SCOOP_FUNCTIONS_MAX */
    SCOOP_NO_MEMORY,
    SCOOP_MISUSE,    /* a wrong argument, size or setting, or a call in the wrong place */
    SCOOP_SHUT_DOWN, /* the session was closed before the task ended */
    SCOOP_END,       /* no error: there is nothing left to wait for */
};

/* The status in words: "timeout". Never NULL; valid for ever. */
SCOOP_API const char *scoop_strerror(enum scoop_status status);

/* What went wrong last in this thread: one line without newline; "" when nothing did. Borrowed
 * until this thread's next call. */
SCOOP_API const char *scoop_last_error(void);

/* Print "PROGRAM: last error" to stderr and return an exit code for main(): 1, or 0 if there was no
 * error. */
SCOOP_API int scoop_report(void);

/* "0.1.0" */
SCOOP_API const char *scoop_version(void);

/* ---- start and end ---- */

/* Call first in main(). In an executor it does not return. Otherwise opens the default session, on
 * which the plain calls work, with the settings above; does not wait for the broker. argc and argv
 * are left as they are. Errors: SCOOP_MISUSE (a setting is malformed, a key file unreadable),
 * SCOOP_NO_MEMORY; all later calls then return the same error: a program may check there. */
SCOOP_API enum scoop_status scoop_init(int *argc, char ***argv);

/* Functions of this program need this on workers; call it before scoop_init(), which tells the agent. By
 * themselves they may not start programs (execve(), system(), popen(), ...) nor open sockets, which name lookups do
 * too: such a call fails with EPERM, and the reason is among the task's lines on stderr. A worker that
 * was started with another WORKER_TASKS_MAY refuses all the same. What main() does before scoop_init()
 * on a worker is not refused, and what it has opened there can be used. No program may trace other processes, read their memory, or
 * signal the agent and other tasks; docs/SECURITY.md has the rest. */
#define SCOOP_MAY_EXEC    1U
#define SCOOP_MAY_SOCKETS 2U
SCOOP_API void scoop_may(unsigned what);

/* Close the default session: unfinished tasks are revoked. Called at exit by itself. */
SCOOP_API void scoop_fini(void);

/* ---- functions ---- */

typedef struct scoop_session scoop_session; /* opaque; one connection to one broker */
typedef struct scoop_future scoop_future;   /* opaque; handle of one task */
struct scoop_output;                        /* opaque; where a bytes function writes its result */
struct scoop_bytes;

/* One registered function. Filled in by the macros; never changed after main() started. */
struct scoop_function {
    const char *name;
    uint32_t argument_bytes;                            /* or SCOOP_VARIABLE */
    uint32_t result_bytes;                              /* or SCOOP_VARIABLE */
    void (*invoke)(const void *argument, void *result); /* of SCOOP_FUNCTION */
    void (*invoke_bytes)(const void *data,
                         size_t size,
                         struct scoop_output *out); /* of SCOOP_BYTES_FUNCTION */
    bool builtin;    /* of scoop-worker itself: see scoop_builtin() */
    uint32_t number; /* set by scoop_register() */
};

/* Used by the macros, before main(). A name that is taken ends the program with one line on stderr.
 */
SCOOP_API void scoop_register(struct scoop_function *function);

/* A function of scoop-worker itself, which needs no program: "absolute" (int32_t, int32_t) or
 * "command" (bytes, bytes; see base/command.h). Borrowed for ever; the same name and sizes give the
 * same function. NULL: SCOOP_TOO_LARGE, SCOOP_NO_MEMORY. */
SCOOP_API const struct scoop_function *
scoop_builtin(const char *name, uint32_t argument_bytes, uint32_t result_bytes);

/* Inside a function: the task fails with this code and text (printf-like, at most 4 KiB), whatever
 * is returned; the caller sees both and the host. The first call counts. It returns: leave the
 * function as usual. Outside of a task the text goes to stderr. */
SCOOP_API void scoop_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a failure that trying again cannot mend: no retry (see struct scoop_options). */
SCOOP_API void scoop_fail_forever(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Inside a function: how many results of other tasks came with it (scoop_options.after). */
SCOOP_API size_t scoop_input_count(void);

/* The one at `index`: its bytes as they lie in memory, borrowed while the function runs, not aligned;
 * none ({NULL, 0}) of a task that was forgiven. False, and *out is {NULL, 0}: there is no such one. */
SCOOP_API bool scoop_input_bytes(size_t index, struct scoop_bytes *out);

/* bool scoop_input(index, pointer): copy it to *pointer. False: there is none, or it has another size. */
#define scoop_input(index, pointer) scoop_input_copy(index, pointer, sizeof(*(pointer)))
SCOOP_API bool scoop_input_copy(size_t index, void *out, size_t size);

/* Inside a bytes function: append to the result. False: above its limit (see Sizes) or out of memory;
 * the task has failed, return. */
SCOOP_API bool scoop_write(struct scoop_output *out, const void *data, size_t size);

/* The same without a copy: room for `size` more bytes, to be filled in by the caller. Borrowed
 * until the next call on `out`; not aligned. NULL as above. */
SCOOP_API void *scoop_extend(struct scoop_output *out, size_t size);

/* Inside a function: so much of `total` is done; total 0: nobody knows of how much. May be called as often
 * as one likes, it costs some nanoseconds: what was said last is shown ten times a second, and at the end, to
 * the holder of the future (scoop_progress_of()), in `scoop status` and on the page. Nothing outside of a
 * task, nor in another thread of the function. */
SCOOP_API void scoop_progress(uint64_t done, uint64_t total);

/* Inside a function: give a piece of the result ahead, at most SCOOP_PARTIAL_MAX bytes, which the holder of
 * the future may take at once: scoop_partial_next(). Pieces come in order. They never hold up the function:
 * where they come faster than they travel or are taken, some are dropped, and their taker sees how many; so
 * they are no place for what must arrive, which is the result. False: too large, or outside of a task. */
SCOOP_API bool scoop_partial(const void *data, size_t size);
#define SCOOP_PARTIAL_MAX ((size_t)32 << 10)

/* ---- plain calls, on the default session ----
 * `f` is the name of a function of SCOOP_FUNCTION, visible at that place. */

/* scoop_future *scoop_submit(f, argument): start f(argument) somewhere. Waits only while the
 * broker's credit is used up. Owned by the caller: scoop_future_free(). NULL: see
 * scoop_submit_with(). */
#define scoop_submit(f, ...) scoop_submit_on(NULL, NULL, f, __VA_ARGS__)

/* enum scoop_status scoop_map(f, in, out, n): out[i] = f(in[i]) for all i < n, everywhere at once;
 * returns when all have ended. in and out are arrays of f's own types (checked by the compiler) and
 * may be the same. When tasks failed the others' results are in `out`, the places of the failed
 * ones are untouched, and the status is that of the failed one with the lowest index; see
 * scoop_map_with() for more. */
#define scoop_map(f, in, out, n) scoop_map_on(NULL, NULL, f, in, out, n)

/* ---- the same on a session of one's own, with options ---- */

struct scoop_options {
    /* Of the call: scoop_map() until all ended, scoop_submit() until handed over. 0: none */
    int deadline_ms;
    /* Run time of each task, after which it is killed (SCOOP_OVERTIME). 0: none */
    uint32_t limit_ms;
    /* A task whose function called scoop_fail() is tried again, anywhere, at most this many times;
     * what is delivered is the outcome of the last try. Crashes and lost hosts are not counted
     * here: those tasks run again anyway. 0 ... SCOOP_RETRIES_MAX */
    uint32_t retries;
    /* Pause before the first of these; it doubles from one to the next, up to a minute (or to this,
     * when it is longer). 0: at once; at most an hour */
    uint32_t backoff_ms;
    /* Not started on a worker so long after the broker accepted it: the task ends with
     * SCOOP_EXPIRED. 0: never. One that was started once is not affected. */
    uint32_t expires_ms;
    /* Of this session's waiting tasks those of a higher priority start first; other sessions take
     * no notice of it. -SCOOP_PRIORITY_MAX ... SCOOP_PRIORITY_MAX; 0: the ordinary one */
    int priority;
    /* Run it on this worker only, when a slot is free there: its incarnation, as scoop_cluster()
     * tells. SCOOP_LOST: it has left, or was lost. 0: on any. Means nothing to durable tasks. */
    uint64_t worker;
    /* What it needs of a worker, beside a slot: "gpu=1,ram=4G,ssd". Names with a quantity (a whole number,
     * with K, M, G or T for powers of 1024) are taken from what the worker has (its --resources) until the
     * task has ended, also while it waits for children; a bare name is only a condition. Of a name that
     * the broker has (its own --resources) there is so much in the whole cluster: with "db=4" there,
     * never more than four tasks that need "db=1" run at a time, wherever they are. A task that no
     * worker can serve waits, and is seen in scoop_cluster(). At most SCOOP_NEEDS_MAX characters, and 4096
     * different texts in one process. NULL,
     * "": nothing. Not with `worker`; serially it means nothing */
    const char *needs;
    /* How many tasks a worker may be given for each of its slots, so that it has the next ones at hand. 0: as
     * the broker chooses from their measured run time: one, or as many as fill 4 ms. 1: one at a time, for
     * tasks of very different length. At most SCOOP_BATCH_MAX */
    unsigned batch;
    /* A task that has not ended so long after a worker was given it is a straggler: it is started on another
     * worker as well, once, as soon as one has a free slot that no waiting task can take. Who ends well
     * first gives the result, and the other is killed; an error of one counts only when the other did
     * not end well, either. So what it does besides may be done twice, at the same time. Not for large
     * arguments, nor while it waits for children; what a copy prints is not shown. 0: never. Not for
     * durable tasks */
    uint32_t rerun_after_ms;
    /* For scoop_submit(): the task waits until these futures of the same session have ended well, and
     * gets their results, in this order: scoop_input(). They need not be kept. When one of them does
     * not end well the task is blocked: see scoop_retry(). NULL, 0: none; at most 65536. Not for tasks
     * that functions submit on workers: those may wait themselves */
    scoop_future *const *after;
    size_t after_count;
    /* For scoop_submit(): a name for the task, within this session. While a future of that name is not freed,
     * each further submit gets the same future, whatever its argument and options, and also when it has
     * ended, well or not; it is to be freed once for each submit. SCOOP_MISUSE: it is a task of another
     * function. For one name over all clients, which also outlives them, use scoop_durable_id(). NULL: none.
     * Not for tasks that functions submit. */
    const char *unique;
    /* For scoop_submit_durable() the same as `after` by ids of durable tasks, which must have been submitted before:
     * scoop_durable_retry() and scoop_durable_forgive() release what is blocked. Such a task keeps what it
     * waits for from being forgotten until it has ended well, or is forgotten itself. */
    const uint64_t *after_ids;
    size_t after_id_count;
};

#define SCOOP_RETRIES_MAX  1000
#define SCOOP_PRIORITY_MAX 100
#define SCOOP_NEEDS_MAX    63
#define SCOOP_BATCH_MAX    4096

/* session NULL: the default one. options NULL: all zero. */
#define scoop_submit_on(session, options, f, ...)                                                  \
    scoop_submit_with(session, options, &scoop_function_##f,                                       \
                      &(struct scoop_argument_##f){__VA_ARGS__},                                   \
                      sizeof(struct scoop_argument_##f))
#define scoop_map_on(session, options, f, in, out, n)                                              \
    scoop_map_with(session, options, SCOOP_CHECKED_(f, in, out), in, sizeof(*(in)), out,           \
                   sizeof(*(out)), n)

/* Any function, any bytes; the argument is copied. For a function with a fixed size `size` must be
 * that size. Owned by the caller: scoop_future_free(). NULL: SCOOP_MISUSE, SCOOP_TOO_LARGE,
 * SCOOP_NO_FUNCTION, SCOOP_NO_BROKER, SCOOP_DENIED, SCOOP_TIMEOUT, SCOOP_NO_MEMORY. */
SCOOP_API scoop_future *scoop_submit_with(scoop_session *session,
                                          const struct scoop_options *options,
                                          const struct scoop_function *function,
                                          const void *argument,
                                          size_t size);

/* out[i] = function(in[i]) for arrays of elements of these sizes, which must be the function's.
 * Errors: those of scoop_submit_with(), or the outcome of the task with the lowest index that did
 * not end well, or SCOOP_TIMEOUT: tasks that have not ended then are abandoned, and `out` is not
 * touched any more. */
SCOOP_API enum scoop_status scoop_map_with(scoop_session *session,
                                           const struct scoop_options *options,
                                           const struct scoop_function *function,
                                           const void *in,
                                           size_t in_bytes,
                                           void *out,
                                           size_t out_bytes,
                                           size_t n);

/* Variable-size data. */
struct scoop_bytes {
    const void *data;
    size_t size;
};

/* The same for functions of SCOOP_BYTES_FUNCTION. out[i].data is owned by the caller:
 * scoop_bytes_free(out, n), also after an error; the places of failed tasks are {NULL, 0}. */
SCOOP_API enum scoop_status scoop_map_bytes(scoop_session *session,
                                            const struct scoop_options *options,
                                            const struct scoop_function *function,
                                            const struct scoop_bytes *in,
                                            struct scoop_bytes *out,
                                            size_t n);

/* Free the data of n elements and clear them. NULL data is accepted. */
SCOOP_API void scoop_bytes_free(struct scoop_bytes *bytes, size_t n);

/* ---- futures ---- */

/* Wait until the task has ended, well or not. SCOOP_OK: it has. SCOOP_TIMEOUT: not within
 * deadline_ms (0: just look, SCOOP_FOREVER: no deadline). NULL future: SCOOP_MISUSE. An outcome is
 * not an error of waiting: see scoop_result(). No wait is for ever: when the broker stays away for
 * SCOOP_RECONNECT_MS, the task ends with SCOOP_NO_BROKER. */
SCOOP_API enum scoop_status scoop_wait(scoop_future *future, int deadline_ms);

/* Has it ended? Never waits. */
SCOOP_API bool scoop_done(scoop_future *future);

/* enum scoop_status scoop_result(future, pointer): wait for the end and copy the result to
 * *pointer, whose size must be that of the result. Otherwise the task's outcome, and *pointer is
 * untouched. May be called again. */
#define scoop_result(future, pointer) scoop_result_copy(future, pointer, sizeof(*(pointer)))
SCOOP_API enum scoop_status scoop_result_copy(scoop_future *future, void *result, size_t size);

/* The same for any size: *out is borrowed until scoop_future_free(). */
SCOOP_API enum scoop_status scoop_result_bytes(scoop_future *future, struct scoop_bytes *out);

/* How a task ended. Texts are borrowed until scoop_future_free(). */
struct scoop_error {
    enum scoop_status status;
    /* FAILED: the function's; CRASHED: exit code, or 128 + signal; OVERTIME, EXPIRED: the limit in ms;
     * CANCELLED: an enum scoop_cancelled */
    uint32_t code;
    unsigned attempts; /* executions, this one included */
    uint32_t run_us; /* time in the function, of the last attempt; waits for children not counted */
    const char *function;
    const char *host; /* of the last attempt; "" when it never ran */
    const char *text; /* why, for people; "" when it ended well */
};

/* Details of a task that has ended; does not wait. False while it has not. */
SCOOP_API bool scoop_error(scoop_future *future, struct scoop_error *out);

/* What became of a task that was cancelled. */
enum scoop_cancelled {
    SCOOP_UNANSWERED, /* not known yet: scoop_last_error() says why */
    SCOOP_NEVER_RAN,  /* no try of it ever began, and none will */
    SCOOP_STOPPED,    /* it was running, and its process is gone */
    SCOOP_DISCARDED, /* it ran before, to its end or on a host that was lost; its result is dropped */
    SCOOP_TOO_LATE, /* it had ended: its outcome stays what it is */
};

/* Cancel the task. Unless it is too late, the future ends with SCOOP_CANCELLED and the answer as code.
 * No answer within deadline_ms (SCOOP_FOREVER: no deadline): SCOOP_UNANSWERED; the request stands, and
 * may be made again to wait for its answer. A NULL future is SCOOP_UNANSWERED, too. */
SCOOP_API enum scoop_cancelled scoop_cancel(scoop_future *future, int deadline_ms);

/* The task did not end well, and others wait for it (scoop_options.after): they are blocked. That shows
 * in scoop_cluster(); scoop_wait() and scoop_result() of them, and of what waits for them in turn, return
 * SCOOP_BLOCKED at once, and they stay what they are until one of these is called, or they are cancelled.
 *
 * scoop_retry(): run it once more, as a new task with the same function, argument and options; what waits
 * for `failed` waits for that one from now on. `failed` stays as it is. Owned by the caller:
 * scoop_future_free(). NULL: SCOOP_MISUSE (it has not ended, or ended well), or as scoop_submit_with().
 *
 * scoop_forgive(): what waits for it goes on, and gets no bytes in its place. */
SCOOP_API scoop_future *scoop_retry(scoop_future *failed);
SCOOP_API enum scoop_status scoop_forgive(scoop_future *failed);

/* Forget the future. A task that has not ended goes on unnoticed. NULL is accepted. */
SCOOP_API void scoop_future_free(scoop_future *future);

/* ---- while a task runs ----
 * What its worker tells of it, a tenth of a second late at most. It is news, not a promise: a task that ends
 * within 50 ms may never seem to run, and only the end is certain. Told of futures of scoop_submit(), also to a
 * function of its children, when it goes on: they may run in its own process; of a durable task `scoop status` and `scoop tasks` tell. Serially a
 * task has ended when scoop_submit() returns; then its last progress and its pieces are here. */

/* Is it running now, on some worker? A task that waits for its children is. Never waits. */
SCOOP_API bool scoop_running(scoop_future *future);

/* How far it is, or was when it ended, as its function said last: true, and *done and *total are set. False:
 * it has not said so. When a task runs again, after a crash or a loss, it begins anew. Never waits. */
SCOOP_API bool scoop_progress_of(scoop_future *future, uint64_t *done, uint64_t *total);

/* Wait until there is something new of it: it began, or began again, it is farther, or a piece of its result
 * came. SCOOP_OK: there is; SCOOP_END: nothing more will come, it has ended; SCOOP_TIMEOUT; SCOOP_BLOCKED and
 * SCOOP_MISUSE as scoop_wait(). One thread at a time waits so for one future. */
SCOOP_API enum scoop_status scoop_wait_news(scoop_future *future, int deadline_ms);

/* A piece of a result that a function gave ahead by scoop_partial(). */
struct scoop_piece {
    const void
        *data; /* aligned; borrowed until the next scoop_partial_next() or scoop_future_free() */
    size_t size;
    unsigned
        attempt; /* which execution gave it: pieces of one that was lost stay, the next begins anew */
    uint32_t index;   /* of that execution's pieces: 0, 1, 2, ... */
    uint32_t missing; /* pieces that were dropped just before this one */
};

/* The next piece, also after the end: wait for it. SCOOP_OK; SCOOP_END: it has ended, and all were taken;
 * SCOOP_TIMEOUT: none within deadline_ms (0: just look). SCOOP_BLOCKED and SCOOP_MISUSE as scoop_wait(). One
 * thread at a time takes those of one future. Up to 1 MiB of one future, and 64 MiB in all, wait here to be
 * taken; what comes when there are more is dropped. After the loss of a broker executions are counted from 1
 * again. */
SCOOP_API enum scoop_status
scoop_partial_next(scoop_future *future, int deadline_ms, struct scoop_piece *piece);

/* ---- many futures ----
 * A NULL among them is skipped, so that those that were used up may be freed and set to NULL.
 * Waiting tells *that* a task has ended, never raises its error. */

/* Wait until one of them has ended: *index is its place (the lowest, when several have).
 * SCOOP_TIMEOUT: none within deadline_ms. SCOOP_END: all are NULL. SCOOP_MISUSE: futures of two
 * sessions. *index is untouched then. Each call looks at all n: for one future after the other an
 * iterator is cheaper. */
SCOOP_API enum scoop_status
scoop_wait_any(scoop_future *const *futures, size_t n, int deadline_ms, size_t *index);

/* Wait until all of them have ended. SCOOP_TIMEOUT: not all within deadline_ms. *done (may be NULL)
 * is how many have, in both cases. */
SCOOP_API enum scoop_status
scoop_wait_all(scoop_future *const *futures, size_t n, int deadline_ms, size_t *done);

typedef struct scoop_iterator scoop_iterator; /* opaque; futures in the order of their ends */

/* An iterator over these futures, which must be of one session. They stay the caller's: one that is
 * freed before its turn counts as ended. Owned by the caller: scoop_iterator_free(). NULL:
 * SCOOP_MISUSE, SCOOP_NO_MEMORY. */
SCOOP_API scoop_iterator *scoop_as_completed(scoop_future *const *futures, size_t n);

/* One more future, whose index is the next: n, n + 1, ... SCOOP_MISUSE, SCOOP_NO_MEMORY. */
SCOOP_API enum scoop_status scoop_iterator_add(scoop_iterator *it, scoop_future *future);

/* scoop_iterator *scoop_map_as_completed(f, in, out, n): scoop_map() whose results are handed out
 * in the order in which they come: scoop_next() gives i when out[i] = f(in[i]) is there. Up to 4096
 * tasks (or 64 MiB of data) are under way at a time; scoop_next() starts the others. Freeing the iterator abandons what
 * has not ended. The arrays belong to it until then. */
#define scoop_map_as_completed(f, in, out, n) scoop_map_as_completed_on(NULL, NULL, f, in, out, n)
#define scoop_map_as_completed_on(session, options, f, in, out, n)                                 \
    scoop_map_as_completed_with(session, options, SCOOP_CHECKED_(f, in, out), in, sizeof(*(in)),   \
                                out, sizeof(*(out)), n)
SCOOP_API scoop_iterator *scoop_map_as_completed_with(scoop_session *session,
                                                      const struct scoop_options *options,
                                                      const struct scoop_function *function,
                                                      const void *in,
                                                      size_t in_bytes,
                                                      void *out,
                                                      size_t out_bytes,
                                                      size_t n);

/* The next one that has ended, well or not: SCOOP_OK and its *index. SCOOP_END: each was handed out
 * once. SCOOP_TIMEOUT: no further one within deadline_ms. Of a map: the outcome of task *index, and
 * out[*index] is untouched unless it is SCOOP_OK; or, when further tasks cannot be started, the
 * errors of scoop_submit_with(). */
SCOOP_API enum scoop_status scoop_next(scoop_iterator *it, int deadline_ms, size_t *index);

/* NULL is accepted. */
SCOOP_API void scoop_iterator_free(scoop_iterator *it);

/* ---- callbacks ---- */

typedef void scoop_callback(scoop_future *future, void *context);

/* Have call(future, context) called when the task has ended, well or not: in the calling thread,
 * while it waits (scoop_wait(), scoop_result(), scoop_wait_any(), scoop_next(), scoop_map(), ... of
 * the same session, whatever it waits for) or is in scoop_process(); never in another thread. What
 * has ended already is called for at once. A future may have several: they are called in this
 * order, before a wait for the future returns. A callback may call everything here; it may free its
 * future when nobody waits for that. Callbacks of a future that is freed are forgotten.
 * SCOOP_MISUSE, SCOOP_NO_MEMORY. */
SCOOP_API enum scoop_status scoop_then(scoop_future *future, scoop_callback *call, void *context);

/* ---- maps that end in a sum ----
 * `add` is a reducer: SCOOP_REDUCER(type, add, type a, type b) { body } returns the sum of two
 * values of its type, whatever that may be. It must be associative, add(add(a, b), c) being add(a,
 * add(b, c)); the order of the values is kept. f returns that type. Both are checked by the
 * compiler. */

/* enum scoop_status scoop_map_reduce(f, add, in, n, out): *out = the sum of all f(in[i]), i < n. A
 * tree of tasks: each splits its part into halves, until there is so little left that it is computed
 * on the spot, 1/1024 of n; sums go up the tree, only the last one comes here. n 0: *out is
 * untouched. Errors: as scoop_map(), of any of the tasks. */
#define scoop_map_reduce(f, add, in, n, out) scoop_map_reduce_on(NULL, NULL, f, add, in, n, out)

/* enum scoop_status scoop_map_scan(f, add, in, out, n): every running sum: out[i] = the sum of f(in[0])
 * to f(in[i]). In pieces, whose totals are then summed in logarithmically many rounds. in and out
 * may be the same. After an error `out` is untouched. */
#define scoop_map_scan(f, add, in, out, n) scoop_map_scan_on(NULL, NULL, f, add, in, out, n)

/* options->deadline_ms is that of the whole; limit_ms (which counts the waits for other tasks, too),
 * retries, backoff_ms and priority are those of each of its tasks. */
#define scoop_map_reduce_on(session, options, f, add, in, n, out)                                  \
    scoop_map_reduce_with(session, options, SCOOP_CHECKED_(f, in, out),                            \
                          SCOOP_CHECKED_REDUCER_(add, out), in, sizeof(*(in)), n, out,             \
                          sizeof(*(out)))
#define scoop_map_scan_on(session, options, f, add, in, out, n)                                    \
    scoop_map_scan_with(session, options, SCOOP_CHECKED_(f, in, out),                              \
                        SCOOP_CHECKED_REDUCER_(add, out), in, sizeof(*(in)), out, sizeof(*(out)),  \
                        n)
SCOOP_API enum scoop_status scoop_map_reduce_with(scoop_session *session,
                                                  const struct scoop_options *options,
                                                  const struct scoop_function *function,
                                                  const struct scoop_function *add,
                                                  const void *in,
                                                  size_t in_bytes,
                                                  size_t n,
                                                  void *out,
                                                  size_t out_bytes);
SCOOP_API enum scoop_status scoop_map_scan_with(scoop_session *session,
                                                const struct scoop_options *options,
                                                const struct scoop_function *function,
                                                const struct scoop_function *add,
                                                const void *in,
                                                size_t in_bytes,
                                                void *out,
                                                size_t out_bytes,
                                                size_t n);

/* ---- more tasks than memory ----
 * Arguments come from a function of yours, one after the other, and results go to another one in the
 * same order, both in the calling thread. At most `window` tasks are under way or wait for their
 * turn: each takes some 300 bytes here, its argument and its result. None is begun while arguments of
 * 64 MiB are there. */
struct scoop_stream {
    /* Set *argument (borrowed until the next call). False: there are no more. */
    bool (*source)(void *context, struct scoop_bytes *argument);
    /* Take result `index` (borrowed, as *error, for the call). error NULL: it ended well. False:
     * that is enough; what is under way is abandoned. */
    bool (*sink)(void *context,
                 uint64_t index,
                 struct scoop_bytes result,
                 const struct scoop_error *error);
    void *context;
    size_t window; /* 0: 1024 */
};

/* scoop_stream(f, &stream): until the source has no more, or the sink has enough: SCOOP_OK, whatever
 * the tasks' outcomes are. options->deadline_ms is that of the whole: SCOOP_TIMEOUT. Other errors:
 * those of scoop_submit_with(); the tasks before were handed to the sink, or are abandoned. */
#define scoop_stream(f, stream) scoop_stream_with(NULL, NULL, SCOOP_HANDLE(f), stream)
SCOOP_API enum scoop_status scoop_stream_with(scoop_session *session,
                                              const struct scoop_options *options,
                                              const struct scoop_function *function,
                                              const struct scoop_stream *stream);

/* ---- on every worker ---- */

/* One call on each of `count` workers. The futures are as any other, but freed by
 * scoop_everywhere_free(); a place that was freed before must be set to NULL. */
struct scoop_everywhere {
    size_t count;
    scoop_future **futures;
    const char **hosts; /* hosts[i] is where futures[i] runs */
};

/* struct scoop_everywhere *scoop_each(f, argument): f(argument) once on every worker that the broker
 * knows now, as soon as a slot is free there; serially once, here. It ends with SCOOP_LOST when its
 * worker goes first. Owned by the caller: scoop_everywhere_free(). NULL: errors of scoop_cluster()
 * and scoop_submit_with(). */
#define scoop_each(f, ...)                                                                         \
    scoop_each_with(NULL, NULL, &scoop_function_##f, &(struct scoop_argument_##f){__VA_ARGS__},    \
                    sizeof(struct scoop_argument_##f))
SCOOP_API struct scoop_everywhere *scoop_each_with(scoop_session *session,
                                                   const struct scoop_options *options,
                                                   const struct scoop_function *function,
                                                   const void *argument,
                                                   size_t size);

/* Forgets what has not ended. NULL is accepted. */
SCOOP_API void scoop_everywhere_free(struct scoop_everywhere *all);

/* ---- in a program with an event loop of its own ---- */

/* A descriptor to poll for reading: readable when a future of this session (NULL: the default one)
 * has ended since the last scoop_process(), and at first. Borrowed until the session is closed; do
 * not read it. -1: SCOOP_MISUSE, SCOOP_NO_MEMORY. */
SCOOP_API int scoop_fd(scoop_session *session);

/* Take what has come, without waiting, and run this thread's callbacks that are due; then look at
 * scoop_done(), or scoop_next() with a deadline of 0. Errors: those of scoop_init(). */
SCOOP_API enum scoop_status scoop_process(scoop_session *session);

/* ---- constants ----
 * A value that is set once, by main(), and can be read everywhere: in its functions, and by other
 * programs of the same broker. It never changes, and ends with the session that set it.
 *
 *     scoop_constant_set(NULL, "table", table, sizeof(table));          // main(), before the tasks
 *
 *     struct scoop_bytes table;                                         // a function
 *     if (scoop_constant(NULL, "table", &table) != SCOOP_OK)
 *         scoop_fail(1, "%s", scoop_last_error());
 *
 * Each process gets the bytes once. A function's first call for a constant in each of its tasks waits for
 * the broker to say that it is still the same, as for a child; further ones cost nothing. */

/* Most bytes of a name and of a value. All constants of a broker have 64 MiB together. */
#define SCOOP_CONSTANT_NAME_MAX 255
#define SCOOP_CONSTANT_MAX      ((size_t)1 << 20)

/* Set a constant, and wait until the broker has it; the value is copied. Names are the broker's, not
 * the program's: prefix them. SCOOP_REFUSED: there is one of this name, whatever its value (says who
 * set it), or no room. When the broker is lost it is set anew before any unfinished task goes out; if
 * somebody else has taken its name by then, the session ends with SCOOP_DENIED. SCOOP_MISUSE: inside
 * a function, or not a name (1 to 255 bytes, no control characters: SCOOP_REFUSED). Other errors:
 * those of scoop_result(). */
SCOOP_API enum scoop_status
scoop_constant_set(scoop_session *session, const char *name, const void *data, size_t size);

/* Read one. *out is borrowed until the session is closed, inside a function until that returns; not
 * aligned. SCOOP_REFUSED: none of this name is set. Who has read a constant keeps it, also when it has
 * ended meanwhile. Other errors: those of scoop_result(). */
SCOOP_API enum scoop_status
scoop_constant(scoop_session *session, const char *name, struct scoop_bytes *out);

/* Set one that does not end with this session: the broker keeps it until somebody unsets it; over its own
 * end, too, if it was started with --journal, and then this call waits until the constant is in the journal.
 * Without a journal it ends with the broker. Errors: as above; SCOOP_REFUSED also when the journal is full or
 * does not answer, SCOOP_NO_BROKER when no broker is set. */
SCOOP_API enum scoop_status
scoop_constant_keep(scoop_session *session, const char *name, const void *data, size_t size);

/* Unset one that is kept; its name is free then. SCOOP_REFUSED: there is none, or it belongs to a
 * session. A broker that is killed in the same moment may keep it still: look, or unset it again. */
SCOOP_API enum scoop_status scoop_constant_unset(scoop_session *session, const char *name);

/* ---- large values for many tasks ----
 * A value that main() has and many tasks read: instead of the bytes each argument has a reference to them.
 *
 *     struct scoop_ref table = scoop_scatter(NULL, rows, sizeof(rows));   // main()
 *     if (table.size == 0)
 *         return scoop_report();
 *
 *     SCOOP_FUNCTION(double, row_sum, struct question q)                  // q.table is that reference
 *     {
 *         size_t count;
 *         const struct row *rows = SCOOP_SCATTERED(struct row, q.table, &count);
 *         if (rows == NULL)
 *             scoop_fail(1, "%s", scoop_last_error());
 *         ...
 *
 * A host fetches a value when the first of its functions reads it, so only those that need it have it; once,
 * also for the children of its tasks on other hosts; and all its processes share these bytes. While a
 * function waits for that it takes no slot. A value lives in the memory of its host, which a limit
 * of task memory counts in each process that has read it. A host that was restarted fetches it again. */

/* A reference: plain data, for arguments and results. Equal references mean the same value. */
struct scoop_ref {
    uint64_t id[2]; /* random */
    uint64_t size;  /* of the value, in bytes; 0: it is none */
};

/* Make a reference to `size` bytes, 1 to SCOOP_LARGE_MAX. Nothing is sent and nothing copied: the bytes stay
 * the caller's, who keeps them unchanged until scoop_unscatter() or the session's end. Size 0 on error:
 * SCOOP_TOO_LARGE; SCOOP_MISUSE: no bytes, or inside a function; SCOOP_NO_MEMORY; those of scoop_init(). */
SCOOP_API struct scoop_ref scoop_scatter(scoop_session *session, const void *data, size_t size);

/* Read a value, in main() or in a function. *out is borrowed, until the function returns; in main() until
 * scoop_unscatter(). It cannot be written to, and begins at a page. SCOOP_REFUSED: it was freed, its
 * session has ended, or the host has no room for it; for durable tasks, whose client may be gone. Other
 * errors: those of scoop_result(). */
SCOOP_API enum scoop_status
scoop_scattered(scoop_session *session, struct scoop_ref ref, struct scoop_bytes *out);

/* The same as items of a type: a const type *, and their number in *count. NULL: see above; SCOOP_MISUSE: that
 * is not a whole number of them. */
#define SCOOP_SCATTERED(type, ref, count)                                                          \
    ((const type *)scoop_scattered_items((ref), sizeof(type), (count)))
SCOOP_API const void *scoop_scattered_items(struct scoop_ref ref, size_t item_bytes, size_t *count);

/* The value will not be read any more: its bytes may be changed or freed when this returns. A function that
 * reads it all the same gets SCOOP_REFUSED, or the bytes as they were where its host still has them.
 * Hosts are told, also when the session ends, and let it go. SCOOP_REFUSED: this session has none. */
SCOOP_API enum scoop_status scoop_unscatter(scoop_session *session, struct scoop_ref ref);

/* ---- durable tasks ----
 * They outlive this program and the broker: the broker keeps them in its journal (a Redis, see
 * scoop-broker --journal). Whoever knows the id of one can wait for it, from any program, as often
 * as wanted. Its outcome is kept until it is forgotten, or for a time that the broker sets.
 *
 *     uint64_t id = 0;
 *     scoop_future *kept = scoop_submit_durable(NULL, NULL, SCOOP_HANDLE(f), &x, sizeof(x), &id);
 *     if (kept == NULL || scoop_result_bytes(kept, &nothing) != SCOOP_OK)
 *         return scoop_report();                     // it is not in the journal, and will not run
 *     printf("%016llx\n", (unsigned long long)id);   // from here on it is safe
 *
 *     scoop_future *result = scoop_attach(NULL, id); // there or elsewhere, now or later
 */

/* Most bytes of the argument of a durable task, with 8 more for each that it waits for. */
#define SCOOP_DURABLE_MAX (SCOOP_PAYLOAD_MAX - ((size_t)16 << 10))

/* Ask for a durable task. The future ends with SCOOP_OK and no result when it is in the journal; with
 * SCOOP_REFUSED and a text when the broker has none, or the journal is full or away: then it never
 * runs. Ask again after any other outcome: under the same id it is the same task.
 * *id names the task, at once: 0 becomes a random number, another value stays (your own numbers, or
 * scoop_durable_id()). NULL and errors: see scoop_submit_with(). The future may be freed
 * early, and cancelling it does not cancel the durable task. */
SCOOP_API scoop_future *scoop_submit_durable(scoop_session *session,
                                             const struct scoop_options *options,
                                             const struct scoop_function *function,
                                             const void *argument,
                                             size_t size,
                                             uint64_t *id);

/* The id that belongs to a name of any length: the same everywhere, never 0. */
SCOOP_API uint64_t scoop_durable_id(const char *name);

/* A future that ends as the durable task with this id does, also when that has ended long ago.
 * SCOOP_REFUSED: the broker keeps none of this id. SCOOP_BLOCKED: it has not ended, and what it waits for did
 * not end well (the text says which); attach again when that was retried or forgiven. Ending this session or freeing the future
 * changes nothing for the task. NULL: see scoop_submit_with(). */
SCOOP_API scoop_future *scoop_attach(scoop_session *session, uint64_t id);

/* What can be done to the durable task with this id. SCOOP_OK: it is done; SCOOP_REFUSED: not, and
 * why; else as scoop_connect(). After a SCOOP_TIMEOUT ask again: doing it twice does no harm.
 *   forget  the broker drops its outcome; OK also when there is none, refused while it has not ended
 *   cancel  it ends as SCOOP_CANCELLED, and is killed if it runs; refused when it has ended
 *   retry   it runs once more, with its tries counted anew, and what waits for it waits for that; refused
 *           when it ended well
 *   forgive it did not end well: what waits for it goes on, now and later, and gets no bytes in its place;
 *           refused otherwise */
SCOOP_API enum scoop_status
scoop_durable_forget(scoop_session *session, uint64_t id, int deadline_ms);
SCOOP_API enum scoop_status
scoop_durable_cancel(scoop_session *session, uint64_t id, int deadline_ms);
SCOOP_API enum scoop_status
scoop_durable_retry(scoop_session *session, uint64_t id, int deadline_ms);
SCOOP_API enum scoop_status
scoop_durable_forgive(scoop_session *session, uint64_t id, int deadline_ms);

struct scoop_durable {
    uint64_t id;
    const char *state;        /* "accepting", "waiting", "blocked", "ready", "running", "ended" */
    enum scoop_status status; /* of one that has ended */
    unsigned attempts;
    uint32_t run_us;     /* of the last attempt; of a running one so far */
    const char *program; /* "": a builtin */
    const char *function;
    uint64_t waits_for; /* of a waiting or blocked one: which it is, or the first of them; else 0 */
    uint64_t done;      /* of a running one: see scoop_progress() */
    uint64_t total;
};

struct scoop_durables {
    uint64_t kept; /* by the broker; `list` may have fewer */
    size_t count;
    const struct scoop_durable *list; /* longest there first */
};

/* The durable tasks that the broker keeps, `most` at most (0: as many as one answer holds); only those
 * that did not end well, if asked so. *out is owned by the caller: scoop_durables_free(). */
SCOOP_API enum scoop_status scoop_durables(scoop_session *session,
                                           bool failed_only,
                                           uint32_t most,
                                           int deadline_ms,
                                           struct scoop_durables **out);
SCOOP_API void scoop_durables_free(struct scoop_durables *durables);

/* ---- sessions of one's own ---- */

/* Each NULL or 0: as the environment says. Borrowed during the call. */
struct scoop_settings {
    const char *broker;
    const char *client_key_file;
    const char *broker_key_file;
    const char *name; /* in logs and listings; NULL: the program's base name */
    int connect_ms;
    int reconnect_ms;
};

/* A session, beside the default one. Does not wait for the broker, and keeps dialling for as long
 * as it is open; calls wait connect_ms for it. Unlike the default session it never computes
 * serially. Needs no scoop_init(). Owned by the caller: scoop_close(). NULL: SCOOP_MISUSE (no
 * broker named, malformed URL, unreadable key), SCOOP_NO_MEMORY. */
SCOOP_API scoop_session *scoop_open(const struct scoop_settings *settings);

/* Close it: unfinished tasks are revoked and end with SCOOP_SHUT_DOWN; their futures stay valid
 * until freed. Takes at most a second. NULL is accepted. */
SCOOP_API void scoop_close(scoop_session *session);

/* Wait until the broker has answered. SCOOP_OK, SCOOP_NO_BROKER (names the address), SCOOP_DENIED.
 */
SCOOP_API enum scoop_status scoop_connect(scoop_session *session, int deadline_ms);

/* ---- what the broker knows ---- */

struct scoop_worker {
    const char *host;
    const char *version;
    const char *state;    /* "ready", "silent", "draining", "lost", "left" */
    uint64_t incarnation; /* names one life of one agent */
    uint64_t done;        /* tasks, since it came */
    uint64_t failed;
    uint32_t pid;
    uint32_t slots;
    uint32_t busy;         /* slots in use */
    uint32_t leased;       /* tasks it holds */
    uint32_t silent_ms;    /* since the broker heard of it last */
    const char *resources; /* what it has for tasks: "gpu=2,ram=8G,ssd"; "": nothing named */
    const char *taken;     /* of these, by tasks that it holds */
};

/* Unfinished tasks that need the same of a worker (struct scoop_options). */
struct scoop_class {
    const char *needs;
    uint64_t ready;  /* of them */
    uint64_t leased; /* of them */
    uint32_t able;   /* workers that have it, taken or not; 0: these tasks wait for one to come */
};

/* A task that runs, and has for a while (50 ms). */
struct scoop_running_task {
    uint64_t id;          /* of a durable one its own, else the broker's */
    uint64_t run_ms;      /* since it began this time */
    uint64_t done, total; /* as its function said last; total 0: it did not say, or does not know */
    unsigned attempt;
    bool waiting; /* for its children: it takes no slot */
    const char *function;
    const char *program; /* "": a builtin of scoop-worker */
    const char *client;  /* the name of the session that submitted it; "durable"; "a function" */
    const char *host;    /* where it runs */
};

struct scoop_cluster {
    const char *version; /* of the broker */
    uint64_t epoch;
    uint64_t uptime_ms;
    uint64_t ready;   /* tasks waiting for a slot */
    uint64_t leased;  /* tasks held by workers */
    uint64_t resting; /* failed tasks before their next try */
    uint64_t held;    /* tasks that wait for others to end */
    uint64_t blocked; /* tasks that wait for one that did not end well */
    uint64_t accepted, done, failed, requeued, stale; /* since the broker started */
    uint32_t sessions;
    uint32_t alive; /* workers that are neither lost nor left */
    uint32_t slots; /* of those */
    size_t worker_count;
    const struct scoop_worker *workers;
    size_t running_count; /* at most 16: those that run longest, longest first */
    const struct scoop_running_task *running;
    size_t class_count;
    const struct scoop_class *classes; /* those with ready or leased tasks */
};

/* Ask the broker. session NULL: the default one. *out is owned by the caller: scoop_cluster_free();
 * NULL on error. Errors: SCOOP_NO_BROKER, SCOOP_DENIED, SCOOP_TIMEOUT, SCOOP_NO_MEMORY,
 * SCOOP_MISUSE. */
SCOOP_API enum scoop_status
scoop_cluster(scoop_session *session, int deadline_ms, struct scoop_cluster **out);
SCOOP_API void scoop_cluster_free(struct scoop_cluster *cluster);

/* Wait until the workers have at least so many slots in all. SCOOP_TIMEOUT: not within deadline_ms
 * (it says how many there are). Serially it does not wait. Errors: those of scoop_cluster(). */
SCOOP_API enum scoop_status
scoop_wait_for_workers(scoop_session *session, unsigned slots, int deadline_ms);

/* ---- the macros (C11 with GCC's or clang's extensions; not for C++) ---- */

#ifndef __cplusplus

/* SCOOP_FUNCTION(result type, name, type parameter) { body }
 * A function of one parameter, passed and returned by value: numbers, enums, bool, structs, unions;
 * no pointers, no arrays. In a program of several files: SCOOP_DECLARE(result type, name, type
 * parameter); in a header, and SCOOP_DEFINE(the same) { body } in one file. */
#define SCOOP_FUNCTION(result_type, name, ...)                                                     \
    SCOOP_DECLARE(result_type, name, __VA_ARGS__);                                                 \
    SCOOP_DEFINE(result_type, name, __VA_ARGS__)

#define SCOOP_DEFINE(result_type, name, ...)                                                       \
    SCOOP_INVOKE_(result_type, name)                                                               \
    SCOOP_REGISTER_(name, sizeof(struct scoop_argument_##name), sizeof(result_type),               \
                    scoop_invoke_##name, NULL)                                                     \
    result_type name(__VA_ARGS__)

#define SCOOP_DECLARE(result_type, name, ...)                                                      \
    typedef result_type scoop_result_##name;                                                       \
    struct scoop_argument_##name {                                                                 \
        __VA_ARGS__;                                                                               \
    };                                                                                             \
    SCOOP_REFUSE_POINTER_(scoop_result_##name);                                                    \
    SCOOP_REFUSE_POINTER_(struct scoop_argument_##name);                                           \
    extern struct scoop_function scoop_function_##name;                                            \
    result_type name(__VA_ARGS__)

/* SCOOP_BYTES_FUNCTION(name) { body }: argument and result of any size. The body sees `data` and
 * `size` (borrowed for the call, not aligned) and writes to `out` with scoop_write(). */
#define SCOOP_BYTES_FUNCTION(name)                                                                 \
    SCOOP_DECLARE_BYTES(name);                                                                     \
    SCOOP_REGISTER_(name, SCOOP_VARIABLE, SCOOP_VARIABLE, NULL, name)                              \
    void name(SCOOP_UNUSED_ const void *data, SCOOP_UNUSED_ size_t size,                           \
              SCOOP_UNUSED_ struct scoop_output *out)

#define SCOOP_DECLARE_BYTES(name)                                                                  \
    extern struct scoop_function scoop_function_##name;                                            \
    void name(const void *data, size_t size, struct scoop_output *out)

/* SCOOP_REDUCER(type, name, type first, type second) { body }: a function of two values, for
 * scoop_map_reduce() and scoop_map_scan(). In a program of several files: SCOOP_DECLARE_REDUCER(type,
 * name); in a header, and SCOOP_DEFINE_REDUCER(as SCOOP_REDUCER) { body } in one file. */
#define SCOOP_REDUCER(type, name, ...)                                                             \
    SCOOP_DECLARE_REDUCER(type, name);                                                             \
    SCOOP_DEFINE_REDUCER(type, name, __VA_ARGS__)

#define SCOOP_DEFINE_REDUCER(type, name, ...)                                                      \
    static void scoop_invoke_##name(const void *argument, void *result)                            \
    {                                                                                              \
        type values[2];                                                                            \
        __builtin_memcpy(values, argument, sizeof(values));                                        \
        const type sum = name(values[0], values[1]);                                               \
        __builtin_memcpy(result, &sum, sizeof(sum));                                               \
    }                                                                                              \
    SCOOP_REGISTER_(name, 2 * sizeof(type), sizeof(type), scoop_invoke_##name, NULL)               \
    type name(__VA_ARGS__)

#define SCOOP_DECLARE_REDUCER(type, name)                                                          \
    SCOOP_REFUSE_POINTER_(type);                                                                   \
    extern struct scoop_function scoop_function_##name;                                            \
    type name(type, type)

/* The handle of a function, for the calls that take one. */
#define SCOOP_HANDLE(name) (&scoop_function_##name)

/* ---- how they work; names that end in _ are not for use ---- */

#define SCOOP_UNUSED_ __attribute__((unused))

#define SCOOP_REGISTER_(name_, argument_bytes_, result_bytes_, invoke_, invoke_bytes_)             \
    struct scoop_function scoop_function_##name_ = {.name = #name_,                                \
                                                    .argument_bytes = argument_bytes_,             \
                                                    .result_bytes = result_bytes_,                 \
                                                    .invoke = invoke_,                             \
                                                    .invoke_bytes = invoke_bytes_};                \
    __attribute__((constructor)) static void scoop_register_##name_(void)                          \
    {                                                                                              \
        scoop_register(&scoop_function_##name_);                                                   \
    }

/* A pointer is what a double cannot initialise; the parameter's type has no name to ask it
 * directly. */
#define SCOOP_REFUSE_POINTER_(type)                                                                \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmissing-braces\"")          \
        _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"") _Static_assert(         \
            sizeof((type){0.0}) != 0, "");                                                         \
    _Pragma("GCC diagnostic pop") _Static_assert(1, "")

/* Calls `name` with the bytes at `argument`. _Generic finds a scalar parameter's type by the type
 * of the function; what is left are structs and unions, which every ABI of GCC and clang passes
 * like a struct around them. */
#define SCOOP_INVOKE_(result_type, name)                                                           \
    static void scoop_invoke_##name(const void *argument, void *result)                            \
    {                                                                                              \
        struct scoop_argument_##name a;                                                            \
        const void *const at = &a;                                                                 \
        __builtin_memcpy(&a, argument, sizeof(a));                                                 \
        result_type (*wrapped)(struct scoop_argument_##name) =                                     \
            (result_type(*)(struct scoop_argument_##name))(void (*)(void))name;                    \
        (void)wrapped;                                                                             \
        const result_type r =                                                                      \
            _Generic(SCOOP_VALUE_(result_type, name), struct scoop_argument_##name                 \
                     : wrapped, default                                                            \
                     : name)(SCOOP_VALUE_(result_type, name));                                     \
        __builtin_memcpy(result, &r, sizeof(r));                                                   \
    }

#define SCOOP_VALUE_(R, name)                                                                      \
    _Generic(&name, SCOOP_AS_(R, char), SCOOP_AS_(R, signed char), SCOOP_AS_(R, unsigned char),    \
             SCOOP_AS_(R, short), SCOOP_AS_(R, unsigned short), SCOOP_AS_(R, int),                 \
             SCOOP_AS_(R, unsigned), SCOOP_AS_(R, long), SCOOP_AS_(R, unsigned long),              \
             SCOOP_AS_(R, long long), SCOOP_AS_(R, unsigned long long), SCOOP_AS_(R, _Bool),       \
             SCOOP_AS_(R, float), SCOOP_AS_(R, double), SCOOP_AS_(R, long double),                 \
             SCOOP_AS_(R, float _Complex), SCOOP_AS_(R, double _Complex), default                  \
             : a)
#define SCOOP_AS_(R, type) R (*)(type) : *(const type *)at

/* The handle of f, if f takes elements of `in` and returns elements of `out`. */
#define SCOOP_CHECKED_(f, in, out)                                                                 \
    (&scoop_function_##f +                                                                         \
     0 * sizeof(struct {                                                                           \
         _Static_assert(_Generic(&f, scoop_result_##f(*)(__typeof__(*(in))) : 1, default : 0),     \
                        #f " does not take what " #in " holds");                                   \
         _Static_assert(_Generic(*(out), scoop_result_##f : 1, default : 0),                       \
                        #f " does not return what " #out " holds");                                \
         int dummy;                                                                                \
     }))

/* The handle of `add`, if it combines two of what `out` holds. */
#define SCOOP_CHECKED_REDUCER_(add, out)                                                           \
    (&scoop_function_##add +                                                                       \
     0 * sizeof(struct {                                                                           \
         _Static_assert(                                                                           \
             _Generic(&add, __typeof__ (*(out)) (*)(__typeof__(*(out)), __typeof__(*(out))) : 1,   \
                      default : 0),                                                                \
             #add " does not combine what " #out " holds");                                        \
         int dummy;                                                                                \
     }))

#endif /* __cplusplus */

#ifdef __cplusplus
}
#endif

#endif
