/* The longest Collatz sequence that begins below LIMIT: `map_reduce [LIMIT]`. The numbers are split
 * on the workers, in a tree of tasks; one answer comes back. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

struct sequence {
    uint64_t begin;
    uint64_t steps;
};

SCOOP_FUNCTION(struct sequence, collatz, uint32_t begin)
{
    struct sequence s = {.begin = begin};

    for (uint64_t n = begin; n > 1; s.steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return s;
}

SCOOP_REDUCER(struct sequence, longer, struct sequence a, struct sequence b)
{
    return b.steps > a.steps ? b : a;
}

int main(int argc, char **argv)
{
    struct sequence longest = {.begin = 0};

    scoop_init(&argc, &argv);
    const uint32_t limit = only_number(argc, argv, 100000, 0, 10000000);
    uint32_t *begins = calloc((size_t)limit + 1, sizeof(*begins));
    if (begins == NULL)
        return 1;
    for (uint32_t i = 0; i < limit; i++)
        begins[i] = i;
    if (scoop_map_reduce(collatz, longer, begins, limit, &longest) != SCOOP_OK)
        return scoop_report();
    printf("%llu: %llu steps\n", (unsigned long long)longest.begin,
           (unsigned long long)longest.steps);
    free(begins);
    return 0;
}
