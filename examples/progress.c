/* Progress, and parts of a result, while a function runs: `progress [LIMIT]` counts the primes below LIMIT on
 * a worker. Each gap between two primes that is wider than all before is shown as it is found. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>

struct gap {
    unsigned after;
    unsigned width;
};

static bool is_prime(unsigned n)
{
    for (unsigned d = 2; d <= n / d; d++)
        if (n % d == 0)
            return false;
    return n >= 2;
}

SCOOP_FUNCTION(unsigned, count_primes, unsigned limit)
{
    struct gap widest = {.after = 2};
    unsigned last = 2;
    unsigned count = 0;

    for (unsigned n = 2; n < limit; n++) {
        scoop_progress(n, limit); /* costs next to nothing: call it as often as you like */
        if (!is_prime(n))
            continue;
        if (n - last > widest.width) {
            widest = (struct gap){.after = last, .width = n - last};
            scoop_partial(&widest, sizeof(widest));
        }
        last = n;
        count++;
    }
    return count;
}

/* What is new; never waits. */
static void show(scoop_future *future)
{
    struct scoop_piece piece;
    uint64_t done = 0;
    uint64_t total = 0;

    while (scoop_partial_next(future, 0, &piece) == SCOOP_OK) {
        const struct gap *gap = piece.data;
        printf("%u numbers after %u\n", gap->width, gap->after);
    }
    if (scoop_progress_of(future, &done, &total))
        fprintf(stderr, "%3.0f %%\r", 100.0 * (double)done / (double)total);
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    scoop_init(&argc, &argv);
    const unsigned limit = only_number(argc, argv, 1000000, 0, 100000000);
    scoop_future *future = scoop_submit(count_primes, limit);
    if (future == NULL)
        return scoop_report();
    while (scoop_wait_news(future, SCOOP_FOREVER) == SCOOP_OK)
        show(future);
    if (scoop_result(future, &count) != SCOOP_OK)
        return scoop_report();
    printf("%u primes\n", count);
    scoop_future_free(future);
    return 0;
}
