/* simulate: run seeds, in one process per CPU; a seed that fails is run again with fewer kinds of faults,
 * as long as it still fails, and its trace is printed. */
#include "world.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longest real time of one seed, in s: what hangs has failed. */
#define PATIENCE_S 20

#define JOBS_MAX 64

/* Lines of the trace that are shown of a failing seed. */
#define TRACE_LINES 60

struct progress {
    volatile uint64_t seed; /* under way */
    volatile uint64_t seeds;
    volatile uint64_t events;
    volatile uint64_t simulated_ms;
    volatile uint64_t hash;
    volatile uint64_t kinds_hit[KIND_END];
};

struct settings {
    uint64_t from;
    uint64_t seeds;
    uint64_t kinds;
    uint32_t jobs;
    bool trace;
    bool one;
    bool hash;
};

static void run_seed(uint64_t seed, uint64_t kinds, bool trace, struct progress *p)
{
    static struct world world;

    p->seed = seed;
    alarm(PATIENCE_S);
    memset(&world, 0, sizeof(world));
    world_run(&world, seed, kinds, trace);
    p->seeds++;
    p->events += world.events;
    p->simulated_ms += (uint64_t)world.now_ms;
    /* The order of seeds does not matter: they run side by side. */
    p->hash += rng_mix(world.hash ^ seed);
    world_fini(&world);
}

/* ---- a seed that fails ---- */

static bool fails(uint64_t seed, uint64_t kinds)
{
    static struct progress nobody;
    int status = 0;

    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        run_seed(seed, kinds, false, &nobody);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}

static uint64_t shrink(uint64_t seed, uint64_t kinds)
{
    for (int kind = 0; kind < KIND_END; kind++) {
        const uint64_t fewer = kinds & ~(UINT64_C(1) << kind);

        if (fewer != kinds && fails(seed, fewer))
            kinds = fewer;
    }
    return kinds;
}

static void print_tail(FILE *from)
{
    static char lines[TRACE_LINES][512];
    size_t count = 0;

    while (fgets(lines[count % TRACE_LINES], sizeof(lines[0]), from) != NULL)
        count++;
    for (size_t i = count > TRACE_LINES ? count - TRACE_LINES : 0; i < count; i++)
        fputs(lines[i % TRACE_LINES], stdout);
}

