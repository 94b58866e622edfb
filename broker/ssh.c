#include "ssh.h"

#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_PATIENCE_MS 1000

/* ---- start ---- */

struct pipes {
    int input[2];
    int output[2];
    int errors[2];
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void pipes_close(struct pipes *pipes)
{
    int *ends[] = {&pipes->input[0],  &pipes->input[1],  &pipes->output[0],
                   &pipes->output[1], &pipes->errors[0], &pipes->errors[1]};

    for (size_t i = 0; i < COUNT_OF(ends); i++)
        close_end(ends[i]);
}

/* Make the pipes and put `input` into the first, which is large enough to hold it and more:
 * nobody needs to wait until it is taken. */
static int pipes_open(struct pipes *pipes, const char *input)
{
    const size_t length = strlen(input);

    *pipes = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(pipes->input, O_CLOEXEC) != 0 || pipe2(pipes->output, O_CLOEXEC) != 0 ||
        pipe2(pipes->errors, O_CLOEXEC) != 0 || fcntl(pipes->output[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(pipes->errors[0], F_SETFL, O_NONBLOCK) != 0)
        return -errno;
    if (write(pipes->input[1], input, length) != (ssize_t)length)
        return -EIO;
    return 0;
}

/* Signals as a fresh process has them, and a group of its own, so that Ctrl-C at a terminal is
 * the broker's alone. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;

    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawnattr_setsigmask(attributes, &none) != 0 ||
        posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETPGROUP) != 0)
        return -ENOMEM;
    return 0;
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct pipes *pipes)
{
    if (posix_spawn_file_actions_adddup2(actions, pipes->input[0], STDIN_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(actions, pipes->output[1], STDOUT_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(actions, pipes->errors[1], STDERR_FILENO) != 0 ||
        posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1) != 0)
        return -ENOMEM;
    return 0;
}

static int spawn(const struct login_command *command, const struct pipes *pipes, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = 0;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    if ((rc = set_attributes(&attributes)) == 0 && (rc = set_actions(&actions, pipes)) == 0)
        rc = -posix_spawnp(pid, command->argv[0], &actions, &attributes, command->argv,
                           command->environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int ssh_open(const struct login_command *command, const char *input, struct ssh_session *out)
{
    struct pipes pipes CLEANUP(pipes_close);
    pid_t pid = 0;
    int rc = pipes_open(&pipes, input);

    if (rc == 0)
        rc = spawn(command, &pipes, &pid);
    if (rc != 0)
        return rc;
    *out = (struct ssh_session){
        .pid = pid,
        .input = pipes.input[1],
        .output = pipes.output[0],
        .errors = pipes.errors[0],
    };
    pipes.input[1] = -1;
    pipes.output[0] = -1;
    pipes.errors[0] = -1;
    return 0;
}

void ssh_say(struct ssh_session *session, const char *line)
{
    /* It fits into the pipe; and whether ssh still takes it shows on its output. */
    (void)!write(session->input, line, strlen(line));
}

void ssh_end_input(struct ssh_session *session)
{
    close_end(&session->input);
}

/* ---- read ---- */

static void remember(struct ssh_session *session)
{
    const char *line = session->error.text;

    if (strstr(line, "Host key verification failed") != NULL ||
        strstr(line, "REMOTE HOST IDENTIFICATION HAS CHANGED") != NULL)
        session->host_key_mismatch = true;
    /* '@' begins the frame of ssh's big warning. */
    if (line[0] == '\0' || line[0] == '@' || (!session->answered && session->said[0] != '\0'))
        return;
    snprintf(session->said, sizeof(session->said), "%.*s", (int)sizeof(session->said) - 1, line);
}

/* Add one character. True: a line is complete, and the next character begins another. */
static bool line_add(struct ssh_line *line, char c)
{
    if (c == '\n') {
        line->text[line->length] = '\0';
        line->length = 0;
        return true;
    }
    if (c != '\r' && line->length < sizeof(line->text) - 1)
        line->text[line->length++] = c;
    return false;
}

static void take_output(struct ssh_session *session, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && !session->answered; i++) {
        session->answered = line_add(&session->answer, bytes[i]);
        if (session->answered)
            session->said[0] = '\0';
    }
}

static void take_errors(struct ssh_session *session, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (line_add(&session->error, bytes[i]))
            remember(session);
    }
}

/* One read of a stream, which is closed at its end. */
static void read_stream(struct ssh_session *session,
                        int *fd,
                        void (*take)(struct ssh_session *, const char *, size_t))
{
    char bytes[4096];

    if (*fd < 0)
        return;
    const ssize_t n = read(*fd, bytes, sizeof(bytes));
    if (n > 0)
        take(session, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(fd);
}

bool ssh_read(struct ssh_session *session)
{
    read_stream(session, &session->output, take_output);
    read_stream(session, &session->errors, take_errors);
    return session->output >= 0 || session->errors >= 0;
}

/* ---- end ---- */

void ssh_close(struct ssh_session *session)
{
    const int64_t until_ms = clock_now_ms() + END_PATIENCE_MS;

    if (session->pid == 0)
        return;
    /* Without its output it is ending by itself: how, is worth to know. */
    if (session->output >= 0 || session->errors >= 0)
        kill(session->pid, SIGTERM);
    while (waitpid(session->pid, &session->status, WNOHANG) == 0) {
        if (clock_now_ms() >= until_ms)
            kill(session->pid, SIGKILL);
        clock_sleep_ms(2);
    }
    close_end(&session->input);
    close_end(&session->output);
    close_end(&session->errors);
    session->pid = 0;
}
