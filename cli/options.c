#include "options.h"

#include <stdio.h>
#include <unistd.h>

#define STACK_BROKER "tcp://broker:5555"

/* Longer than SCOOP_CONNECT_MS, which then names the address. */
#define STATUS_MS 30000

void options_complete(struct broker_options *options)
{
    if (options->broker == NULL && access(options->client_key_file, R_OK) == 0)
        options->broker = STACK_BROKER;
}

scoop_session *options_open(const struct broker_options *options, const char *program)
{
    const struct scoop_settings settings = {
        .broker = options->broker,
        .client_key_file = options->client_key_file,
        .broker_key_file = options->broker_key_file,
        .name = "scoop",
    };
    scoop_session *session = scoop_open(&settings);

    if (session == NULL)
        fprintf(stderr, "%s: %s\n", program, scoop_last_error());
    return session;
}

struct scoop_cluster *options_cluster(const struct broker_options *options, const char *program)
{
    struct scoop_cluster *cluster = NULL;

    if (options->broker == NULL) {
        fprintf(stderr, "%s: no broker is set; name one with --broker or SCOOP_BROKER\n", program);
        return NULL;
    }
    scoop_session *session = options_open(options, program);
    if (session == NULL)
        return NULL;
    if (scoop_cluster(session, STATUS_MS, &cluster) != SCOOP_OK)
        fprintf(stderr, "%s: %s\n", program, scoop_last_error());
    scoop_close(session);
    return cluster;
}
