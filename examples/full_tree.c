/* Sums of sums of sums of squares: `full_tree [N]`. Each level is a function that maps the next one. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

SCOOP_FUNCTION(uint32_t, square, uint32_t n)
{
    return n * n;
}

/* The sum of the results of function(1) to function(n). */
static uint32_t sum(const struct scoop_function *function, uint32_t n)
{
    uint32_t *in = calloc(n, sizeof(*in));
    uint32_t *out = calloc(n, sizeof(*out));
    uint32_t total = 0;

    for (uint32_t i = 0; in != NULL && i < n; i++)
        in[i] = i + 1;
    if (in == NULL || out == NULL)
        scoop_fail(1, "out of memory");
    else if (scoop_map_with(NULL, NULL, function, in, sizeof(*in), out, sizeof(*out), n) !=
             SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    for (uint32_t i = 0; out != NULL && i < n; i++)
        total += out[i];
    free(in);
    free(out);
    return total;
}

SCOOP_FUNCTION(uint32_t, sum_of_squares, uint32_t n)
{
    return sum(SCOOP_HANDLE(square), n);
}

SCOOP_FUNCTION(uint32_t, sum_of_sums, uint32_t n)
{
    return sum(SCOOP_HANDLE(sum_of_squares), n);
}

SCOOP_FUNCTION(uint32_t, full_tree, uint32_t n)
{
    return sum(SCOOP_HANDLE(sum_of_sums), n);
}

int main(int argc, char **argv)
{
    uint32_t total = 0;

    scoop_init(&argc, &argv);
    scoop_future *root = scoop_submit(full_tree, only_number(argc, argv, 20, 0, 100));
    if (root == NULL || scoop_result(root, &total) != SCOOP_OK)
        return scoop_report();
    scoop_future_free(root);
    printf("%u\n", total);
    return 0;
}
