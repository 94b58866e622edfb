/* The settings that every verb has: which broker, and with which keys. Main thread. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/err.h"
#include "base/settings.h"
#include "hosts.h"

#include <scoop.h>

struct broker_options {
    const char *broker; /* NULL: none is set */
    const char *client_key_file;
    const char *broker_key_file;
};

/* Rows for a settings table; `options` is the verb's struct, `field` its struct broker_options. */
#define BROKER_ROWS(options, field)                                                                \
    {                                                                                              \
        .flag = "broker",                                                                          \
        .variable = "SCOOP_BROKER",                                                                \
        .type = SETTING_ENDPOINT,                                                                  \
        .offset = offsetof(options, field.broker),                                                 \
        .help = "the cluster's address: tcp://HOST:PORT or ipc:///PATH "                           \
                "(default: tcp://broker:5555 where the client key is, else none)",                 \
    },                                                                                             \
        {                                                                                          \
            .flag = "client-key",                                                                  \
            .variable = "SCOOP_CLIENT_KEY_FILE",                                                   \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(options, field.client_key_file),                                    \
            .fallback = "/run/secrets/client_curve_key",                                           \
            .min = 1,                                                                              \
            .help = "file with the secret key of this client, for tcp",                            \
        },                                                                                         \
    {                                                                                              \
        .flag = "broker-key", .variable = "SCOOP_BROKER_KEY_FILE", .type = SETTING_TEXT,           \
        .offset = offsetof(options, field.broker_key_file),                                        \
        .fallback = "/run/secrets/broker_curve_key.pub", .min = 1,                                 \
        .help = "file with the public key of the broker, for tcp",                                 \
    }

/* The broker of the stack that this container belongs to, when none was named: where the client's
 * key is mounted as a secret, tcp://broker:5555. */
void options_complete(struct broker_options *options);

/* Where `scoop run` and `scoop map` compute. */
struct place {
    enum { PLACE_HERE, PLACE_HOSTS, PLACE_BROKER } kind;
    char *hosts; /* of PLACE_HOSTS: the list; owned, place_fini() */
};

/* Choose: this machine when slots were given, hosts that were named, the broker (which is completed
 * as above), the hosts of a batch job, this machine. -EINVAL: said on stderr. */
NODISCARD int options_choose(struct broker_options *broker,
                             const struct hosts_options *hosts,
                             uint64_t slots,
                             const char *program,
                             struct place *out);
void place_fini(struct place *place);

/* Open a session with these options. NULL: one line on stderr said why. */
scoop_session *options_open(const struct broker_options *options, const char *program);

/* The same for verbs that are nothing without a broker: completed as above, or named. NULL: said, and
 * *code is the exit code. */
NODISCARD scoop_session *
options_session(struct broker_options *options, const char *program, int *code);

/* Ask the broker for its status, within its patience. NULL: one line on stderr said why. */
struct scoop_cluster *options_ask(scoop_session *session, const char *program);

/* Both at once, for a single question. NULL: said, and *code is the exit code. */
NODISCARD struct scoop_cluster *
options_cluster(struct broker_options *options, const char *program, int *code);

#endif
