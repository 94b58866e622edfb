/* One ssh session to a worker: the OpenSSH client as a child process that gets a text on its
 * standard input, of which one line of output is read, that then gets one more line, and stays
 * open until either side ends it.
 *
 * Hosts are believed only when they show the host key that was given; their addresses do not
 * count. Nothing of the user's own ssh configuration, agent or known hosts is used. One thread.
 * Nothing blocks but ssh_close(), shortly. */
#ifndef BROKER_SSH_H
#define BROKER_SSH_H

#include "base/address.h"
#include "base/bootstrap.h"
#include "base/err.h"
#include "base/problem.h"
#include "base/rundir.h"

#include <stdbool.h>
#include <sys/types.h>

#define SSH_PROGRAM "/usr/bin/ssh"

/* What all sessions share: key copies in a private folder, because ssh refuses a key with the
 * mode that a secret may have. */
struct ssh_setup {
    const char *user; /* on the workers; borrowed for ever */
    char identity[RUNDIR_PATH_MAX];
    char known_hosts[RUNDIR_PATH_MAX];
};

/* Check the two key files and copy them below `run_dir`. 0, or a negative errno with *problem. */
NODISCARD int ssh_setup_make(const char *run_dir,
                             const char *user,
                             const char *key_file,
                             const char *host_key_file,
                             struct ssh_setup *out,
                             struct problem *problem);

/* Text of a stream, taken line by line; of an over-long line the start is kept. */
struct ssh_line {
    char text[BOOTSTRAP_ANSWER_MAX];
    size_t length;
};

struct ssh_session {
    pid_t pid;  /* 0: no session */
    int input;  /* pipe to ssh; -1: closed */
    int output; /* pipes from ssh; -1 at their end */
    int errors;
    bool answered;          /* the first line of output is in `answer.text` */
    bool host_key_mismatch; /* ssh said that it does not know this host key */
    struct ssh_line answer;
    struct ssh_line error; /* being read */
    char said
        [256]; /* what ssh said: its first telling line until the answer, the last one after it */
};

/* Start a session to `address` that gets `input` (at most BOOTSTRAP_CONFIG_MAX bytes). 0, or a
 * negative errno. */
NODISCARD int ssh_open(const struct ssh_setup *setup,
                       const struct address *address,
                       const char *input,
                       struct ssh_session *out);

/* Give it a last line of input. Nothing happens when the session has ended meanwhile. The
 * calling thread blocks SIGPIPE. */
void ssh_say(struct ssh_session *session, const char *line);

/* Read what is there. Returns false when both streams are at their end: ssh_close() it. */
bool ssh_read(struct ssh_session *session);

/* End the session (SIGTERM, SIGKILL after 200 ms) and reap the process. */
void ssh_close(struct ssh_session *session);

#endif
