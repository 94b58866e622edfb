/* Runs a fuzz target over files, for builds without a fuzzer: replay FILE|FOLDER... */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static int try_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;

    if (file == NULL || fstat(fileno(file), &stat) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return 1;
    }
    /* Exactly as long as the file, so that the sanitizer sees a read behind it. */
    uint8_t *data = malloc((size_t)stat.st_size + (stat.st_size == 0));
    const size_t size = data != NULL ? fread(data, 1, (size_t)stat.st_size, file) : 0;
    fclose(file);
    if (data == NULL || size != (size_t)stat.st_size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

/* *tried counts. */
static int try_folder(const char *path, unsigned *tried)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    char file[4096];
    int failed = 0;

    if (folder == NULL) {
        *tried += 1;
        return try_file(path);
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        failed |= try_file(file);
        *tried += 1;
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    unsigned tried = 0;
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= try_folder(argv[i], &tried);
    printf("%u inputs\n", tried);
    return failed != 0 || tried == 0;
}
