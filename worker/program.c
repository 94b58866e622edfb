#include "program.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The base name of a file, and nothing that leads out of a folder or spoils a log line? */
static bool is_base_name(struct wire_bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '/' || name.data[i] < 0x20 || name.data[i] == 0x7f)
            return false;
    }
    return name.size <= PROGRAM_NAME_MAX && (name.size == 0 || name.data[0] != '.');
}

struct program *program_new(struct wire_bytes name, const uint8_t sha256[PROGRAM_SHA256_BYTES])
{
    struct program *const program = calloc(1, sizeof(*program));

    if (program == NULL)
        return NULL;
    program->named_badly = !is_base_name(name);
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
    task_queue_fini(&program->lacking);
    free(program->path);
    free(program->refusal);
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
    if (program->function_count > UINT16_MAX)
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

/* Behind a refusal that an upload would have mended: where one is allowed, these are not seen. */
#define HINT "; a broker with --allow-upload sends it"

/* -ENOENT with the line as the refusal, or -ENOMEM. */
static int PRINTF(2, 3) refuse(struct program *program, const char *format, ...)
{
    va_list fields;

    va_start(fields, format);
    if (vasprintf(&program->refusal, format, fields) < 0)
        program->refusal = NULL;
    va_end(fields);
    return program->refusal != NULL ? -ENOENT : -ENOMEM;
}

static bool is_file(const char *path, struct stat *file)
{
    return stat(path, file) == 0 && S_ISREG(file->st_mode);
}

/* The first file of that name: 1, its path and what it is; 0: there is none, or -ENOMEM. */
static int find_file(struct program *program, const char *folders, struct stat *file)
{
    for (const char *at = folders; *at != '\0'; at += *at == ':') {
        const size_t length = strcspn(at, ":");
        char *path CLEANUP(free_p) = NULL;

        if (length != 0 && asprintf(&path, "%.*s/%s", (int)length, at, program->name) < 0)
            return -ENOMEM;
        if (path != NULL && is_file(path, file)) {
            program->path = steal(&path);
            return 1;
        }
        at += length;
    }
    return 0;
}

/* Enough of a hash for people to compare. */
static const char *short_hash(const uint8_t *sha256, char text[13])
{
    for (size_t i = 0; i < 6; i++)
        snprintf(text + 2 * i, 3, "%02x", sha256[i]);
    return text;
}

static int compare_file(struct program *program, const struct stat *file, const char *host)
{
    uint8_t here[PROGRAM_SHA256_BYTES];
    char ours[13];
    char theirs[13];
    const int result = file_hash(program->path, file, here);

    if (result != 0)
        return refuse(program, "program %s: cannot read %s on %s: %s", program->name, program->path,
                      host, strerror(-result));
    if (memcmp(here, program->sha256, sizeof(here)) == 0)
        return 0;
    return refuse(program, "program %s: the client's (sha256 %s) is not %s on %s (sha256 %s)" HINT,
                  program->name, short_hash(program->sha256, theirs), program->path, host,
                  short_hash(here, ours));
}

int program_use(struct program *program, int fd)
{
    free(steal(&program->path));
    if (asprintf(&program->path, "/proc/self/fd/%d", fd) < 0) {
        program->path = NULL;
        return -ENOMEM;
    }
    free(steal(&program->refusal));
    program->sent = true;
    return 0;
}

void program_refuse(struct program *program, const char *text, int64_t now_ms)
{
    free(steal(&program->refusal));
    program->looked_ms = now_ms;
    program->stuck = true;
    (void)refuse(program, "%s", text); /* without memory: it is found out again */
}

/* The link: it is what runs here, also when the file was replaced meanwhile. */
static char *own_program(void)
{
#ifdef HAVE_VALGRIND
    return realpath("/proc/self/exe", NULL); /* the link itself is valgrind */
#else
    return strdup("/proc/self/exe");
#endif
}

int program_look(struct program *program, const char *folders, const char *host, int64_t now_ms)
{
    struct stat file;

    free(steal(&program->path));
    free(steal(&program->refusal));
    program->stuck = false;
    program->sent = false;
    program->looked_ms = now_ms;
    if (program->named_badly)
        return refuse(program, "program %s: that is not the base name of a file", program->name);
    if (program->name[0] == '\0') {
        program->path = own_program();
        return program->path != NULL ? 0 : -ENOMEM;
    }
    const int found = find_file(program, folders, &file);
    if (found < 0)
        return found;
    if (found == 0)
        return refuse(program, "program %s: not on %s (looked in %s)" HINT, program->name, host,
                      folders);
    return compare_file(program, &file, host);
}
