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

/* What happened, in words, with the end of stderr. Returns the code. */
static uint32_t describe_crash(const struct executor *e, int status, char *text, size_t size)
{
    char tail[OUTPUT_TAIL_BYTES + 512];
    char what[128];
    const uint32_t code = verdict_status(status, what, sizeof(what));

    if (e->blame == EXECUTOR_NONSENSE)
        snprintf(what, sizeof(what), "it overwrote the memory that it shares with the agent");
    if (e->blame == EXECUTOR_SILENT)
        snprintf(what, sizeof(what), "the program did not call scoop_init() within %d s",
                 EXECUTOR_START_MS / 1000);
    output_tail(&e->err, tail, sizeof(tail));
    snprintf(text, size, tail[0] != '\0' ? "%s; stderr: %s" : "%s", what, tail);
    return code;
}

static void
report_crash(struct report *report, const struct executor *e, const struct task *task, int status)
{
    char text[WIRE_TEXT_MAX];
    char function[128];
    const uint32_t code = describe_crash(e, status, text, sizeof(text));

    log_warn("task_crashed", "task=%llx attempt=%u function=\"%s\" program=%s pid=%d code=%u",
             (unsigned long long)task->id, task->attempt,
             log_quote(function, sizeof(function), task->function->name), program_label(e->program),
             (int)e->pid, code);
    report_failure(report, task, WIRE_CRASHED, code, text);
}

static void report_overtime(struct report *report, const struct task *task)
{
    char text[64];

    snprintf(text, sizeof(text), "it ran longer than its limit of %u ms", task->limit_ms);
    report_failure(report, task, WIRE_TIMEOUT, task->limit_ms, text);
}

bool verdict_report(struct report *report,
                    const struct executor *e,
                    const struct task *task,
                    int status)
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
    case EXECUTOR_DISMISSED: return false;
    case EXECUTOR_ALIVE:
        if (executor_had_begun(e))
            report_crash(report, e, task, status);
        return executor_had_begun(e);
    case EXECUTOR_NONSENSE:
    case EXECUTOR_SILENT: report_crash(report, e, task, status); return true;
    }
    return false;
}
