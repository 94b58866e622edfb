/* Rows of traits: how each is set back, or what damage it is when it cannot be. Measured: a brief look
 * takes 1 to 1.5 us, a close one some 12 us; no-ops pass an executor at 7 to 8 million a second with
 * and without. */
#include "tidy.h"

#include "base/channel.h"
#include "base/err.h"
#include "executor_state.h"

#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Work between two looks. */
#define BRIEF_US 100
#define CLOSE_US 20000

/* Without a task, before threads are looked for. */
#define IDLE_MS 5

#define STANDARD_STREAMS 3

/* As it was in the beginning. */
static struct {
    struct stat files[STANDARD_STREAMS];
    struct stat bell;
    struct stat socket;
    int bell_fd;
    int socket_fd;
    struct stat folder;
    char path[PATH_MAX]; /* of the folder; "": it has none */
    mode_t umask;
    sigset_t mask;
    bool alarm; /* main() set one */
    char locale[256];
    locale_t thread_locale;
    uint64_t arithmetic;
    struct rlimit limits[RLIMIT_NLIMITS];
    int nice;
    struct sigaction actions[NSIG];
    nlink_t threads;
    bool children;
    int files_max;
} was;

/* Since the last look of each kind. */
static uint64_t brief_us;
static uint64_t close_us;
static bool ran;

/* ---- descriptors ---- */

static bool is_same_file(int fd, const struct stat *before)
{
    struct stat now;

    return fstat(fd, &now) == 0 && now.st_dev == before->st_dev && now.st_ino == before->st_ino &&
           now.st_mode == before->st_mode;
}

bool tidy_has_bell(void)
{
    return is_same_file(was.bell_fd, &was.bell);
}

static bool keep_streams(void)
{
    for (int fd = 0; fd < STANDARD_STREAMS; fd++) {
        if (!is_same_file(fd, &was.files[fd]))
            return false;
    }
    return tidy_has_bell() && is_same_file(was.socket_fd, &was.socket);
}

/* The lowest number that is free. -1: none. */
static int free_descriptor(void)
{
    const int fd = fcntl(was.bell_fd, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd;
}

static bool keep_descriptors(void)
{
    const int fd = free_descriptor();

    return fd >= 0 && fd < was.files_max;
}

/* ---- the process ---- */

static bool keep_folder(void)
{
    struct stat now;

    if (was.path[0] == '\0')
        return true;
    if (stat(".", &now) == 0 && now.st_dev == was.folder.st_dev && now.st_ino == was.folder.st_ino)
        return true;
    return chdir(was.path) == 0;
}

static bool keep_umask(void)
{
    umask(was.umask);
    return true;
}

static bool keep_mask(void)
{
    return pthread_sigmask(SIG_SETMASK, &was.mask, NULL) == 0;
}

static bool keep_alarm(void)
{
    if (!was.alarm)
        alarm(0);
    return true;
}

static bool keep_locale(void)
{
    if (uselocale((locale_t)0) != was.thread_locale)
        uselocale(was.thread_locale);
    if (was.locale[0] != '\0' && strcmp(setlocale(LC_ALL, NULL), was.locale) != 0)
        return setlocale(LC_ALL, was.locale) != NULL;
    return true;
}

static bool keep_limits(void)
{
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        const enum __rlimit_resource resource = (enum __rlimit_resource)i;
        struct rlimit now;

        if (prlimit(0, resource, NULL, &now) == 0 &&
            (now.rlim_cur != was.limits[i].rlim_cur || now.rlim_max != was.limits[i].rlim_max) &&
            prlimit(0, resource, &was.limits[i], NULL) != 0)
            return false;
    }
    return getpriority(PRIO_PROCESS, 0) == was.nice || setpriority(PRIO_PROCESS, 0, was.nice) == 0;
}

static bool is_handled(const struct sigaction *action)
{
    return action->sa_handler != SIG_IGN && action->sa_handler != SIG_DFL;
}

/* Signals that are ignored now, or not any more. */
static bool keep_actions(void)
{
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;

        if (sigaction(number, NULL, &now) == 0 && !is_handled(&now) &&
            now.sa_handler != was.actions[number].sa_handler &&
            sigaction(number, &was.actions[number], NULL) != 0)
            return false;
    }
    return true;
}

static nlink_t count_threads(void)
{
    struct stat folder;

    return stat("/proc/self/task", &folder) == 0 ? folder.st_nlink : 0;
}

static bool keep_threads(void)
{
    return count_threads() <= was.threads;
}

/* Those that have ended and that nobody waited for are gone afterwards. What a function left in a
 * session of its own has become our child: spawn.c in worker/ makes us its reaper. Another thread may
 * be waiting for a child of its own. */
static bool keep_children(void)
{
    pid_t pid = 0;

    if (was.children || count_threads() > was.threads)
        return true;
    do
        pid = waitpid(-1, NULL, WNOHANG);
    while (pid > 0);
    return pid < 0;
}

/* ---- arithmetic ---- */