/* Run it in a child, whose last words are printed. */
static void print_trace(uint64_t seed, uint64_t kinds)
{
    static struct progress nobody;
    int ends[2];
    int status = 0;

    if (pipe(ends) != 0)
        return;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        run_seed(seed, kinds, true, &nobody);
        _exit(0);
    }
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    if (from != NULL) {
        print_tail(from);
        fclose(from);
    }
    if (child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status))
        printf("ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

static void report(uint64_t seed, uint64_t allowed)
{
    const uint64_t kinds = shrink(seed, allowed);

    printf("seed %llu fails; with fewer kinds of faults it still does: simulate --seed %llu",
           (unsigned long long)seed, (unsigned long long)seed);
    for (int kind = 0; kind < KIND_END; kind++) {
        if ((kinds >> kind & 1) == 0)
            printf(" --without %s", kind_names[kind]);
    }
    printf("\n");
    print_trace(seed, kinds);
}

/* ---- many seeds ---- */

static void work(const struct settings *s, uint32_t worker, struct progress *p)
{
    for (uint64_t i = worker; i < s->seeds; i += s->jobs)
        run_seed(s->from + i, s->kinds, false, p);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static pid_t start_worker(const struct settings *s, uint32_t worker, struct progress *p)
{
    const pid_t child = fork();

    if (child != 0)
        return child;
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
        _exit(1);
    work(s, worker, p);
    exit(0); /* leaks and coverage are told at the end of a process */
}

/* Returns the seed that failed, of several the lowest; UINT64_MAX: none did. */
static uint64_t run_all(const struct settings *s, struct progress *progress)
{
    pid_t children[JOBS_MAX];
    uint64_t failed = UINT64_MAX;
    int status = 0;

    for (uint32_t i = 0; i < s->jobs; i++)
        children[i] = start_worker(s, i, &progress[i]);
    for (uint32_t left = s->jobs; left > 0; left--) {
        const pid_t ended = wait(&status);

        for (uint32_t i = 0; i < s->jobs; i++) {
            if (children[i] != ended)
                continue;
            children[i] = 0;
            const bool stopped = WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;

            if (status != 0 && !stopped && progress[i].seed < failed)
                failed = progress[i].seed;
        }
        for (uint32_t i = 0; failed != UINT64_MAX && i < s->jobs; i++) {
            if (children[i] > 0)
                kill(children[i], SIGTERM);
        }
    }
    return failed;
}

static int simulate(const struct settings *s)
{
    struct progress *progress = mmap(NULL, JOBS_MAX * sizeof(*progress), PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct progress sum = {.seeds = 0};
    const double start_s = now_s();

    if (progress == MAP_FAILED)
        return 1;
    const uint64_t failed = run_all(s, progress);
    for (uint32_t i = 0; i < s->jobs; i++) {
        sum.seeds += progress[i].seeds;
        sum.events += progress[i].events;
        sum.simulated_ms += progress[i].simulated_ms;
        sum.hash += progress[i].hash;
    }
    const double took_s = now_s() - start_s;
    if (failed != UINT64_MAX)
        report(failed, s->kinds);
    if (s->hash)
        printf("trace %016llx\n", (unsigned long long)sum.hash);
    printf("%llu seeds, %llu events, %.1f simulated hours, %.0f s: %s\n",
           (unsigned long long)sum.seeds, (unsigned long long)sum.events,
           (double)sum.simulated_ms / 3.6e6, took_s,
           failed == UINT64_MAX ? "no violation" : "1 violation");
    return failed == UINT64_MAX ? 0 : 1;
}

/* ---- the command line ---- */

static const char usage[] =
    "usage: simulate [--seeds N] [--from SEED] [-j JOBS] [--hash] [--without KIND]...\n"
    "       simulate --seed SEED [--trace] [--without KIND]...\n"
    "Runs the broker's core in a seeded world and checks what docs/PROTOCOL.md promises.\n"
    "  --seeds N       so many seeds (1000)\n"
    "  --from SEED     the first of them (1)\n"
    "  -j JOBS         processes (one per CPU)\n"
    "  --seed SEED     this one alone\n"
    "  --trace         print all that happens\n"
    "  --hash          print the hash of all traces\n"
    "  --without KIND  nothing of this kind happens:\n";

static _Noreturn void print_usage(int code)
{
    FILE *to = code == 0 ? stdout : stderr;

    fputs(usage, to);
    for (int kind = 0; kind < KIND_END; kind++)
        fprintf(to, "%s%s", kind % 8 == 0 ? "\n     " : " ", kind_names[kind]);
    fputs("\n", to);
    exit(code);
}

static uint64_t number_of(const char *option, const char *text)
{
    char *end = NULL;
    const uint64_t number = strtoull(text, &end, 10);

    if (text[0] >= '0' && text[0] <= '9' && *end == '\0')
        return number;
    fprintf(stderr, "simulate: --%s %s: a number is wanted\n", option, text);
    exit(2);
}

static uint64_t kind_bit(const char *name)
{
    for (int kind = 0; kind < KIND_END; kind++) {
        if (strcmp(kind_names[kind], name) == 0)
            return UINT64_C(1) << kind;
    }
    fprintf(stderr, "simulate: --without %s: no such kind, see --help\n", name);
    exit(2);
}

static void read_options(int argc, char **argv, struct settings *s)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 'n'},   {"from", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},    {"trace", no_argument, NULL, 't'},
        {"without", required_argument, NULL, 'w'}, {"hash", no_argument, NULL, 'H'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option = 0;

    while ((option = getopt_long(argc, argv, "j:h", options, NULL)) != -1) {
        switch (option) {
        case 'n': s->seeds = number_of("seeds", optarg); break;
        case 'f': s->from = number_of("from", optarg); break;
        case 's':
            s->from = number_of("seed", optarg);
            s->one = true;
            break;
        case 't': s->trace = true; break;
        case 'w': s->kinds &= ~kind_bit(optarg); break;
        case 'H': s->hash = true; break;
        case 'j': s->jobs = (uint32_t)number_of("j", optarg); break;
        case 'h': print_usage(0);
        default: print_usage(2);
        }
    }
    if (optind != argc || s->jobs == 0 || s->jobs > JOBS_MAX)
        print_usage(2);
}

int main(int argc, char **argv)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    static struct progress progress;
    struct settings s = {
        .from = 1,
        .seeds = 1000,
        .kinds = (UINT64_C(1) << KIND_END) - 1,
        .jobs = cpus > 0 && cpus < JOBS_MAX ? (uint32_t)cpus : 1,
    };

    /* A world's memory is used again for the next one. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_options(argc, argv, &s);
    if (!s.one)
        return simulate(&s);
    run_seed(s.from, s.kinds, s.trace, &progress);
    printf("seed %llu: trace %016llx, %llu events, %.1f simulated s: no violation\n",
           (unsigned long long)s.from, (unsigned long long)progress.hash,
           (unsigned long long)progress.events, (double)progress.simulated_ms / 1000);
    return 0;
}
