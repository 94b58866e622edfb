/* The settings of the miner: flags and environment, checked. */
#ifndef MINER_CONFIG_H
#define MINER_CONFIG_H

#include "miner.h"

#include "base/service.h"

struct config {
    struct service_values service;
    struct miner_options miner;
    struct redis_options redis;
};

/* Read and check everything, see service_begin(); a URL that is none of such a service is a bad
 * value like any other. Texts are borrowed from argv and the environment. False: exit with
 * *code. */
NODISCARD bool config_read(int argc, char **argv, struct config *out, int *code);

#endif
