/* Many images: `image FOLDER FILE.pgm...` writes the edges in each to FOLDER, under the same name.
 * Files stay with main(), pixels travel; a stream keeps only some of them in memory. */
#include <scoop.h>

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much does each pixel differ from its right and its lower neighbour? "P5", 255 greys. */
SCOOP_BYTES_FUNCTION(edges)
{
    unsigned width = 0, height = 0;
    char head[32] = "";
    int used = 0;

    memcpy(head, data, size < sizeof(head) - 1 ? size : sizeof(head) - 1);
    /* NOLINTNEXTLINE(cert-err34-c): five digits fit. */
    if (sscanf(head, "P5 %5u %5u 255%n", &width, &height, &used) != 2 || used++ == 0 ||
        used + (size_t)width * height != size) {
        scoop_fail(1, "not a grey image");
        return;
    }
    const unsigned char *in = (const unsigned char *)data + used;
    unsigned char *result = scoop_write(out, data, used) ? scoop_extend(out, size - used) : NULL;
    for (unsigned y = 0; result != NULL && y < height; y++)
        for (unsigned x = 0; x < width; x++, in++) {
            const int right = x + 1 < width ? abs(in[0] - in[1]) : 0;
            const int below = y + 1 < height ? abs(in[0] - in[width]) : 0;

            *result++ = (unsigned char)(right + below < 255 ? right + below : 255);
        }
}

static char **names; /* up to NULL */
static size_t given; /* images so far */
static size_t good;  /* of these, written */

/* What cannot be read is empty, and no image. The context is the room for one file. */
static bool read_next(void *context, struct scoop_bytes *argument)
{
    if (names[given] == NULL)
        return false;
    FILE *file = fopen(names[given++], "rb");
    argument->data = context;
    argument->size = file != NULL ? fread(context, 1, SCOOP_PAYLOAD_MAX, file) : 0;
    if (file != NULL)
        fclose(file);
    return true;
}

static bool
write_one(void *context, uint64_t i, struct scoop_bytes result, const struct scoop_error *error)
{
    char path[4096];

    (void)context;
    snprintf(path, sizeof(path), "%s/%s", names[-1], basename(names[i]));
    FILE *file = error == NULL ? fopen(path, "wb") : NULL;
    const bool whole = file != NULL && fwrite(result.data, 1, result.size, file) == result.size;
    if (file != NULL && fclose(file) == 0 && whole)
        good++;
    else
        fprintf(stderr, "%s: %s\n", names[i], error != NULL ? error->text : "cannot be written");
    return true;
}

int main(int argc, char **argv)
{
    static char room[SCOOP_PAYLOAD_MAX];
    const struct scoop_stream stream = {read_next, write_one, room, 64};

    scoop_init(&argc, &argv);
    if (argc < 3) {
        fprintf(stderr, "usage: image FOLDER FILE.pgm...\n");
        return 2;
    }
    names = argv + 2;
    if (scoop_stream(edges, &stream) != SCOOP_OK)
        return scoop_report();
    printf("%zu of %zu images\n", good, given);
    return good != given;
}
