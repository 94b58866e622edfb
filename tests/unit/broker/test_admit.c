#include "broker/admit.h"

#include <criterion/criterion.h>
#include <string.h>
#include <zmq.h>

/* A secured ROUTER on a free port of the loopback, as the broker has two. */
struct server {
    void *context;
    struct curve_pair pair;
    struct curve_pair client;
    struct metrics *metrics;
    struct admit *admit;
    void *socket;
    char endpoint[64];
    struct problem problem;
};

static void given_server(struct server *s, enum wire_role role, bool secured)
{
    const int no_linger = 0;
    size_t size = sizeof(s->endpoint);

    s->context = zmq_ctx_new();
    cr_assert_eq(curve_make(&s->pair), 0);
    cr_assert_eq(curve_make(&s->client), 0);
    s->metrics = metrics_new("test");
    const struct admit_config config = {
        .context = s->context,
        .metrics = s->metrics,
        .server = &s->pair,
        .clients = &s->client.public_half,
        .client_count = 1,
    };
    cr_assert_eq(admit_start(&config, &s->admit), 0);
    s->socket = zmq_socket(s->context, ZMQ_ROUTER);
    zmq_setsockopt(s->socket, ZMQ_LINGER, &no_linger, sizeof(no_linger));
    if (secured)
        cr_assert_eq(admit_secure(s->admit, s->socket, role), 0);
    cr_assert_eq(zmq_bind(s->socket, "tcp://127.0.0.1:*"), 0);
    cr_assert_eq(zmq_getsockopt(s->socket, ZMQ_LAST_ENDPOINT, s->endpoint, &size), 0);
}

static void stop_server(struct server *s)
{
    zmq_close(s->socket);
    admit_stop(s->admit);
    metrics_free(s->metrics);
    zmq_ctx_term(s->context);
}

/* Does /metrics have this line? */
static bool shows(const struct server *s, const char *line)
{
    size_t size = 0;
    char *text = metrics_render(s->metrics, &size);
    const bool found = strstr(text, line) != NULL;

    free(text);
    return found;
}

/* Does a word of a peer with this pair arrive, and as whose? */
static bool hears(struct server *s,
                  const struct curve_pair *pair,
                  const struct curve_key *server_key,
                  struct curve_key *user)
{
    const int no_linger = 0;
    const int wait_ms = 400;
    void *peer = zmq_socket(s->context, ZMQ_DEALER);
    zmq_msg_t message;

