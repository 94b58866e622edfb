/* The user's own docker command, asked for what the swarm knows: with the user's context, DOCKER_HOST and
 * rights. It inherits stderr, so what it complains about is seen. Main thread only. */
#ifndef CLI_DOCKER_H
#define CLI_DOCKER_H

#include "base/err.h"

#include <jansson.h>

/* Run "docker WORDS" (words ended by NULL, at most DOCKER_WORDS_MAX) to its end. 0 and *out, what it wrote (owned by the
 * caller, free); -ENOENT when there is no docker, -EIO when it failed, -E2BIG, -ENOMEM, or another negative errno. */
NODISCARD int docker_ask(const char *const *words, char **out);

#define DOCKER_WORDS_MAX 4096

/* All objects of a kind ("secret", "service") of a stack, as "docker KIND inspect" shows them. 0 and *out, an array (owned
 * by the caller, json_decref) that is empty when there are none. Errors of docker_ask(); -EPROTO: not JSON. */
NODISCARD int docker_inspect_stack(const char *kind, const char *stack, json_t **out);

#endif
