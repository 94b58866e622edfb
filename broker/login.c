/* Command lines of ssh: the strict one of a stack, and the one of a user. */
#include "login.h"

#include "base/secret.h"
#include "base/sshkey.h"

#include <limits.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name under which every worker's host key is known, whatever its address. */
#define HOST_ALIAS "scoop-worker"

/* Every option that the system's or the user's configuration could turn to something else. */
static const char *const strict_options[] = {
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

/* What makes a login of the user's fit for a machine. */
static const char *const own_options[] = {
    "BatchMode=yes",         "ForwardX11=no",         "PermitLocalCommand=no",
    "RequestTTY=no",         "EscapeChar=none",       "ConnectTimeout=10",
    "ServerAliveInterval=5", "ServerAliveCountMax=3", "LogLevel=ERROR",
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

int login_setup_make(const char *run_dir,
                     const char *user,
                     const char *key_file,
                     const char *host_key_file,
                     struct login_setup *out,
                     struct problem *problem)
{
    char folder[RUNDIR_PATH_MAX];
    int rc = 0;

    if (access(LOGIN_SSH, X_OK) != 0)
        return problem_set(problem, -errno, "the ssh client %s cannot be run: %s", LOGIN_SSH,
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

/* ---- command lines ---- */

/* argv is char *const[] in POSIX although nobody writes to it. False: it is full. */
static bool push(struct login_command *command, size_t *count, const char *word)
{
    if (*count == LOGIN_WORDS_MAX)
        return false;
    command->argv[(*count)++] = (char *)(uintptr_t)word;
    command->argv[*count] = NULL;
    return true;
}

static bool push_all(struct login_command *command, size_t *count, const char *const *words)
{
    bool fits = true;

    for (; *words != NULL; words++)
        fits = fits && push(command, count, *words);
    return fits;
}

static bool push_options(struct login_command *command,
                         size_t *count,
                         const char *const *options,
                         size_t option_count)
{
    bool fits = true;

    for (size_t i = 0; i < option_count; i++)
        fits = fits && push(command, count, "-o") && push(command, count, options[i]);
    return fits;
}

int login_strict(const struct login_setup *setup,
                 const struct address *address,
                 struct login_command *out)
{
    static char path[] = "PATH=/usr/bin:/bin";
    static char locale[] = "LC_ALL=C";
    static char *const environment[] = {path, locale, NULL};
    char identity[RUNDIR_PATH_MAX + 16];
    char known_hosts[RUNDIR_PATH_MAX + 24];
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    size_t n = 0;

    if (getnameinfo(&address->at.any, address->length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EINVAL;
    *out = (struct login_command){.environment = environment};
    snprintf(identity, sizeof(identity), "IdentityFile=%s", setup->identity);
    snprintf(known_hosts, sizeof(known_hosts), "UserKnownHostsFile=%s", setup->known_hosts);
    char *text = out->text;
    const char *made[] = {identity, known_hosts, host, port};
    for (size_t i = 0; i < COUNT_OF(made); i++) {
        const char *word = made[i];

        made[i] = text;
        text = stpcpy(text, word) + 1;
    }
    const char *const head[] = {LOGIN_SSH,   "-F", "none",  "-p", made[3], "-l",
                                setup->user, "-o", made[0], "-o", made[1], NULL};
    const char *const tail[] = {"--", made[2], NULL};
    if (!push_all(out, &n, head) ||
        !push_options(out, &n, strict_options, COUNT_OF(strict_options)) ||
        !push_all(out, &n, tail))
        return -E2BIG;
    return 0;
}

bool login_is_here(const char *host)
{
    char name[HOST_NAME_MAX + 1] = "";

    /* It fits; and a host without a name is not meant. */
    (void)!gethostname(name, sizeof(name) - 1);
    if (strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 || strcmp(host, name) == 0)
        return true;
    /* Batch systems say "node7" for a host that calls itself node7.cluster. */
    name[strcspn(name, ".")] = '\0';
    return strcmp(host, name) == 0;
}

/* The worker's program beside this one. */
static int serve_here(struct login_command *out)
{
    size_t n = 0;
    const ssize_t length = readlink("/proc/self/exe", out->text, PATH_MAX - 64);

    if (length <= 0)
        return -errno;
    out->text[length] = '\0';
    memcpy(strrchr(out->text, '/') + 1, "scoop-worker", sizeof("scoop-worker"));
    const char *const words[] = {out->text, "serve", NULL};
    return push_all(out, &n, words) ? 0 : -E2BIG;
}

int login_own(const struct login_own *own,
              const char *host,
              const char *tunnel,
              struct login_command *out)
{
    /* What would clear the forwardings of the user's configuration would clear ours as well. */
    const char *const forwarding[] = {"-o", "ExitOnForwardFailure=yes", "-R", tunnel, NULL};
    const char *const no_forwarding[] = {"-o", "ClearAllForwardings=yes", NULL};
    size_t n = 0;
    char *save = NULL;
    bool fits = true;

    *out = (struct login_command){.environment = environ};
    if (login_is_here(host))
        return serve_here(out);
    if (strlen(own->ssh) >= sizeof(out->text))
        return -E2BIG;
    memcpy(out->text, own->ssh, strlen(own->ssh) + 1);
    for (const char *word = strtok_r(out->text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save))
        fits = fits && push(out, &n, word);
    if (n == 0)
        return -EINVAL;
    const char *const tail[] = {"--", host, own->remote, NULL};
    fits = fits && push_all(out, &n, tunnel != NULL ? forwarding : no_forwarding);
    if (!fits || !push_options(out, &n, own_options, COUNT_OF(own_options)) ||
        !push_all(out, &n, tail))
        return -E2BIG;
    return 0;
}
