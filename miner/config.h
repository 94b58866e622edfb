/* The settings of the miner: flags and environment, checked. */
#ifndef MINER_CONFIG_H
#define MINER_CONFIG_H

#include "miner.h"

#include "base/settings.h"

struct config {
    const char *listen; /* for /health and /metrics */
    bool access_log;
    bool health; /* only ask the running instance */
    struct miner_options miner;
    struct redis_options redis;
};

/* Read and check everything; texts are borrowed from argv and the environment. A URL that is no
 * URL of such a service is SETTINGS_USAGE with one line, like any other bad value. */
NODISCARD enum settings_outcome config_read(int argc, char **argv, struct config *out);

#endif
