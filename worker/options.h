/* Settings that the verbs of scoop-worker share: each is a row of the tables of those that have it, for a field of
 * the struct `owner`. */
#ifndef WORKER_OPTIONS_H
#define WORKER_OPTIONS_H

#include "base/needs.h"
#include "base/settings.h"
#include "base/wire.h"

/* How an agent runs tasks. */
struct agent_options {
    const char *programs;
    uint64_t slots; /* 0: one for each usable CPU */
    uint64_t grace_ms;
    uint64_t task_memory;    /* 0: no limit */
    uint64_t executor_tasks; /* 0: no limit */
    const char *may;         /* see bounds_parse() */
    const char *hide;
    const char *resources; /* what the host has for tasks, see base/needs.h */
};

/* Are they possible? -EINVAL with *problem. */
NODISCARD int agent_options_check(const struct agent_options *options, struct problem *problem);

/* What programs may ask for, see bounds.h. */
unsigned agent_options_may(const struct agent_options *options);

/* How many tasks it runs at the same time. */
uint32_t agent_options_slots(const struct agent_options *options);

/* `member` is a struct agent_options. */
#define AGENT_SETTINGS(owner, member)                                                              \
    {                                                                                              \
        .flag = "slots",                                                                           \
        .variable = "WORKER_SLOTS",                                                                \
        .type = SETTING_NUMBER,                                                                    \
        .offset = offsetof(owner, member.slots),                                                   \
        .fallback = "0",                                                                           \
        .max = WIRE_SLOTS_MAX,                                                                     \
        .help = "tasks that run at the same time; 0: one for each usable CPU",                     \
    },                                                                                             \
        {                                                                                          \
            .flag = "programs",                                                                    \
            .variable = "WORKER_PROGRAMS",                                                         \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(owner, member.programs),                                            \
            .fallback = "/usr/libexec/scoop/programs",                                             \
            .min = 1,                                                                              \
            .help = "folders of the programs that may be run here, DIR[:DIR]",                     \
        },                                                                                         \
        {                                                                                          \
            .flag = "task-memory",                                                                 \
            .variable = "WORKER_TASK_MEMORY",                                                      \
            .type = SETTING_SIZE,                                                                  \
            .offset = offsetof(owner, member.task_memory),                                         \
            .min = 16ULL << 20,                                                                    \
            .max = 1ULL << 50,                                                                     \
            .help = "memory that the process of a task may have; by itself there is no limit",     \
        },                                                                                         \
        {                                                                                          \
            .flag = "tasks-per-executor",                                                          \
            .variable = "WORKER_TASKS_PER_EXECUTOR",                                               \
            .type = SETTING_NUMBER,                                                                \
            .offset = offsetof(owner, member.executor_tasks),                                      \
            .fallback = "0",                                                                       \
            .max = UINT32_MAX,                                                                     \
            .help = "tasks after which a process is replaced by a new one; 0: never",              \
        },                                                                                         \
        {                                                                                          \
            .flag = "tasks-may",                                                                   \
            .variable = "WORKER_TASKS_MAY",                                                        \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(owner, member.may),                                                 \
            .fallback = "exec,sockets",                                                            \
            .max = 64,                                                                             \
            .help = "what programs may ask for: exec (commands need it), sockets, both, or \"\"",  \
        },                                                                                         \
        {                                                                                          \
            .flag = "hide",                                                                        \
            .variable = "WORKER_HIDE",                                                             \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(owner, member.hide),                                                \
            .fallback = "/run/secrets",                                                            \
            .max = 4096,                                                                           \
            .help = "files and folders that tasks cannot read, PATH[:PATH]",                       \
        },                                                                                         \
        {                                                                                          \
            .flag = "resources",                                                                   \
            .variable = "WORKER_RESOURCES",                                                        \
            .type = SETTING_TEXT,                                                                  \
            .offset = offsetof(owner, member.resources),                                           \
            .fallback = "",                                                                        \
            .max = NEEDS_TEXT_MAX,                                                                 \
            .help = "what this host has for tasks that need it: gpu=1,ram=4G,ssd",                 \
        },                                                                                         \
        GRACE_SETTING(owner, member.grace_ms)

/* `member` is a uint64_t. */
#define GRACE_SETTING(owner, member)                                                               \
    {                                                                                              \
        .flag = "grace-ms", .variable = "WORKER_GRACE_MS", .type = SETTING_NUMBER,                 \
        .offset = offsetof(owner, member), .fallback = "8000", .max = 3600000, .unit = "ms",       \
        .help = "how long running tasks may take after SIGTERM",                                   \
    }

/* `member` is a const char *. */
#define RUN_DIR_SETTING(owner, member)                                                             \
    {                                                                                              \
        .flag = "run-dir", .variable = "WORKER_RUN_DIR", .type = SETTING_TEXT,                     \
        .offset = offsetof(owner, member), .fallback = "/run/scoop", .min = 1, .max = 100,         \
        .help = "folder for key copies and the agent's lock, in memory if possible",               \
    }

#endif
