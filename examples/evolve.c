/* A genetic algorithm, one-max: a population of bit strings evolves until one has only ones.
 * `evolve [SEED]`. The fitness of each generation is one scoop_map(); real ones take seconds. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BITS        100
#define POPULATION  100
#define GENERATIONS 500

struct individual {
    unsigned char bits[BITS];
};

SCOOP_FUNCTION(int, fitness, struct individual x)
{
    int ones = 0;

    for (int i = 0; i < BITS; i++)
        ones += x.bits[i];
    return ones;
}

static int below(int n)
{
    return (int)(random() % n);
}

/* The best of three. */
static int choose(const int *fit)
{
    int best = below(POPULATION);

    for (int i = 0; i < 2; i++) {
        const int other = below(POPULATION);

        best = fit[other] > fit[best] ? other : best;
    }
    return best;
}

/* One part of each parent; one bit in two hundred flips. */
static struct individual child(const struct individual *a, const struct individual *b)
{
    struct individual c = *a;

    for (int i = below(BITS); i < BITS; i++)
        c.bits[i] = b->bits[i];
    for (int i = 0; i < BITS; i++)
        c.bits[i] ^= below(200) == 0;
    return c;
}

int main(int argc, char **argv)
{
    static struct individual now[POPULATION], next[POPULATION];
    int fit[POPULATION], best = 0;

    scoop_init(&argc, &argv);
    srandom(only_number(argc, argv, 1, 0, UINT32_MAX));
    for (int i = 0; i < POPULATION * BITS; i++)
        now[i / BITS].bits[i % BITS] = below(2) == 0;
    for (int generation = 0; generation < GENERATIONS; generation++) {
        if (scoop_map(fitness, now, fit, POPULATION) != SCOOP_OK)
            return scoop_report();
        for (int i = 0; i < POPULATION; i++)
            best = fit[i] > fit[best] ? i : best;
        if (fit[best] == BITS)
            return printf("all ones after %d generations\n", generation) < 0;
        next[0] = now[best]; /* the best one lives on */
        for (int i = 1; i < POPULATION; i++)
            next[i] = child(&now[choose(fit)], &now[choose(fit)]);
        memcpy(now, next, sizeof(now));
        best = 0;
    }
    return 1;
}
