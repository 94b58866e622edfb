/* Settings: one table row per setting, the same for every program.
 *
 * A value comes from its flag, else from its environment variable, else from its default.
 * Secrets are never values: their rows hold the *path* of a file (flag `x-key`, variable
 * `X_KEY_FILE`), so that none stands in an argument or in the environment. A bad value stops the
 * program with one line that names the setting, the value and what is allowed. Main thread only,
 * at start. */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_TEXT,    /* const char *; min...max bound its length */
    SETTING_NUMBER,  /* uint64_t; min...max bound its value */
    SETTING_SECONDS, /* uint64_t, in ms; given in seconds, "10" or "0.5"; min...max bound the ms */
    SETTING_SIZE,    /* uint64_t, in bytes; a number with K, M, G or T; min...max bound its value */
    SETTING_FLAG,    /* bool; the flag takes no value, the variable a yes/no word */
    SETTING_ADDRESS, /* const char *, "HOST:PORT" */
    SETTING_URL,     /* const char *, "SCHEME://HOST[:PORT][/PATH]" */
    SETTING_ENDPOINT, /* const char *, of a broker: "tcp://HOST:PORT" or "ipc:///PATH" */
    SETTING_HEALTH,   /* bool; --health, has no variable: ask a running instance, exit 0 or 1 */
};

struct setting {
    const char *flag;     /* without dashes: "listen" */
    const char *variable; /* environment variable, NULL: none */
    enum setting_type type;
    size_t offset; /* of the field in the struct that is filled in */
    /* default as text, parsed like a given value; NULL: the field stays as it is */
    const char *fallback;
    uint64_t min;     /* of a number, or of a text's length */
    uint64_t max;     /* the same; 0: no upper bound on a text's length */
    const char *unit; /* of a number, shown in the help: "ms", "bytes"; NULL: none */
    const char *help; /* one line */
    char letter;      /* one-letter form of the flag, as in "-n"; 0: none */
};

struct settings {
    const char *program;
    const char *about; /* one line: what the program does */
    /* shown after the options in the usage line; NULL: operands are refused */
    const char *operands;
    const char *example; /* one command line */
    const struct setting *rows;
    size_t row_count;
};

enum settings_outcome {
    SETTINGS_RUN,   /* all settings are valid; go on */
    SETTINGS_DONE,  /* --help or --version was answered on stdout: exit 0 */
    SETTINGS_USAGE, /* one line on stderr says what is wrong: exit 2 */
};

/* Fill `values` from flags and environment. Options end at the first operand or at "--";
 * *first_operand (may be NULL when operands are refused) becomes its index in argv.
 * Texts are borrowed from argv and the environment. --help and --version are added by themselves.
 */
NODISCARD enum settings_outcome settings_read(
    const struct settings *settings, int argc, char **argv, void *values, int *first_operand);

/* The version of the whole project, "0.1.0". */
const char *settings_version(void);

#endif
