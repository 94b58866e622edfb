#include "fence.h"

#include "landlock.h"
#include "log.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFUSED SCMP_ACT_ERRNO(EPERM)

/* The kernel's own limit for a filter. */
#define CODE_MAX 4096

#if defined(__SANITIZE_ADDRESS__)
#define MAY_TRACE true
#else
#define MAY_TRACE false
#endif
#if defined(__SANITIZE_THREAD__)
#define MAY_START true
#else
#define MAY_START false
#endif

static const char *const never[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "vhangup",
    NULL,
};

static const char *const trace[] = {
    "kcmp",   "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev",
    "ptrace", NULL,
};

static const char *const start[] = {"execve", "execveat", NULL};
static const char *const signal_others[] = {
    "kill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill", NULL,
};
static const char *const just_kill[] = {"kill", NULL};
static const char *const make_socket[] = {"socket", NULL};
static const char *const terminal[] = {"ioctl", NULL};
static const char *const make_process[] = {"clone3", NULL};

/* Name spaces; CLONE_NEWTIME is of clone3() only. */
static const unsigned long spaces[] = {
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
};
#define CLONE_A_THREAD 0x00010000UL

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

scmp_filter_ctx fence_new(void)
{
    const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (filter == NULL)
        return NULL;
    /* Programs of another word size fail, rather than being killed without a word; no slow-down on older
     * kernels, where it would be switched on with the first filter; an order for few comparisons. */
    if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)) == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return filter;
}

static int refuse_one(scmp_filter_ctx filter,
                      uint32_t action,
                      const char *call,
                      unsigned count,
                      const struct scmp_arg_cmp *when)
{
    const int number = seccomp_syscall_resolve_name(call);

    /* Below zero: libseccomp knows it, this processor has none. */
    return number < 0 ? 0 : seccomp_rule_add_array(filter, action, number, count, when);
}

int fence_refuse(scmp_filter_ctx filter, uint32_t action, const char *const *calls)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && calls[i] != NULL; i++)
        rc = refuse_one(filter, action, calls[i], 0, NULL);
    return rc;
}

static int refuse_bits(scmp_filter_ctx filter,
                       const char *const *calls,
                       uint32_t action,
                       struct scmp_arg_cmp when)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && calls[i] != NULL; i++)
        rc = refuse_one(filter, action, calls[i], 1, &when);
    return rc;
}

int fence_refuse_for(
    scmp_filter_ctx filter, uint32_t action, const char *const *calls, unsigned index, int number)
{
    return refuse_bits(
        filter, calls, action,
        (struct scmp_arg_cmp){index, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)number});
}

static int refuse_sockets(scmp_filter_ctx filter)
{
    int rc = 0;

    /* Those above the last one, and those in between. */
    rc = refuse_bits(filter, make_socket, REFUSED,
                     (struct scmp_arg_cmp){0, SCMP_CMP_GT, AF_NETLINK, 0});
    for (int family = 0; rc == 0 && family < AF_NETLINK; family++) {
        bool known = false;

        for (size_t i = 0; i < COUNT_OF(families); i++)
            known = known || families[i] == family;
        if (!known)
            rc = fence_refuse_for(filter, REFUSED, make_socket, 0, family);
    }
    return rc;
}

/* clone3() hides its flags from a filter; libc goes on with clone() then. */
static int refuse_spaces(scmp_filter_ctx filter)
{
    int rc = fence_refuse(filter, SCMP_ACT_ERRNO(ENOSYS), make_process);

    for (size_t i = 0; rc == 0 && i < COUNT_OF(spaces); i++)
        rc = refuse_one(filter, REFUSED, "clone", 1,
                        &(struct scmp_arg_cmp){0, SCMP_CMP_MASKED_EQ, spaces[i], spaces[i]});
    return rc;
}

int fence_refuse_trace(scmp_filter_ctx filter, uint32_t action)
{
    return MAY_TRACE ? 0 : fence_refuse(filter, action, trace);
}

/* Its own threads it may signal: abort() does. */
static int refuse_signals(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp others = {0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0};
    int rc = fence_refuse(filter, REFUSED, signal_others);

    if (rc == 0)
        rc = refuse_one(filter, REFUSED, "tgkill", 1, &others);
    return rc;
}

static int refuse_starts(scmp_filter_ctx filter)
{
    int rc = fence_refuse(filter, REFUSED, start);

    /* The leak checker starts a process that traces us. */
    if (MAY_TRACE)
        return rc;
    if (rc == 0)
        rc = refuse_signals(filter);
    if (rc == 0)
        rc = refuse_one(filter, REFUSED, "clone", 1,
                        &(struct scmp_arg_cmp){0, SCMP_CMP_MASKED_EQ, CLONE_A_THREAD, 0});
    return rc;
}

