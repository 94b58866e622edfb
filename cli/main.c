/* The `scoop` command: finds the verb and runs it. */
#include "base/harden.h"
#include "base/log.h"
#include "base/settings.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>

static void print_help(FILE *out)
{
    fprintf(out, "usage: scoop VERB [OPTION...] [ARGUMENT...]\n"
                 "Futures for C, and any command, on all cores of all hosts.\n\n");
    for (const struct verb *const *verb = verbs; *verb != NULL; verb++)
        fprintf(out, "  %-10s %s\n", (*verb)->name, (*verb)->about);
    fprintf(out, "\n  --help     print this text; 'scoop VERB --help' says more\n"
                 "  --version  print the version\n"
                 "\nexample: seq 100 | scoop map echo\n");
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    char name[32];

    /* Messages and help texts begin with both words. */
    snprintf(name, sizeof(name), "scoop %s", verb->name);
    argv[0] = name;
    return verb->run(argc, argv);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    harden_standard_files();
    log_init("scoop");
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("scoop %s\n", settings_version());
        return EXIT_DONE;
    }
    const struct verb *verb = verb_find(word);
    if (verb != NULL)
        return run_verb(verb, argc - 1, argv + 1);
    if (word[0] != '\0')
        fprintf(stderr, "scoop: unknown verb \"%.100s\"; see 'scoop --help'\n", word);
    else
        print_help(stderr);
    return EXIT_USAGE;
}
