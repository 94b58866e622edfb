/* The launcher's thread: a table of hosts, one state each, and one poll over the pipes of all
 * ssh sessions.
 *
 *   WAITING --(due, and a session is free)--> STARTING --(answer)--> READY
 *      ^                                          |                    |
 *      +------------(failed, too slow)------------+----(ssh ended)-----+
 *
 * A host of the user's own that never was READY is GIVEN_UP at its first failure: nobody waits for
 * a name that was misspelt. When all are, the broker ends.
 *
 * Invariants: a key is admitted exactly while its host is READY; a session is open exactly in
 * STARTING and READY. */
#include "launcher_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define STARTING_MAX    64    /* sessions that are being opened at the same time */
#define ANSWER_MS       20000 /* an agent may wait for an older one to drain */
#define FORGET_MS       10000 /* a name server that hiccups must not end sessions */
#define RETRY_MIN_MS    250
#define RETRY_MAX_MS    4000
#define TUNNEL_PORT_MIN 20000
#define TUNNEL_PORTS    10000
#define TUNNEL_TEXT     48
#define STEADY_MS       10000 /* a session that lasted so long counts as a success */

/* ---- a host's states ---- */

/* Pause before the next try: doubled with each failure in a row, then +- 20 % so that many do
 * not march in step. */
static int64_t retry_pause_ms(unsigned failures)
{
    const unsigned doublings = failures < 8 ? failures : 8;
    const int64_t pause_ms = (int64_t)RETRY_MIN_MS << doublings;
    const int64_t capped_ms = pause_ms < RETRY_MAX_MS ? pause_ms : RETRY_MAX_MS;
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        return capped_ms;
    return capped_ms * (80 + random % 41) / 100;
}

static void enter(struct host *host, enum host_state state, int64_t now_ms, int64_t due_ms)
{
    host->state = state;
    host->since_ms = now_ms;
    host->due_ms = due_ms;
}

static void take_back_key(struct launcher *launcher, const struct host *host)
{
    admit_revoke_worker(launcher->config.admit, &host->answer.key);
    /* A queue that is full means that the loop stands still, and its links end by their leases. */
    if (zmq_send(launcher->revoked, host->answer.key.text, CURVE_TEXT_LENGTH, ZMQ_DONTWAIT) < 0)
        log_warn("revocation_not_told", "addr=%s error=\"%s\"", host->text,
                 zmq_strerror(zmq_errno()));
}

/* End the session, whatever its state, and what depends on it. */
static void end_session(struct launcher *launcher, struct host *host)
{
    if (host->state == HOST_STARTING)
        launcher->starting--;
    if (host->state == HOST_READY)
        take_back_key(launcher, host);
    ssh_close(&host->ssh);
}

static bool is_own(const struct launcher *launcher)
{
    return launcher->config.hosts != NULL;
}

/* Log a failure unless it is the one that was logged last for this host. */
static void tell_failure(struct host *host, const char *reason)
{
    char said[300];

    if (strncmp(host->told, reason, sizeof(host->told) - 1) == 0)
        return;
    snprintf(host->told, sizeof(host->told), "%s", reason);
    log_quote(said, sizeof(said), reason);
    if (host->ssh.host_key_mismatch)
        log_error("host_key_mismatch", "addr=%s effect=\"this host is not used\" ssh=\"%s\"",
                  host->text, said);
    else
        log_warn("bootstrap_failed", "addr=%s reason=\"%s\"", host->text, said);
}

/* One line for the user: the host, how its session ended, why. */
static void give_up(struct host *host, const char *reason, int64_t now_ms)
{
    const int status = host->ssh.status;

    printf("scoop: host %s is not used: ", host->text);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        printf("ssh ended with exit code %d: ", WEXITSTATUS(status));
    printf("%s\n", reason);
    fflush(stdout);
    enter(host, HOST_GIVEN_UP, now_ms, INT64_MAX);
}

/* The agent did not come up. */
static void fail(struct launcher *launcher, struct host *host, const char *reason, int64_t now_ms)
{
    tell_failure(host, reason);
    end_session(launcher, host);
    metric_add(launcher->failed, 1);
    if (is_own(launcher) && !host->was_ready) {
        give_up(host, reason, now_ms);
        return;
    }
    enter(host, HOST_WAITING, now_ms, now_ms + retry_pause_ms(host->failures));
    host->failures++;
}

/* A tunnel from a port of the host to the broker's: one by chance, as others may do the same there.
 * The agent dials that one. -EINVAL: the broker's endpoint has no port. */
