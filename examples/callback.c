/* Callbacks: each result is taken as it comes, while main() waits for all of them.
 * `callback [TASKS]` prints how many numbers below TASKS are prime. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

SCOOP_FUNCTION(bool, is_prime, unsigned n)
{
    for (unsigned d = 2; d <= n / d; d++)
        if (n % d == 0)
            return false;
    return n >= 2;
}

struct tally {
    unsigned ended;
    unsigned primes;
};

/* Runs in main()'s thread, within scoop_wait_all(): no lock is needed. */
static void count(scoop_future *future, void *context)
{
    struct tally *tally = context;
    bool prime = false;

    tally->ended++;
    if (scoop_result(future, &prime) == SCOOP_OK)
        tally->primes += prime;
}

int main(int argc, char **argv)
{
    struct tally tally = {.ended = 0};

    scoop_init(&argc, &argv);
    const unsigned n = only_number(argc, argv, 1000, 0, 1000000);
    scoop_future **futures = calloc(n + 1, sizeof(scoop_future *));
    if (futures == NULL)
        return 1;
    for (unsigned i = 0; i < n; i++) {
        futures[i] = scoop_submit(is_prime, i);
        if (futures[i] == NULL || scoop_then(futures[i], count, &tally) != SCOOP_OK)
            return scoop_report();
    }
    scoop_wait_all(futures, n, SCOOP_FOREVER, NULL);
    printf("%u of %u are prime\n", tally.primes, tally.ended);
    for (unsigned i = 0; i < n; i++)
        scoop_future_free(futures[i]);
    free(futures);
    return scoop_report();
}
