/* Files that hold secrets, and the public halves that go with them: /run/secrets/... of a swarm.
 *
 * A private file is refused when others than its owner may read it, for it is then no secret any
 * more. One exception: root's file on a read-only mount, which is what a swarm makes of a secret
 * without `mode`. Contents are text: a zero byte is refused, CRLF becomes LF, blank ends are cut
 * off. They never appear in a message, and secret_wipe() clears them. No state: any thread. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "err.h"
#include "problem.h"

#include <stddef.h>

/* Longest file that is accepted. Keys are far below. */
#define SECRET_BYTES_MAX 65536

enum secret_kind {
    SECRET_PRIVATE,
    SECRET_PUBLIC, /* may be readable by all */
};

struct secret {
    char *text; /* ends in a zero byte, without a newline before it; owned, see secret_wipe() */
    size_t length;
};

/* Load a whole file. 0, or with *problem naming file and reason, and *out untouched:
 * -ENOENT missing, -EACCES not readable by this user, -EPERM readable by too many, -ENODATA empty,
 * -EFBIG too long, -EINVAL no regular file or not text, -ENOMEM, or what reading it gave. */
NODISCARD int
secret_load(const char *path, enum secret_kind kind, struct secret *out, struct problem *problem);

/* The same for a file of exactly one line, such as a password or a key; more lines are -EINVAL. */
NODISCARD int secret_load_line(const char *path,
                               enum secret_kind kind,
                               struct secret *out,
                               struct problem *problem);

/* Clear and free the text. NULL and an empty secret are fine. Also for CLEANUP(). */
void secret_wipe(struct secret *secret);

#endif
