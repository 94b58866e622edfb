/* Work that outlives the program: `durable start` leaves a sum with the cluster, in slices, and ends;
 * `durable finish` waits for them, at any time and from anywhere, and prints their sum: pi squared / 6,
 * nearly. To start twice does no harm, because each slice has a name. */
#include <scoop.h>

#include <stdio.h>
#include <string.h>

#define SLICES 8
#define TERMS  1000000L

SCOOP_FUNCTION(double, basel, int slice)
{
    double sum = 0;

    for (long n = (slice + 1) * TERMS; n > slice * TERMS; n--)
        sum += 1 / ((double)n * (double)n);
    return sum;
}

static uint64_t id_of(int slice)
{
    char name[32];

    snprintf(name, sizeof(name), "basel %d", slice);
    return scoop_durable_id(name);
}

/* Wait for all, and add up what they bring. False: one of them failed, scoop_report() says why. */
static bool collect(scoop_future **futures, double *sum)
{
    bool well = true;

    for (int i = 0; i < SLICES; i++) {
        struct scoop_bytes bytes;
        double part = 0;

        if (!well || scoop_wait(futures[i], SCOOP_FOREVER) != SCOOP_OK ||
            scoop_result_bytes(futures[i], &bytes) != SCOOP_OK)
            well = false;
        else if (bytes.size == sizeof(part))
            memcpy(&part, bytes.data, sizeof(part));
        *sum += part;
        scoop_future_free(futures[i]);
    }
    return well;
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const bool starts = argc == 2 && strcmp(argv[1], "start") == 0;
    if (!starts && (argc != 2 || strcmp(argv[1], "finish") != 0)) {
        fprintf(stderr, "usage: durable start|finish\n");
        return 2;
    }
    scoop_future *futures[SLICES];
    double sum = 0;

    for (int i = 0; i < SLICES; i++) {
        uint64_t id = id_of(i);

        futures[i] = starts
                         ? scoop_submit_durable(NULL, NULL, SCOOP_HANDLE(basel), &i, sizeof(i), &id)
                         : scoop_attach(NULL, id);
    }
    if (!collect(futures, &sum))
        return scoop_report();
    for (int i = 0; i < SLICES && !starts; i++)
        scoop_durable_forget(NULL, id_of(i), SCOOP_FOREVER);
    if (starts)
        printf("%d slices are in the broker's journal; this program need not stay\n", SLICES);
    else
        printf("%.12f\n", sum);
    return 0;
}
