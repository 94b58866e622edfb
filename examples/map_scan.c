/* A water level over the year: every running sum of daily changes. `map_scan [DAYS]` prints the
 * lowest and the highest level, and the days. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

/* In comes rain, out goes what is used: an invented, but definite number of litres. */
SCOOP_FUNCTION(long, change, unsigned day)
{
    const long rain = day * 2654435761U >> 16 & 1023;
    const long used = 400 + (day % 365 > 150 && day % 365 < 240 ? 300 : 0);

    return rain - used;
}

SCOOP_REDUCER(long, add, long a, long b)
{
    return a + b;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const unsigned n = only_number(argc, argv, 3650, 1, 10000000);
    unsigned *days = calloc((size_t)n + 1, sizeof(*days));
    long *level = calloc((size_t)n + 1, sizeof(*level));
    unsigned low = 0;
    unsigned high = 0;

    if (days == NULL || level == NULL)
        return 1;
    for (unsigned i = 0; i < n; i++)
        days[i] = i;
    if (scoop_map_scan(change, add, days, level, n) != SCOOP_OK)
        return scoop_report();
    for (unsigned i = 0; i < n; i++) {
        low = level[i] < level[low] ? i : low;
        high = level[i] > level[high] ? i : high;
    }
    printf("lowest %ld on day %u, highest %ld on day %u\n", level[low], low, level[high], high);
    free(days);
    free(level);
    return 0;
}
