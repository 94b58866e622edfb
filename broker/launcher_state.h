/* What launcher.c and launcher_start.c share. See launcher.c for the invariants. */
#ifndef BROKER_LAUNCHER_STATE_H
#define BROKER_LAUNCHER_STATE_H

#include "base/address.h"
#include "base/bootstrap.h"
#include "base/hostlist.h"
#include "base/resolve.h"
#include "launcher.h"
#include "login.h"
#include "ssh.h"

#include <pthread.h>

#define LAUNCHER_LOOKUP_MS 2000

enum host_state {
    HOST_WAITING,
    HOST_STARTING,
    HOST_READY,
    HOST_GIVEN_UP, /* own logins only */
};

struct host {
    struct address address;       /* of strict logins */
    char text[HOSTLIST_NAME_MAX]; /* the address, or the name of an own login */
    uint32_t slots;               /* wanted; 0: its own decision */
    bool was_ready;
    enum host_state state;
    int64_t since_ms;   /* in this state */
    int64_t due_ms;     /* WAITING: try again; STARTING: give up */
    int64_t missing_ms; /* since when no name has it; 0: one has */
    unsigned failures;  /* in a row */
    struct ssh_session ssh;
    struct bootstrap_answer answer; /* READY */
    char told[256];                 /* the failure that was logged last */
};

struct name {
    char text[256];
    struct resolver *resolver;
    uint64_t version;
    int error; /* of the last lookup, as logged */
    struct resolve_snapshot known;
};

struct launcher {
    struct launcher_config config;
    struct login_setup setup;          /* of strict logins */
    struct login_own own;              /* of own ones */
    struct bootstrap_config bootstrap; /* what every agent gets, but for its slots */
    struct name names[LAUNCHER_NAMES_MAX];
    size_t name_count;
    struct host *hosts[LAUNCHER_HOSTS_MAX];
    size_t host_count;
    size_t starting;
    bool full_told;
    void *revoked; /* PUSH */
    int wake_fd;   /* eventfd: a name changed */
    int stop_fd;   /* eventfd */
    pthread_t thread;
    struct metric *known;   /* hosts */
    struct metric *ready;   /* hosts */
    struct metric *started; /* logins */
    struct metric *failed;  /* logins */
};

/* Add a host that is named by the user. -ENOMEM. */
NODISCARD int launcher_add_named(struct launcher *launcher, const struct hostlist_host *named);

/* The thread. */
void *launcher_run(void *launcher);

#endif
