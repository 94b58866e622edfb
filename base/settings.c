/* The settings table: flags by getopt_long, variables, ranges, --help. */
#include "settings.h"

#include "parse.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* Enough for every program of this project; checked when the option table is made. */
#define ROWS_MAX 48

/* Values that getopt_long returns: above every character, so that '?' and ':' stay apart. */
enum { OPTION_HELP = 256, OPTION_VERSION, OPTION_FIRST_ROW };

struct source {
    const char *prefix; /* "--" or "" */
    const char *name;   /* of the flag or the variable */
};

const char *settings_version(void)
{
    return SCOOP_VERSION;
}

/* What a row accepts, in words. */
static void describe_allowed(const struct setting *row, char *text, size_t size)
{
    const char *unit = row->unit != NULL ? row->unit : "";
    const char *space = row->unit != NULL ? " " : "";
    char low[32];
    char high[32];

    switch (row->type) {
    case SETTING_NUMBER:
        snprintf(text, size, "a whole number from %llu to %llu%s%s", (unsigned long long)row->min,
                 (unsigned long long)row->max, space, unit);
        return;
    case SETTING_SECONDS:
        snprintf(text, size, "a number of seconds from %.10g to %.10g", (double)row->min / 1000.0,
                 (double)row->max / 1000.0);
        return;
    case SETTING_SIZE:
        snprintf(text, size, "a number of bytes from %s to %s, such as 64M or 2G",
                 parse_size_text(row->min, low, sizeof(low)),
                 parse_size_text(row->max, high, sizeof(high)));
        return;
    case SETTING_FLAG:
    case SETTING_HEALTH: snprintf(text, size, "yes or no"); return;
    case SETTING_ADDRESS: snprintf(text, size, "HOST:PORT"); return;
    case SETTING_URL: snprintf(text, size, "SCHEME://HOST[:PORT]"); return;
    case SETTING_ENDPOINT: snprintf(text, size, PARSE_ENDPOINT_FORM); return;
    case SETTING_TEXT:
        if (row->max != 0)
            snprintf(text, size, "a text of %llu to %llu characters", (unsigned long long)row->min,
                     (unsigned long long)row->max);
        else
            snprintf(text, size, "a text of at least %llu character%s",
                     (unsigned long long)row->min, row->min == 1 ? "" : "s");
        return;
    }
}

static bool text_fits(const struct setting *row, const char *text)
{
    const size_t length = strlen(text);

    return length >= row->min && (row->max == 0 || length <= row->max);
}

/* Check and store one value. 0, or -EINVAL with nothing stored. */
static int store_value(const struct setting *row, const char *text, void *values)
{
    void *field = (char *)values + row->offset;
    struct host_port address;
    struct url url;

    switch (row->type) {
    case SETTING_NUMBER: return parse_u64(text, row->min, row->max, field) == 0 ? 0 : -EINVAL;
    case SETTING_SECONDS: return parse_seconds(text, row->min, row->max, field);
    case SETTING_SIZE: return parse_size(text, row->min, row->max, field) == 0 ? 0 : -EINVAL;
    case SETTING_FLAG:
    case SETTING_HEALTH: return parse_flag(text, field);
    case SETTING_ADDRESS:
        if (parse_host_port(text, &address) != 0)
            return -EINVAL;
        break;
    case SETTING_URL:
        if (parse_url(text, 0, &url) != 0)
            return -EINVAL;
        break;
    case SETTING_ENDPOINT:
        if (!parse_is_endpoint(text))
            return -EINVAL;
        break;
    case SETTING_TEXT:
        if (!text_fits(row, text))
            return -EINVAL;
        break;
    }
    *(const char **)field = text;
    return 0;
}

static enum settings_outcome set_value(const struct settings *settings,
                                       const struct setting *row,
                                       struct source source,
                                       const char *text,
                                       void *values)
{
    char allowed[96];

    if (store_value(row, text, values) == 0)
        return SETTINGS_RUN;
    describe_allowed(row, allowed, sizeof(allowed));
    fprintf(stderr, "%s: %s%s: \"%.200s\" is not %s\n", settings->program, source.prefix,
            source.name, text, allowed);
    return SETTINGS_USAGE;
}

static bool takes_value(const struct setting *row)
{
    return row->type != SETTING_FLAG && row->type != SETTING_HEALTH;
}

static void print_row(const struct setting *row)
{
    char head[64];
    char allowed[96];

    snprintf(head, sizeof(head), "%.2s%s--%s%s",
             row->letter != 0 ? (char[]){'-', row->letter, '\0'} : "", row->letter != 0 ? ", " : "",
             row->flag, takes_value(row) ? " VALUE" : "");
    printf("  %-26s %s", head, row->help);
    if (row->type == SETTING_NUMBER || row->type == SETTING_SECONDS || row->type == SETTING_SIZE) {
        describe_allowed(row, allowed, sizeof(allowed));
        printf("; %s", allowed);
    }
    if (row->fallback != NULL && takes_value(row))
        printf(" (default: %s)", row->fallback[0] != '\0' ? row->fallback : "none");
    if (row->variable != NULL)
        printf(" [%s]", row->variable);
    printf("\n");
}

