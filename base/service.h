/* What the main() of every HTTP program has in common: three settings, and the way from argv to
 * work. Main thread. */
#ifndef BASE_SERVICE_H
#define BASE_SERVICE_H

#include "settings.h"

#include <stdbool.h>

/* A member of the program's own struct of values. */
struct service_values {
    const char *listen;
    bool access_log;
    bool health; /* only ask the running instance */
};

/* Their rows in its table: `owner` is that struct, `member` the name of this member. */
#define SERVICE_SETTINGS(owner, member, listen_fallback)                                           \
    {                                                                                              \
        .flag = "listen",                                                                          \
        .variable = "LISTEN",                                                                      \
        .type = SETTING_ADDRESS,                                                                   \
        .offset = offsetof(owner, member.listen),                                                  \
        .fallback = listen_fallback,                                                               \
        .help = "where to listen; port 0 takes any free one",                                      \
    },                                                                                             \
        {                                                                                          \
            .flag = "access-log",                                                                  \
            .variable = "ACCESS_LOG",                                                              \
            .type = SETTING_FLAG,                                                                  \
            .offset = offsetof(owner, member.access_log),                                          \
            .fallback = "yes",                                                                     \
            .help = "write a line for each request; ACCESS_LOG=no turns it off",                   \
        },                                                                                         \
    {                                                                                              \
        .flag = "health", .type = SETTING_HEALTH, .offset = offsetof(owner, member.health),        \
        .help = "ask the running instance whether it is well, exit 0 or 1",                        \
    }

/* Protect the process, read the settings into `values`, answer --health, start the log. True: go
 * on. False: all is said, exit with *code. */
NODISCARD bool service_begin(const struct settings *settings,
                             int argc,
                             char **argv,
                             void *values,
                             const struct service_values *common,
                             int *code);

#endif
