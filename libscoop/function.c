/* The registry of functions and the calling of one.
 *
 * Invariants: a function's number is its index in `registry.all` and never changes; a call's output
 * is reachable by scoop_fail() through one thread-local pointer for exactly as long as the call
 * lasts. */
#include "function.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    uint32_t count;
    const struct scoop_function *all[SCOOP_FUNCTIONS_MAX];
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct scoop_output *current_output;

/* The lock is held. */
static const struct scoop_function *registry_find(const char *name, size_t length)
{
    for (uint32_t i = 0; i < registry.count; i++) {
        const struct scoop_function *function = registry.all[i];

        if (!function->builtin && strlen(function->name) == length &&
            memcmp(function->name, name, length) == 0)
            return function;
    }
    return NULL;
}

/* The lock is held. There is room. */
static void registry_add(struct scoop_function *function)
{
    function->number = registry.count;
    registry.all[registry.count++] = function;
}

static void refuse(const char *what, const char *name)
{
    fprintf(stderr, "scoop: %s: function \"%s\"\n", what, name);
    exit(2);
}

void scoop_register(struct scoop_function *function)
{
    pthread_mutex_lock(&registry.lock);
    if (registry_find(function->name, strlen(function->name)) != NULL)
        refuse("two functions of this program have one name", function->name);
    if (registry.count == SCOOP_FUNCTIONS_MAX)
        refuse("this program has too many functions", function->name);
    registry_add(function);
    pthread_mutex_unlock(&registry.lock);
}

const struct scoop_function *function_find(const char *name, size_t length)
{
    pthread_mutex_lock(&registry.lock);
    const struct scoop_function *function = registry_find(name, length);
    pthread_mutex_unlock(&registry.lock);
    return function;
}

const struct scoop_function *function_by_number(uint32_t number)
{
    pthread_mutex_lock(&registry.lock);
    const struct scoop_function *function = number < registry.count ? registry.all[number] : NULL;
    pthread_mutex_unlock(&registry.lock);
    return function;
}

uint32_t function_count(void)
{
    pthread_mutex_lock(&registry.lock);
    const uint32_t count = registry.count;
    pthread_mutex_unlock(&registry.lock);
    return count;
}

static struct scoop_function *
builtin_new(const char *name, uint32_t argument_bytes, uint32_t result_bytes)
{
    struct scoop_function *function = malloc(sizeof(*function));
    char *copy = strdup(name);

    if (function == NULL || copy == NULL) {
        free(function);
        free(copy);
        return NULL;
    }
    *function = (struct scoop_function){
        .name = copy,
        .argument_bytes = argument_bytes,
        .result_bytes = result_bytes,
        .builtin = true,
    };
    return function;
}

/* The lock is held. */
static const struct scoop_function *
builtin_find(const char *name, uint32_t argument_bytes, uint32_t result_bytes)
{
    for (uint32_t i = 0; i < registry.count; i++) {
        const struct scoop_function *function = registry.all[i];

        if (function->builtin && function->argument_bytes == argument_bytes &&
            function->result_bytes == result_bytes && strcmp(function->name, name) == 0)
            return function;
    }
    return NULL;
}

const struct scoop_function *
scoop_builtin(const char *name, uint32_t argument_bytes, uint32_t result_bytes)
{
    pthread_mutex_lock(&registry.lock);
    const struct scoop_function *found = builtin_find(name, argument_bytes, result_bytes);
    if (found == NULL && registry.count < SCOOP_FUNCTIONS_MAX) {
        struct scoop_function *function = builtin_new(name, argument_bytes, result_bytes);

        if (function != NULL)
            registry_add(function);
        found = function;
    }
    pthread_mutex_unlock(&registry.lock);
    return found;
}

struct wire_function function_describe(const struct scoop_function *function,
                                       const struct identity *program)
{
    struct wire_function wire = {
        .number = function->number,
        .argument_bytes = function->argument_bytes,
        .result_bytes = function->result_bytes,
        .name = {(const uint8_t *)function->name, strlen(function->name)},
    };

    if (!function->builtin) {
        memcpy(wire.sha256, program->sha256, sizeof(wire.sha256));
        wire.program = (struct wire_bytes){(const uint8_t *)program->name, strlen(program->name)};
    }
    return wire;
}

