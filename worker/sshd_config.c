#include "sshd_config.h"

#include "base/sshkey.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The same for every worker. What is off by default is named all the same: nobody has to look it
 * up. MaxStartups and LoginGraceTime keep strangers who connect and say nothing from locking the
 * broker out. */
static const char fixed[] = "UsePAM no\n"
                            "PidFile none\n"
                            "StrictModes no\n" /* the folder is checked by rundir_make(), and its
                                                  parent may be open to all */
                            "LogLevel INFO\n"
                            "AuthenticationMethods publickey\n"
                            "PubkeyAuthentication yes\n"
                            "PasswordAuthentication no\n"
                            "KbdInteractiveAuthentication no\n"
                            "HostbasedAuthentication no\n"
                            "PermitEmptyPasswords no\n"
                            "PermitRootLogin no\n"
                            "PermitUserEnvironment no\n"
                            "PermitUserRC no\n"
                            "PermitTTY no\n"
                            "PermitTunnel no\n"
                            "DisableForwarding yes\n"
                            "AllowTcpForwarding no\n"
                            "AllowStreamLocalForwarding no\n"
                            "AllowAgentForwarding no\n"
                            "X11Forwarding no\n"
                            "GatewayPorts no\n"
                            "MaxAuthTries 2\n"
                            "MaxSessions 1\n"
                            "MaxStartups 128\n"
                            "PerSourceMaxStartups 32\n"
                            "LoginGraceTime 10\n"
                            "ClientAliveInterval 5\n"
                            "ClientAliveCountMax 3\n"
                            "TCPKeepAlive yes\n"
                            "Compression no\n"
                            "UseDNS no\n"
                            "PrintMotd no\n"
                            "PrintLastLog no\n"
                            "Banner none\n"
                            "VersionAddendum none\n"
                            "RequiredRSASize 2048\n"
                            "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,"
                            "curve25519-sha256@libssh.org\n"
                            "Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,"
                            "aes128-gcm@openssh.com\n"
                            "MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com\n"
                            "HostKeyAlgorithms ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
                            "ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256\n"
                            "PubkeyAcceptedAlgorithms ssh-ed25519,ecdsa-sha2-nistp256,"
                            "ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256\n";

static const char *const passed_prefixes[] = {"WORKER_", "SCOOP_", "DEBUG="};

static bool is_passed(const char *variable)
{
    for (size_t i = 0; i < COUNT_OF(passed_prefixes); i++) {
        if (strncmp(variable, passed_prefixes[i], strlen(passed_prefixes[i])) == 0)
            return true;
    }
    return false;
}

int sshd_config_environment(char *const *environment, char ***out)
{
    size_t count = 0;
    size_t used = 0;

    while (environment[count] != NULL)
        count++;
    char **passed = calloc(count + 1, sizeof(*passed));
    if (passed == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (is_passed(environment[i]))
            passed[used++] = environment[i];
    }
    *out = passed;
    return 0;
}

static bool has_control(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f)
            return true;
    }
    return false;
}

/* sshd takes only the first SetEnv line: all variables in one, each in quotes. */
static int write_environment(FILE *file, char *const *environment, struct problem *problem)
{
    if (environment[0] == NULL)
        return 0;
    fputs("SetEnv", file);
    for (size_t i = 0; environment[i] != NULL; i++) {
        if (has_control(environment[i]))
            return problem_set(problem, -EINVAL, "%.*s: its value has a control character",
                               (int)strcspn(environment[i], "="), environment[i]);
        fputs(" \"", file);
        for (const char *p = environment[i]; *p != '\0'; p++) {
            if (*p == '"' || *p == '\\' || *p == '\'')
                fputc('\\', file);
            fputc(*p, file);
        }
        fputc('"', file);
    }
    fputc('\n', file);
    return 0;
}

/* End a stream of open_memstream(). */
static int finish(FILE *file, char **text, int rc, char **out)
{
    const bool failed = ferror(file) != 0;

    if ((fclose(file) != 0 || failed) && rc == 0)
        rc = -ENOMEM;
    if (rc == 0)
        *out = steal(text);
    free(*text);
    return rc;
}

int sshd_config_make(const struct sshd_config *config, char **out, struct problem *problem)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);

    if (file == NULL)
        return problem_set(problem, -ENOMEM, "sshd: out of memory");
    fprintf(file, "ListenAddress %s\nPort %u\nAllowUsers %s\n", config->listen, config->port,
            config->user);
    fprintf(file, "HostKey %s/host_key\nAuthorizedKeysFile %s/authorized_keys\n", config->folder,
            config->folder);
    fprintf(file, "ForceCommand %s\n", config->command);
    fputs(fixed, file);
    const int rc = write_environment(file, config->environment, problem);
    return finish(file, &text, rc, out);
}

struct keys {
    FILE *file;
    const char *command;
};

static int write_key(const char *line, void *argument)
{
    const struct keys *keys = argument;

    fprintf(keys->file, "restrict,command=\"%s\" %s\n", keys->command, line);
    return 0;
}

int sshd_config_keys(const char *public_keys, const char *command, char **out)
{
    char *text = NULL;
    size_t length = 0;
    struct keys keys = {.file = open_memstream(&text, &length), .command = command};

    if (keys.file == NULL)
        return -ENOMEM;
    const int rc = sshkey_each_public(public_keys, write_key, &keys);
    return finish(keys.file, &text, rc, out);
}
