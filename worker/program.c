#include "program.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/channel.h"

/* Hashes of the files hashed last: several clients' programs may be looked for under one name. */
#define CACHE_ENTRIES 64

struct hashed_file {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    uint8_t sha256[PROGRAM_SHA256_BYTES];
};

static struct hashed_file cache[CACHE_ENTRIES];
static size_t cache_next;

struct program *program_new(struct wire_bytes name, const uint8_t sha256[PROGRAM_SHA256_BYTES])
{
    if (name.size > PROGRAM_NAME_MAX || memchr(name.data, '/', name.size) != NULL)
        return NULL;
    struct program *const program = calloc(1, sizeof(*program));
    if (program == NULL)
        return NULL;
    wire_text_copy(name, program->name, sizeof(program->name));
    memcpy(program->sha256, sha256, sizeof(program->sha256));
    return program;
}

void program_free(struct program *program)
{
    if (program == NULL)
        return;
    for (uint32_t i = 0; i < program->function_count; i++) {
        free(program->functions[i]->name);
        free(program->functions[i]);
    }
    free(program->functions);
    free(program);
}

static struct function *add_function(struct program *program, const struct wire_function *wire)
{
    struct function **functions =
        realloc(program->functions, (program->function_count + 1) * sizeof(*functions));

    if (functions == NULL)
        return NULL;
    program->functions = functions;
    struct function *function = calloc(1, sizeof(*function));
    char *const name = strndup((const char *)wire->name.data, wire->name.size);
    if (function == NULL || name == NULL) {
        free(function);
        free(name);
        return NULL;
    }
    *function = (struct function){
        .program = program,
        .name = name,
        .argument_bytes = wire->argument_bytes,
        .result_bytes = wire->result_bytes,
        .index = (uint16_t)program->function_count,
    };
    functions[program->function_count++] = function;
    return function;
}

struct function *program_function(struct program *program, const struct wire_function *wire)
{
    for (uint32_t i = 0; i < program->function_count; i++) {
        struct function *const f = program->functions[i];

        if (f->argument_bytes == wire->argument_bytes && f->result_bytes == wire->result_bytes &&
            strlen(f->name) == wire->name.size &&
            memcmp(f->name, wire->name.data, wire->name.size) == 0)
            return f;
    }
    if (program->function_count >= CHANNEL_FUNCTIONS_MAX)
        return NULL;
    return add_function(program, wire);
}

/* ---- hashing ---- */

static bool is_same_file(const struct hashed_file *entry, const struct stat *file)
{
    return entry->inode == file->st_ino && entry->device == file->st_dev &&
           entry->size == file->st_size && entry->changed.tv_sec == file->st_ctim.tv_sec &&
           entry->changed.tv_nsec == file->st_ctim.tv_nsec;
}

static int hash_descriptor(int fd, EVP_MD_CTX *context, uint8_t *sha256)
{
    uint8_t buffer[65536];
    ssize_t got = 0;

    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    while ((got = read(fd, buffer, sizeof(buffer))) > 0) {
        if (EVP_DigestUpdate(context, buffer, (size_t)got) != 1)
            return -ENOMEM;
    }
    if (got < 0)
        return -errno;
    return EVP_DigestFinal_ex(context, sha256, NULL) == 1 ? 0 : -ENOMEM;
}

static int hash_file(const char *path, uint8_t *sha256)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    EVP_MD_CTX *const context = EVP_MD_CTX_new();
    const int result = context != NULL ? hash_descriptor(fd, context, sha256) : -ENOMEM;
    EVP_MD_CTX_free(context);
    close(fd);
    return result;
}

/* The hash of a file, from the cache if it has not changed. */
static int file_hash(const char *path, const struct stat *file, uint8_t *sha256)
{
    for (size_t i = 0; i < CACHE_ENTRIES; i++) {
        if (cache[i].inode != 0 && is_same_file(&cache[i], file)) {
            memcpy(sha256, cache[i].sha256, PROGRAM_SHA256_BYTES);
            return 0;
        }
    }
    const int result = hash_file(path, sha256);
    if (result != 0)
        return result;
    struct hashed_file *const entry = &cache[cache_next++ % CACHE_ENTRIES];
    *entry = (struct hashed_file){
        .device = file->st_dev,
        .inode = file->st_ino,
        .size = file->st_size,
        .changed = file->st_ctim,
    };
    memcpy(entry->sha256, sha256, PROGRAM_SHA256_BYTES);
    return 0;
}

/* ---- looking ---- */

/* The first file of that name: its path, and what it is. */
static bool find_file(struct program *program, const char *folders, struct stat *file)
{
    for (const char *at = folders; *at != '\0'; at += *at == ':') {
        const size_t length = strcspn(at, ":");

        if (length != 0 && length < PATH_MAX - PROGRAM_NAME_MAX - 2) {
            snprintf(program->path, sizeof(program->path), "%.*s/%s", (int)length, at,
                     program->name);
            if (stat(program->path, file) == 0 && S_ISREG(file->st_mode))
                return true;
        }
        at += length;
    }
    program->path[0] = '\0';
    return false;
}

/* Enough of a hash for people to compare. */
static const char *short_hash(const uint8_t *sha256, char text[13])
{
    for (int i = 0; i < 6; i++)
        snprintf(text + 2 * i, 3, "%02x", sha256[i]);
    return text;
}

static int refuse_different(struct program *program, const char *host, const uint8_t *here)
{
    char ours[13];
    char theirs[13];

    snprintf(program->refusal, sizeof(program->refusal),
             "program %s: the client's (sha256 %s) is not %.256s on %s (sha256 %s)", program->name,
             short_hash(program->sha256, theirs), program->path, host, short_hash(here, ours));
    return -ENOENT;
}

int program_look(struct program *program, const char *folders, const char *host, int64_t now_ms)
{
    uint8_t here[PROGRAM_SHA256_BYTES];
    struct stat file;

    program->looked_ms = now_ms;
    program->refusal[0] = '\0';
    if (program->name[0] == '\0') {
        snprintf(program->path, sizeof(program->path), "/proc/self/exe");
        return 0;
    }
    if (!find_file(program, folders, &file)) {
        snprintf(program->refusal, sizeof(program->refusal),
                 "program %s: not on %s (looked in %.256s)", program->name, host, folders);
        return -ENOENT;
    }
    const int result = file_hash(program->path, &file, here);
    if (result != 0) {
        snprintf(program->refusal, sizeof(program->refusal),
                 "program %s: cannot read %.256s on %s: %s", program->name, program->path, host,
                 strerror(-result));
        return -ENOENT;
    }
    if (memcmp(here, program->sha256, sizeof(here)) != 0)
        return refuse_different(program, host, here);
    return 0;
}
