/* scoop map: one command per argument, on the cluster or on this machine's cores. */
#include "local.h"
#include "mapping.h"
#include "options.h"
#include "verb.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct map_options {
    struct broker_options broker;
    uint64_t slots;
};

static const struct setting rows[] = {
    {
        .flag = "slots",
        .type = SETTING_NUMBER,
        .offset = offsetof(struct map_options, slots),
        .min = 1,
        .max = 1024,
        .help = "use this machine only, and run so many commands at a time",
        .letter = 'n',
    },
    BROKER_ROWS(struct map_options, broker),
};

static const struct settings settings = {
    .program = "scoop map",
    .about =
        "Runs COMMAND once for each ARGUMENT, or for each line of standard input when there is "
        "no \":::\".\nThe argument takes the place of {}, or comes last. Outputs are written "
        "whole and in order;\nthe exit code is 0 only when all commands ended with 0.",
    .operands = "COMMAND... [::: ARGUMENT...]",
    .example = "scoop map gzip -9 ::: *.log",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

/* ---- reasons to stop ---- */

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
    caught = signal;
}

static bool has_ended(void *context)
{
    struct local *local = context;

    return caught != 0 || (local != NULL && local_has_ended(local));
}

static void catch_signals(void)
{
    /* A second one ends the command at once. */
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- */

static int exit_code(int error)
{
    if (error == -ECANCELED && caught != 0)
        return 128 + caught;
    return error == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int map_on(const struct broker_options *broker,
                  struct local *local,
                  const struct template *template,
                  struct input *input)
{
    struct mapping mapping = {
        .session = options_open(broker, settings.program),
        .command = scoop_builtin("command", SCOOP_VARIABLE, SCOOP_VARIABLE),
        .template = *template,
        .input = input,
        .ended = has_ended,
        .context = local,
        .program = settings.program,
    };

    if (mapping.session == NULL || mapping.command == NULL)
        return EXIT_FAILED;
    const int error = mapping_run(&mapping);
    scoop_close(mapping.session);
    return exit_code(error);
}

static int
map_privately(struct map_options *options, const struct template *template, struct input *input)
{
    const struct local_config config = {.slots = (unsigned)options->slots};
    struct problem problem;
    struct local local;

    if (local_start(&config, &local, &problem) != 0) {
        fprintf(stderr, "%s: %s\n", settings.program, problem.text);
        return EXIT_FAILED;
    }
    options->broker.broker = local.broker;
    const int code = map_on(&options->broker, &local, template, input);
    local_stop(&local);
    return code;
}

/* Split the operands at ":::". False: there is no command. */
static bool
read_operands(char **words, size_t count, struct template *template, struct input *input)
{
    size_t command = 0;

    while (command < count && strcmp(words[command], ":::") != 0)
        command++;
    template_init(template, words, command);
    if (command < count)
        input_of_words(input, words + command + 1, count - command - 1);
    else
        input_of_lines(input, STDIN_FILENO);
    return command > 0;
}

int verb_map(int argc, char **argv)
{
    struct map_options options = {.slots = 0};
    int first = 0;
    const enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);
    struct template template;
    struct input input;

    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    if (!read_operands(argv + first, (size_t)(argc - first), &template, &input)) {
        fprintf(stderr, "%s: which command? see '%s --help'\n", settings.program, settings.program);
        return EXIT_USAGE;
    }
    options_complete(&options.broker);
    catch_signals();
    const int code = options.slots != 0 || options.broker.broker == NULL
                         ? map_privately(&options, &template, &input)
                         : map_on(&options.broker, NULL, &template, &input);
    input_fini(&input);
    return code;
}
