#include "bounds.h"

#include "base/fdpass.h"
#include "base/landlock.h"
#include "base/log.h"
#include "executor.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Questions that are answered in one turn of the loop. */
#define ANSWERS_MAX 16

/* What one executor has tried is told so often; then it is only refused. */
#define TOLD_MAX 20

/* Their first argument is the process. */
static const char *const reach[] = {
    "kill",   "pidfd_open", "prlimit64", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "tgkill", "tkill",      NULL,
};

static const char *const sockets[] = {"socket", NULL};
static const char *const programs[] = {"execve", "execveat", NULL};

/* ---- preparation ---- */

int bounds_parse(const char *text, unsigned *may, struct problem *problem)
{
    static const struct {
        const char *name;
        unsigned bit;
    } words[] = {{"exec", BOUNDS_EXEC}, {"sockets", BOUNDS_SOCKETS}};
    unsigned bits = 0;

    for (const char *at = text; *at != '\0';) {
        const size_t length = strcspn(at, ",");
        unsigned bit = 0;

        for (size_t i = 0; i < COUNT_OF(words); i++) {
            if (strlen(words[i].name) == length && strncmp(words[i].name, at, length) == 0)
                bit = words[i].bit;
        }
        if (bit == 0)
            return problem_set(problem, -EINVAL, "\"%.64s\" is not a list of exec, sockets", text);
        bits |= bit;
        at += length + (at[length] == ',');
    }
    *may = bits;
    return 0;
}

/* Paths that are hidden, at most. */
#define HIDDEN_MAX 64

int bounds_check_hide(const char *text, struct problem *problem)
{
    size_t count = 0;

    for (const char *at = text; *at != '\0'; at += *at == ':') {
        const size_t length = strcspn(at, ":");

        if (length != 0 && at[0] != '/')
            return problem_set(problem, -EINVAL, "\"%.*s\" is not an absolute path",
                               length < 64 ? (int)length : 64, at);
        count += length != 0;
        at += length;
    }
    if (count > HIDDEN_MAX)
        return problem_set(problem, -EINVAL, "%zu paths; the limit is %d", count, HIDDEN_MAX);
    return 0;
}

/* The agent and who started it; process 1; everybody; the agent's group. */
static int refuse_reach(scmp_filter_ctx filter, uint32_t action)
{
    const int others[] = {getpid(), getppid(), 1, -1, -getpgrp()};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT_OF(others); i++) {
        bool again = others[i] == 0;

        for (size_t before = 0; before < i; before++)
            again = again || others[before] == others[i];
        if (!again)
            rc = fence_refuse_for(filter, action, reach, 0, others[i]);
    }
    return rc;
}

/* `watched`: what has to be asked for. */
static int make_code(uint32_t action, unsigned watched, struct fence_code *code)
{
    const scmp_filter_ctx filter = fence_new();
    int rc = filter != NULL ? refuse_reach(filter, action) : -ENOMEM;

    if (rc == 0)
        rc = fence_refuse_trace(filter, action);
    if (rc == 0 && (watched & BOUNDS_SOCKETS) != 0)
        rc = fence_refuse(filter, action, sockets);
    if (rc == 0 && (watched & BOUNDS_EXEC) != 0)
        rc = fence_refuse(filter, action, programs);
    if (rc == 0)
        rc = fence_code_make(filter, code);
    seccomp_release(filter);
    return rc;
}

static int make_codes(struct bounds *bounds)
{
    const unsigned never = BOUNDS_ALL & ~bounds->may;
    int rc = make_code(SCMP_ACT_NOTIFY, never, &bounds->own);

    if (rc == 0)
        rc = make_code(SCMP_ACT_NOTIFY, BOUNDS_ALL, &bounds->asked);
    if (rc == 0)
        rc = seccomp_notify_alloc(&bounds->question, &bounds->answer);
    if (rc != 0)
        log_warn("bounds_are_mute", "error=\"%s\" effect=\"refusals of executors leave no line\"",
                 strerror(-rc));
    /* Their programs are started behind it. */
    return make_code(SCMP_ACT_ERRNO(EPERM), never & ~BOUNDS_EXEC, &bounds->plain);
}