static void print_help(const struct settings *settings)
{
    printf("usage: %s [OPTION...]%s%s\n%s\n\n", settings->program,
           settings->operands != NULL ? " " : "",
           settings->operands != NULL ? settings->operands : "", settings->about);
    for (size_t i = 0; i < settings->row_count; i++)
        print_row(&settings->rows[i]);
    printf("  %-26s print this text\n  %-26s print the version\n", "--help", "--version");
    if (settings->example != NULL)
        printf("\nexample: %s\n", settings->example);
}

static void fill_options(const struct settings *settings, struct option *options)
{
    const size_t n = settings->row_count;

    for (size_t i = 0; i < n; i++) {
        options[i] = (struct option){
            .name = settings->rows[i].flag,
            .has_arg = takes_value(&settings->rows[i]) ? required_argument : no_argument,
            .val = OPTION_FIRST_ROW + (int)i,
        };
    }
    options[n] = (struct option){.name = "help", .val = OPTION_HELP};
    options[n + 1] = (struct option){.name = "version", .val = OPTION_VERSION};
    options[n + 2] = (struct option){0};
}

/* The options of one letter, as getopt wants them: stop at the first operand, tell a missing
 * value apart. */
static void fill_letters(const struct settings *settings, char *letters)
{
    *letters++ = '+';
    *letters++ = ':';
    for (size_t i = 0; i < settings->row_count; i++) {
        const struct setting *row = &settings->rows[i];

        if (row->letter == 0)
            continue;
        *letters++ = row->letter;
        if (takes_value(row))
            *letters++ = ':';
    }
    *letters = '\0';
}

/* The row that getopt_long's answer stands for. */
static const struct setting *chosen_row(const struct settings *settings, int choice)
{
    if (choice >= OPTION_FIRST_ROW)
        return &settings->rows[choice - OPTION_FIRST_ROW];
    for (size_t i = 0; i < settings->row_count; i++) {
        if (settings->rows[i].letter == choice)
            return &settings->rows[i];
    }
    abort(); /* getopt answers nothing else */
}

static enum settings_outcome
usage_error(const struct settings *settings, const char *what, const char *value)
{
    fprintf(stderr, "%s: %s: %.200s; see '%s --help'\n", settings->program, what, value,
            settings->program);
    return SETTINGS_USAGE;
}

static enum settings_outcome read_defaults(const struct settings *settings, void *values)
{
    for (size_t i = 0; i < settings->row_count; i++) {
        const struct setting *row = &settings->rows[i];
        const char *text = row->variable != NULL ? getenv(row->variable) : NULL;
        struct source source = {"", row->variable};

        if (text == NULL || (text[0] == '\0' && takes_value(row))) {
            text = row->fallback;
            source = (struct source){"--", row->flag};
        }
        if (text == NULL)
            continue;
        const enum settings_outcome outcome = set_value(settings, row, source, text, values);
        if (outcome != SETTINGS_RUN)
            return outcome;
    }
    return SETTINGS_RUN;
}

static enum settings_outcome
read_flags(const struct settings *settings, int argc, char **argv, void *values)
{
    struct option options[ROWS_MAX + 3];
    char letters[2 * ROWS_MAX + 3];
    enum settings_outcome outcome = SETTINGS_RUN;
    int choice = 0;

    fill_options(settings, options);
    fill_letters(settings, letters);
    optind = 0; /* GNU: begin anew, also within a word of letters */
    opterr = 0;
    while (outcome == SETTINGS_RUN &&
           (choice = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (choice == OPTION_HELP) {
            print_help(settings);
            return SETTINGS_DONE;
        }
        if (choice == OPTION_VERSION) {
            printf("%s %s\n", settings->program, settings_version());
            return SETTINGS_DONE;
        }
        if (choice == '?')
            return usage_error(settings, "unknown option, or a value it does not take",
                               argv[optind - 1]);
        if (choice == ':')
            return usage_error(settings, "option needs a value", argv[optind - 1]);
        const struct setting *row = chosen_row(settings, choice);
        outcome = set_value(settings, row, (struct source){"--", row->flag},
                            takes_value(row) ? optarg : "yes", values);
    }
    return outcome;
}

enum settings_outcome settings_read(
    const struct settings *settings, int argc, char **argv, void *values, int *first_operand)
{
    if (settings->row_count > ROWS_MAX)
        abort();
    /* Flags are read first too, so that --help answers when the environment is wrong. */
    enum settings_outcome outcome = read_flags(settings, argc, argv, values);
    if (outcome == SETTINGS_RUN)
        outcome = read_defaults(settings, values);
    if (outcome == SETTINGS_RUN)
        outcome = read_flags(settings, argc, argv, values);
    if (outcome != SETTINGS_RUN)
        return outcome;
    if (settings->operands == NULL && optind < argc)
        return usage_error(settings, "unexpected argument", argv[optind]);
    if (first_operand != NULL)
        *first_operand = optind;
    return SETTINGS_RUN;
}
