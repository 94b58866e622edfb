/* scoop-worker: its verbs, and, started by its own agent, an executor of the builtin functions. */
#include "base/harden.h"
#include "base/settings.h"
#include "libscoop/executor.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct verb verbs[] = {
    {"run", verb_run, "run tasks of a broker on this machine"},
    {"serve", verb_serve, "be the agent of this host, started by sshd"},
    {"sshd", verb_sshd, "let the broker start the agent over ssh"},
};

static void print_help(void)
{
    printf("usage: scoop-worker VERB [OPTION...]\nRuns tasks on one host.\n\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
    printf("\n'scoop-worker VERB --help' lists the options of a verb; --version prints the "
           "version;\n--health asks the sshd of this host.\n"
           "\nexample: scoop-worker run --broker ipc:///run/me/workers\n");
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct problem problem;

    if (harden_process(&problem) != 0) {
        fprintf(stderr, "scoop-worker: %s\n", problem.text);
        return EXIT_FAILURE;
    }
    return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
    const char *const word = argc > 1 ? argv[1] : "";

    if (executor_is_wanted())
        executor_main(0);
    if (strcmp(word, "--help") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (strcmp(word, "--version") == 0) {
        printf("scoop-worker %s\n", settings_version());
        return EXIT_SUCCESS;
    }
    /* Of a container, whose first process is sshd's keeper. */
    if (strcmp(word, "--health") == 0)
        return verb_sshd(argc, argv);
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(word, verbs[i].name) == 0)
            return run_verb(&verbs[i], argc - 1, argv + 1);
    }
    if (word[0] != '\0')
        fprintf(stderr, "scoop-worker: \"%.100s\" is not a verb; see 'scoop-worker --help'\n",
                word);
    else
        fprintf(stderr, "scoop-worker: which verb? see 'scoop-worker --help'\n");
    return 2;
}
