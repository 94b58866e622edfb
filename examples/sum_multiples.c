/* The sum of all multiples of 3 or 5 below LIMIT: `sum_multiples [LIMIT]`, in chunks of 10000. */
#include "numbers.h"

#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

#define CHUNK 10000

struct range {
    uint32_t begin;
    uint32_t end;
};

SCOOP_FUNCTION(uint64_t, sum_multiples, struct range r)
{
    uint64_t sum = 0;

    for (uint32_t i = r.begin; i < r.end; i++)
        if (i % 3 == 0 || i % 5 == 0)
            sum += i;
    return sum;
}

int main(int argc, char **argv)
{
    uint64_t sum = 0;

    scoop_init(&argc, &argv);
    const uint32_t limit = only_number(argc, argv, 1000000, 0, UINT32_MAX);
    const uint32_t chunks = limit / CHUNK + 1;
    struct range *in = calloc(chunks, sizeof(*in));
    uint64_t *out = calloc(chunks, sizeof(*out));
    if (in == NULL || out == NULL)
        return 1;
    for (uint32_t i = 0; i < chunks; i++)
        in[i] = (struct range){i * CHUNK, i + 1 < chunks ? (i + 1) * CHUNK : limit};
    if (scoop_map(sum_multiples, in, out, chunks) != SCOOP_OK)
        return scoop_report();
    for (uint32_t i = 0; i < chunks; i++)
        sum += out[i];
    printf("%llu\n", (unsigned long long)sum);
    free(in);
    free(out);
    return 0;
}
