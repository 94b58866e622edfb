/* Counts words: `words FILE...`. One task a file; arguments and results are of any size. */
#include <scoop.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Answers "N words, longest: WORD". */
SCOOP_BYTES_FUNCTION(count_words)
{
    const char *text = data;
    size_t words = 0, begin = 0, longest = 0, length = 0;
    char line[64];

    for (size_t i = 0; i < size; begin = i) {
        while (i < size && isspace((unsigned char)text[i]))
            i++;
        for (begin = i; i < size && !isspace((unsigned char)text[i]);)
            i++;
        words += i > begin;
        if (i - begin > length) {
            longest = begin;
            length = i - begin;
        }
    }
    if (words == 0) {
        scoop_fail(1, "there are no words in it");
        return;
    }
    const int written = snprintf(line, sizeof(line), "%zu words, longest: ", words);
    if (scoop_write(out, line, (size_t)written))
        scoop_write(out, text + longest, length);
}

/* The whole file; data is owned by the caller, NULL when it cannot be read. */
static struct scoop_bytes read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(SCOOP_PAYLOAD_MAX);
    size_t size = 0;

    if (file != NULL && data != NULL)
        size = fread(data, 1, SCOOP_PAYLOAD_MAX, file);
    if (file == NULL || data == NULL || ferror(file) || !feof(file)) {
        fprintf(stderr, "words: %s: cannot be read, or has 16 MiB or more\n", path);
        free(data);
        data = NULL;
    }
    if (file != NULL)
        fclose(file);
    return (struct scoop_bytes){data, size};
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    if (argc < 2) {
        fprintf(stderr, "usage: words FILE...\n");
        return 2;
    }
    const size_t count = (size_t)argc - 1;
    struct scoop_bytes *in = calloc(count + 1, sizeof(*in));
    struct scoop_bytes *out = calloc(count + 1, sizeof(*out));
    int code = in == NULL || out == NULL ? 1 : 0;

    for (size_t i = 0; code == 0 && i < count; i++) {
        in[i] = read_file(argv[i + 1]);
        code = in[i].data == NULL;
    }
    if (code == 0 &&
        scoop_map_bytes(NULL, NULL, SCOOP_HANDLE(count_words), in, out, count) != SCOOP_OK)
        code = scoop_report();
    for (size_t i = 0; i < count && out != NULL; i++)
        if (out[i].data != NULL)
            printf("%s: %.*s\n", argv[i + 1], (int)out[i].size, (const char *)out[i].data);
    scoop_bytes_free(in, count);
    scoop_bytes_free(out, count);
    free(in);
    free(out);
    return code;
}
