/* A program for tests: functions that end their process in every way, or that leave it other than they found
 * it. It is run by executors alone, whose agent the test leads by hand. */
#include <scoop.h>

#include <alloca.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

SCOOP_FUNCTION(int, which, int x)
{
    (void)x;
    return getpid();
}

/* ---- ends ---- */

SCOOP_FUNCTION(int, raises, int number)
{
    fprintf(stderr, "number %d comes\n", number);
    return raise(number);
}

SCOOP_FUNCTION(int, exits, int code)
{
    exit(code);
    return code;
}

static void *exit_from_thread(void *code)
{
    _exit(*(int *)code);
}

SCOOP_FUNCTION(int, exits_in_thread, int code)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, exit_from_thread, &code) != 0)
        return -1;
    pthread_join(thread, NULL);
    return -1;
}

/* 1: with all signals blocked and ignored. */
SCOOP_FUNCTION(int, spins, int deaf)
{
    sigset_t all;

    sigfillset(&all);
    for (int number = 1; deaf != 0 && number < NSIG; number++)
        signal(number, SIG_IGN);
    if (deaf != 0)
        sigprocmask(SIG_BLOCK, &all, NULL);
    for (volatile unsigned turns = 0;; turns++)
        ;
    return 0;
}

SCOOP_FUNCTION(int, frees_twice, int size)
{
    char *volatile block = malloc((size_t)size);
    char *volatile again = block;

    free(block);
    free(again);
    return 0;
}

static int descend(volatile int depth)
{
    volatile char frame[4096];

    frame[0] = (char)depth;
    return depth < 0 ? frame[0] : descend(depth + 1) + frame[0];
}

SCOOP_FUNCTION(int, recurses, int depth)
{
    return descend(depth);
}

SCOOP_FUNCTION(int, takes_stack, int mib)
{
    volatile char *const block = alloca((size_t)mib * MIB);

    block[0] = 1;
    return block[0];
}

/* Over all that it shares with its agent; 256 and more: over the page in front of the rings. */
SCOOP_FUNCTION(int, scribbles, int byte)
{
    FILE *const maps = fopen("/proc/self/maps", "re");
    char line[512];

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        char *rest = line;
        const uintptr_t from = strtoull(line, &rest, 16);
        const uintptr_t to = strtoull(rest + 1, NULL, 16);

        if (strstr(line, "memfd:") != NULL &&
            strstr(line, byte < 256 ? " rw-s " : " rw-s 00000000 ") != NULL)
            memset((void *)from, byte, to - from); /* NOLINT(performance-no-int-to-ptr) */
    }
    if (maps != NULL)
        fclose(maps);
    return byte;
}

SCOOP_BYTES_FUNCTION(grows)
{
    static const char block[1 << 20];

    (void)data;
    for (size_t mib = 0; mib < size; mib++)
        scoop_write(out, block, sizeof(block));
}

/* ---- what is left behind ---- */

SCOOP_FUNCTION(int, closes, int to)
{
    for (int fd = 0; fd < to; fd++)
        close(fd);
    return to;
}

/* A file of this name stands in the place of every descriptor that is open. */
SCOOP_BYTES_FUNCTION(replaces)
{
    char path[256];

    snprintf(path, sizeof(path), "%.*s", (int)size, (const char *)data);
    const int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    for (int fd = 3; fd < 16; fd++)
        dup2(file, fd);
    scoop_write(out, "", 0);
}

SCOOP_FUNCTION(int, opens, int count)
{
    while (count-- > 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        ;
    return 0;
}

static void *rest_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

SCOOP_FUNCTION(int, leaves_thread, int x)
{
    pthread_t thread;

    (void)x;
    return pthread_create(&thread, NULL, rest_for_ever, NULL) == 0 ? getpid() : -1;
}

/* Returns the process. 1: as a daemon is made. */
SCOOP_FUNCTION(int, leaves_process, int daemon)
{
    int ends[2];
    pid_t pid = 0;

    if (pipe(ends) != 0)
        return -1;
    if (fork() == 0) {
        if (daemon != 0) {
            setsid();
            if (fork() != 0)
                _exit(0);
        }
        pid = getpid();
        if (write(ends[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        rest_for_ever(NULL);
    }
    if (read(ends[0], &pid, sizeof(pid)) != sizeof(pid))
        pid = -1;
    close(ends[0]);
    close(ends[1]);
    return pid;
}

/* A tree of processes, all of which stay. */
SCOOP_FUNCTION(int, forks, int depth)
{
    for (int i = 0; i < depth; i++) {
        if (fork() < 0)
            break;
    }
    rest_for_ever(NULL);
    return 0;
}

SCOOP_FUNCTION(int, leaks, int mib)
{
    char *const block = malloc((size_t)mib * MIB);

    if (block == NULL)
        scoop_fail(1, "no memory");
    memset(block, 1, (size_t)mib * MIB);
    *(char **)(void *)block = block; /* so that it is not optimised away */
    return getpid();
}

/* Then it holds that memory for a while. */
SCOOP_FUNCTION(int, holds, int mib)
{
    char *volatile const block = malloc((size_t)mib * MIB);

    if (block == NULL)
        scoop_fail(1, "no memory");
    memset(block, 1, (size_t)mib * MIB);
    sleep(20);
    free(block);
    return mib;
}

/* ---- what is changed ---- */

enum state {
    FOLDER,
    UMASK,
    MASK,
    ALARM,
    LOCALE,
    THREAD_LOCALE,
    ROUNDING,
    LIMIT,
    IGNORED,
};

SCOOP_FUNCTION(int, changes, int state)
{
    struct rlimit files;
    sigset_t all;

    switch ((enum state)state) {
    case FOLDER: return chdir("/");
    case UMASK: umask(0777); return 0;
    case MASK: sigfillset(&all); return sigprocmask(SIG_BLOCK, &all, NULL);
    case ALARM: return (int)alarm(1000);
    case LOCALE: return setlocale(LC_ALL, "C.UTF-8") != NULL ? 0 : -1;
    case THREAD_LOCALE: return uselocale(newlocale(LC_ALL_MASK, "C", NULL)) != NULL ? 0 : -1;
    case ROUNDING: return fesetround(FE_UPWARD);
    case LIMIT:
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur /= 2;
        return setrlimit(RLIMIT_NOFILE, &files);
    case IGNORED: return signal(SIGCHLD, SIG_IGN) != SIG_ERR ? 0 : -1;
    }
    return -1;
}

static int mask_count(void)
{
    sigset_t mask;
    int count = 0;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < NSIG; number++)
        count += sigismember(&mask, number) == 1;
    return count;
}

static int umask_now(void)
{
    const mode_t now = umask(0);

    umask(now);
    return (int)now;
}

/* A number that is another when it was changed. */
SCOOP_FUNCTION(int, state_of, int state)
{
    struct rlimit files;
    struct sigaction action;
    struct stat folder;

    switch ((enum state)state) {
    case FOLDER: return stat(".", &folder) == 0 ? (int)folder.st_ino : -1;
    case UMASK: return umask_now();
    case MASK: return mask_count();
    case ALARM: return (int)(alarm(0) != 0);
    case LOCALE: return (int)strlen(setlocale(LC_ALL, NULL));
    case THREAD_LOCALE: return uselocale((locale_t)0) == LC_GLOBAL_LOCALE;
    case ROUNDING: return fegetround();
    case LIMIT: return getrlimit(RLIMIT_NOFILE, &files) == 0 ? (int)files.rlim_cur : -1;
    case IGNORED: return sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
    }
    return -1;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    return 2;
}