static size_t split(char *text, const char *more, const char *paths[HIDDEN_MAX + 1])
{
    size_t count = 0;

    for (char *at = text; at != NULL && count < HIDDEN_MAX;) {
        const char *const word = strsep(&at, ":");

        if (word[0] != '\0')
            paths[count++] = word;
    }
    if (more != NULL)
        paths[count++] = more;
    return count;
}

static int hide_files(const char *hide, const char *hide_too)
{
    const char *paths[HIDDEN_MAX + 1];
    char *text CLEANUP(free_p) = strdup(hide);
    int ruleset = -1;

    if (text == NULL)
        return -ENOMEM;
    const size_t count = split(text, hide_too, paths);
    int rc = landlock_hide(paths, count, &ruleset);
    if (rc != 0 || ruleset < 0)
        return rc;
    rc = landlock_enter(ruleset);
    close(ruleset);
    return rc;
}

int bounds_open(struct bounds *bounds, unsigned may, const char *hide, const char *hide_too)
{
    struct problem problem = {.text = ""};

    *bounds = (struct bounds){.may = may, .scope = -1};
    /* By itself when we are started by hand; in a container it is so already. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        return -errno;
    int rc = hide_files(hide, hide_too);
    if (rc == -ENOMEM)
        return rc;
    if (rc != 0)
        log_warn("files_not_hidden", "landlock=%d wanted=%d paths=\"%s\" error=\"%s\"",
                 landlock_abi(), LANDLOCK_ABI_FILES, hide, strerror(-rc));
    rc = landlock_scope(&bounds->scope);
    if (rc != 0 || landlock_abi() < LANDLOCK_ABI_SCOPE)
        log_info(
            "signals_not_kept_in",
            "landlock=%d wanted=%d effect=\"functions can signal other executors of this host\"",
            landlock_abi(), LANDLOCK_ABI_SCOPE);
    rc = fence_enter(FENCE_START | FENCE_RAW | FENCE_TRACE, &problem);
    if (rc == 0)
        rc = make_codes(bounds);
    if (rc != 0)
        log_warn("calls_not_fenced", "error=\"%s\"",
                 problem.text[0] != '\0' ? problem.text : strerror(-rc));
    return rc == -ENOMEM ? rc : 0;
}

void bounds_close(struct bounds *bounds)
{
    if (bounds->scope >= 0)
        close(bounds->scope);
    fence_code_free(&bounds->own);
    fence_code_free(&bounds->asked);
    fence_code_free(&bounds->plain);
    if (bounds->question != NULL)
        seccomp_notify_free(bounds->question, bounds->answer);
    *bounds = (struct bounds){.scope = -1};
}

/* ---- in the child ---- */

static long take_filter(const struct fence_code *code, unsigned flags)
{
    if (code->program.len == 0)
        return -1;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                   &code->program);
}

void bounds_confine(const struct bounds *bounds)
{
    if (bounds->scope >= 0)
        (void)!landlock_enter(bounds->scope);
}

void bounds_enter(const struct bounds *bounds, bool own, int end)
{
    const long listener =
        bounds->question == NULL
            ? -1
            : take_filter(own ? &bounds->own : &bounds->asked, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener < 0) {
        (void)take_filter(&bounds->plain, 0);
        return;
    }
    /* Without it the calls fail all the same, as if the kernel had none of them. */
    (void)!fdpass_send(end, 0, (int)listener);
    close((int)listener);
}

/* ---- answers ---- */

void bounds_leave(struct executor *e)
{
    if (e->asks < 0)
        return;
    (void)epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, e->asks, NULL);
    close(e->asks);
    e->asks = -1;
}

