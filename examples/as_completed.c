/* Results in the order in which they come: `as_completed [SECONDS...]` sleeps that long in tasks of
 * its own, on as many slots as there are. With three slots, 3 2 1 prints 2: 1, 1: 2, 0: 3. */
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

int main(int argc, char **argv)
{
    double in[100] = {3, 2, 1};
    double out[100];
    size_t n = 3;
    size_t i = 0;

    scoop_init(&argc, &argv);
    if (argc > 1)
        n = (size_t)argc - 1 < 100 ? (size_t)argc - 1 : 100;
    for (size_t k = 0; argc > 1 && k < n; k++)
        in[k] = strtod(argv[k + 1], NULL);

    scoop_iterator *it = scoop_map_as_completed(snore, in, out, n);
    if (it == NULL)
        return scoop_report();
    while (scoop_next(it, SCOOP_FOREVER, &i) == SCOOP_OK)
        printf("%zu: %g\n", i, out[i]);
    scoop_iterator_free(it);
    return scoop_report();
}
