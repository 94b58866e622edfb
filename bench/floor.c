/* The least that three processes joined by libzmq can do: client - ROUTER - worker, with no
 * scheduling, no links and no work. What the runtime is measured against. Prints one value a line:
 * NAME VALUE.
 *
 * usage: floor ipc|tcp|curve [MESSAGES]    (default 20000) */
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define TASK_BYTES    100
#define BATCH         64
#define IN_FLIGHT     64
#define LONE          2000
#define MESSAGE_BYTES ((size_t)BATCH * TASK_BYTES)

struct site {
    char front[128]; /* endpoints */
    char back[128];
    bool curve;
    char public_key[41]; /* one pair for all: only the cost counts here */
    char secret_key[41];
};

static void fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static void *new_socket(void *context, int type, const struct site *site)
{
    const int server = type == ZMQ_ROUTER;
    const int none = 0;
    void *socket = zmq_socket(context, type);

    if (socket == NULL)
        fail("socket");
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
    if (!site->curve)
        return socket;
    if ((server && zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof(server)) != 0) ||
        (!server && zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, site->public_key, 41) != 0) ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, site->public_key, 41) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, site->secret_key, 41) != 0)
        fail("keys");
    return socket;
}

/* Pass one message on to the peer whose address is `to`, and learn the address it came from. */
static void pass(void *from_socket, void *to_socket, zmq_msg_t *from, zmq_msg_t *to)
{
    zmq_msg_t message;
    zmq_msg_t address;

    zmq_msg_init(&message);
    zmq_msg_init(&address);
    if (zmq_msg_recv(from, from_socket, 0) < 0 || zmq_msg_recv(&message, from_socket, 0) < 0)
        fail("receive");
    zmq_msg_copy(&address, to);
    if (zmq_msg_send(&address, to_socket, ZMQ_SNDMORE) < 0 ||
        zmq_msg_send(&message, to_socket, 0) < 0)
        fail("send");
}

/* Joins one client and one worker, whose first message says where it is. */
static _Noreturn void run_broker(const struct site *site)
{
    void *context = zmq_ctx_new();
    void *front = new_socket(context, ZMQ_ROUTER, site);
    void *back = new_socket(context, ZMQ_ROUTER, site);
    zmq_pollitem_t items[] = {{.socket = front, .events = ZMQ_POLLIN},
                              {.socket = back, .events = ZMQ_POLLIN}};
    zmq_msg_t client;
    zmq_msg_t worker;
    char hello = 0;

    zmq_msg_init(&client);
    zmq_msg_init(&worker);
    if (zmq_bind(front, site->front) != 0 || zmq_bind(back, site->back) != 0)
        fail("bind");
    if (zmq_msg_recv(&worker, back, 0) < 0 || zmq_recv(back, &hello, 1, 0) < 0)
        fail("receive");
    for (;;) {
        if (zmq_poll(items, 2, -1) < 0)
            fail("poll");
        if ((items[0].revents & ZMQ_POLLIN) != 0)
            pass(front, back, &client, &worker);
        if ((items[1].revents & ZMQ_POLLIN) != 0)
            pass(back, front, &worker, &client);
    }
}

static _Noreturn void run_worker(const struct site *site)
{
    void *context = zmq_ctx_new();
    void *socket = new_socket(context, ZMQ_DEALER, site);

    if (zmq_connect(socket, site->back) != 0 || zmq_send(socket, "", 1, 0) < 0)
        fail("connect");
    for (;;) {
        zmq_msg_t message;

        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, socket, 0) < 0 || zmq_msg_send(&message, socket, 0) < 0)
            fail("echo");
    }
}

static pid_t start(void (*run)(const struct site *), const struct site *site)
{
    const pid_t pid = fork();

    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(site);
    }
    return pid;
}

static void exchange(void *socket, size_t bytes, bool send, bool receive)
{
    static char buffer[MESSAGE_BYTES];

    if (send && zmq_send(socket, buffer, bytes, 0) < 0)
        fail("send");
    if (receive && zmq_recv(socket, buffer, bytes, 0) < 0)
        fail("receive");
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print_lone(void *socket)
{
    static int64_t times[LONE];

    for (size_t i = 0; i < LONE; i++) {
        const int64_t begin_us = clock_now_us();

        exchange(socket, TASK_BYTES, true, true);
        times[i] = clock_now_us() - begin_us;
    }
    qsort(times, LONE, sizeof(times[0]), compare);
    printf("lone_p50_us %lld\nlone_p99_us %lld\n", (long long)times[LONE / 2],
           (long long)times[LONE - 1 - LONE / 100]);
}

static void print_stream(void *socket, uint64_t messages)
{
    const int64_t begin_us = clock_now_us();

    for (uint64_t i = 0; i < messages + IN_FLIGHT; i++)
        exchange(socket, MESSAGE_BYTES, i < messages, i >= IN_FLIGHT);
    printf("tasks_per_s %.0f\n",
           (double)messages * BATCH * 1e6 / (double)(clock_now_us() - begin_us));
}

static void choose_endpoints(struct site *site, const char *transport)
{
    site->curve = strcmp(transport, "curve") == 0;
    if (strcmp(transport, "ipc") == 0) {
        snprintf(site->front, sizeof(site->front), "ipc:///tmp/scoop-floor-%d.front", getpid());
        snprintf(site->back, sizeof(site->back), "ipc:///tmp/scoop-floor-%d.back", getpid());
    } else {
        /* Ports below the range that the system gives out by itself. */
        const int port = 20000 + getpid() % 10000;

        snprintf(site->front, sizeof(site->front), "tcp://127.0.0.1:%d", port);
        snprintf(site->back, sizeof(site->back), "tcp://127.0.0.1:%d", port + 1);
    }
    if (site->curve && zmq_curve_keypair(site->public_key, site->secret_key) != 0)
        fail("keys");
}

int main(int argc, char **argv)
{
    const char *transport = argc > 1 ? argv[1] : "";
    struct site site = {.curve = false};
    uint64_t messages = 20000;

    if ((strcmp(transport, "ipc") != 0 && strcmp(transport, "tcp") != 0 &&
         strcmp(transport, "curve") != 0) ||
        (argc > 2 && parse_u64(argv[2], 1, 100000000, &messages) != 0)) {
        fprintf(stderr, "usage: floor ipc|tcp|curve [MESSAGES]\n");
        return 2;
    }
    choose_endpoints(&site, transport);
    const pid_t broker = start(run_broker, &site);
    const pid_t worker = start(run_worker, &site);
    void *context = zmq_ctx_new();
    void *socket = new_socket(context, ZMQ_DEALER, &site);
    if (zmq_connect(socket, site.front) != 0)
        fail("connect");
    exchange(socket, TASK_BYTES, true, true);
    print_lone(socket);
    print_stream(socket, messages);
    zmq_close(socket);
    zmq_ctx_term(context);
    kill(broker, SIGKILL);
    kill(worker, SIGKILL);
    while (wait(NULL) > 0)
        continue;
    if (strncmp(site.front, "ipc://", 6) == 0) {
        unlink(site.front + 6);
        unlink(site.back + 6);
    }
    return 0;
}
