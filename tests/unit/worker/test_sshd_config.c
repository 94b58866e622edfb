#include "worker/sshd_config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char *const no_environment[] = {NULL};

static struct sshd_config given_config(char *const *environment)
{
    return (struct sshd_config){
        .listen = "0.0.0.0",
        .port = 2222,
        .user = "scoop",
        .folder = "/run/scoop/worker",
        .command = "exec /usr/bin/scoop-worker serve",
        .environment = environment,
    };
}

Test(sshd_config, allows_one_user_one_command_and_nothing_else)
{
    static const char *const lines[] = {
        "Port 2222\n",
        "AllowUsers scoop\n",
        "HostKey /run/scoop/worker/host_key\n",
        "ForceCommand exec /usr/bin/scoop-worker serve\n",
        "AuthenticationMethods publickey\n",
        "PasswordAuthentication no\n",
        "DisableForwarding yes\n",
        "PermitTTY no\n",
        "PermitUserEnvironment no\n",
    };
    const struct sshd_config config = given_config(no_environment);
    struct problem problem;
    char *text = NULL;

    cr_assert_eq(sshd_config_make(&config, &text, &problem), 0);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        cr_assert_not_null(strstr(text, lines[i]), "%s", lines[i]);
    cr_assert_null(strstr(text, "Subsystem"));
    cr_assert_null(strstr(text, "AcceptEnv"));
    cr_assert_null(strstr(text, "SetEnv"));
    free(text);
}

Test(sshd_config, passes_all_variables_in_one_line_and_quoted)
{
    char *const environment[] = {"WORKER_A=1 2", "SCOOP_B=say \"x\\y\"", NULL};
    const struct sshd_config config = given_config(environment);
    struct problem problem;
    char *text = NULL;

    cr_assert_eq(sshd_config_make(&config, &text, &problem), 0);
    cr_assert_not_null(strstr(text, "\nSetEnv \"WORKER_A=1 2\" \"SCOOP_B=say \\\"x\\\\y\\\"\"\n"),
                       "%s", text);
    free(text);
}

Test(sshd_config, takes_no_line_break_from_the_environment)
{
    char *const environment[] = {"WORKER_A=1\nPermitTTY yes", NULL};
    const struct sshd_config config = given_config(environment);
    struct problem problem;
    char *text = NULL;

    cr_assert_eq(sshd_config_make(&config, &text, &problem), -EINVAL);
    cr_assert_null(text);
    cr_assert_not_null(strstr(problem.text, "WORKER_A"));
    cr_assert_null(strstr(problem.text, "PermitTTY"));
}

Test(sshd_config, chooses_variables_by_their_names)
{
    char *const environment[] = {
        "PATH=/bin", "WORKER_A=1", "XWORKER_B=1", "SCOOP_C=", "DEBUGGER=1", "DEBUG=y", NULL};
    char **passed = NULL;

    cr_assert_eq(sshd_config_environment(environment, &passed), 0);
    cr_assert_str_eq(passed[0], "WORKER_A=1");
    cr_assert_str_eq(passed[1], "SCOOP_C=");
    cr_assert_str_eq(passed[2], "DEBUG=y");
    cr_assert_null(passed[3]);
    free(passed);
}

Test(sshd_config, restricts_every_key)
{
    static const char key[] =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    char two[300];
    char *text = NULL;

    snprintf(two, sizeof(two), "%s broker\n%s", key, key);
    cr_assert_eq(sshd_config_keys(two, "run it", &text), 0);
    const char *first = strstr(text, "restrict,command=\"run it\" ssh-ed25519 AAAA");
    cr_assert_eq(first, text);
    cr_assert_not_null(strstr(first + 1, "\nrestrict,command=\"run it\" ssh-ed25519 AAAA"));
    cr_assert_null(strstr(text, "broker"));
    free(text);
}
