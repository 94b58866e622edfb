#include "blob.h"

#include <string.h>

struct blob *blob_new(size_t capacity)
{
    struct blob *blob = malloc(sizeof(*blob));

    if (blob == NULL)
        return NULL;
    *blob = (struct blob){.capacity = capacity};
    atomic_init(&blob->references, 1);
    blob->data = malloc(capacity != 0 ? capacity : 1);
    if (blob->data == NULL) {
        free(blob);
        return NULL;
    }
    return blob;
}

struct blob *blob_wrap(uint8_t *data, size_t size, void (*release)(void *), void *owner)
{
    struct blob *blob = malloc(sizeof(*blob));

    if (blob == NULL)
        return NULL;
    *blob = (struct blob){.data = data, .size = size, .release = release, .owner = owner};
    atomic_init(&blob->references, 1);
    return blob;
}

int blob_reserve(struct blob *blob, size_t more)
{
    size_t capacity = blob->capacity;

    if (blob->size + more <= capacity)
        return 0;
    while (capacity < blob->size + more)
        capacity = capacity < 64 ? 64 : capacity * 2;
    uint8_t *data = realloc(blob->data, capacity);
    if (data == NULL)
        return -ENOMEM;
    blob->data = data;
    blob->capacity = capacity;
    return 0;
}

struct blob *blob_ref(struct blob *blob)
{
    atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL || atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel) != 1)
        return;
    if (blob->release != NULL)
        blob->release(blob->owner);
    else
        free(blob->data);
    free(blob);
}

void blob_unref_p(struct blob **blob)
{
    blob_unref(*blob);
}
