/* Results in the order in which they come: `as_completed [SECONDS...]` sleeps that long in tasks of
 * its own, on as many slots as there are. With three slots, 3 2 1 prints 2: 1, 1: 2, 0: 3. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

SCOOP_FUNCTION(double, snore, double seconds)
{
    const struct timespec time = {
        .tv_sec = (time_t)seconds,
        .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
    };

    nanosleep(&time, NULL);
    return seconds;
}

static double seconds(const char *word)
{
    char *end = NULL;
    const double value = strtod(word, &end);

    if (end != word && *end == '\0' && value >= 0 && value <= 3600)
        return value;
    fprintf(stderr, "as_completed: \"%s\" is not a number of seconds from 0 to 3600\n", word);
    exit(2);
}

int main(int argc, char **argv)
{
    double in[100] = {3, 2, 1};
    double out[100];
    size_t n = 3;
    size_t i = 0;

    scoop_init(&argc, &argv);
    words_at_most(100, argc, argv);
    if (argc > 1)
        n = (size_t)argc - 1;
    for (size_t k = 0; argc > 1 && k < n; k++)
        in[k] = seconds(argv[k + 1]);

    scoop_iterator *it = scoop_map_as_completed(snore, in, out, n);
    if (it == NULL)
        return scoop_report();
    while (scoop_next(it, SCOOP_FOREVER, &i) == SCOOP_OK)
        printf("%zu: %g\n", i, out[i]);
    scoop_iterator_free(it);
    return scoop_report();
}
