/* The configuration of a worker's sshd: one user, public keys only, one forced command and
 * nothing else. Pure text making, apart from sshd.c so that it can be tested without a process.
 * Any thread. */
#ifndef WORKER_SSHD_CONFIG_H
#define WORKER_SSHD_CONFIG_H

#include "base/err.h"
#include "base/problem.h"

#include <stdint.h>

struct sshd_config {
    const char *listen; /* address */
    uint16_t port;
    const char *user;    /* the only one; sshd runs as this user and can log in no other */
    const char *folder;  /* private; has host_key and authorized_keys */
    const char *command; /* what every session runs; a line for /bin/sh without double quotes */
    char *const *environment; /* "NAME=VALUE" of the session, ended by NULL */
};

/* Make sshd_config(5). 0 and *out (owned by the caller, free), -ENOMEM, or -EINVAL with
 * *problem: a value of the environment holds a control character. */
NODISCARD int
sshd_config_make(const struct sshd_config *config, char **out, struct problem *problem);

/* Make authorized_keys from the text of public keys (checked by sshkey_check_public()), each
 * restricted to `command`. 0 and *out (owned by the caller, free), -ENOMEM. */
NODISCARD int sshd_config_keys(const char *public_keys, const char *command, char **out);

/* Those variables of `environment` that a session gets: WORKER_*, SCOOP_* and DEBUG. *out is
 * owned by the caller (free; its strings are borrowed). -ENOMEM. */
NODISCARD int sshd_config_environment(char *const *environment, char ***out);

#endif
