/* How a program is known to workers: the base name and the SHA-256 of its file. */
#ifndef BASE_IDENTITY_H
#define BASE_IDENTITY_H

#include "err.h"
#include "wire.h"

#include <stdint.h>

struct identity {
    char name[256];
    uint8_t sha256[WIRE_SHA256_BYTES];
};

/* Read the file at `path` (links are followed for the bytes, the name is that of `path`).
 * A negative errno of open or read; -EIO: the hash could not be computed. */
NODISCARD int identity_read(const char *path, struct identity *out);

/* That of the running executable. Errors as above. */
NODISCARD int identity_self(struct identity *out);

/* First 12 characters of the hash in hex, for messages. Returns `buffer` (at least 13 bytes). */
const char *identity_short(const uint8_t sha256[WIRE_SHA256_BYTES], char *buffer);

#endif
