/* scoop completion: what a shell needs to complete command lines of scoop, from the tables of verbs
 * and settings, so that it never lacks one. */
#include "verb.h"

#include <stdio.h>
#include <string.h>

static const struct settings settings = {
    .program = "scoop completion",
    .about = "Prints a script that makes bash complete verbs, options and commands of scoop.",
    .operands = "bash",
    .example = "scoop completion bash >~/.local/share/bash-completion/completions/scoop",
};

static const char head[] =
    "# Completion of scoop for bash, made by \"scoop completion bash\".\n"
    "_scoop() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local flags='' values='' files='' takes_command='' words='' i\n"
    "    case ${COMP_CWORD}:${COMP_WORDS[1]} in\n";

static const char tail[] =
    "    *) return ;;\n"
    "    esac\n"
    "    # After an option with a value: a file, or nothing.\n"
    "    [[ $files == *\" $previous \"* ]] && return\n"
    "    if [[ $values == *\" $previous \"* ]]; then\n"
    "        compopt +o default\n"
    "        return\n"
    "    fi\n"
    "    # Options end at the first operand, behind which there are files.\n"
    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        -*) [[ $files$values == *\" ${COMP_WORDS[i]} \"* ]] && ((i++)) ;;\n"
    "        *) return ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ $word == -* || -z $takes_command ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words $flags\" -- \"$word\")\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -A command -- \"$word\")\n"
    "    fi\n"
    "}\n"
    "complete -o default -F _scoop scoop\n";

static bool takes_value(const struct setting *row)
{
    return row->type != SETTING_FLAG && row->type != SETTING_HEALTH;
}

static void print_flag(const struct setting *row)
{
    printf("--%s ", row->flag);
    if (row->letter != 0)
        printf("-%c ", row->letter);
}

/* VARIABLE='WORDS and the flags of the rows that are wanted', all between blanks. */
static void
print_flags(const char *begin, const struct settings *of, bool (*wanted)(const struct setting *row))
{
    printf("        %s ", begin);
    for (size_t i = 0; i < of->row_count; i++) {
        if (wanted(&of->rows[i]))
            print_flag(&of->rows[i]);
    }
    printf("'\n");
}

static bool any(const struct setting *row)
{
    return row->flag != NULL;
}

static bool names_file(const struct setting *row)
{
    return row->type == SETTING_TEXT;
}

static bool has_other_value(const struct setting *row)
{
    return takes_value(row) && !names_file(row);
}

/* The first operand, which may be one of several words: "bash", "set|get NAME". */
static void print_words(const char *operands)
{
    const size_t length = strcspn(operands, " ");

    printf("        words='");
    for (size_t i = 0; i < length; i++)
        putchar(operands[i] == '|' ? ' ' : operands[i]);
    printf("'\n");
}

static void print_verb(const struct verb *verb)
{
    const char *operands = verb->settings->operands;

    printf("    *:%s)\n", verb->name);
    print_flags("flags='--help --version", verb->settings, any);
    print_flags("files='", verb->settings, names_file);
    print_flags("values='", verb->settings, has_other_value);
    if (operands != NULL &&
        (strncmp(operands, "COMMAND", 7) == 0 || strncmp(operands, "PROGRAM", 7) == 0))
        printf("        takes_command=yes\n");
    else if (operands != NULL)
        print_words(operands);
    printf("        ;;\n");
}

static void print_script(void)
{
    fputs(head, stdout);
    printf("    1:*) words='");
    for (const struct verb *const *verb = verbs; *verb != NULL; verb++)
        printf("%s ", (*verb)->name);
    printf("--help --version' ;;\n");
    for (const struct verb *const *verb = verbs; *verb != NULL; verb++)
        print_verb(*verb);
    fputs(tail, stdout);
}

static int run_verb(int argc, char **argv)
{
    int first = 0;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, NULL, &first);
    const char *shell = outcome == SETTINGS_RUN && first < argc ? argv[first] : "";

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    if (strcmp(shell, "bash") != 0 || first + 1 < argc) {
        fprintf(stderr, "%s: \"%.100s\" is not a shell that is known: bash\n", settings.program,
                shell);
        return EXIT_USAGE;
    }
    print_script();
    if (fflush(stdout) != 0) {
        fprintf(stderr, "%s: cannot write output: %s\n", settings.program, strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

const struct verb verb_completion = {
    .name = "completion",
    .about = "print what bash needs to complete command lines of scoop",
    .settings = &settings,
    .run = run_verb,
};