void output_init(struct scoop_output *out)
{
    out->data = NULL;
    out->size = 0;
    out->capacity = 0;
    out->limit = WIRE_LARGE_MAX;
    out->movable = false;
    out->file = -1;
    out->input_count = 0;
    out->failed = false;
    out->forever = false;
    out->told = NULL;
    out->attempt = 0;
    out->partials = 0;
    out->code = 0;
    out->text[0] = '\0';
}

void output_drop_file(struct scoop_output *out)
{
    if (out->file < 0)
        return;
    munmap(out->data, out->capacity);
    close(out->file);
    out->file = -1;
    out->data = NULL;
    out->size = 0;
    out->capacity = 0;
}

int output_take_file(struct scoop_output *out)
{
    /* Not against writing: a child process of the function may have it mapped still. */
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const int file = out->file;

    munmap(out->data, out->capacity);
    out->file = -1;
    out->data = NULL;
    out->capacity = 0;
    if (ftruncate(file, (off_t)out->size) == 0 && fcntl(file, F_ADD_SEALS, seals) == 0)
        return file;
    const int error = errno;
    close(file);
    errno = error;
    return -1;
}

void output_fini(struct scoop_output *out)
{
    output_drop_file(out);
    free(out->data);
    output_init(out);
}

/* The first failure counts. */
static void PRINTF(3, 0)
    output_fail(struct scoop_output *out, int code, const char *format, va_list arguments)
{
    if (out->failed)
        return;
    out->failed = true;
    out->code = (uint32_t)code;
    vsnprintf(out->text, sizeof(out->text), format, arguments);
}

static void PRINTF(3, 0) fail_task(bool forever, int code, const char *format, va_list arguments)
{
    struct scoop_output *out = current_output;

    if (out == NULL) {
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        return;
    }
    if (!out->failed)
        out->forever = forever;
    output_fail(out, code, format, arguments);
}

void scoop_fail(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail_task(false, code, format, arguments);
    va_end(arguments);
}

void scoop_fail_forever(int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fail_task(true, code, format, arguments);
    va_end(arguments);
}

static void PRINTF(3, 4) fail_with(struct scoop_output *out, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    output_fail(out, code, format, arguments);
    va_end(arguments);
}

