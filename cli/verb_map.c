/* scoop map: one command per argument, on the cluster or on this machine's cores. */
#include "hosts.h"
#include "local.h"
#include "mapping.h"
#include "operands.h"
#include "options.h"
#include "verb.h"

#include <signal.h>
#include <stdio.h>

/* Exit codes, as GNU parallel has them: the number of commands that failed, up to this one, which
 * stands for all above it; and what else went wrong. */
#define FAILED_MAX 101
#define OTHER      255

struct map_options {
    struct broker_options broker;
    struct hosts_options hosts;
    uint64_t slots;
    const char *file;
    bool null_ends;
    bool keep_order;
    bool as_completed;
    bool tag;
    uint64_t tries;
    uint64_t limit_ms;
    const char *needs;
    const char *joblog;
    bool resume;
    bool resume_failed;
    bool dry_run;
};

#define ROW(name, kind, field)                                                                     \
    .flag = name, .type = kind, .offset = offsetof(struct map_options, field)

static const struct setting rows[] = {
    {
        ROW("slots", SETTING_NUMBER, slots),
        .min = 1,
        .max = 1024,
        .help = "use this machine only, and run so many commands at a time",
        .letter = 'n',
    },
    {
        ROW("jobs", SETTING_NUMBER, slots),
        .min = 1,
        .max = 1024,
        .help = "the same",
        .letter = 'j',
    },
    {
        ROW("arg-file", SETTING_TEXT, file),
        .min = 1,
        .help = "read arguments from this file instead of standard input; -: from that",
        .letter = 'a',
    },
    {
        ROW("null", SETTING_FLAG, null_ends),
        .help = "arguments that are read end in a zero byte, as those of find -print0",
        .letter = '0',
    },
    {
        ROW("keep-order", SETTING_FLAG, keep_order),
        .help = "write outputs in the order of the input; it is the default",
        .letter = 'k',
    },
    {
        ROW("as-completed", SETTING_FLAG, as_completed),
        .help = "write each output when its command has ended",
    },
    {
        ROW("tag", SETTING_FLAG, tag),
        .help = "begin each line of output with the arguments and a tab",
    },
    {
        ROW("retries", SETTING_NUMBER, tries),
        .fallback = "1",
        .min = 1,
        .max = 1000,
        .help = "run a command that fails so often in all; the output of its last run counts",
    },
    {
        ROW("timeout", SETTING_SECONDS, limit_ms),
        .min = 1,
        .max = 4000000000,
        .help = "kill a command that runs longer",
    },
    {
        ROW("needs", SETTING_TEXT, needs),
        .min = 1,
        .max = SCOOP_NEEDS_MAX,
        .help = "what each command needs of its worker: gpu=1,ram=4G,ssd",
    },
    {
        ROW("joblog", SETTING_TEXT, joblog),
        .min = 1,
        .help = "log each command here, with the columns of GNU parallel, after its output was "
                "written",
    },
    {
        ROW("resume", SETTING_FLAG, resume),
        .help = "leave out the commands that are in the job log; the input must be the same",
    },
    {
        ROW("resume-failed", SETTING_FLAG, resume_failed),
        .help = "the same, but run those that failed again",
    },
    {
        ROW("dry-run", SETTING_FLAG, dry_run),
        .help = "print the commands instead of running them",
    },
    HOSTS_ROWS(struct map_options, hosts),
    BROKER_ROWS(struct map_options, broker),
};

static const struct settings settings = {
    .program = "scoop map",
    .about =
        "Runs COMMAND once for each ARGUMENT, or for each line of standard input when there is "
        "no \":::\".\nThe argument takes the place of {}, or comes last. Several lists are "
        "combined, "
        "each with each.\nOutputs are written whole and in order, stderr to stderr.\n\n"
        "  {} argument        {.} without extension  {/} without folders  {//} folder  {/.} both\n"
        "  {#} number, from 1 {2} of the second list {2.} {2/} {2//} {2/.} its parts\n\n"
        "A COMMAND that is one word with blanks or other characters of a shell is run by sh -c; "
        "what "
        "fills\nits places is quoted for it.\n\n"
        "Exit code: 0 all commands ended with 0; 1 to 100 so many failed; 101 more than that;\n"
        "2 with one line on stderr that says what is wrong with the command line, before anything "
        "was run;\n128 + N ended by signal N; 255 anything else.",
    .operands = "COMMAND... [::: ARGUMENT...]...",
    .example = "scoop map --joblog log --resume 'convert {} -resize 50% small/{/.}.png' ::: *.jpg",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* ---- reasons to stop ---- */

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
    caught = signal;
}

