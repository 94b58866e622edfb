#include "trust.h"

#include "base/curve.h"
#include "base/log.h"

#include <string.h>

struct trust {
    const struct options *options;
    void *context;
    struct metrics *metrics;
    struct admit *admit;       /* NULL: both endpoints are ipc:// */
    struct launcher *launcher; /* NULL: not begun, or no workers are named */
    struct curve_key key;      /* public half of the broker */
    struct hostlist hosts;     /* of the user's own */
};

static bool is_tcp(const char *endpoint)
{
    return strncmp(endpoint, "tcp://", 6) == 0;
}

static const char *endpoint_of(const struct trust *trust, enum wire_role role)
{
    return role == WIRE_CLIENT ? trust->options->client_listen : trust->options->worker_listen;
}

/* The allow list is only needed where clients come by TCP. */
static int load_clients(const struct trust *trust,
                        struct curve_key **clients,
                        size_t *count,
                        struct problem *problem)
{
    if (!is_tcp(trust->options->client_listen))
        return 0;
    return curve_load_list(trust->options->client_keys, clients, count, problem);
}

static int start_admission(struct trust *trust, struct problem *problem)
{
    struct curve_pair pair CLEANUP(curve_wipe) = {0};
    struct curve_key *clients CLEANUP(free_p) = NULL;
    size_t count = 0;
    int rc = curve_load_pair(trust->options->curve_key, &pair, problem);

    if (rc != 0 || (rc = load_clients(trust, &clients, &count, problem)) != 0)
        return rc;
    const struct admit_config config = {
        .context = trust->context,
        .server = &pair,
        .clients = clients,
        .client_count = count,
        .metrics = trust->metrics,
    };
    rc = admit_start(&config, &trust->admit);
    if (rc != 0)
        return problem_set(problem, rc, "admission cannot start: %s", strerror(-rc));
    trust->key = pair.public_half;
    log_info("admission_started", "clients=%zu key=\"%s\"", count, trust->key.text);
    return 0;
}

static void trust_stop_p(struct trust **trust)
{
    trust_stop(*trust);
}

int trust_start(const struct options *options,
                void *context,
                struct metrics *metrics,
                struct trust **out,
                struct problem *problem)
{
    struct trust *trust CLEANUP(trust_stop_p) = calloc(1, sizeof(*trust));

    if (trust == NULL)
        return problem_set(problem, -ENOMEM, "admission cannot start: out of memory");
    trust->options = options;
    trust->context = context;
    trust->metrics = metrics;
    if (options->workers[0] != '\0' && options->hosts[0] != '\0')
        return problem_set(problem, -EINVAL, "workers and hosts exclude each other");
    if (options->hosts[0] != '\0') {
        const int rc = hostlist_add(&trust->hosts, options->hosts, problem);
        if (rc != 0)
            return rc;
    }
    if ((options->workers[0] != '\0' || options->hosts[0] != '\0') &&
        !is_tcp(options->worker_listen))
        return problem_set(problem, -EINVAL,
                           "workers: agents on other hosts need a tcp:// worker-listen, not %s",
                           options->worker_listen);
    if (is_tcp(options->client_listen) || is_tcp(options->worker_listen)) {
        const int rc = start_admission(trust, problem);
        if (rc != 0)
            return rc;
    }
    *out = steal(&trust);
    return 0;
}

int trust_secure(void *trust, void *socket, enum wire_role role)
{
    const struct trust *self = trust;

    return is_tcp(endpoint_of(self, role)) ? admit_secure(self->admit, socket, role) : 0;
}

static int test_endpoint(const struct trust *trust, enum wire_role role, struct problem *problem)
{
    const char *endpoint = endpoint_of(trust, role);

    return is_tcp(endpoint) ? admit_self_test(trust->admit, endpoint, problem) : 0;
}

int trust_begin(struct trust *trust, struct problem *problem)
{
    const struct options *options = trust->options;
    int rc = 0;

    if ((rc = test_endpoint(trust, WIRE_CLIENT, problem)) != 0 ||
        (rc = test_endpoint(trust, WIRE_AGENT, problem)) != 0)
        return rc;
    if (options->workers[0] == '\0' && options->hosts[0] == '\0')
        return 0;
    const struct launcher_config config = {
        .context = trust->context,
        .admit = trust->admit,
        .metrics = trust->metrics,
        .names = options->workers,
        .hosts = options->hosts[0] != '\0' ? &trust->hosts : NULL,
        .ssh = options->ssh,
        .remote = options->remote,
        .programs = options->programs,
        .tunnel = options->tunnel,
        .port = (uint16_t)options->ssh_port,
        .user = options->ssh_user,
        .key_file = options->ssh_key,
        .host_key_file = options->ssh_host_key,
        .run_dir = options->run_dir,
        .broker_endpoint = options->advertise,
        .broker_key = &trust->key,
        .gone_ms = (uint32_t)options->gone_ms,
    };
    return launcher_start(&config, &trust->launcher, problem);
}

bool trust_is_alive(const struct trust *trust)
{
    return trust->admit == NULL || admit_is_alive(trust->admit);
}

void trust_end(struct trust *trust)
{
    launcher_stop(trust->launcher);
    trust->launcher = NULL;
}

void trust_stop(struct trust *trust)
{
    if (trust == NULL)
        return;
    trust_end(trust);
    admit_stop(trust->admit);
    hostlist_fini(&trust->hosts);
    free(trust);
}
