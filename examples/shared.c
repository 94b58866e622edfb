/* A constant that all tasks read: `shared [N]` sums a polynomial over 0 ... N-1, whose coefficients are
 * set once and not sent with each task. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME  "shared.coefficients"
#define COUNT 4

SCOOP_FUNCTION(uint64_t, value_at, uint32_t x)
{
    uint64_t coefficients[COUNT], value = 0;
    struct scoop_bytes bytes;

    if (scoop_constant(NULL, NAME, &bytes) != SCOOP_OK) {
        scoop_fail(1, "%s", scoop_last_error());
        return 0;
    }
    memcpy(coefficients, bytes.data, sizeof(coefficients)); /* it is not aligned */
    for (int i = COUNT; i > 0; i--)
        value = value * x + coefficients[i - 1];
    return value;
}

int main(int argc, char **argv)
{
    static const uint64_t coefficients[COUNT] = {7, 5, 3, 1};
    uint64_t sum = 0;

    scoop_init(&argc, &argv);
    const uint32_t n = only_number(argc, argv, 1000, 0, 10000000);
    uint32_t *in = calloc(n + 1, sizeof(*in));
    uint64_t *out = calloc(n + 1, sizeof(*out));
    if (in == NULL || out == NULL)
        return 1;
    for (uint32_t i = 0; i < n; i++)
        in[i] = i;
    if (scoop_constant_set(NULL, NAME, coefficients, sizeof(coefficients)) != SCOOP_OK ||
        scoop_map(value_at, in, out, n) != SCOOP_OK)
        return scoop_report();
    for (uint32_t i = 0; i < n; i++)
        sum += out[i];
    printf("%llu\n", (unsigned long long)sum);
    free(in);
    free(out);
    return 0;
}
