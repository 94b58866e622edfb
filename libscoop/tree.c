#include "tree.h"

#include "function.h"
#include "future.h"
#include "program.h"

#include <string.h>

/* A call carries no more bytes than this, unless two elements are larger. */
#define CALL_BYTES_MAX ((size_t)4 << 20)

/* Halves of halves: no count has more. */
#define CHILDREN_MAX 64

struct head {
    uint64_t count;
    uint64_t leaf;
    uint32_t map_length; /* of its name; 0: none */
    uint32_t combine_length;
    struct scoop_options children;
};

size_t tree_value_bytes(const struct tree_call *call)
{
    return call->combine->result_bytes;
}

size_t tree_element_bytes(const struct tree_call *call)
{
    return call->map != NULL ? call->map->argument_bytes : tree_value_bytes(call);
}

size_t tree_elements_max(const struct tree_call *call)
{
    const size_t element = tree_element_bytes(call);
    const size_t value = tree_value_bytes(call);
    const size_t most = CALL_BYTES_MAX / (element > value ? element : value);

    return most > 2 ? most : 2;
}

int tree_pack(const struct tree_call *call, const void *first, struct scoop_bytes *out)
{
    const size_t element = tree_element_bytes(call);
    const struct head head = {
        .count = call->count + (first != NULL ? 1 : 0),
        .leaf = call->leaf,
        .map_length = call->map != NULL ? (uint32_t)strlen(call->map->name) : 0,
        .combine_length = (uint32_t)strlen(call->combine->name),
        .children = call->children,
    };
    const size_t size = sizeof(head) + head.count * element + head.map_length + head.combine_length;
    uint8_t *data = malloc(size);
    uint8_t *at = data;

    if (data == NULL)
        return -ENOMEM;
    at = mempcpy(at, &head, sizeof(head));
    if (first != NULL)
        at = mempcpy(at, first, element);
    at = mempcpy(at, call->elements, call->count * element);
    if (call->map != NULL)
        at = mempcpy(at, call->map->name, head.map_length);
    mempcpy(at, call->combine->name, head.combine_length);
    *out = (struct scoop_bytes){data, size};
    return 0;
}

/* ---- on the worker ---- */

/* False: the task has failed. */
static bool unpack(const void *data, size_t size, struct tree_call *call)
{
    const uint8_t *bytes = data;
    struct head head;

    *call = (struct tree_call){.map = NULL};
    if (size >= sizeof(head)) {
        memcpy(&head, bytes, sizeof(head));
        const uint64_t names = (uint64_t)head.map_length + head.combine_length;
        const char *name = (const char *)bytes + size - names;

        if (names <= size - sizeof(head)) {
            call->combine = function_find(name + head.map_length, head.combine_length);
            call->map = head.map_length != 0 ? function_find(name, head.map_length) : NULL;
            call->elements = bytes + sizeof(head);
            call->count = head.count;
            call->leaf = head.leaf;
            call->children = head.children;
        }
        if (call->combine != NULL && (call->map != NULL || head.map_length == 0) &&
            head.count > 0 && head.leaf > 0 &&
            size - sizeof(head) - names == head.count * tree_element_bytes(call))
            return true;
    }
    scoop_fail(1, "the argument of a tree is malformed");
    return false;
}

/* Room for the two arguments of the reducer. NULL: the task has failed. */
static uint8_t *pair_new(const struct tree_call *call)
{
    uint8_t *pair = malloc(2 * tree_value_bytes(call));

    if (pair == NULL)
        scoop_fail(1, "%s: out of memory", call->combine->name);
    return pair;
}

/* The value of element i. */
static void value_of(const struct tree_call *call, size_t i, void *value)
{
    const uint8_t *element = call->elements + i * tree_element_bytes(call);

    if (call->map != NULL)
        call->map->invoke(element, value);
    else
        memcpy(value, element, tree_value_bytes(call));
}

/* sum = sum + value, of which the latter stands in the second half of the pair. */
static void add(const struct tree_call *call, uint8_t *pair, void *sum)
{
    memcpy(pair, sum, tree_value_bytes(call));
    call->combine->invoke(pair, sum);
}

/* Combine the first `count` elements here; `each`: where their running sums go, or NULL. */
static void
fold(const struct tree_call *call, size_t count, uint8_t *pair, uint8_t *sum, uint8_t *each)
{
    const size_t size = tree_value_bytes(call);

    for (size_t i = 0; i < count && !function_has_failed(); i++) {
        if (i == 0) {
            value_of(call, i, sum);
        } else {
            value_of(call, i, pair + size);
            if (!function_has_failed())
                add(call, pair, sum);
        }
        if (each != NULL)
            each = mempcpy(each, sum, size);
    }
}

