/* Starts an agent on every host behind the workers' names, over ssh, and keeps looking.
 *
 * Each name ("tasks.worker") is looked up every 2 s. An address without a session gets one: the
 * broker's endpoint and public key go out, the agent's fresh public key comes back and is
 * admitted for as long as the session lasts. A session that ends, or an address that left its
 * name for 10 s, has its key revoked, and the loop is told. Addresses that fail are tried again
 * with growing pauses; each change of state is one log line. A thread of its own does all this.
 *
 * Hosts of the user's own are not looked up. One that does not come up is told to the user, by one
 * line on standard output, and is not tried again; without any host left the process gets SIGTERM.
 * Source: PROTOCOL.md section 2. */
#ifndef BROKER_LAUNCHER_H
#define BROKER_LAUNCHER_H

#include "admit.h"
#include "base/curve.h"
#include "base/err.h"
#include "base/hostlist.h"
#include "base/metrics.h"
#include "base/problem.h"

#include <stdint.h>

/* Addresses that are looked after; more are left out, which is logged. */
#define LAUNCHER_HOSTS_MAX 1024

/* Names in the list. */
#define LAUNCHER_NAMES_MAX 256

struct launcher;

/* Texts are borrowed while the launcher lives. */
struct launcher_config {
    void *context; /* ZeroMQ, for LOOP_REVOKE_ENDPOINT */
    struct admit *admit;
    struct metrics *metrics; /* gets counts of hosts and logins */
    /* "tasks.worker,tasks.root_worker": names or addresses, separated by commas */
    const char *names;
    /* or hosts of the user's own, with own logins (login.h); NULL: none */
    const struct hostlist *hosts;
    const char *ssh;      /* own logins: the client, */
    const char *remote;   /* what it runs there, */
    const char *programs; /* and the folders of programs there; "": the worker's own setting */
    bool tunnel;      /* their agents reach the broker's port on 127.0.0.1 through their logins */
    uint16_t port;    /* of sshd on the workers */
    const char *user; /* there */
    const char *key_file;               /* private ssh key of the broker */
    const char *host_key_file;          /* public ssh host key(s) of the workers */
    const char *run_dir;                /* parent of the private folder for key copies */
    const char *broker_endpoint;        /* what agents are told to dial: "tcp://broker:5556" */
    const struct curve_key *broker_key; /* public half; copied */
    uint32_t gone_ms;                   /* agents end when their link has been gone for so long */
};

/* Check names and keys, copy the keys, start the thread. 0, or a negative errno with *problem.
 * *out is owned by the caller. Main thread. */
NODISCARD int launcher_start(const struct launcher_config *config,
                             struct launcher **out,
                             struct problem *problem);

/* End all sessions, revoke all keys, join the thread (about a second at most). NULL is fine. */
void launcher_stop(struct launcher *launcher);

#endif