static int refuse_all(scmp_filter_ctx filter, unsigned rights)
{
    int rc = fence_refuse(filter, REFUSED, never);

    if (rc == 0)
        rc = refuse_spaces(filter);
    if (rc == 0)
        rc = fence_refuse_for(filter, REFUSED, terminal, 1, TIOCSTI);
    if (rc == 0 && (rights & FENCE_TRACE) == 0)
        rc = fence_refuse_trace(filter, REFUSED);
    if (rc == 0 && (rights & FENCE_START) != 0)
        rc = fence_refuse_for(filter, REFUSED, just_kill, 0, -1);
    if (rc == 0 && (rights & FENCE_START) == 0 && !MAY_START)
        rc = refuse_starts(filter);
    if (rc == 0 && (rights & (FENCE_SOCKETS | FENCE_RAW)) == 0)
        rc = fence_refuse(filter, REFUSED, make_socket);
    if (rc == 0 && (rights & (FENCE_SOCKETS | FENCE_RAW)) == FENCE_SOCKETS)
        rc = refuse_sockets(filter);
    return rc;
}

int fence_enter(unsigned rights, struct problem *problem)
{
    const scmp_filter_ctx filter = fence_new();
    int rc = filter != NULL ? refuse_all(filter, rights) : -ENOMEM;

    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc != 0)
        return problem_set(problem, rc == -ENOMEM || rc == -EINVAL ? rc : -ENOTSUP,
                           "no filter of system calls: %s", strerror(-rc));
    return 0;
}

/* ---- files ---- */

/* Of programs and of libc: libraries, names of hosts and users, OpenSSL's settings, the CPUs. */
static const char *const system_files[] = {
    "/usr",           "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run/systemd/resolve",
    "/proc/self/exe", /* its own hash names the program of a session */
};

/* The folder of this file, in text[PATH_MAX]. */
static const char *folder_of(const char *file, char *text)
{
    const char *const slash = strrchr(file, '/');
    const int length = slash == NULL ? 0 : (int)(slash - file);

    if (slash == NULL)
        return ".";
    snprintf(text, PATH_MAX, "%.*s", length != 0 ? length : 1, file);
    return text;
}

static int fence_files(const struct fence *fence)
{
    char texts[FENCE_PATHS_MAX][PATH_MAX];
    const char *read[COUNT_OF(system_files) + FENCE_PATHS_MAX + 1] = {NULL};
    const char *write[FENCE_PATHS_MAX + 2] = {"/dev/null"};
    size_t reads = COUNT_OF(system_files);
    size_t writes = 1;
    int ruleset = -1;

    memcpy(read, system_files, sizeof(system_files));
    for (size_t i = 0; i < FENCE_PATHS_MAX; i++) {
        if (fence->files[i] != NULL && fence->files[i][0] != '\0')
            read[reads++] = folder_of(fence->files[i], texts[i]);
        if (fence->folders[i] != NULL && fence->folders[i][0] != '\0')
            write[writes++] = fence->folders[i];
    }
    int rc = landlock_reach(read, write, &ruleset);
    if (rc != 0)
        return rc;
    rc = landlock_enter(ruleset);
    close(ruleset);
    return rc;
}

void fence_raise(const struct fence *fence)
{
    struct problem problem = {.text = ""};
    int rc = fence->all_files || MAY_START ? 0 : fence_files(fence);

    if (rc != 0)
        log_warn("files_not_fenced", "landlock=%d wanted=%d error=\"%s\"", landlock_abi(),
                 LANDLOCK_ABI_FILES, strerror(-rc));
    if (fence_enter(fence->rights, &problem) != 0)
        log_warn("calls_not_fenced", "error=\"%s\"", problem.text);
}

/* ---- for own filters ---- */

static int read_code(int file, struct fence_code *out)
{
    const off_t size = lseek(file, 0, SEEK_END);
    const size_t count = size > 0 ? (size_t)size / sizeof(struct sock_filter) : 0;

    if (count == 0 || count > CODE_MAX)
        return -E2BIG;
    struct sock_filter *const code = calloc(count, sizeof(*code));
    if (code == NULL)
        return -ENOMEM;
    if (pread(file, code, (size_t)size, 0) != size) {
        free(code);
        return -EIO;
    }
    out->program = (struct sock_fprog){.len = (unsigned short)count, .filter = code};
    return 0;
}

int fence_code_make(scmp_filter_ctx filter, struct fence_code *out)
{
    const int file = memfd_create("filter", MFD_CLOEXEC);

    if (file < 0)
        return -errno;
    int rc = seccomp_export_bpf(filter, file);
    if (rc == 0)
        rc = read_code(file, out);
    close(file);
    return rc;
}

void fence_code_free(struct fence_code *code)
{
    free(code->program.filter);
    *code = (struct fence_code){0};
}