static bool has_ended(void *context)
{
    struct local *local = context;

    return caught != 0 || (local != NULL && local_has_ended(local));
}

static void catch_signals(void)
{
    /* A second one ends the command at once. */
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- running ---- */

static int exit_code(int error, uint64_t failed)
{
    if (error == -ECANCELED && caught != 0)
        return 128 + caught;
    if (error == -ECHILD)
        return failed < FAILED_MAX ? (int)failed : FAILED_MAX;
    return error == 0 ? EXIT_DONE : OTHER;
}

static int map_on(const struct broker_options *broker, struct mapping *mapping)
{
    mapping->session = options_open(broker, settings.program);
    mapping->command = scoop_builtin("command", SCOOP_VARIABLE, SCOOP_VARIABLE);
    if (mapping->session == NULL || mapping->command == NULL)
        return OTHER;
    const int error = mapping_run(mapping);
    scoop_close(mapping->session);
    return exit_code(error, mapping->failed);
}

static int map_privately(struct map_options *options, const char *list, struct mapping *mapping)
{
    const struct local_hosts hosts = {
        .list = list,
        .ssh = options->hosts.ssh,
        .remote = options->hosts.remote,
        .tunnel = options->hosts.tunnel,
        .external = options->hosts.external,
    };
    const struct local_config config = {
        .hosts = list != NULL ? &hosts : NULL,
        .slots = (unsigned)options->slots,
    };
    struct problem problem;
    struct local local;

    if (local_start(&config, &local, &problem) != 0) {
        fprintf(stderr, "%s: %s\n", settings.program, problem.text);
        return OTHER;
    }
    options->broker.broker = local.broker;
    mapping->context = &local;
    const int code = map_on(&options->broker, mapping);
    local_stop(&local);
    return code;
}

static int map(struct map_options *options, struct mapping *mapping)
{
    struct place place CLEANUP(place_fini) = {.kind = PLACE_HERE};

    if (options_choose(&options->broker, &options->hosts, options->slots, settings.program,
                       &place) != 0)
        return EXIT_USAGE;
    catch_signals();
    if (options->dry_run)
        return exit_code(mapping_show(mapping), 0);
    return place.kind == PLACE_BROKER ? map_on(&options->broker, mapping)
                                      : map_privately(options, place.hosts, mapping);
}

/* ---- the command line ---- */

static int usage(const char *what)
{
    fprintf(stderr, "%s: %s; see '%s --help'\n", settings.program, what, settings.program);
    return -EINVAL;
}

static int check(const struct map_options *options)
{
    if (options->keep_order && options->as_completed)
        return usage("--keep-order and --as-completed exclude each other");
    if ((options->resume || options->resume_failed) && options->joblog == NULL)
        return usage("--resume needs --joblog FILE");
    return 0;
}

static int open_joblog(const struct map_options *options, struct joblog *joblog)
{
    const enum joblog_mode mode = options->resume_failed ? JOBLOG_FAILED
                                  : options->resume      ? JOBLOG_RESUME
                                                         : JOBLOG_FRESH;
    struct problem problem;

    if (options->joblog == NULL || (options->dry_run && mode == JOBLOG_FRESH))
        return 0;
    const int error = joblog_open(joblog, options->joblog, mode, &problem);
    if (error != 0)
        fprintf(stderr, "%s: --joblog: %s\n", settings.program, problem.text);
    return error;
}

static int run_verb(int argc, char **argv)
{
    struct map_options options = {.slots = 0};
    int first = 0;
    bool has_input = false;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);
    struct joblog joblog = {.fd = -1};
    struct input input = {.fd = -1};
    struct mapping mapping = {
        .input = &input,
        .joblog = &joblog,
        .ended = has_ended,
        .program = settings.program,
        .limit_ms = (uint32_t)options.limit_ms,
        .needs = options.needs,
        .tries = (unsigned)options.tries,
        .as_completed = options.as_completed,
        .tag = options.tag,
    };

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    const struct operands_options operands = {
        .program = settings.program,
        .file = options.file,
        .null_ends = options.null_ends,
        .lines_by_default = true,
    };
    if (check(&options) != 0 || operands_read(&operands, argv + first, (size_t)(argc - first),
                                              &mapping.template, &input, &has_input) != 0)
        return EXIT_USAGE;
    const int code = open_joblog(&options, &joblog) == 0 ? map(&options, &mapping) : EXIT_USAGE;
    joblog_close(&joblog);
    input_fini(&input);
    return code;
}

const struct verb verb_map = {
    .name = "map",
    .about = "run a command once for each argument",
    .settings = &settings,
    .run = run_verb,
};
