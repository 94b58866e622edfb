/* The verbs of scoop-worker: each reads its own settings from argv[1...] (argv[0] is
 * "scoop-worker VERB", for messages) and returns the exit code: 0 done, 1 failed, 2 usage. Main
 * thread. */
#ifndef WORKER_VERBS_H
#define WORKER_VERBS_H

/* Be the agent of a broker on this machine, by hand: `scoop-worker run --broker
 * ipc:///run/x/workers`. */
int verb_run(int argc, char **argv);

/* Run sshd as the user that this is, so that the broker can log in and start the agent; ends
 * when sshd does. The first process of a worker's container: `scoop-worker sshd`. Source:
 * PROTOCOL.md section 2. */
int verb_sshd(int argc, char **argv);

/* What sshd runs for the broker, whatever the broker's ssh asked for: read a configuration from
 * standard input, answer with one line, be the agent of this host. Source: base/bootstrap.h. */
int verb_serve(int argc, char **argv);

#endif
