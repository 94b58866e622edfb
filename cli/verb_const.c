/* scoop const: constants that the broker keeps until somebody unsets them, for programs to read. */
#include "options.h"
#include "verb.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct const_options {
    struct broker_options broker;
};

static const struct setting rows[] = {
    BROKER_ROWS(struct const_options, broker),
};

static const struct settings settings = {
    .program = "scoop const",
    .about =
        "Sets a constant that programs read by scoop_constant(), until it is unset; a broker "
        "without\n--journal keeps it until it ends.\n"
        "A constant is set once: the exit code is 1 when there is one of this name. Without VALUE\n"
        "it is read from standard input. 'get' writes the value as it is.",
    .operands = "set|get|unset NAME [VALUE]",
    .example = "scoop const set threshold 0.75",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int complain(const char *why)
{
    fprintf(stderr, "%s: %s\n", settings.program, why);
    return EXIT_FAILED;
}

static int report(enum scoop_status status)
{
    return status == SCOOP_OK ? EXIT_DONE : complain(scoop_last_error());
}

/* Standard input to its end, or one byte more than a constant may have. */
static int set_from_input(scoop_session *session, const char *name)
{
    char *data CLEANUP(free_p) = malloc(SCOOP_CONSTANT_MAX + 1);
    const size_t size = data != NULL ? fread(data, 1, SCOOP_CONSTANT_MAX + 1, stdin) : 0;

    if (data == NULL || ferror(stdin))
        return complain(data == NULL ? "out of memory" : "standard input cannot be read");
    return report(scoop_constant_keep(session, name, data, size));
}

static int set(scoop_session *session, const char *name, const char *value)
{
    if (value == NULL)
        return set_from_input(session, name);
    return report(scoop_constant_keep(session, name, value, strlen(value)));
}

/* Its bytes, and for people a newline. */
static int get(scoop_session *session, const char *name, const char *value)
{
    struct scoop_bytes bytes;

    (void)value;
    if (scoop_constant(session, name, &bytes) != SCOOP_OK)
        return complain(scoop_last_error());
    fwrite(bytes.data, 1, bytes.size, stdout);
    if (isatty(STDOUT_FILENO))
        putchar('\n');
    if (ferror(stdout) || fflush(stdout) != 0)
        return complain("standard output cannot be written");
    return EXIT_DONE;
}

static int unset(scoop_session *session, const char *name, const char *value)
{
    (void)value;
    return report(scoop_constant_unset(session, name));
}

struct action {
    const char *name;
    int most; /* words, itself included */
    int (*run)(scoop_session *session, const char *name, const char *value);
};

static const struct action actions[] = {
    {"set", 3, set},
    {"get", 2, get},
    {"unset", 2, unset},
};

/* NULL: one line on stderr said what is wrong. */
static const struct action *choose(char **words, int count)
{
    const char *word = count > 0 ? words[0] : "";

    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        if (strcmp(word, actions[i].name) != 0)
            continue;
        if (count >= 2 && count <= actions[i].most)
            return &actions[i];
        fprintf(stderr, "%s %s: %d words follow, not %s; see '%s --help'\n", settings.program, word,
                count - 1, actions[i].most == 2 ? "NAME" : "NAME [VALUE]", settings.program);
        return NULL;
    }
    fprintf(stderr, "%s: \"%.100s\" is not one of set, get, unset\n", settings.program, word);
    return NULL;
}

static int run(int argc, char **argv)
{
    struct const_options options = {.broker = {.broker = NULL}};
    int first = 0;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    char **words = argv + first;
    const int count = argc - first;
    const struct action *action = choose(words, count);
    if (action == NULL)
        return EXIT_USAGE;
    int code = EXIT_FAILED;
    scoop_session *session = options_session(&options.broker, settings.program, &code);
    if (session == NULL)
        return code;
    code = action->run(session, words[1], count > 2 ? words[2] : NULL);
    scoop_close(session);
    return code;
}

const struct verb verb_const = {
    .name = "const",
    .about = "set and read constants that the broker keeps",
    .settings = &settings,
    .run = run,
};
