#include "options.h"

#include "verb.h"

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

int options_choose(struct broker_options *broker,
                   const struct hosts_options *hosts,
                   uint64_t slots,
                   const char *program,
                   struct place *out)
{
    *out = (struct place){.kind = PLACE_HERE};
    if (slots != 0 && hosts_are_named(hosts)) {
        fprintf(stderr, "%s: --slots is for this machine, --hosts for others: one of them\n",
                program);
        return -EINVAL;
    }
    if (slots != 0)
        return 0;
    options_complete(broker);
    if (!hosts_are_named(hosts) && broker->broker != NULL) {
        out->kind = PLACE_BROKER;
        return 0;
    }
    const int error = hosts_find(hosts, program, &out->hosts);
    if (error == 0 && out->hosts != NULL)
        out->kind = PLACE_HOSTS;
    return error;
}

void place_fini(struct place *place)
{
    free(place->hosts);
    place->hosts = NULL;
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

scoop_session *options_session(struct broker_options *options, const char *program, int *code)
{
    options_complete(options);
    *code = EXIT_FAILED;
    if (options->broker != NULL)
        return options_open(options, program);
    fprintf(stderr, "%s: no broker is set; name one with --broker or SCOOP_BROKER\n", program);
    *code = EXIT_USAGE;
    return NULL;
}

struct scoop_cluster *options_ask(scoop_session *session, const char *program)
{
    struct scoop_cluster *cluster = NULL;

    if (scoop_cluster(session, STATUS_MS, &cluster) != SCOOP_OK)
        fprintf(stderr, "%s: %s\n", program, scoop_last_error());
    return cluster;
}

struct scoop_cluster *
options_cluster(struct broker_options *options, const char *program, int *code)
{
    scoop_session *session = options_session(options, program, code);
    struct scoop_cluster *cluster = session != NULL ? options_ask(session, program) : NULL;

    scoop_close(session);
    return cluster;
}
