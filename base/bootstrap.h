/* What broker and worker say to each other over ssh before they meet over ZeroMQ: the broker writes
 * a configuration to the worker's standard input, the worker answers with one line, and the broker
 * says when it has admitted the worker's key. The worker must not dial before that: ZeroMQ does not
 * try again when a handshake was refused.
 *
 *   scoop 1                              scoop-worker <public key> <slots> <version> <host>
 *   broker tcp://broker:5556
 *   broker_key <Z85>
 *   gone_ms 30000
 *   end
 *                                        (the broker admits the key)
 *   admitted
 *
 * A broker that `scoop run` started for one program logs in to ordinary accounts, and adds:
 *
 *   attached yes                the agent ends when this input does, whatever ended the broker
 *   slots 4                     tasks at a time; missing: as many as there are usable CPUs
 *   programs /home/me/bin       folder of the programs that may run
 *
 * and its `broker` may be tcp://?:PORT: the address that the login came from, as sshd tells it.
 *
 * A configuration without `end` was cut and is refused. Keys that are unknown are skipped, so that
 * a newer broker can say more to an older worker. Source: docs/PROTOCOL.md section 2. Pure: any
 * thread. */
#ifndef BASE_BOOTSTRAP_H
#define BASE_BOOTSTRAP_H

#include "curve.h"
#include "err.h"
#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of the two texts, their zero byte included. */
#define BOOTSTRAP_CONFIG_MAX 4096
#define BOOTSTRAP_ANSWER_MAX 512

/* The broker's last line. */
#define BOOTSTRAP_ADMITTED "admitted\n"

/* Bounds of gone_ms. */
#define BOOTSTRAP_GONE_MIN_MS 1000
#define BOOTSTRAP_GONE_MAX_MS 3600000

/* As the host of a broker's endpoint: where the login came from. */
#define BOOTSTRAP_ORIGIN "?"

struct bootstrap_config {
    char broker[256];            /* endpoint for agents, "tcp://HOST:PORT" */
    struct curve_key broker_key; /* the broker's public half */
    uint64_t gone_ms;            /* an agent whose link has been gone for so long ends */
    bool attached;               /* it ends with its input as well */
    uint64_t slots;              /* 0: not said */
    char programs[1024];         /* folders, DIR[:DIR]; "": not said */
};

struct bootstrap_answer {
    struct curve_key key; /* public half, fresh for this life of the agent */
    uint32_t slots;
    char version[32];
    char host[65];
};

/* Put the address that sshd says the login came from (SSH_CONNECTION, NULL: it was no login but a
 * process of this host) in place of BOOTSTRAP_ORIGIN in config->broker; nothing without that.
 * -EINVAL with *problem: it is no address. */
NODISCARD int bootstrap_resolve_origin(struct bootstrap_config *config,
                                       const char *connection,
                                       struct problem *problem);

/* Write the configuration. Returns its length, or -EINVAL: a field holds a blank, or it does not
 * fit. */
NODISCARD int bootstrap_write_config(const struct bootstrap_config *config,
                                     char text[BOOTSTRAP_CONFIG_MAX]);

/* Is the last line `end`, so that nothing more is to come? */
bool bootstrap_config_complete(const char *text);

/* Read a configuration; `text` is cut up. -EINVAL with *problem naming the line; *out is untouched.
 */
NODISCARD int
bootstrap_read_config(char *text, struct bootstrap_config *out, struct problem *problem);

/* Write the answer with its newline. Returns its length, or -EINVAL as above. */
NODISCARD int bootstrap_write_answer(const struct bootstrap_answer *answer,
                                     char text[BOOTSTRAP_ANSWER_MAX]);

/* Read an answer; `text` is the line without its newline and is cut up. -EINVAL with *problem. */
NODISCARD int
bootstrap_read_answer(char *text, struct bootstrap_answer *out, struct problem *problem);

#endif