/* The descriptor by which it asks has come: it takes the place of what it came through. */
static void take_listener(struct executor *e)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &e->watches[EXECUTOR_ASKS]};
    uint64_t number = 0;
    int fd = -1;
    const int rc = fdpass_receive(e->asks, &number, &fd);

    if (rc == -EAGAIN)
        return;
    bounds_leave(e);
    if (rc != 0)
        return; /* it has none to give, or has ended */
    e->asks = fd;
    e->listens = true;
    if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        bounds_leave(e);
}

static bool is_in(int call, const char *const *names)
{
    size_t i = 0;

    while (names[i] != NULL && seccomp_syscall_resolve_name(names[i]) != call)
        i++;
    return names[i] != NULL;
}

/* Is main() through, and what has it asked for? The record that says so may not have been collected yet
 * although its first task runs; it is the first of all. */
static bool is_ready(struct executor *e, unsigned *wants)
{
    struct channel_outcome first = {0};
    size_t bytes = 0;

    if (e->ready) {
        *wants = e->wants;
        return true;
    }
    if (ring_ready(&e->channel.outcomes, &bytes) == 0 && bytes >= sizeof(first))
        memcpy(&first, ring_take_at(&e->channel.outcomes), sizeof(first));
    *wants = first.run_us;
    return first.outcome == CHANNEL_READY;
}

/* Before it is ready, what calls is the loader or main(). */
static bool is_allowed(struct executor *e, int call)
{
    unsigned wants = 0;
    const unsigned may = e->bounds->may;
    const bool ready = is_ready(e, &wants);

    if (is_in(call, programs))
        return !ready || (may & wants & BOUNDS_EXEC) != 0;
    return is_in(call, sockets) && (may & BOUNDS_SOCKETS) != 0 &&
           (!ready || (wants & BOUNDS_SOCKETS) != 0);
}

static const char *hint_for(const struct executor *e, int call)
{
    const unsigned bit = is_in(call, programs)  ? BOUNDS_EXEC
                         : is_in(call, sockets) ? BOUNDS_SOCKETS
                                                : 0;

    if (bit == 0)
        return "";
    if ((e->bounds->may & bit) == 0)
        return "; this worker's WORKER_TASKS_MAY lets no program do that";
    return bit == BOUNDS_EXEC
               ? "; a program whose functions need it calls scoop_may(SCOOP_MAY_EXEC)"
               : "; a program whose functions need it calls scoop_may(SCOOP_MAY_SOCKETS)";
}

static void tell(struct executor *e, const struct seccomp_notif *question, int64_t now_ms)
{
    char *const name = seccomp_syscall_resolve_num_arch(question->data.arch, question->data.nr);
    char text[320];

    if (e->refused++ < TOLD_MAX) {
        const int length =
            snprintf(text, sizeof(text), "scoop: %s() was refused%s\n",
                     name != NULL ? name : "a system call", hint_for(e, question->data.nr));
        output_add(&e->err, text, (size_t)length, now_ms);
    }
    free(name);
}

static void answer_one(struct executor *e, int64_t now_ms)
{
    struct seccomp_notif *const question = e->bounds->question;
    struct seccomp_notif_resp *const answer = e->bounds->answer;

    memset(question, 0, sizeof(*question));
    if (seccomp_notify_receive(e->asks, question) != 0)
        return; /* it was killed meanwhile */
    const bool allowed = is_allowed(e, question->data.nr);
    if (!allowed)
        tell(e, question, now_ms);
    *answer = (struct seccomp_notif_resp){
        .id = question->id,
        .error = allowed ? 0 : -EPERM,
        .flags = allowed ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0,
    };
    (void)seccomp_notify_respond(e->asks, answer);
}

void bounds_event(struct executor *e, int64_t now_ms)
{
    if (!e->listens) {
        take_listener(e);
        return;
    }
    for (int i = 0; i < ANSWERS_MAX && e->asks >= 0; i++) {
        struct pollfd polled = {.fd = e->asks, .events = POLLIN};

        /* Receiving would wait. */
        if (poll(&polled, 1, 0) != 1)
            return;
        if ((polled.revents & POLLIN) != 0)
            answer_one(e, now_ms);
        else
            bounds_leave(e);
    }
}
