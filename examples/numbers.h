/* The words of an example's command line. A wrong one ends the program with one line that says what is
 * allowed, and exit code 2. */
#ifndef EXAMPLES_NUMBERS_H
#define EXAMPLES_NUMBERS_H

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* There are at most so many words. */
static inline void words_at_most(int most, int argc, char **argv)
{
    if (argc - 1 <= most)
        return;
    fprintf(stderr, "%s: unexpected argument: \"%s\"\n", program_invocation_short_name,
            argv[most + 1]);
    exit(2);
}

/* Word `index` (from 1) as a whole number from `min` to `max`; `fallback` when there is none. */
static inline uint32_t
number(int argc, char **argv, int index, uint32_t fallback, uint32_t min, uint32_t max)
{
    char *end = NULL;

    if (index >= argc)
        return fallback;
    errno = 0;
    const unsigned long value = strtoul(argv[index], &end, 10);
    if (isdigit((unsigned char)argv[index][0]) && *end == '\0' && errno == 0 && value >= min &&
        value <= max)
        return (uint32_t)value;
    fprintf(stderr, "%s: \"%s\" is not a whole number from %u to %u\n",
            program_invocation_short_name, argv[index], min, max);
    exit(2);
}

/* The same for a program with one word at most. */
static inline uint32_t
only_number(int argc, char **argv, uint32_t fallback, uint32_t min, uint32_t max)
{
    words_at_most(1, argc, argv);
    return number(argc, argv, 1, fallback, min, max);
}

#endif
