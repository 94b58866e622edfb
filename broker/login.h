/* How the broker gets to `scoop-worker serve` on a host, as a command line that ssh.h runs.
 *
 * Strict, for a stack: with keys that were given. Hosts are believed only when they show the host
 * key that was given; their addresses do not count. Nothing of the user's own ssh configuration,
 * agent or known hosts is used.
 *
 * Own, for `scoop run --hosts`: as the user logs in by hand, with all of his configuration but
 * without questions. This host itself needs no ssh. One thread. */
#ifndef BROKER_LOGIN_H
#define BROKER_LOGIN_H

#include "base/address.h"
#include "base/err.h"
#include "base/problem.h"
#include "base/rundir.h"

#include <stdbool.h>

#define LOGIN_SSH "/usr/bin/ssh"

#define LOGIN_WORDS_MAX 96

/* What all strict logins share: key copies in a private folder, because ssh refuses a key with the
 * mode that a secret may have. */
struct login_setup {
    const char *user; /* on the workers; borrowed for ever */
    char identity[RUNDIR_PATH_MAX];
    char known_hosts[RUNDIR_PATH_MAX];
};

/* Check the two key files and copy them below `run_dir`. 0, or a negative errno with *problem. */
NODISCARD int login_setup_make(const char *run_dir,
                               const char *user,
                               const char *key_file,
                               const char *host_key_file,
                               struct login_setup *out,
                               struct problem *problem);

/* Points into itself: not to be copied. */
struct login_command {
    char *const *environment;
    char *argv[LOGIN_WORDS_MAX + 1]; /* the program is looked up in PATH */
    char text[4096];                 /* of words that were made here */
};

/* -EINVAL: this is no address. */
NODISCARD int login_strict(const struct login_setup *setup,
                           const struct address *address,
                           struct login_command *out);

/* What is common to all own logins; borrowed for ever. */
struct login_own {
    const char *ssh;    /* the client and its options, separated by blanks: "ssh -p 2222" */
    const char *remote; /* what to run there, for the account's shell */
};

/* Is this host the one that we run on? */
bool login_is_here(const char *host);

/* `host`, and `tunnel`, are borrowed while *out is used. `tunnel` is what ssh's -R takes, NULL: none is
 * wanted. -E2BIG: too many words; -EINVAL: no client. */
NODISCARD int login_own(const struct login_own *own,
                        const char *host,
                        const char *tunnel,
                        struct login_command *out);

#endif
