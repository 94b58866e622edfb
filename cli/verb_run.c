/* scoop run: starts a program with a broker to talk to: a private one with workers on this machine,
 * or a cluster's. */
#include "base/clock.h"
#include "base/strays.h"
#include "hosts.h"
#include "local.h"
#include "options.h"
#include "verb.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_MS       1000 /* for an answer of the private broker */
#define ASK_AGAIN_MS 20

/* SIGKILL takes effect at once, unless the kernel holds a process in a device. */
#define STRAYS_MS 1000

struct run_options {
    struct broker_options broker;
    struct hosts_options hosts;
    const char *programs;
    const char *trace;
    uint64_t slots;
    bool quiet;
};

static const struct setting rows[] = {
    {
        .flag = "slots",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct run_options, slots),
        .min = 1,
        .max = 1024,
        .help = "use this machine only, and run so many tasks at a time",
        .letter = 'n',
    },
    HOSTS_ROWS(struct run_options, hosts),
    {
        .flag = "programs",
        .type = SETTING_TEXT,
        .offset = offsetof(struct run_options, programs),
        .min = 1,
        .help = "the program's folder on those hosts (default: the same as here); to others "
                "it is sent",
    },
    {
        .flag = "trace",
        .variable = "SCOOP_TRACE",
        .type = SETTING_TEXT,
        .offset = offsetof(struct run_options, trace),
        .min = 1,
        .help = "write when each task ran where to this file; ui.perfetto.dev shows it",
    },
    {
        .flag = "quiet",
        .type = SETTING_FLAG,
        .offset = offsetof(struct run_options, quiet),
        .help = "do not show what functions print on the workers",
    },
    BROKER_ROWS(struct run_options, broker),
};

static const struct settings settings = {
    .program = "scoop run",
    .about =
        "Runs a program that is linked with libscoop on all cores of this machine, or on those "
        "of other hosts,\nto which you can log in by ssh without a question and which have "
        "scoop-worker;\nor, when a broker is set, on its cluster. In a job "
        "of SLURM or PBS the hosts are those of the job.\nIts exit code is the program's.",
    .operands = "PROGRAM [ARGUMENT...]",
    .example = "scoop run --hosts red[00-07]:4,me@blue ./abs",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static bool may_run(const char *path)
{
    struct stat status;

    if (access(path, X_OK) != 0 || stat(path, &status) != 0)
        return false;
    if (S_ISREG(status.st_mode))
        return true;
    errno = S_ISDIR(status.st_mode) ? EISDIR : EACCES;
    return false;
}

/* The file that execvp() would run, links resolved. False: there is none, errno says why. */
static bool find_program(const char *name, char path[PATH_MAX])
{
    const char *list = getenv("PATH");
    char candidate[PATH_MAX];

    if (strchr(name, '/') != NULL || list == NULL)
        return may_run(name) && realpath(name, path) != NULL;
    while (*list != '\0') {
        const size_t length = strcspn(list, ":");

        snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)length, list, name);
        if (may_run(candidate))
            return realpath(candidate, path) != NULL;
        list += length + (list[length] == ':');
    }
    errno = ENOENT;
    return false;
}

static void set_environment(const struct broker_options *options)
{
    const struct {
        const char *name;
        const char *value;
    } variables[] = {
        {"SCOOP_BROKER", options->broker},
        {"SCOOP_CLIENT_KEY_FILE", options->client_key_file},
        {"SCOOP_BROKER_KEY_FILE", options->broker_key_file},
    };

    for (size_t i = 0; i < COUNT_OF(variables); i++)
        setenv(variables[i].name, variables[i].value, 1);
}

/* What the program's session does with notes of its tasks. */
static void set_notes(const struct run_options *options)
{
    if (options->trace != NULL)
        setenv("SCOOP_TRACE", options->trace, 1);
    if (options->quiet)
        setenv("SCOOP_OUTPUT", "none", 1);
}

/* Only returns when it fails. */
static int become(const char *path, char **argv)
{
    execv(path, argv);
    fprintf(stderr, "%s: %s: %s\n", settings.program, path, strerror(errno));
    return EXIT_FAILED;
}

/* ---- with a private cluster ---- */

static pid_t program_pid;
static volatile sig_atomic_t caught;

static void note(int signal)
{
    caught = signal;
}

static void forward(int signal)
{
    caught = signal;
    if (program_pid > 0)
        kill(program_pid, signal);
}

/* The terminal's Ctrl-C goes to the program as well, which is in our process group; that of a process may
 * be for us alone. */
static void forward_if_sent(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == SI_KERNEL)
        note(signal);
    else
        forward(signal);
}

/* The program decides what becomes of a request to end. Before there is one it ends the waiting for it. */
static void prepare_signals(void)
{
    const struct sigaction from_terminal = {.sa_sigaction = forward_if_sent,
                                            .sa_flags = SA_SIGINFO};
    const struct sigaction pass_on = {.sa_handler = forward};

    sigaction(SIGINT, &from_terminal, NULL);
    sigaction(SIGQUIT, &from_terminal, NULL);
    sigaction(SIGTERM, &pass_on, NULL);
    sigaction(SIGHUP, &pass_on, NULL);
}

