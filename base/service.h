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

/* A member for the gate of a service (base/gate.h). */
struct gate_values {
    uint64_t delay_ms;
    uint64_t concurrency; /* 0: not limited */
};

/* Its rows: variables PREFIX_DELAY_MS and PREFIX_CONCURRENCY; `held` is what waits at the gate. */
#define GATE_SETTINGS(owner, member, prefix, held)                                                 \
    {                                                                                              \
        .flag = "delay-ms",                                                                        \
        .variable = prefix "_DELAY_MS",                                                            \
        .type = SETTING_NUMBER,                                                                    \
        .offset = offsetof(owner, member.delay_ms),                                                \
        .fallback = "0",                                                                           \
        .max = 60000,                                                                              \
        .unit = "ms",                                                                              \
        .help = "hold each " held " for so long, as the lesson does",                              \
    },                                                                                             \
    {                                                                                              \
        .flag = "concurrency", .variable = prefix "_CONCURRENCY", .type = SETTING_NUMBER,          \
        .offset = offsetof(owner, member.concurrency), .fallback = "0", .max = 1000000,            \
        .help = "requests served at a time, the others queue; 0 does not limit them",              \
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