/* A task of its own for the elements from `begin` on. NULL: it could not be started. */
static scoop_future *start(const struct tree_call *call, size_t begin, size_t count)
{
    struct tree_call part = *call;
    struct scoop_bytes argument;

    part.elements += begin * tree_element_bytes(call);
    part.count = count;
    if (tree_pack(&part, NULL, &argument) != 0)
        return NULL;
    scoop_future *child =
        scoop_submit_with(NULL, &call->children, &tree_reduce, argument.data, argument.size);
    scoop_bytes_free(&argument, 1);
    return child;
}

/* Add a child's value to the sum. A child that failed was tried as often as was asked: the task that
 * split it off is not tried again for it. */
static void add_child(const struct tree_call *call, scoop_future *child, uint8_t *pair, void *sum)
{
    const size_t size = tree_value_bytes(call);
    struct scoop_bytes value;
    struct scoop_error error;

    if (scoop_result_bytes(child, &value) == SCOOP_OK && value.size == size) {
        memcpy(pair + size, value.data, size);
        add(call, pair, sum);
    } else if (scoop_error(child, &error) && error.status != SCOOP_OK) {
        scoop_fail_forever((int)error.code, "%s", error.text);
    } else {
        scoop_fail_forever(1, "%s", scoop_last_error());
    }
}

/* Children have the right halves, the first one half of all; what is left is done here. */
static void reduce(const struct tree_call *call, uint8_t *pair, uint8_t *sum)
{
    scoop_future *children[CHILDREN_MAX];
    size_t started = 0;
    size_t count = call->count;

    while (count > call->leaf && count > 1) {
        const size_t left = count / 2;

        children[started] = start(call, left, count - left);
        if (children[started] == NULL)
            break;
        started++;
        count = left;
    }
    fold(call, count, pair, sum, NULL);
    while (started > 0) {
        started--;
        if (!function_has_failed())
            add_child(call, children[started], pair, sum);
        scoop_future_free(children[started]);
    }
}

static void reduce_all(const void *data, size_t size, struct scoop_output *out)
{
    struct tree_call call;

    if (!unpack(data, size, &call))
        return;
    uint8_t *pair = pair_new(&call);
    uint8_t *sum = pair != NULL ? malloc(tree_value_bytes(&call)) : NULL;
    if (sum != NULL) {
        reduce(&call, pair, sum);
        scoop_write(out, sum, tree_value_bytes(&call));
    } else {
        scoop_fail(1, "%s: out of memory", call.combine->name);
    }
    free(sum);
    free(pair);
}

static void scan(const void *data, size_t size, struct scoop_output *out)
{
    struct tree_call call;

    if (!unpack(data, size, &call))
        return;
    const size_t value = tree_value_bytes(&call);
    uint8_t *pair = pair_new(&call);
    uint8_t *sum = malloc(value);
    uint8_t *each = scoop_extend(out, call.count * value);
    if (pair != NULL && sum != NULL && each != NULL)
        fold(&call, call.count, pair, sum, each);
    else
        scoop_fail(1, "%s: out of memory", call.combine->name);
    free(sum);
    free(pair);
}

static void shift(const void *data, size_t size, struct scoop_output *out)
{
    struct tree_call call;

    if (!unpack(data, size, &call))
        return;
    const size_t value = tree_value_bytes(&call);
    uint8_t *pair = pair_new(&call);
    uint8_t *each = scoop_extend(out, (call.count - 1) * value);
    for (size_t i = 1; i < call.count && pair != NULL && each != NULL; i++) {
        memcpy(pair, call.elements, value);
        memcpy(pair + value, call.elements + i * value, value);
        call.combine->invoke(pair, each + (i - 1) * value);
    }
    free(pair);
}

#define TREE_FUNCTION(name_, call_)                                                                \
    {                                                                                              \
        .name = name_, .argument_bytes = SCOOP_VARIABLE, .result_bytes = SCOOP_VARIABLE,           \
        .invoke_bytes = call_                                                                      \
    }

struct scoop_function tree_reduce = TREE_FUNCTION("scoop.reduce", reduce_all);
struct scoop_function tree_scan = TREE_FUNCTION("scoop.scan", scan);
struct scoop_function tree_shift = TREE_FUNCTION("scoop.shift", shift);

__attribute__((constructor)) static void register_all(void)
{
    scoop_register(&tree_reduce);
    scoop_register(&tree_scan);
    scoop_register(&tree_shift);
}
