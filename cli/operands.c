#include "operands.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(const struct operands_options *options, const char *what)
{
    fprintf(stderr, "%s: %s see '%s --help'\n", options->program, what, options->program);
    return -EINVAL;
}

static int open_lines(const struct operands_options *options, struct input *input)
{
    int fd = STDIN_FILENO;

    if (options->file != NULL && strcmp(options->file, "-") != 0)
        fd = open(options->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "%s: --arg-file: %s: %s\n", options->program, options->file,
                strerror(errno));
        return -EINVAL;
    }
    if (isatty(fd) == 1)
        fprintf(stderr, "%s: reading arguments from the terminal; Ctrl-D ends them\n",
                options->program);
    input_of_lines(input, fd, options->null_ends ? '\0' : '\n');
    return 0;
}

/* A place of a list that is not there would stay empty without a word. */
static int check_places(const struct operands_options *options,
                        const struct template *template,
                        const struct input *input)
{
    const size_t lists = input->list_count > 0 ? input->list_count : 1;

    if (template->highest <= lists)
        return 0;
    fprintf(stderr, "%s: {%zu}: the lists of arguments are 1 to %zu\n", options->program,
            template->highest, lists);
    return -EINVAL;
}

int operands_read(const struct operands_options *options,
                  char **words,
                  size_t count,
                  struct template *template,
                  struct input *input,
                  bool *has_input)
{
    size_t command = 0;
    int error = 0;

    while (command < count && strcmp(words[command], ":::") != 0)
        command++;
    if (command == 0)
        return usage(options, "which command?");
    template_init(template, words, command);
    const bool reads = options->file != NULL || options->null_ends;
    *has_input = command < count || reads || options->lines_by_default;
    if (!*has_input)
        return 0;
    if (command == count)
        error = open_lines(options, input);
    else if (reads)
        return usage(options, "--arg-file and --null are for arguments that are read, not for "
                              "those behind \":::\";");
    else if (input_of_words(input, words + command + 1, count - command - 1) != 0)
        return usage(options, "there are more than 9 lists of arguments;");
    return error != 0 ? error : check_places(options, template, input);
}