static pid_t start_program(const char *path, char **argv)
{
    const struct sigaction normal = {.sa_handler = SIG_DFL};
    const pid_t parent = getpid();
    const pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    sigaction(SIGINT, &normal, NULL);
    sigaction(SIGQUIT, &normal, NULL);
    sigaction(SIGTERM, &normal, NULL);
    sigaction(SIGHUP, &normal, NULL);
    _exit(become(path, argv));
}

/* Wait for the program; when the cluster ends before it, end the program too. Returns its exit
 * code, shell style. */
static int await_program(struct local *local)
{
    int status = 0;

    for (;;) {
        const pid_t pid = waitpid(-1, &status, 0);

        if (pid == program_pid)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (pid == local->supervisor) {
            local->supervisor = 0;
            fprintf(stderr, "%s: its private cluster ended; ending the program\n",
                    settings.program);
            kill(program_pid, SIGTERM);
        }
        if (pid < 0 && errno != EINTR)
            return EXIT_FAILED;
    }
}

/* Wait until the first host has a worker: when none will, the program need not begin. 0, or the
 * exit code. */
static int await_worker(struct local *local)
{
    const struct scoop_settings where = {.broker = local->broker, .name = "scoop"};
    scoop_session *session = scoop_open(&where);
    unsigned alive = 0;

    while (session != NULL && alive == 0 && caught == 0 && !local_has_ended(local)) {
        struct scoop_cluster *cluster = NULL;

        if (scoop_cluster(session, ASK_MS, &cluster) == SCOOP_OK)
            alive = cluster->alive;
        scoop_cluster_free(cluster);
        if (alive == 0)
            clock_sleep_ms(ASK_AGAIN_MS);
    }
    scoop_close(session);
    if (caught != 0)
        return 128 + caught;
    return alive > 0 ? 0 : EXIT_FAILED;
}

static bool is_nobody(const void *context, pid_t pid)
{
    (void)context;
    (void)pid;
    return false;
}

/* What a program that was ended has left running: by prctl() it has become our children. */
static void end_strays(void)
{
    const int64_t end_ms = clock_now_ms() + STRAYS_MS;

    while (waitpid(-1, NULL, WNOHANG) >= 0 && clock_now_ms() < end_ms) {
        strays_kill(is_nobody, NULL);
        clock_sleep_ms(1);
    }
}

static int run_privately(const struct local_config *config, const char *path, char **argv)
{
    struct problem problem;
    struct local local;

    prepare_signals();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (local_start(config, &local, &problem) != 0) {
        fprintf(stderr, "%s: %s\n", settings.program, problem.text);
        return EXIT_FAILED;
    }
    int code = config->hosts != NULL ? await_worker(&local) : 0;
    if (code == 0) {
        setenv("SCOOP_BROKER", local.broker, 1);
        program_pid = start_program(path, argv);
        code = program_pid > 0 ? await_program(&local) : EXIT_FAILED;
    }
    local_stop(&local);
    if (caught == SIGTERM || caught == SIGHUP || (caught != 0 && code == 128 + caught))
        end_strays();
    return code;
}

static int run(const struct run_options *options, const char *list, const char *path, char **argv)
{
    char folder[PATH_MAX];
    const struct local_hosts hosts = {
        .list = list,
        .ssh = options->hosts.ssh,
        .remote = options->hosts.remote,
        .tunnel = options->hosts.tunnel,
        .external = options->hosts.external,
    };
    struct local_config config = {
        .hosts = list != NULL ? &hosts : NULL,
        .slots = (unsigned)options->slots,
        .programs = options->programs,
    };

    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    if (config.programs == NULL || list == NULL)
        config.programs = folder[0] != '\0' ? folder : "/";
    return run_privately(&config, path, argv);
}

static int run_verb(int argc, char **argv)
{
    struct run_options options = {.slots = 0};
    struct place place CLEANUP(place_fini) = {.kind = PLACE_HERE};
    int first = 0;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);
    char path[PATH_MAX];

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    if (first >= argc) {
        fprintf(stderr, "%s: which program? see '%s --help'\n", settings.program, settings.program);
        return EXIT_USAGE;
    }
    if (!find_program(argv[first], path)) {
        fprintf(stderr, "%s: %s: %s\n", settings.program, argv[first], strerror(errno));
        return EXIT_USAGE;
    }
    if (options_choose(&options.broker, &options.hosts, options.slots, settings.program, &place) !=
        0)
        return EXIT_USAGE;
    set_notes(&options);
    if (place.kind != PLACE_BROKER)
        return run(&options, place.hosts, path, argv + first);
    set_environment(&options.broker);
    return become(path, argv + first);
}

const struct verb verb_run = {
    .name = "run",
    .about = "run a program on this machine's cores, on hosts, or on a cluster",
    .settings = &settings,
    .run = run_verb,
};