    zmq_setsockopt(peer, ZMQ_LINGER, &no_linger, sizeof(no_linger));
    zmq_setsockopt(peer, ZMQ_CURVE_SERVERKEY, server_key->text, sizeof(server_key->text));
    zmq_setsockopt(peer, ZMQ_CURVE_PUBLICKEY, pair->public_half.text, sizeof(server_key->text));
    zmq_setsockopt(peer, ZMQ_CURVE_SECRETKEY, pair->secret_half.text, sizeof(server_key->text));
    zmq_setsockopt(s->socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    cr_assert_eq(zmq_connect(peer, s->endpoint), 0);
    zmq_send(peer, "word", 4, 0);
    zmq_msg_init(&message);
    const bool heard =
        zmq_msg_recv(&message, s->socket, 0) >= 0 && zmq_msg_recv(&message, s->socket, 0) >= 0;
    if (heard && user != NULL)
        cr_assert_eq(curve_parse(zmq_msg_gets(&message, "User-Id"), user), 0);
    zmq_msg_close(&message);
    zmq_close(peer);
    return heard;
}

Test(admit, lets_clients_of_the_list_in_and_says_who_they_are)
{
    struct server s = {0};
    struct curve_key user;

    given_server(&s, WIRE_CLIENT, true);
    cr_assert(hears(&s, &s.client, &s.pair.public_half, &user));
    cr_assert_str_eq(user.text, s.client.public_half.text);
    cr_assert(shows(&s, "scoop_handshakes_admitted_total{role=\"client\"} 1\n"));
    cr_assert(admit_is_alive(s.admit));
    stop_server(&s);
}

Test(admit, hears_nothing_from_other_keys)
{
    struct server s = {0};
    struct curve_pair stranger;

    given_server(&s, WIRE_CLIENT, true);
    cr_assert_eq(curve_make(&stranger), 0);
    cr_assert_not(hears(&s, &stranger, &s.pair.public_half, NULL));
    cr_assert_not(shows(&s, "scoop_handshakes_refused_total{role=\"client\"} 0\n"));
    cr_assert(shows(&s, "scoop_handshakes_admitted_total{role=\"client\"} 0\n"));
    stop_server(&s);
}

Test(admit, hears_nothing_from_who_takes_it_for_another_server)
{
    struct server s = {0};
    struct curve_pair other;

    given_server(&s, WIRE_CLIENT, true);
    cr_assert_eq(curve_make(&other), 0);
    cr_assert_not(hears(&s, &s.client, &other.public_half, NULL));
    stop_server(&s);
}

Test(admit, lets_agents_in_while_their_key_is_allowed)
{
    struct server s = {0};
    struct curve_pair agent;

    given_server(&s, WIRE_AGENT, true);
    cr_assert_eq(curve_make(&agent), 0);
    cr_assert_not(hears(&s, &agent, &s.pair.public_half, NULL));
    cr_assert_not(hears(&s, &s.client, &s.pair.public_half, NULL), "a client's key is no agent's");
    cr_assert_eq(admit_allow_worker(s.admit, &agent.public_half), 0);
    cr_assert_eq(admit_allow_worker(s.admit, &agent.public_half), 0);
    cr_assert(hears(&s, &agent, &s.pair.public_half, NULL));
    admit_revoke_worker(s.admit, &agent.public_half);
    cr_assert_not(hears(&s, &agent, &s.pair.public_half, NULL));
    stop_server(&s);
}

Test(admit, has_a_largest_number_of_agents)
{
    struct server s = {0};
    uint8_t bytes[CURVE_KEY_BYTES] = {0};
    struct curve_key key;
    int rc = 0;

    given_server(&s, WIRE_AGENT, true);
    for (uint32_t i = 0; i < ADMIT_WORKERS_MAX; i++) {
        bytes[0] = (uint8_t)i;
        bytes[1] = (uint8_t)(i >> 8);
        curve_encode(bytes, &key);
        rc |= admit_allow_worker(s.admit, &key);
    }
    cr_assert_eq(rc, 0);
    cr_assert_eq(admit_allow_worker(s.admit, &s.client.public_half), -ENOSPC);
    admit_revoke_worker(s.admit, &key);
    cr_assert_eq(admit_allow_worker(s.admit, &s.client.public_half), 0);
    stop_server(&s);
}

Test(admit, tests_that_strangers_are_refused)
{
    struct server s = {0};

    given_server(&s, WIRE_CLIENT, true);
    cr_assert_eq(admit_self_test(s.admit, s.endpoint, &s.problem), 0, "%s", s.problem.text);
    cr_assert(shows(&s, "scoop_handshakes_refused_total{role=\"client\"} 0\n"),
              "our own knock is not counted");
    stop_server(&s);
}

Test(admit, finds_a_door_that_was_left_open)
{
    struct server s = {0};

    given_server(&s, WIRE_CLIENT, false);
    cr_assert_eq(admit_self_test(s.admit, s.endpoint, &s.problem), -EACCES, "%s", s.problem.text);
    stop_server(&s);
}

Test(admit, refuses_to_call_a_closed_door_tested)
{
    struct server s = {0};

    given_server(&s, WIRE_CLIENT, true);
    cr_assert_eq(admit_self_test(s.admit, "tcp://127.0.0.1:1", &s.problem), -ETIMEDOUT);
    cr_assert_eq(admit_self_test(s.admit, "ipc:///tmp/x", &s.problem), -EINVAL);
    stop_server(&s);
}