static int make_tunnel(struct bootstrap_config *config, char tunnel[TUNNEL_TEXT])
{
    struct url broker;
    uint16_t chance = 0;

    if (parse_url(config->broker, 0, &broker) != 0)
        return -EINVAL;
    /* Without chance it is the first port. */
    (void)!getrandom(&chance, sizeof(chance), GRND_NONBLOCK);
    const unsigned there = TUNNEL_PORT_MIN + chance % TUNNEL_PORTS;

    snprintf(tunnel, TUNNEL_TEXT, "127.0.0.1:%u:127.0.0.1:%u", there, broker.authority.port);
    snprintf(config->broker, sizeof(config->broker), "tcp://127.0.0.1:%u", there);
    return 0;
}

static int open_session(struct launcher *launcher, struct host *host)
{
    const bool tunnels = launcher->config.tunnel && !login_is_here(host->text);
    struct bootstrap_config config = launcher->bootstrap;
    char input[BOOTSTRAP_CONFIG_MAX];
    char tunnel[TUNNEL_TEXT];
    struct login_command command;

    config.slots = host->slots;
    if (tunnels && make_tunnel(&config, tunnel) != 0)
        return -EINVAL;
    if (bootstrap_write_config(&config, input) < 0)
        return -EINVAL;
    const int rc = is_own(launcher)
                       ? login_own(&launcher->own, host->text, tunnels ? tunnel : NULL, &command)
                       : login_strict(&launcher->setup, &host->address, &command);
    return rc == 0 ? ssh_open(&command, input, &host->ssh) : rc;
}

static void start(struct launcher *launcher, struct host *host, int64_t now_ms)
{
    const int rc = open_session(launcher, host);

    metric_add(launcher->started, 1);
    launcher->starting++;
    enter(host, HOST_STARTING, now_ms, now_ms + ANSWER_MS);
    if (rc != 0)
        fail(launcher, host, strerror(-rc), now_ms);
}

static void take_answer(struct launcher *launcher, struct host *host, int64_t now_ms)
{
    struct problem problem;
    int rc = bootstrap_read_answer(host->ssh.answer.text, &host->answer, &problem);

    if (rc == 0 && (rc = admit_allow_worker(launcher->config.admit, &host->answer.key)) != 0)
        problem_set(&problem, rc, "its key cannot be admitted: %s", strerror(-rc));
    if (rc != 0) {
        fail(launcher, host, problem.text, now_ms);
        return;
    }
    ssh_say(&host->ssh, BOOTSTRAP_ADMITTED);
    if (!launcher->bootstrap.attached)
        ssh_end_input(&host->ssh);
    host->was_ready = true;
    log_info("worker_admitted", "addr=%s worker=%s slots=%u version=%s took_ms=%lld", host->text,
             host->answer.host, host->answer.slots, host->answer.version,
             (long long)(now_ms - host->since_ms));
    launcher->starting--;
    host->told[0] = '\0';
    enter(host, HOST_READY, now_ms, 0);
}

/* ssh ended by itself. */
static void take_end(struct launcher *launcher, struct host *host, int64_t now_ms)
{
    const char *said = host->ssh.said[0] != '\0' ? host->ssh.said : "ssh ended without a word";
    char quoted[300];

    if (host->state == HOST_STARTING) {
        fail(launcher, host, said, now_ms);
        return;
    }
    const int64_t lasted_ms = now_ms - host->since_ms;
    log_quote(quoted, sizeof(quoted), said);
    log_warn("worker_ended", "addr=%s worker=%s lasted_ms=%lld ssh=\"%s\"", host->text,
             host->answer.host, (long long)lasted_ms, quoted);
    if (is_own(launcher)) {
        printf("scoop: host %s: its worker ended, and is started again\n", host->text);
        fflush(stdout);
    }
    if (lasted_ms >= STEADY_MS)
        host->failures = 0;
    end_session(launcher, host);
    enter(host, HOST_WAITING, now_ms, now_ms + retry_pause_ms(host->failures));
    host->failures++;
}

static void serve_session(struct launcher *launcher, struct host *host, int64_t now_ms)
{
    const bool open = ssh_read(&host->ssh);

    if (host->state == HOST_STARTING && host->ssh.answered)
        take_answer(launcher, host, now_ms);
    if (!open && host->state != HOST_WAITING)
        take_end(launcher, host, now_ms);
}

