/* A program for tests: functions that try what they may not. Each returns the errno of what it tried, 0: it went well.
 * PRYING_MAY is what the program asks for, as the bits of scoop_may(). */
#include <scoop.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int error_of(long result)
{
    return result < 0 ? errno : 0;
}

SCOOP_FUNCTION(int, which, int x)
{
    (void)x;
    return getpid();
}

SCOOP_FUNCTION(int, signals, int pid)
{
    return error_of(kill(pid, SIGTERM));
}

/* To itself, its group and a child, in turn. */
SCOOP_FUNCTION(int, signals_its_own, int number)
{
    signal(number, SIG_IGN);
    const pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    const int result =
        error_of(raise(number)) + error_of(kill(0, number)) + error_of(kill(child, SIGKILL));

    waitpid(child, NULL, 0);
    signal(number, SIG_DFL);
    return result;
}

SCOOP_FUNCTION(int, traces, int pid)
{
    return error_of(ptrace(PTRACE_SEIZE, pid, NULL, NULL));
}

SCOOP_FUNCTION(int, peeks, int pid)
{
    char byte = 0;
    const struct iovec here = {&byte, 1};
    const struct iovec there = {(void *)(uintptr_t)&error_of, 1};

    return error_of(process_vm_readv(pid, &here, 1, &there, 1, 0));
}

SCOOP_FUNCTION(int, opens_memory, int pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const int result = error_of(fd);
    if (fd >= 0)
        close(fd);
    return result;
}

SCOOP_FUNCTION(int, limits, int pid)
{
    const struct rlimit low = {1, 1};

    return error_of(prlimit((pid_t)pid, RLIMIT_CPU, &low, NULL));
}

SCOOP_FUNCTION(int, opens_socket, int family)
{
    const int fd = socket(family, SOCK_STREAM, 0);
    const int result = error_of(fd);

    if (fd >= 0)
        close(fd);
    return result;
}

SCOOP_FUNCTION(int, pairs_sockets, int family)
{
    int ends[2];
    const int result = error_of(socketpair(family, SOCK_STREAM, 0, ends));

    if (result == 0) {
        close(ends[0]);
        close(ends[1]);
    }
    return result;
}

static int spawn_true(void)
{
    char *const words[] = {(char *)(uintptr_t) "true", NULL};
    pid_t pid = 0;
    int status = 0;
    const int result = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);

    return result == 0 && waitpid(pid, &status, 0) == pid ? status : result;
}

/* 0: system(), whose shell then cannot start; 1: posix_spawn(), in a thread of its own. */
SCOOP_FUNCTION(int, starts, int how)
{
    if (how == 1)
        return spawn_true();
    return system("exit 3");
}

SCOOP_FUNCTION(int, privileged, int which_one)
{
    switch (which_one) {
    case 0: return error_of(mount("none", "/tmp", "tmpfs", 0, NULL));
    case 1: return error_of(syscall(SYS_unshare, 0x10000000)); /* CLONE_NEWUSER */
    case 2: return error_of(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    case 3: return error_of(syscall(SYS_io_uring_setup, 1, NULL));
    case 4: return error_of(syscall(SYS_bpf, 0, NULL, 0));
    default: return error_of(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    }
}

/* The first byte of that file, or errno as a negative number. */
SCOOP_BYTES_FUNCTION(reads_file)
{
    char path[256] = "";
    char byte = 0;
    int result = 0;

    memcpy(path, data, size < sizeof(path) ? size : sizeof(path) - 1);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        result = -errno;
    else
        result = read(fd, &byte, 1) == 1 ? byte : 0;
    if (fd >= 0)
        close(fd);
    scoop_write(out, &result, sizeof(result));
}

int main(int argc, char **argv)
{
    const char *const may = getenv("PRYING_MAY");

    scoop_may(may != NULL ? (unsigned)strtoul(may, NULL, 10) : 0);
    return scoop_init(&argc, &argv) == SCOOP_OK ? 0 : 1;
}
