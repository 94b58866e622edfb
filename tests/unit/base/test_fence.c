/* A fence is for ever, so each is put around a child, which tries one thing and ends with its errno. */
#include "base/fence.h"

#include "base/harden.h"
#include "base/landlock.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child ends with that could not begin. */
#define NO_FENCE 255

/* What `attempt` gives behind this fence. */
static int behind(const struct fence *fence, int (*attempt)(void))
{
    int status = 0;
    const pid_t pid = fork();

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
            _exit(NO_FENCE);
        fence_raise(fence);
        _exit(attempt());
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static int error_of(long result)
{
    return result < 0 ? errno : 0;
}

/* ---- calls ---- */

static int starts_program(void)
{
    static char *words[] = {(char *)(uintptr_t) "true", NULL};
    pid_t pid = 0;
    int status = 0;
    const int result = posix_spawnp(&pid, "true", NULL, NULL, words, environ);

    return result == 0 && waitpid(pid, &status, 0) != pid ? errno : result;
}

#if !defined(__SANITIZE_ADDRESS__)
static int signals_parent(void)
{
    return error_of(kill(getppid(), 0));
}

static int signals_thread_of_parent(void)
{
    return error_of(tgkill(getppid(), getppid(), 0));
}
#endif

static int signals_own_thread(void)
{
    return error_of(tgkill(getpid(), getpid(), 0));
}

static int signals_everybody(void)
{
    return error_of(kill(-1, 0));
}

static int opens_tcp(void)
{
    return error_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int opens_raw(void)
{
    return error_of(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int unshares(void)
{
    return error_of(syscall(SYS_unshare, 0x10000000));
}

static int clones_user_space(void)
{
    return error_of(syscall(SYS_clone, 0x10000000UL | SIGCHLD, NULL, NULL, NULL, 0));
}

static int types_for_the_user(void)
{
    return error_of(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int uses_io_uring(void)
{
    return error_of(syscall(SYS_io_uring_setup, 1, NULL));
}

static void *nothing(void *unused)
{
    return unused;
}

static int starts_thread(void)
{
    pthread_t thread;
    const int result = pthread_create(&thread, NULL, nothing, NULL);

    return result != 0 ? result : pthread_join(thread, NULL);
}

static const struct {
    const char *name;
    int (*attempt)(void);
    unsigned rights;
    int expected;
} calls[] = {
    {"program", starts_program, FENCE_SOCKETS, EPERM},
    {"program, with the right", starts_program, FENCE_START, 0},
    {"everybody", signals_everybody, FENCE_START, EPERM},
    {"tcp", opens_tcp, 0, EPERM},
    {"tcp, with the right", opens_tcp, FENCE_SOCKETS, 0},
    {"packets", opens_raw, FENCE_SOCKETS, EPERM},
    {"name space", unshares, FENCE_START | FENCE_RAW, EPERM},
    {"name space by clone", clones_user_space, FENCE_START | FENCE_RAW, EPERM},
    {"terminal", types_for_the_user, FENCE_START | FENCE_RAW, EPERM},
    {"io_uring", uses_io_uring, FENCE_START | FENCE_RAW, EPERM},
    {"thread", starts_thread, 0, 0},
    {"own thread", signals_own_thread, FENCE_SOCKETS, 0},
#if !defined(__SANITIZE_ADDRESS__)
    {"parent", signals_parent, FENCE_SOCKETS, EPERM},
    {"thread of the parent", signals_thread_of_parent, FENCE_SOCKETS, EPERM},
#endif
};

/* Parameters travel to another process, where functions lie elsewhere: so they are numbers. */
ParameterizedTestParameters(fence, refuses_with_eperm_what_a_program_has_no_right_to)
{
    static int numbers[COUNT_OF(calls)];

    for (int i = 0; i < (int)COUNT_OF(calls); i++)
        numbers[i] = i;
    return cr_make_param_array(int, numbers, COUNT_OF(numbers));
}

ParameterizedTest(int *number, fence, refuses_with_eperm_what_a_program_has_no_right_to)
{
    const struct fence fence = {.rights = calls[*number].rights, .all_files = true};
    const int result = behind(&fence, calls[*number].attempt);

    cr_assert_eq(result, calls[*number].expected, "%s: %d", calls[*number].name, result);
}

/* ---- files ---- */

static char folder[64];

static int opens(const char *name, int flags)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return error_of(open(path, flags | O_CLOEXEC, 0600));
}

static int reads_own(void)
{
    return opens("own/file", O_RDONLY);
}

static int writes_own(void)
{
    return opens("own/file", O_WRONLY);
}

static int reads_other(void)
{
    return opens("other/file", O_RDONLY);
}

static int makes_in_run(void)
{
    return opens("run/new", O_WRONLY | O_CREAT);
}

static int reads_library(void)
{
    return error_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static void make(const char *name, bool with_file)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/%s/file", folder, name);
    if (with_file)
        cr_assert_eq(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
}

static void remove_all(void)
{
    static const char *const names[] = {"own/file", "other/file", "run/new", "own",
                                        "other",    "run",        ""};
    char path[128];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path);
    }
}

Test(fence, leaves_files_within_reach_that_are_named_and_no_others)
{
    char file[128];
    char run[128];

    if (landlock_abi() < LANDLOCK_ABI_FILES)
        cr_skip_test("this kernel has no Landlock");
    snprintf(folder, sizeof(folder), "/tmp/scoop-fence-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    make("own", true);
    make("other", true);
    make("run", false);
    snprintf(file, sizeof(file), "%s/own/file", folder);
    snprintf(run, sizeof(run), "%s/run", folder);
    const struct fence fence = {.files = {file, "", NULL}, .folders = {run}};

    const int results[] = {behind(&fence, reads_own), behind(&fence, writes_own),
                           behind(&fence, reads_other), behind(&fence, makes_in_run),
                           behind(&fence, reads_library)};
    const int expected[] = {0, EACCES, EACCES, 0, 0};
    remove_all();
    cr_assert_arr_eq(results, expected, sizeof(expected));
}
