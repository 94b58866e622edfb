#include "memory.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- measuring ---- */

/* A small file of /proc; "" when there is none. */
static void read_text(const char *path, char *text, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t bytes = fd >= 0 ? read(fd, text, size - 1) : 0;

    text[bytes > 0 ? bytes : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* The second number of the file: pages. */
static uint64_t resident_bytes(pid_t pid)
{
    char path[64];
    char text[128];
    char *rest = text;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    read_text(path, text, sizeof(text));
    (void)strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Append the children of a process; returns the new count. */
static size_t list_children(pid_t pid, pid_t *pids, size_t count)
{
    char path[64];
    char text[4096];
    char *rest = text;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    read_text(path, text, sizeof(text));
    for (long child = strtol(text, &rest, 10); child > 0 && count < MEMORY_PROCESSES_MAX;
         child = strtol(rest, &rest, 10))
        pids[count++] = (pid_t)child;
    return count;
}

uint64_t memory_of(pid_t pid)
{
    pid_t pids[MEMORY_PROCESSES_MAX] = {pid};
    uint64_t sum = 0;
    size_t count = 1;

    for (size_t i = 0; i < count; i++) {
        sum += resident_bytes(pids[i]);
        count = list_children(pids[i], pids, count);
    }
    return sum;
}

/* ---- judging ---- */

static void retire(struct executor *e)
{
    e->retiring = true;
    log_info("executor_replaced",
             "program=%s pid=%d tasks=%llu reason=\"memory: %llu MiB, limit of a task %llu MiB\"",
             program_label(e->program), (int)e->pid, (unsigned long long)e->answered,
             (unsigned long long)(e->memory.bytes >> 20),
             (unsigned long long)(e->memory.limit >> 20));
}

/* Above the limit. */
static void judge(struct executor *e)
{
    const struct task *const task = executor_running(e);

    if (!e->retiring)
        retire(e);
    else if (task != NULL && task->id == e->memory.task && e->answered == e->memory.answered)
        executor_kill(e, EXECUTOR_MEMORY, task); /* it runs on */
    e->memory.task = task != NULL ? task->id : 0;
    e->memory.answered = e->answered;
    if (e->shelf == EXECUTOR_IDLE)
        executor_kill(e, EXECUTOR_DISMISSED, NULL);
}

int64_t memory_check(struct executor *e, int64_t now_ms)
{
    if (e->memory.limit == 0 || e->blame != EXECUTOR_ALIVE || !e->ready)
        return INT64_MAX;
    if (e->shelf == EXECUTOR_IDLE && e->memory.looked_ms > e->since_ms)
        return INT64_MAX;
    if (now_ms < e->memory.next_ms)
        return e->memory.next_ms;
    e->memory.bytes = memory_of(e->pid);
    e->memory.looked_ms = now_ms;
    e->memory.next_ms =
        now_ms + (e->memory.bytes < e->memory.limit / 2 ? MEMORY_FAR_MS : MEMORY_NEAR_MS);
    if (e->memory.bytes > e->memory.limit)
        judge(e);
    return e->memory.next_ms;
}