/* Rounding, precision, what of underflow and exceptions: the control bits without the flags. */
#if defined(__x86_64__)
#define SSE_FLAGS 0x3fU

static uint64_t arithmetic(void)
{
    uint32_t vector = 0;
    uint16_t scalar = 0;

    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(vector), "=m"(scalar));
    return (uint64_t)(vector & ~SSE_FLAGS) << 16 | scalar;
}

static void set_arithmetic(uint64_t bits)
{
    const uint32_t vector = (uint32_t)(bits >> 16);
    const uint16_t scalar = (uint16_t)bits;

    __asm__ volatile("fnclex\n\tldmxcsr %0\n\tfldcw %1" : : "m"(vector), "m"(scalar));
}
#elif defined(__aarch64__)
static uint64_t arithmetic(void)
{
    uint64_t bits = 0;

    __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
    return bits;
}

static void set_arithmetic(uint64_t bits)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(bits));
}
#else
static uint64_t arithmetic(void)
{
    return 0;
}

static void set_arithmetic(uint64_t bits)
{
    (void)bits;
}
#endif

/* ---- looking ---- */

struct trait {
    bool (*keep)(void); /* true: it is as it was, or is again */
    enum channel_damage damage;
};

static const struct trait brief[] = {
    {keep_streams, CHANNEL_DAMAGE_DESCRIPTORS}, {keep_folder, CHANNEL_DAMAGE_FOLDER},
    {keep_umask, CHANNEL_DAMAGE_FOLDER},        {keep_mask, CHANNEL_DAMAGE_SIGNALS},
    {keep_alarm, CHANNEL_DAMAGE_SIGNALS},       {keep_locale, CHANNEL_DAMAGE_LOCALE},
};

static const struct trait closely[] = {
    {keep_limits, CHANNEL_DAMAGE_LIMITS},
    {keep_actions, CHANNEL_DAMAGE_SIGNALS},
    {keep_descriptors, CHANNEL_DAMAGE_FILES},
    {keep_children, CHANNEL_DAMAGE_CHILDREN},
};

static const struct trait idle[] = {
    {keep_threads, CHANNEL_DAMAGE_THREADS},
};

/* Does a task wait here? It would have to run again, and what is there may be its own. */
static bool has_waiting(void)
{
    return executor.parked != 0 || executor.ready != NULL;
}

static void look(const struct trait *traits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!traits[i].keep() && !has_waiting())
            _exit((int)traits[i].damage);
    }
}

static void look_briefly(void)
{
    brief_us = 0;
    look(brief, COUNT_OF(brief));
}

static void look_closely(void)
{
    close_us = 0;
    look(closely, COUNT_OF(closely));
}

bool tidy_after(uint32_t run_us)
{
    if (arithmetic() != was.arithmetic)
        set_arithmetic(was.arithmetic);
    ran = true;
    brief_us += run_us + 1ULL; /* a task of 0 us takes its time, too */
    close_us += run_us + 1ULL;
    if (brief_us < BRIEF_US)
        return false;
    look_briefly();
    if (close_us >= CLOSE_US && !has_waiting())
        look_closely();
    return true;
}

int tidy_before_sleep(void)
{
    if (brief_us != 0)
        look_briefly();
    return ran && !has_waiting() ? IDLE_MS : -1;
}

void tidy_idle(void)
{
    ran = false;
    look_closely();
    look(idle, COUNT_OF(idle));
}

/* ---- the beginning ---- */

static void remember_files(int bell, int files_fd)
{
    struct rlimit files = {0};

    was.bell_fd = bell;
    (void)fstat(bell, &was.bell);
    was.socket_fd = files_fd;
    (void)fstat(files_fd, &was.socket);
    for (int fd = 0; fd < STANDARD_STREAMS; fd++)
        (void)fstat(fd, &was.files[fd]);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    was.files_max = files.rlim_cur < INT_MAX ? (int)(files.rlim_cur / 2) : INT_MAX;
    if (free_descriptor() >= was.files_max)
        was.files_max = INT_MAX;
}

void tidy_init(int bell, int files)
{
    struct itimerval timer = {0};

    remember_files(bell, files);
    if (getcwd(was.path, sizeof(was.path)) == NULL || was.path[0] != '/' ||
        stat(".", &was.folder) != 0)
        was.path[0] = '\0';
    was.umask = umask(0);
    umask(was.umask);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &was.mask);
    was.alarm = getitimer(ITIMER_REAL, &timer) == 0 &&
                (timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0);
    const char *const locale = setlocale(LC_ALL, NULL);
    if (locale != NULL && strlen(locale) < sizeof(was.locale))
        memcpy(was.locale, locale, strlen(locale) + 1);
    was.thread_locale = uselocale((locale_t)0);
    was.arithmetic = arithmetic();
    for (int i = 0; i < RLIMIT_NLIMITS; i++)
        (void)prlimit(0, (enum __rlimit_resource)i, NULL, &was.limits[i]);
    was.nice = getpriority(PRIO_PROCESS, 0);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, NULL, &was.actions[number]);
    was.threads = count_threads();
    was.children = waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0;
}
