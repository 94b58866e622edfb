/* Tasks that wait for others: a fan-out, a fan-in, and what becomes of them when one fails.
 *
 * Each of a few measurements is taken by a task of its own; `mean` waits for all of them and receives their
 * results. No result passes through this program on its way there, and nothing here waits in between.
 *
 * usage: graph [COUNT]    (default 8; 1 to 1000) */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

/* One of them cannot be taken the first time. */
SCOOP_FUNCTION(double, measure, int number)
{
    if (number < 0)
        scoop_fail(1, "instrument %d does not answer", -number);
    return 20.0 + number % 5;
}

/* The mean of its inputs; its argument is what they are scaled by. A forgiven one has no bytes. */
SCOOP_FUNCTION(double, mean, double scale)
{
    double sum = 0;
    int count = 0;

    for (size_t i = 0; i < scoop_input_count(); i++) {
        double value = 0;

        if (scoop_input(i, &value)) {
            sum += value;
            count++;
        }
    }
    return count != 0 ? scale * sum / count : 0;
}

int main(int argc, char **argv)
{
    scoop_future *measured[1000];
    double result = 0;

    scoop_init(&argc, &argv);
    const int count = (int)only_number(argc, argv, 8, 2, 1000);
    for (int i = 0; i < count; i++) {
        measured[i] = scoop_submit(measure, i == count - 1 ? -count : i);
        if (measured[i] == NULL)
            return scoop_report();
    }
    const struct scoop_options after = {.after = measured, .after_count = (size_t)count};
    scoop_future *const all = scoop_submit_on(NULL, &after, mean, 1.0);
    if (all == NULL)
        return scoop_report();

    /* The last one fails, so the mean is blocked. It says so, and keeps what it has. */
    if (scoop_wait(all, SCOOP_FOREVER) == SCOOP_BLOCKED) {
        (void)scoop_wait(measured[count - 1], SCOOP_FOREVER);
        printf("without instrument %d\n", count);
        scoop_forgive(measured[count - 1]);
    }
    if (scoop_result(all, &result) != SCOOP_OK)
        return scoop_report();
    printf("mean %.3f of %d\n", result, count - 1);
    for (int i = 0; i < count; i++)
        scoop_future_free(measured[i]);
    scoop_future_free(all);
    return 0;
}
