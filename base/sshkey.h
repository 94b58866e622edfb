/* Key files of OpenSSH: enough understanding to tell at start, in one line, that a file holds no
 * usable key. ssh and sshd would tell it later, per connection, and less clearly. Nothing
 * cryptographic happens here. Source: OpenSSH PROTOCOL.key, RFC 4253 section 6.6, RFC 4716. Pure:
 * any thread. */
#ifndef BASE_SSHKEY_H
#define BASE_SSHKEY_H

#include "err.h"
#include "problem.h"

/* `text` is a private key without a passphrase, in OpenSSH's own or in PEM form. -EINVAL with
 * *problem saying what it is instead; `name` (a path) begins the line, no byte of the key is in it.
 */
NODISCARD int sshkey_check_private(const char *name, const char *text, struct problem *problem);

/* Every line of `text` is a public key ("TYPE BASE64 [COMMENT]", ed25519, ECDSA or RSA); blank
 * lines and lines that begin with '#' are allowed, but not only such. -EINVAL as above; options
 * before the type are refused. */
NODISCARD int sshkey_check_public(const char *name, const char *text, struct problem *problem);

/* Call visit(line, argument) for each public key of such a text, until it returns other than 0.
 * Returns that. `line` is a copy without comment ("TYPE BASE64"), valid during the call. */
NODISCARD int sshkey_each_public(const char *text,
                                 int (*visit)(const char *line, void *argument),
                                 void *argument);

#endif