static void look_at_timers(struct launcher *launcher, struct host *host, int64_t now_ms)
{
    if (host->state == HOST_STARTING && now_ms >= host->due_ms)
        fail(launcher, host, "no answer within 20 s", now_ms);
    if (host->state == HOST_WAITING && host->missing_ms == 0 && now_ms >= host->due_ms &&
        launcher->starting < STARTING_MAX)
        start(launcher, host, now_ms);
}

/* ---- the table of hosts ---- */

static struct host *find_host(struct launcher *launcher, const struct address *address)
{
    for (size_t i = 0; i < launcher->host_count; i++) {
        if (address_compare(&launcher->hosts[i]->address, address) == 0)
            return launcher->hosts[i];
    }
    return NULL;
}

int launcher_add_named(struct launcher *launcher, const struct hostlist_host *named)
{
    struct host *host = calloc(1, sizeof(*host));

    if (host == NULL)
        return -ENOMEM;
    host->ssh = (struct ssh_session){.input = -1, .output = -1, .errors = -1};
    snprintf(host->text, sizeof(host->text), "%s", named->name);
    host->slots = named->slots;
    launcher->hosts[launcher->host_count++] = host;
    return 0;
}

static void add_host(struct launcher *launcher, const struct address *address, int64_t now_ms)
{
    struct host *host = NULL;

    if (launcher->host_count < LAUNCHER_HOSTS_MAX)
        host = calloc(1, sizeof(*host));
    if (host == NULL) {
        if (!launcher->full_told)
            log_error("hosts_full", "max=%d effect=\"further hosts are not used\"",
                      LAUNCHER_HOSTS_MAX);
        launcher->full_told = true;
        return;
    }
    host->address = *address;
    host->ssh = (struct ssh_session){.input = -1, .output = -1, .errors = -1};
    address_text(address, host->text);
    enter(host, HOST_WAITING, now_ms, now_ms);
    launcher->hosts[launcher->host_count++] = host;
}

static void forget_host(struct launcher *launcher, size_t at)
{
    struct host *host = launcher->hosts[at];

    log_info("host_forgotten", "addr=%s worker=%s", host->text,
             host->state == HOST_READY ? host->answer.host : "-");
    end_session(launcher, host);
    free(host);
    launcher->hosts[at] = launcher->hosts[--launcher->host_count];
    launcher->full_told = false;
}

static bool is_named(const struct launcher *launcher, const struct address *address)
{
    for (size_t i = 0; i < launcher->name_count; i++) {
        const struct resolve_snapshot *known = &launcher->names[i].known;
        for (size_t j = 0; j < known->count; j++) {
            if (address_compare(&known->addresses[j], address) == 0)
                return true;
        }
    }
    return false;
}

/* Bring the table in line with what the names stand for. */
static void compare_hosts(struct launcher *launcher, int64_t now_ms)
{
    for (size_t i = 0; i < launcher->host_count; i++) {
        struct host *host = launcher->hosts[i];
        if (is_named(launcher, &host->address))
            host->missing_ms = 0;
        else if (host->missing_ms == 0)
            host->missing_ms = now_ms;
    }
    for (size_t i = 0; i < launcher->name_count; i++) {
        const struct resolve_snapshot *known = &launcher->names[i].known;
        for (size_t j = 0; j < known->count; j++) {
            if (find_host(launcher, &known->addresses[j]) == NULL)
                add_host(launcher, &known->addresses[j], now_ms);
        }
    }
}

static void forget_missing(struct launcher *launcher, int64_t now_ms)
{
    for (size_t i = launcher->host_count; i-- > 0;) {
        const struct host *host = launcher->hosts[i];
        const int64_t patience_ms = host->state == HOST_WAITING ? 0 : FORGET_MS;
        if (host->missing_ms != 0 && now_ms - host->missing_ms >= patience_ms)
            forget_host(launcher, i);
    }
}

/* ---- names ---- */

/* Take what is known of a name. True: its set of addresses changed. */
static bool look_at_name(struct name *name)
{
    resolve_read(name->resolver, &name->known);
    const int error =
        name->known.error == EAI_NONAME || name->known.error == EAI_NODATA ? 0 : name->known.error;
    const bool changed = name->known.version != name->version;

    if (error != 0 && error != name->error)
        log_warn("lookup_failed", "name=%s error=\"%s\" effect=\"the last known addresses stay\"",
                 name->text, gai_strerror(error));
    name->error = error;
    if (changed)
        log_info("workers_resolved", "name=%s addresses=%zu omitted=%zu", name->text,
                 name->known.count, name->known.omitted);
    name->version = name->known.version;
    return changed;
}

