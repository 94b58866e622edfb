/* CURVE keys as text: Z85, 40 characters. A key file holds one such line; an allow list one a line.
 * Source: ZeroMQ RFC 32 (Z85), RFC 26 (CURVE). Secret halves are wiped by who holds them. Any
 * thread. */
#ifndef BASE_CURVE_H
#define BASE_CURVE_H

#include "err.h"
#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURVE_KEY_BYTES   32
#define CURVE_TEXT_LENGTH 40
#define CURVE_KEYS_MAX    1024 /* of an allow list */

struct curve_key {
    char text[CURVE_TEXT_LENGTH + 1];
};

struct curve_pair {
    struct curve_key public_half;
    struct curve_key secret_half;
};

/* Is this the Z85 text of a key: 40 characters that decode? */
bool curve_is_key(const char *text);

/* Copy the text of a key. -EINVAL: it is none. */
NODISCARD int curve_parse(const char *text, struct curve_key *out);

/* The text of 32 binary bytes. */
void curve_encode(const uint8_t bytes[CURVE_KEY_BYTES], struct curve_key *out);

/* A fresh pair. -ENOTSUP: this libzmq was built without CURVE. */
NODISCARD int curve_make(struct curve_pair *out);

/* Load a file with a secret half and derive the public one. Errors as secret_load(), -EINVAL: no
 * key in it. */
NODISCARD int curve_load_pair(const char *path, struct curve_pair *out, struct problem *problem);

/* Load a file with one public half. */
NODISCARD int curve_load_public(const char *path, struct curve_key *out, struct problem *problem);

/* Load a file of 1...CURVE_KEYS_MAX public halves; blank lines are skipped. *out is owned by the
 * caller (free). */
NODISCARD int
curve_load_list(const char *path, struct curve_key **out, size_t *count, struct problem *problem);

/* Clear both halves. Also for CLEANUP(). */
void curve_wipe(struct curve_pair *pair);

#endif
