#include "ssh.h"

#include "base/clock.h"
#include "base/secret.h"
#include "base/sshkey.h"

#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name under which every worker's host key is known, whatever its address. */
#define HOST_ALIAS "scoop-worker"

#define END_PATIENCE_MS 200

/* Every option that the system's or the user's configuration could turn to something else. */
static const char *const options[] = {
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    ("HostKeyAlias=" HOST_ALIAS),
    "CheckHostIP=no",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "EscapeChar=none",
    "Compression=no",
    "ConnectTimeout=5",
    "ConnectionAttempts=1",
    "ServerAliveInterval=1",
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
};

/* ---- setup ---- */

struct known_hosts {
    char text[SECRET_BYTES_MAX];
    size_t length;
};

static int add_known_host(const char *line, void *argument)
{
    struct known_hosts *hosts = argument;
    const size_t room = sizeof(hosts->text) - hosts->length;
    const int n = snprintf(hosts->text + hosts->length, room, HOST_ALIAS " %s\n", line);

    if ((size_t)n >= room)
        return -EFBIG;
    hosts->length += (size_t)n;
    return 0;
}

static int copy_host_keys(const char *folder, const char *file, struct problem *problem)
{
    struct secret keys CLEANUP(secret_wipe) = {0};
    struct known_hosts *hosts CLEANUP(free_p) = NULL;
    int rc = secret_load(file, SECRET_PUBLIC, &keys, problem);

    if (rc != 0)
        return rc;
    rc = sshkey_check_public(file, keys.text, problem);
    if (rc != 0)
        return rc;
    hosts = calloc(1, sizeof(*hosts));
    if (hosts == NULL || sshkey_each_public(keys.text, add_known_host, hosts) != 0)
        return problem_set(problem, -ENOMEM, "%s: too many host keys", file);
    return rundir_write(folder, "known_hosts", hosts->text, S_IRUSR, problem);
}

static int copy_identity(const char *folder, const char *file, struct problem *problem)
{
    struct secret key CLEANUP(secret_wipe) = {0};
    int rc = secret_load(file, SECRET_PRIVATE, &key, problem);

    if (rc != 0)
        return rc;
    rc = sshkey_check_private(file, key.text, problem);
    if (rc != 0)
        return rc;
    /* ssh wants a newline behind the last line; secret_load() left room for it where it cut one
     * off. */
    char *text CLEANUP(free_p) = NULL;
    if (asprintf(&text, "%s\n", key.text) < 0) {
        text = NULL;
        return problem_set(problem, -ENOMEM, "%s: out of memory", file);
    }
    rc = rundir_write(folder, "identity", text, S_IRUSR, problem);
    explicit_bzero(text, strlen(text));
    return rc;
}

int ssh_setup_make(const char *run_dir,
                   const char *user,
                   const char *key_file,
                   const char *host_key_file,
                   struct ssh_setup *out,
                   struct problem *problem)
{
    char folder[RUNDIR_PATH_MAX];
    int rc = 0;

    if (access(SSH_PROGRAM, X_OK) != 0)
        return problem_set(problem, -errno, "the ssh client %s cannot be run: %s", SSH_PROGRAM,
                           strerror(errno));
    if ((rc = rundir_make(run_dir, "launcher", folder, problem)) != 0 ||
        (rc = copy_identity(folder, key_file, problem)) != 0 ||
        (rc = copy_host_keys(folder, host_key_file, problem)) != 0 ||
        (rc = rundir_path(folder, "identity", out->identity, problem)) != 0 ||
        (rc = rundir_path(folder, "known_hosts", out->known_hosts, problem)) != 0)
        return rc;
    out->user = user;
    return 0;
}

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

struct command {
    char identity[RUNDIR_PATH_MAX + 16];
    char known_hosts[RUNDIR_PATH_MAX + 24];
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    char *argv[2 * COUNT_OF(options) + 20];
};

/* argv is char *const[] in POSIX although nobody writes to it. */
static void push(struct command *command, size_t *count, const char *word)
{
    command->argv[(*count)++] = (char *)(uintptr_t)word;
}

static int
command_make(const struct ssh_setup *setup, const struct address *address, struct command *command)
{
    size_t n = 0;

    if (getnameinfo(&address->at.any, address->length, command->host, sizeof(command->host),
                    command->port, sizeof(command->port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EINVAL;
    snprintf(command->identity, sizeof(command->identity), "IdentityFile=%s", setup->identity);
    snprintf(command->known_hosts, sizeof(command->known_hosts), "UserKnownHostsFile=%s",
             setup->known_hosts);
    const char *const head[] = {SSH_PROGRAM,
                                "-F",
                                "none",
                                "-p",
                                command->port,
                                "-l",
                                setup->user,
                                "-o",
                                command->identity,
                                "-o",
                                command->known_hosts};
    for (size_t i = 0; i < COUNT_OF(head); i++)
        push(command, &n, head[i]);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        push(command, &n, "-o");
        push(command, &n, options[i]);
    }
    push(command, &n, "--");
    push(command, &n, command->host);
    command->argv[n] = NULL;
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

static int spawn(const struct command *command, const struct pipes *pipes, pid_t *pid)
{
    static char path[] = "PATH=/usr/bin:/bin";
    static char locale[] = "LC_ALL=C";
    static char *const environment[] = {path, locale, NULL};
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
        rc = -posix_spawn(pid, SSH_PROGRAM, &actions, &attributes, command->argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int ssh_open(const struct ssh_setup *setup,
             const struct address *address,
             const char *input,
             struct ssh_session *out)
{
    struct command command;
    struct pipes pipes CLEANUP(pipes_close);
    pid_t pid = 0;
    int rc = pipes_open(&pipes, input);

    if (rc != 0)
        return rc;
    rc = command_make(setup, address, &command);
    if (rc == 0)
        rc = spawn(&command, &pipes, &pid);
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
    kill(session->pid, SIGTERM);
    while (waitpid(session->pid, NULL, WNOHANG) == 0) {
        if (clock_now_ms() >= until_ms)
            kill(session->pid, SIGKILL);
        clock_sleep_ms(2);
    }
    close_end(&session->input);
    close_end(&session->output);
    close_end(&session->errors);
    session->pid = 0;
}
