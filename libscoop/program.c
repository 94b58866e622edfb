#include "program.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/settings.h"
#include "config.h"
#include "error.h"
#include "executor.h"
#include "function.h"
#include "nested.h"
#include "session.h"
#include "unique.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Set by scoop_init(), before other threads call. */
static struct {
    bool initialised;
    bool executes; /* an executor: what calls here is a function */
    bool serial;
    unsigned may; /* what functions need */
    scoop_session *session;
    pid_t pid; /* that scoop_init() ran in: a forked child has no session thread */
    enum scoop_status status;
    char text[512]; /* of a status other than OK */
} program;

const char *scoop_version(void)
{
    return settings_version();
}

static enum scoop_status fail(enum scoop_status status, const char *text)
{
    program.status = status;
    snprintf(program.text, sizeof(program.text), "%s", text);
    return error_set(status, "%s", text);
}

static enum scoop_status open_session(void)
{
    struct problem problem = {.text = "out of memory"};
    struct config config;
    int error = config_read(NULL, &config, &problem);

    if (error == -ENOENT && config.broker[0] == '\0' && getenv("SCOOP_BROKER") == NULL) {
        program.serial = true;
        fprintf(stderr,
                "%s: no broker (SCOOP_BROKER is not set): computing serially; "
                "\"scoop run\" uses all cores\n",
                program_invocation_short_name);
        return SCOOP_OK;
    }
    if (error == 0)
        error = session_new(&config, &program.session, &problem);
    config_wipe(&config);
    if (error == 0)
        return SCOOP_OK;
    return fail(error == -ENOMEM ? SCOOP_NO_MEMORY : SCOOP_MISUSE, problem.text);
}

_Static_assert(SCOOP_MAY_EXEC == CHANNEL_WANTS_EXEC && SCOOP_MAY_SOCKETS == CHANNEL_WANTS_SOCKETS,
               "the agent reads the same bits");

void scoop_may(unsigned what)
{
    program.may |= what;
}

enum scoop_status scoop_init(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    program.executes = executor_is_wanted();
    if (program.executes)
        executor_main(program.may);
    if (program.initialised)
        return program.status;
    program.initialised = true;
    program.pid = getpid();
    if (open_session() == SCOOP_OK)
        atexit(scoop_fini);
    return program.status;
}

void scoop_fini(void)
{
    if (program.session == NULL || program.pid != getpid())
        return;
    unique_close(program.session);
    session_close(program.session);
    program.session = NULL;
    fail(SCOOP_SHUT_DOWN, "scoop_fini() was called");
}

scoop_session *scoop_open(const struct scoop_settings *settings)
{
    struct problem problem = {.text = "out of memory"};
    struct config config;
    scoop_session *session = NULL;
    int error = config_read(settings, &config, &problem);

    if (error == 0)
        error = session_new(&config, &session, &problem);
    config_wipe(&config);
    if (error != 0)
        error_set(error == -ENOMEM ? SCOOP_NO_MEMORY : SCOOP_MISUSE, "%s", problem.text);
    return session;
}

void scoop_close(scoop_session *session)
{
    unique_close(session);
    session_close(session);
}

int64_t program_deadline(int deadline_ms)
{
    return deadline_ms < 0 ? INT64_MAX : clock_now_ms() + deadline_ms;
}

int64_t program_deadline_of(const struct scoop_options *options)
{
    return program_deadline(options != NULL && options->deadline_ms > 0 ? options->deadline_ms
                                                                        : SCOOP_FOREVER);
}

enum scoop_status scoop_connect(scoop_session *session, int deadline_ms)
{
    scoop_session *s = NULL;
    const enum scoop_status status = program_session(session, &s);

    if (status != SCOOP_OK || s == NULL)
        return status;
    return session_await(s, program_deadline(deadline_ms));
}

enum scoop_status program_session(scoop_session *given, scoop_session **session)
{
    if (given != NULL) {
        *session = given;
        return SCOOP_OK;
    }
    if (function_is_running())
        return nested_session(session);
    if (program.executes)
        return error_set(SCOOP_MISUSE, "a function makes its calls in its own thread only");
    if (!program.initialised)
        return error_set(SCOOP_MISUSE, "scoop_init() was not called");
    if (program.status != SCOOP_OK)
        return error_set(program.status, "%s", program.text);
    *session = program.session;
    return SCOOP_OK;
}

enum scoop_status
program_root_session(const char *call, scoop_session *given, scoop_session **session)
{
    if (given == NULL && function_is_running())
        return error_set(SCOOP_MISUSE, "%s: not inside a function", call);
    return program_session(given, session);
}
