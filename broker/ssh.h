/* One ssh session to a worker: the OpenSSH client as a child process that gets a text on its
 * standard input, of which one line of output is read, that then gets one more line, and stays
 * open until either side ends it. login.h says who is believed. One thread. Nothing blocks but
 * ssh_close(), shortly. */
#ifndef BROKER_SSH_H
#define BROKER_SSH_H

#include "base/bootstrap.h"
#include "base/err.h"
#include "login.h"

#include <stdbool.h>
#include <sys/types.h>

/* Text of a stream, taken line by line; of an over-long line the start is kept. */
struct ssh_line {
    char text[BOOTSTRAP_ANSWER_MAX];
    size_t length;
};

struct ssh_session {
    pid_t pid;  /* 0: no session */
    int status; /* after ssh_close(): how it ended */
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

/* Start a session that gets `input` (at most BOOTSTRAP_CONFIG_MAX bytes). 0, or a negative errno.
 */
NODISCARD int
ssh_open(const struct login_command *command, const char *input, struct ssh_session *out);

/* Give it a last line of input. Nothing happens when the session has ended meanwhile. The
 * calling thread blocks SIGPIPE. */
void ssh_say(struct ssh_session *session, const char *line);

/* Let its input end. */
void ssh_end_input(struct ssh_session *session);

/* Read what is there. Returns false when both streams are at their end: ssh_close() it. */
bool ssh_read(struct ssh_session *session);

/* End the session (SIGTERM unless it is ending by itself, SIGKILL after a second) and reap the
 * process: `status` is waitpid()'s. */
void ssh_close(struct ssh_session *session);

#endif