/* From now on the result is a memory file: what is there is copied once. */
static int begin_file(struct scoop_output *out, size_t capacity)
{
    const int file = memfd_create("scoop-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file < 0)
        return -errno;
    uint8_t *const data = ftruncate(file, (off_t)capacity) == 0
                              ? mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                              : MAP_FAILED;
    if (data == MAP_FAILED) {
        const int error = errno;

        close(file);
        return -error;
    }
    if (out->size != 0)
        memcpy(data, out->data, out->size);
    free(out->data);
    out->data = data;
    out->file = file;
    return 0;
}

static int grow_file(struct scoop_output *out, size_t capacity)
{
    if (ftruncate(out->file, (off_t)capacity) != 0)
        return -errno;
    void *const data = mremap(out->data, out->capacity, capacity, MREMAP_MAYMOVE);
    if (data == MAP_FAILED)
        return -errno;
    out->data = data;
    return 0;
}

static int grow_heap(struct scoop_output *out, size_t capacity)
{
    uint8_t *const data = realloc(out->data, capacity);

    if (data == NULL)
        return -ENOMEM;
    out->data = data;
    return 0;
}

static int grow(struct scoop_output *out, size_t capacity)
{
    const int result = out->file >= 0                               ? grow_file(out, capacity)
                       : out->movable && capacity > WIRE_INLINE_MAX ? begin_file(out, capacity)
                                                                    : grow_heap(out, capacity);

    if (result == 0)
        out->capacity = capacity;
    return result;
}

void *scoop_extend(struct scoop_output *out, size_t size)
{
    size_t capacity = out->capacity;

    if (size > out->limit - out->size) {
        fail_with(out, 0, "a result of %zu bytes; the limit is %zu", out->size + size, out->limit);
        return NULL;
    }
    while (capacity < out->size + size)
        capacity = capacity == 0 ? 256 : capacity * 2;
    if (capacity != out->capacity && grow(out, capacity) != 0) {
        fail_with(out, 0, "no memory for a result of %zu bytes", out->size + size);
        return NULL;
    }
    void *room = out->data + out->size;
    out->size += size;
    return room;
}

bool scoop_write(struct scoop_output *out, const void *data, size_t size)
{
    if (size == 0)
        return true;
    void *room = scoop_extend(out, size);
    if (room == NULL)
        return false;
    memcpy(room, data, size);
    return true;
}

static void invoke(const struct scoop_function *function,
                   const void *argument,
                   size_t size,
                   struct scoop_output *out)
{
    if (function->invoke_bytes != NULL) {
        function->invoke_bytes(argument, size, out);
        return;
    }
    void *result = scoop_extend(out, function->result_bytes);
    if (result != NULL)
        function->invoke(argument, result);
}

static enum wire_outcome call(const struct scoop_function *function,
                              const void *argument,
                              size_t size,
                              struct scoop_output *out)
{
    output_drop_file(out);
    out->size = 0;
    out->failed = false;
    out->forever = false;
    if (function->argument_bytes != SCOOP_VARIABLE && size != function->argument_bytes) {
        fail_with(out, 0, "%s takes %u bytes, not %zu", function->name, function->argument_bytes,
                  size);
        return WIRE_REFUSED_TASK;
    }
    struct scoop_output *const outer = function_swap_output(out);
    invoke(function, argument, size, out);
    current_output = outer;
    return out->failed ? WIRE_FAILED : WIRE_OK;
}

enum wire_outcome function_call(const struct scoop_function *function,
                                const void *argument,
                                size_t size,
                                struct scoop_output *out)
{
    out->input_count = 0;
    return call(function, argument, size, out);
}

enum wire_outcome function_call_bundle(const struct scoop_function *function,
                                       const void *bundle,
                                       size_t size,
                                       struct scoop_output *out)
{
    struct wire_cursor c = wire_cursor_of(bundle, size);

    out->input_count = wire_get_u32(&c);
    const size_t argument_bytes = wire_get_u32(&c);
    out->input_sizes = wire_get_bytes(&c, (size_t)out->input_count * 4).data;
    const struct wire_bytes argument = wire_get_bytes(&c, argument_bytes);
    out->inputs = c.at;
    out->input_index = 0;
    out->input_offset = 0;
    if (c.bad) {
        fail_with(out, 0, "%s: its inputs do not decode", function->name);
        return WIRE_REFUSED_TASK;
    }
    return call(function, argument.data, argument.size, out);
}

/* ---- inputs ---- */

size_t scoop_input_count(void)
{
    return current_output != NULL ? current_output->input_count : 0;
}

static size_t input_size(const struct scoop_output *out, uint32_t index)
{
    const uint8_t *at = out->input_sizes + (size_t)index * 4;
    struct wire_cursor c = {.at = at, .end = at + 4};

    return wire_get_u32(&c);
}

bool scoop_input_bytes(size_t index, struct scoop_bytes *bytes)
{
    struct scoop_output *out = current_output;

    *bytes = (struct scoop_bytes){NULL, 0};
    if (out == NULL || index >= out->input_count)
        return false;
    if (index < out->input_index) {
        out->input_index = 0;
        out->input_offset = 0;
    }
    for (; out->input_index < index; out->input_index++)
        out->input_offset += input_size(out, out->input_index);
    bytes->size = input_size(out, out->input_index);
    bytes->data = bytes->size != 0 ? out->inputs + out->input_offset : NULL;
    return true;
}

bool scoop_input_copy(size_t index, void *copy, size_t size)
{
    struct scoop_bytes bytes;

    if (!scoop_input_bytes(index, &bytes) || bytes.size != size)
        return false;
    if (size != 0)
        memcpy(copy, bytes.data, size);
    return true;
}

bool function_has_failed(void)
{
    return current_output != NULL && current_output->failed;
}

struct scoop_output *function_swap_output(struct scoop_output *out)
{
    struct scoop_output *const before = current_output;

    current_output = out;
    return before;
}

struct scoop_output *function_output(void)
{
    return current_output;
}

bool function_is_running(void)
{
    return current_output != NULL;
}
