#include "verdict.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

uint32_t verdict_status(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status)) {
        const char *const what = sigdescr_np(WTERMSIG(status));

        snprintf(text, size, "signal %d (%s)", WTERMSIG(status), what != NULL ? what : "unknown");
        return 128U + (uint32_t)WTERMSIG(status);
    }
    snprintf(text, size, "exit status %d", WEXITSTATUS(status));
    return (uint32_t)WEXITSTATUS(status);
}

/* "0.31 s user, 0.02 s system, 14 MiB". The memory is the most that it ever had, as the kernel counts
 * it: with what the agent had when it started the process. */
static void describe_usage(const struct rusage *usage, char *text, size_t size)
{
    snprintf(text, size, "%lld.%02d s user, %lld.%02d s system, %ld MiB",
             (long long)usage->ru_utime.tv_sec, (int)(usage->ru_utime.tv_usec / 10000),
             (long long)usage->ru_stime.tv_sec, (int)(usage->ru_stime.tv_usec / 10000),
             usage->ru_maxrss / 1024);
}

/* Returns the code that stands for it. */
static uint32_t
describe_end(const struct executor *e, const struct ending *ending, char *text, size_t size)
{
    const uint32_t code = verdict_status(ending->status, text, size);

    if (e->blame == EXECUTOR_NONSENSE)
        snprintf(text, size, "it overwrote the memory that it shares with the agent");
    else if (e->blame == EXECUTOR_SILENT)
        snprintf(text, size, "the program did not call scoop_init() within %d s",
                 EXECUTOR_START_MS / 1000);
    else if (e->blame == EXECUTOR_MEMORY)
        snprintf(text, size, "memory: %llu MiB, limit %llu MiB",
                 (unsigned long long)(e->memory.bytes >> 20),
                 (unsigned long long)(e->memory.limit >> 20));
    else if (ending->out_of_memory)
        snprintf(text, size, "out of memory: ended by the kernel (signal 9)");
    return code;
}

/* It ended by itself between two tasks, because one had damaged its process: why. NULL: it did not. */
static const char *damage_of(const struct executor *e, const struct ending *ending)
{
    if (e->blame != EXECUTOR_ALIVE || !WIFEXITED(ending->status) || executor_had_begun(e))
        return NULL;
    return channel_damage(WEXITSTATUS(ending->status));
}

/* What the loader, our child before exec, or libscoop print then. */
static bool says_that_it_cannot_start(const char *tail)
{
    static const char *const marks[] = {
        "error while loading shared libraries: ",
        "symbol lookup error: ",
        "' not found (required by ",
        "executor: cannot run ",
        "executor: this program is linked with another version of libscoop",
    };

    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        if (strstr(tail, marks[i]) != NULL)
            return true;
    }
    return false;
}

bool verdict_cannot_start(const struct executor *e,
                          const struct ending *ending,
                          const char *host,
                          char *text,
                          size_t size)
{
    char tail[OUTPUT_TAIL_BYTES + 512];

    if (e->ready || e->blame != EXECUTOR_ALIVE || !WIFEXITED(ending->status) ||
        WEXITSTATUS(ending->status) == 0)
        return false;
    output_tail(&e->err, tail, sizeof(tail));
    if (!says_that_it_cannot_start(tail))
        return false;
    snprintf(text, size, "program %s: cannot be started on %s: %s", program_label(e->program), host,
             tail);
    return true;
}

void verdict_log(const struct executor *e, const struct ending *ending)
{
    const char *const damage = damage_of(e, ending);
    char text[128];

    (void)verdict_status(ending->status, text, sizeof(text));
    if (damage != NULL)
        log_warn("executor_replaced", "program=%s pid=%d tasks=%llu reason=\"%s\"",
                 program_label(e->program), (int)e->pid, (unsigned long long)e->answered, damage);
    else
        log_event(e->blame == EXECUTOR_DISMISSED ? LOG_DEBUG : LOG_INFO, "executor_ended",
                  "program=%s pid=%d status=\"%s\" tasks=%llu", program_label(e->program),
                  (int)e->pid, text, (unsigned long long)e->answered);
}

/* What happened, in words: one line, with the end of stderr. Returns the code. */
static uint32_t
describe_crash(const struct executor *e, const struct ending *ending, char *text, size_t size)
{
    char tail[OUTPUT_TAIL_BYTES + 512];
    char what[128];
    char used[96];
    const uint32_t code = describe_end(e, ending, what, sizeof(what));

    describe_usage(&ending->usage, used, sizeof(used));
    output_tail(&e->err, tail, sizeof(tail));
    snprintf(text, size, tail[0] != '\0' ? "%s; used %s; stderr: %s" : "%s; used %s", what, used,
             tail);
    return code;
}

static void report_crash(struct report *report,
                         const struct executor *e,
                         const struct task *task,
                         const struct ending *ending)
{
    char text[WIRE_TEXT_MAX];
    char quoted[WIRE_TEXT_MAX];
    char function[128];
    const uint32_t code = describe_crash(e, ending, text, sizeof(text));

    log_warn("task_crashed",
             "task=%llx attempt=%u function=\"%s\" program=%s pid=%d code=%u reason=\"%s\"",
             (unsigned long long)task->id, task->attempt,
             log_quote(function, sizeof(function), task->function->name), program_label(e->program),
             (int)e->pid, code, log_quote(quoted, sizeof(quoted), text));
    report_failure(report, task, WIRE_CRASHED, code, text);
}

static void report_overtime(struct report *report, const struct task *task)
{
    char text[64];

    snprintf(text, sizeof(text), "it ran longer than its limit of %u ms", task->limit_ms);
    report_failure(report, task, WIRE_TIMEOUT, task->limit_ms, text);
}

/* Is it this task that took the memory? Others may have left it there. */
static bool is_heavy(const struct executor *e, struct task *task)
{
    const bool known = task->heavy || e->answered == 0;

    task->heavy = true;
    return known;
}

bool verdict_report(struct report *report,
                    const struct executor *e,
                    struct task *task,
                    const struct ending *ending)
{
    /* It was killed for a task that was through in the last moment; this is the one behind it. */
    const bool mistaken = e->blame_id != task->id;

    switch (e->blame) {
    case EXECUTOR_OVERTIME:
        if (!mistaken)
            report_overtime(report, task);
        return !mistaken;
    case EXECUTOR_REVOKED:
        if (!mistaken)
            report_failure(report, task, WIRE_CANCELLED, WIRE_STOPPED, "revoked while it ran");
        return !mistaken;
    case EXECUTOR_MEMORY:
        if (mistaken || !is_heavy(e, task))
            return false;
        report_crash(report, e, task, ending);
        return true;
    case EXECUTOR_DISMISSED: return false;
    case EXECUTOR_ALIVE:
        if (!e->ready && e->program->refusal != NULL) {
            report_failure(report, task, WIRE_REFUSED_TASK, 0, e->program->refusal);
            return true;
        }
        if (executor_had_begun(e))
            report_crash(report, e, task, ending);
        return executor_had_begun(e);
    case EXECUTOR_NONSENSE:
    case EXECUTOR_SILENT: report_crash(report, e, task, ending); return true;
    }
    return false;
}
