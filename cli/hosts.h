/* Which hosts `scoop run` and `scoop map` start workers on, over the user's own ssh. Main thread. */
#ifndef CLI_HOSTS_H
#define CLI_HOSTS_H

#include "base/err.h"
#include "base/settings.h"

#include <stdbool.h>

/* Filled in by the rows below; all NULL when there are no hosts. */
struct hosts_options {
    const char *hosts;    /* a list as base/hostlist.h has it */
    const char *hostfile; /* path of one */
    const char *ssh;
    const char *remote;
    bool tunnel;          /* they reach this machine through their logins */
    const char *external; /* this machine's name as those hosts reach it; NULL: as ssh tells them */
};

#define HOSTS_ROWS(options, field)                                                                 \
    {                                                                                              \
        .flag = "hosts",                                                                           \
        .type = SETTING_TEXT,                                                                      \
        .offset = offsetof(options, field.hosts),                                                  \
        .min = 1,                                                                                  \
        .help = "start workers on these hosts over ssh, HOST[:NUMBER],... and PREFIX[00-07]; the " \
                "number is that of tasks at a time (default: one for each usable CPU)",            \
    },                                                                                             \
        {                                                                                          \
            .flag = "hostfile",                                                                    \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(options, field.hostfile),                                           \
            .min = 1,                                                                              \
            .help = "the same from a file: HOST [NUMBER] a line",                                  \
        },                                                                                         \
        {                                                                                          \
            .flag = "ssh",                                                                         \
            .variable = "SCOOP_SSH",                                                               \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(options, field.ssh),                                                \
            .fallback = "ssh",                                                                     \
            .min = 1,                                                                              \
            .max = 1000,                                                                           \
            .help = "the ssh client for them, and its options",                                    \
        },                                                                                         \
        {                                                                                          \
            .flag = "remote",                                                                      \
            .variable = "SCOOP_REMOTE",                                                            \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(options, field.remote),                                             \
            .fallback = "scoop-worker serve",                                                      \
            .min = 1,                                                                              \
            .help = "the command there that becomes the worker",                                   \
        },                                                                                         \
        {                                                                                          \
            .flag = "tunnel",                                                                      \
            .type = SETTING_FLAG,                                                                  \
            .offset = offsetof(options, field.tunnel),                                             \
            .help = "they reach this machine through their logins, where they cannot otherwise",   \
        },                                                                                         \
    {                                                                                              \
        .flag = "external-hostname", .type = SETTING_TEXT,                                         \
        .offset = offsetof(options, field.external), .min = 1, .max = 200,                         \
        .help = "this machine as those hosts reach it (default: where their logins come from)",    \
    }

/* Whether hosts were named on the command line. */
bool hosts_are_named(const struct hosts_options *options);

/* Find the hosts: those that were named, else those that SLURM or PBS gave this job. 0: *list is
 * them in one line, owned by the caller, or NULL: there are none. A negative errno: said on stderr.
 */
NODISCARD int hosts_find(const struct hosts_options *options, const char *program, char **list);

#endif
