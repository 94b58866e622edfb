/* A large value that all tasks read: `scatter [POINTS]` scatters a cloud of points once, and asks for each of
 * 1000 places which point is nearest. Every host fetches the cloud when its first task reads it; a task's
 * argument is only the place and a reference. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>

#define PLACES 1000

struct point {
    float x, y;
};

struct question {
    struct point place;
    struct scoop_ref cloud;
};

SCOOP_FUNCTION(uint64_t, nearest, struct question q)
{
    size_t count = 0;
    const struct point *cloud = SCOOP_SCATTERED(struct point, q.cloud, &count);
    uint64_t best = 0;
    float best_square = 1e30F;

    if (cloud == NULL)
        scoop_fail(1, "%s", scoop_last_error());
    for (size_t i = 0; i < count; i++) {
        const float dx = cloud[i].x - q.place.x, dy = cloud[i].y - q.place.y;

        if (dx * dx + dy * dy < best_square) {
            best_square = dx * dx + dy * dy;
            best = i;
        }
    }
    return best;
}

/* The same numbers everywhere. */
static struct point any_point(void)
{
    static uint32_t state = 1;
    struct point p;

    state = state * 1664525 + 1013904223;
    p.x = (float)(state >> 8);
    state = state * 1664525 + 1013904223;
    p.y = (float)(state >> 8);
    return p;
}

int main(int argc, char **argv)
{
    static struct question in[PLACES];
    static uint64_t out[PLACES];
    uint64_t sum = 0;

    scoop_init(&argc, &argv);
    const size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    struct point *points = calloc(count, sizeof(*points));
    for (size_t i = 0; points != NULL && i < count; i++)
        points[i] = any_point();

    const struct scoop_ref cloud = scoop_scatter(NULL, points, count * sizeof(*points));
    if (cloud.size == 0)
        return scoop_report();
    for (int i = 0; i < PLACES; i++)
        in[i] = (struct question){any_point(), cloud};
    if (scoop_map(nearest, in, out, PLACES) != SCOOP_OK)
        return scoop_report();
    for (int i = 0; i < PLACES; i++)
        sum += out[i];
    printf("%llu\n", (unsigned long long)sum);
    scoop_unscatter(NULL, cloud); /* from here on the points are ours again */
    free(points);
    return 0;
}
