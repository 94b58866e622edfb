#include "base/sshkey.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

/* Made up: right in form, no key. */
#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
#define RSA                                                                                        \
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAKAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define END   "\n-----END OPENSSH PRIVATE KEY-----"
#define PLAIN                                                                                      \
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAUAAAAAAAAAAAAAAAAAAA\n"               \
    "AAAAAAAAAAAAAAAAAAAAAAAA"
#define LOCKED                                                                                     \
    "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAAAAAAAEAAABQAAAAAAAA\n"               \
    "AAAAAAAAAAAAAAAAAAAAAAAA"

static struct problem problem;

struct key_case {
    char text[320];
    int result;
    char problem[48];
};

ParameterizedTestParameters(sshkey, tells_a_private_key_from_everything_else)
{
    static struct key_case cases[] = {
        {BEGIN PLAIN END, 0, ""},
        {BEGIN LOCKED END, -EINVAL, "passphrase"},
        {BEGIN "AAAA" END, -EINVAL, "damaged"},
        {BEGIN "b3BlbnNzaC1rZXk*" END, -EINVAL, "damaged"},
        {BEGIN END, -EINVAL, "damaged"},
        {BEGIN PLAIN, -EINVAL, "is no private key"},
        {BEGIN PLAIN "\n-----END RSA PRIVATE KEY-----", -EINVAL, "is no private key"},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", 0, ""},
        {"-----BEGIN RSA PRIVATE KEY-----\n!\n-----END RSA PRIVATE KEY-----", -EINVAL,
         "is no private key"},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
         -EINVAL, "passphrase"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", -EINVAL,
         "is no private key"},
        {"-----BEGIN ", -EINVAL, "is no private key"},
        {ED25519, -EINVAL, "is no private key"},
        {"", -EINVAL, "is no private key"},
    };
    return cr_make_param_array(struct key_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct key_case *c, sshkey, tells_a_private_key_from_everything_else)
{
    problem.text[0] = '\0';
    cr_assert_eq(sshkey_check_private("file", c->text, &problem), c->result, "%s", problem.text);
    cr_assert_not_null(strstr(problem.text, c->problem), "\"%s\"", problem.text);
}

ParameterizedTestParameters(sshkey, tells_public_keys_from_everything_else)
{
    static struct key_case cases[] = {
        {ED25519, 0, ""},
        {RSA " somebody@somewhere", 0, ""},
        {"# broker\n\n" ED25519 "\n" RSA, 0, ""},
        {ED25519 "\nrubbish", -EINVAL, "line 2"},
        {"command=\"x\" " ED25519, -EINVAL, "line 1"},
        {"ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB", -EINVAL,
         "line 1"},
        {"ssh-ed25519", -EINVAL, "line 1"},
        {"ssh-ed25519 ", -EINVAL, "line 1"},
        {"ssh-ed25519 AAAA", -EINVAL, "line 1"},
        {"ssh-dss AAAA", -EINVAL, "line 1"},
        {BEGIN PLAIN END, -EINVAL, "line 1"},
        {"# only a comment", -EINVAL, "has no public key"},
        {"", -EINVAL, "has no public key"},
    };
    return cr_make_param_array(struct key_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct key_case *c, sshkey, tells_public_keys_from_everything_else)
{
    problem.text[0] = '\0';
    cr_assert_eq(sshkey_check_public("file", c->text, &problem), c->result, "%s", problem.text);
    cr_assert_not_null(strstr(problem.text, c->problem), "\"%s\"", problem.text);
}

static int append(const char *line, void *argument)
{
    strcat(strcat(argument, line), "|");
    return 0;
}

Test(sshkey, hands_out_each_public_key_without_its_comment)
{
    char all[512] = "";

    cr_assert_eq(sshkey_each_public("# x\n" ED25519 " me\n\n" RSA, append, all), 0);
    cr_assert_str_eq(all, ED25519 "|" RSA "|");
}
