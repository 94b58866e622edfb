/* The broker's table of functions. Two sessions that define the same function of the same
 * program file share one entry, and so share what is known of its run time. */
#include "state.h"

#include <string.h>

/* The run time's mean moves by 1/8 of each new value: it follows a change within some twenty tasks.
 */
#define MEAN_SHIFT 3

/* Layout of a key: sizes and lengths (fixed part), then SHA-256, program, name. */
struct key_head {
    uint32_t argument_bytes;
    uint32_t result_bytes;
    uint32_t program_bytes;
    uint32_t name_bytes;
    uint8_t sha256[WIRE_SHA256_BYTES];
};

static size_t make_key(const struct wire_function *wire, uint8_t **out)
{
    const struct key_head head = {
        .argument_bytes = wire->argument_bytes,
        .result_bytes = wire->result_bytes,
        .program_bytes = (uint32_t)wire->program.size,
        .name_bytes = (uint32_t)wire->name.size,
    };
    const size_t size = sizeof(head) + wire->program.size + wire->name.size;
    uint8_t *key = malloc(size);

    if (key == NULL)
        return 0;
    memcpy(key, &head, sizeof(head));
    memcpy(key + offsetof(struct key_head, sha256), wire->sha256, WIRE_SHA256_BYTES);
    if (wire->program.size != 0)
        memcpy(key + sizeof(head), wire->program.data, wire->program.size);
    if (wire->name.size != 0)
        memcpy(key + sizeof(head) + wire->program.size, wire->name.data, wire->name.size);
    *out = key;
    return size;
}

static struct function *
add_function(struct core *core, const struct wire_function *wire, uint8_t *key, size_t key_size)
{
    struct function **by_number = NULL;
    struct function *function = malloc(sizeof(*function));

    if (function == NULL || core->function_count >= CORE_FUNCTIONS_MAX)
        goto fail;
    by_number = realloc(core->function_by_number, (core->function_count + 1) * sizeof(*by_number));
    if (by_number == NULL)
        goto fail;
    core->function_by_number = by_number;
    *function = (struct function){
        .number = (uint16_t)core->function_count,
        .key = key,
        .wire = *wire,
        .ask = ask_of_function(wire),
    };
    function->wire.number = function->number;
    function->wire.program.data = key + sizeof(struct key_head);
    function->wire.name.data = function->wire.program.data + wire->program.size;
    by_number[core->function_count++] = function;
    HASH_ADD_KEYPTR(hh, core->functions, function->key, key_size, function);
    return function;
fail:
    free(function);
    free(key);
    return NULL;
}

struct function *functions_define(struct core *core, const struct wire_function *wire)
{
    struct function *known = NULL;
    uint8_t *key = NULL;
    const size_t key_size = make_key(wire, &key);

    if (key_size == 0)
        return NULL;
    HASH_FIND(hh, core->functions, key, key_size, known);
    if (known != NULL) {
        free(key);
        return known;
    }
    return add_function(core, wire, key, key_size);
}

void function_measure(struct function *function, uint32_t run_us)
{
    if (!function->measured) {
        function->measured = true;
        function->mean_us = run_us;
        return;
    }
    const int64_t difference = (int64_t)run_us - function->mean_us;

    function->mean_us = (uint32_t)(function->mean_us + difference / (1 << MEAN_SHIFT));
}

void functions_fini(struct core *core)
{
    HASH_CLEAR(hh, core->functions);
    for (uint32_t i = 0; i < core->function_count; i++) {
        free(core->function_by_number[i]->key);
        free(core->function_by_number[i]);
    }
    free(core->function_by_number);
}
