/* The settings of a session, checked: from struct scoop_settings, else the environment, else
 * defaults. */
#ifndef LIBSCOOP_CONFIG_H
#define LIBSCOOP_CONFIG_H

#include "base/curve.h"
#include "base/err.h"
#include "base/identity.h"
#include "base/problem.h"
#include "libscoop/include/scoop.h"

struct config {
    char broker[512]; /* URL; empty: none is set */
    bool curve;       /* tcp://: the keys are valid */
    struct curve_pair pair;
    struct curve_key broker_key;
    struct identity program;
    char name[256]; /* in listings */
    int connect_ms;
    int reconnect_ms;
    bool output;      /* print what functions print; of the default session */
    char trace[4096]; /* file for a trace; empty: none. Likewise */
};

/* Fill in *out; `settings` may be NULL. Opens key files and the own executable. Clear with
 * config_wipe(). -ENOENT: no broker is set (*out is valid but for the keys); -EINVAL, or what
 * reading a file gave: *problem says what is wrong. */
NODISCARD int
config_read(const struct scoop_settings *settings, struct config *out, struct problem *problem);

/* Clear the secret key. */
void config_wipe(struct config *config);

#endif
