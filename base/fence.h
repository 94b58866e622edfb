/* What a process may ask of the kernel: a filter of system calls (seccomp, made by libseccomp), and which
 * files it reaches (base/landlock.h). It is for ever, and all that the process starts has it too. What is
 * refused fails with EPERM.
 *
 * Refused to every program of ours: to trace, or to look into the memory of others; new name spaces, mounts,
 * modules, io_uring, bpf, perf, key rings, clocks, reboot and the like, privileges that none of them has a use
 * for; to type for the user of a terminal; and to signal everybody, kill(-1).
 *
 * Under the address sanitizer tracing is left out, because its leak checker traces its own process, and
 * under the thread sanitizer starting programs, because that is how it finds the names of functions. */
#ifndef BASE_FENCE_H
#define BASE_FENCE_H

#include "err.h"
#include "problem.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>

/* What is refused besides unless it is named here. */
enum fence_right {
    FENCE_START = 1,   /* processes and programs; to signal others */
    FENCE_SOCKETS = 2, /* new sockets: of IP, UNIX and netlink (by which libc looks names up) */
    FENCE_TRACE = 4,   /* left to a filter beneath */
    FENCE_RAW = 8,     /* new sockets of all kinds */
};

/* What one program needs of files and of calls. */
#define FENCE_PATHS_MAX 8
struct fence {
    unsigned rights;
    const char *files
        [FENCE_PATHS_MAX]; /* that it reads, and what lies beside them; NULL and "" are skipped */
    const char *folders[FENCE_PATHS_MAX]; /* that it writes in, likewise; must be there */
    bool all_files;                       /* files are no matter */
};

/* Put this fence around the process: before it has other threads. Everybody may read the system's libraries
 * and settings (/usr, /lib, /etc, /proc, /sys, /dev). What this kernel lacks is logged, and is no error. */
void fence_raise(const struct fence *fence);

/* A filter as the kernel takes it. */
struct fence_code {
    struct sock_fprog program; /* its memory is owned: fence_code_free() */
};

/* Have it from now on, in all threads. 0; or with *problem: -ENOTSUP the kernel has no seccomp or does not let
 * us, -ENOMEM, -EINVAL. */
NODISCARD int fence_enter(unsigned rights, struct problem *problem);

/* For own filters: refuse by this action each of the calls (names, ended by NULL), those that this processor
 * does not have left out. Negative errno of libseccomp. */
NODISCARD int fence_refuse(scmp_filter_ctx filter, uint32_t action, const char *const *calls);

/* The calls that trace or look into other processes; none of them under the address sanitizer. */
NODISCARD int fence_refuse_trace(scmp_filter_ctx filter, uint32_t action);

/* The same, when the low half of argument `index` is this number. */
NODISCARD int fence_refuse_for(
    scmp_filter_ctx filter, uint32_t action, const char *const *calls, unsigned index, int number);

/* A filter that allows what it does not refuse. NULL: out of memory. seccomp_release() ends it. */
scmp_filter_ctx fence_new(void);

/* Translate. -ENOMEM, or a negative errno of libseccomp. */
NODISCARD int fence_code_make(scmp_filter_ctx filter, struct fence_code *out);
void fence_code_free(struct fence_code *code);

#endif