static void look_at_names(struct launcher *launcher, int64_t now_ms)
{
    bool changed = false;

    for (size_t i = 0; i < launcher->name_count; i++)
        changed |= look_at_name(&launcher->names[i]);
    if (changed)
        compare_hosts(launcher, now_ms);
}

/* ---- the thread ---- */

enum { POLL_WAKE, POLL_STOP, POLL_HOSTS };

struct polled {
    struct pollfd fds[POLL_HOSTS + 2 * LAUNCHER_HOSTS_MAX];
    size_t count;
};

static void collect_fds(const struct launcher *launcher, struct polled *polled)
{
    polled->fds[POLL_WAKE] = (struct pollfd){.fd = launcher->wake_fd, .events = POLLIN};
    polled->fds[POLL_STOP] = (struct pollfd){.fd = launcher->stop_fd, .events = POLLIN};
    polled->count = POLL_HOSTS;
    for (size_t i = 0; i < launcher->host_count; i++) {
        const struct ssh_session *ssh = &launcher->hosts[i]->ssh;
        /* poll() passes over negative descriptors. */
        polled->fds[polled->count++] = (struct pollfd){.fd = ssh->output, .events = POLLIN};
        polled->fds[polled->count++] = (struct pollfd){.fd = ssh->errors, .events = POLLIN};
    }
}

static int64_t next_due_ms(const struct launcher *launcher, int64_t now_ms)
{
    int64_t due_ms = now_ms + LAUNCHER_LOOKUP_MS;

    for (size_t i = 0; i < launcher->host_count; i++) {
        const struct host *host = launcher->hosts[i];
        const bool waits_for_turn =
            host->state == HOST_WAITING && launcher->starting >= STARTING_MAX;
        if (host->state != HOST_READY && !waits_for_turn && host->due_ms < due_ms)
            due_ms = host->due_ms;
    }
    return due_ms > now_ms ? due_ms : now_ms;
}

static void show_hosts(const struct launcher *launcher)
{
    int64_t ready = 0;

    for (size_t i = 0; i < launcher->host_count; i++)
        ready += launcher->hosts[i]->state == HOST_READY;
    metric_set(launcher->known, (int64_t)launcher->host_count);
    metric_set(launcher->ready, ready);
}

static void drain_wake(const struct launcher *launcher)
{
    uint64_t count = 0;

    /* Nothing there: nobody woke us. */
    (void)!read(launcher->wake_fd, &count, sizeof(count));
}

/* Without any host of the user's there is nothing to be a broker for. */
static void end_when_hopeless(const struct launcher *launcher)
{
    for (size_t i = 0; i < launcher->host_count; i++) {
        if (launcher->hosts[i]->state != HOST_GIVEN_UP)
            return;
    }
    if (is_own(launcher))
        kill(getpid(), SIGTERM);
}

/* Polled hosts come in table order, and the table only changes after all were served. */
static void take_turn(struct launcher *launcher, const struct polled *polled)
{
    const int64_t now_ms = clock_now_ms();

    for (size_t i = 0; POLL_HOSTS + 2 * i < polled->count; i++) {
        const struct pollfd *fds = &polled->fds[POLL_HOSTS + 2 * i];
        if (fds[0].revents != 0 || fds[1].revents != 0)
            serve_session(launcher, launcher->hosts[i], now_ms);
    }
    drain_wake(launcher);
    look_at_names(launcher, now_ms);
    forget_missing(launcher, now_ms);
    for (size_t i = 0; i < launcher->host_count; i++)
        look_at_timers(launcher, launcher->hosts[i], now_ms);
    end_when_hopeless(launcher);
    show_hosts(launcher);
}

void *launcher_run(void *argument)
{
    struct launcher *launcher = argument;
    struct polled *polled = calloc(1, sizeof(*polled));

    pthread_setname_np(pthread_self(), "launcher");
    while (polled != NULL && (polled->fds[POLL_STOP].revents & POLLIN) == 0) {
        take_turn(launcher, polled);
        const int64_t now_ms = clock_now_ms();
        collect_fds(launcher, polled);
        if (poll(polled->fds, polled->count, (int)(next_due_ms(launcher, now_ms) - now_ms)) < 0)
            polled->count = 0;
    }
    while (launcher->host_count > 0)
        forget_host(launcher, launcher->host_count - 1);
    show_hosts(launcher);
    free(polled);
    return NULL;
}
