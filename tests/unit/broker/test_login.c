/* Command lines of ssh for hosts of the user's own; those of a stack are tested with a real sshd. */
#include "broker/login.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static const struct login_own own = {"my-ssh  -p 22", "/opt/worker serve"};
static struct login_command command;
static char joined[2048];

static const char *words_of(const char *host, const char *tunnel)
{
    cr_assert_eq(login_own(&own, host, tunnel, &command), 0);
    joined[0] = '\0';
    for (char *const *word = command.argv; *word != NULL; word++) {
        strcat(joined, word == command.argv ? "" : "|");
        strcat(joined, *word);
    }
    return joined;
}

Test(login, begins_with_the_clients_words_and_ends_with_host_and_command)
{
    const char *words = words_of("me@far", NULL);

    cr_assert_eq(strncmp(words, "my-ssh|-p|22|-o|", 16), 0, "%s", words);
    cr_assert_not_null(strstr(words, "|-o|BatchMode=yes|"));
    cr_assert_not_null(strstr(words, "|-o|ClearAllForwardings=yes|"));
    cr_assert_not_null(strstr(words, "|--|me@far|/opt/worker serve"));
    cr_assert_eq(command.environment, environ);
}

Test(login, asks_for_a_tunnel_that_the_other_options_do_not_clear)
{
    const char *words = words_of("far", "127.0.0.1:1:127.0.0.1:2");

    cr_assert_not_null(strstr(words, "|-o|ExitOnForwardFailure=yes|-R|127.0.0.1:1:127.0.0.1:2|"));
    cr_assert_null(strstr(words, "ClearAllForwardings"));
}

Test(login, needs_no_ssh_on_this_host)
{
    char name[256] = "";

    cr_assert_eq(gethostname(name, sizeof(name) - 1), 0);
    const char *const here[] = {"localhost", "127.0.0.1", name};
    for (size_t i = 0; i < COUNT_OF(here); i++) {
        const char *words = words_of(here[i], NULL);

        cr_assert_eq(words[0], '/');
        cr_assert_not_null(strstr(words, "/scoop-worker|serve"), "%s", words);
        cr_assert_null(strstr(words, "BatchMode"));
    }
    cr_assert_not(login_is_here("localhost.far"));
    cr_assert_not(login_is_here("127.0.0.2"));
}

Test(login, refuses_a_client_of_too_many_words)
{
    char many[4 * LOGIN_WORDS_MAX];

    for (size_t i = 0; i + 1 < sizeof(many); i++)
        many[i] = i % 2 == 0 ? 'x' : ' ';
    many[sizeof(many) - 1] = '\0';
    const struct login_own wordy = {many, "serve"};
    cr_assert_eq(login_own(&wordy, "far", NULL, &command), -E2BIG);
    const struct login_own nothing = {"", "serve"};
    cr_assert_eq(login_own(&nothing, "far", NULL, &command), -EINVAL);
}
