/* Pi by throwing darts: `pi [TASKS [DARTS]]`. Each task has its own seed, so the answer does not
 * depend on how many hosts compute it. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

struct throw
{
    uint64_t seed;
    uint32_t darts;
};

/* splitmix64: a full 64 bits of state, so that neighbouring seeds have nothing in common. */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

/* How many of the darts land in the quarter circle? */
SCOOP_FUNCTION(uint32_t, hits, struct throw t)
{
    uint32_t inside = 0;

    for (uint32_t i = 0; i < t.darts; i++) {
        const double x = uniform(&t.seed);
        const double y = uniform(&t.seed);

        inside += x * x + y * y < 1.0;
    }
    return inside;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    words_at_most(2, argc, argv);
    const uint32_t tasks = number(argc, argv, 1, 3000, 1, 1000000);
    const uint32_t darts = number(argc, argv, 2, 5000, 1, 100000000);
    struct throw *in = calloc(tasks, sizeof(*in));
    uint32_t *out = calloc(tasks, sizeof(*out));
    uint64_t inside = 0;

    if (in == NULL || out == NULL)
        return 1;
    for (uint32_t i = 0; i < tasks; i++)
        in[i] = (struct throw){.seed = i, .darts = darts};
    if (scoop_map(hits, in, out, tasks) != SCOOP_OK)
        return scoop_report();
    for (uint32_t i = 0; i < tasks; i++)
        inside += out[i];
    printf("%.6f\n", 4.0 * (double)inside / ((double)tasks * darts));
    free(in);
    free(out);
    return 0;
}
