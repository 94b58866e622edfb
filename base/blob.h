/* A counted, immutable-once-shared block of bytes: a received message whose records are used in
 * place, or a frame that is sent and kept until it is acknowledged.
 *
 * Shared (ref/unref). The count is atomic because ZeroMQ's I/O thread drops its reference
 * itself; the bytes are written by one thread, before the blob is shared. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct blob {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated at `data`; 0 for a blob around foreign memory */
    atomic_uint references;
    void (*release)(void *owner); /* of foreign memory, called once at the end; NULL: own memory */
    void *owner;
};

/* A blob with one reference, size 0 and room for `capacity` bytes. NULL: out of memory. */
NODISCARD struct blob *blob_new(size_t capacity);

/* A blob around `size` foreign bytes, which stay valid until release(owner) is called. NULL: out
 * of memory (release is not called). */
NODISCARD struct blob *blob_wrap(uint8_t *data, size_t size, void (*release)(void *), void *owner);

/* Make room for `more` bytes behind `size`. Only while unshared. -ENOMEM with the blob unchanged.
 */
NODISCARD int blob_reserve(struct blob *blob, size_t more);

struct blob *blob_ref(struct blob *blob);

/* Drop one reference; NULL is accepted. */
void blob_unref(struct blob *blob);

/* For CLEANUP(). */
void blob_unref_p(struct blob **blob);

#endif
