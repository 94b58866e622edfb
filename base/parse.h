/* Numbers and addresses from text. Never atoi or sscanf: every value is checked whole. */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parse a decimal number that is the whole of `text` (digits only, no sign, no space).
 * -EINVAL: not a number; -ERANGE: outside min...max. *out is untouched on error. */
NODISCARD int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Parse seconds, "10" or "0.5", with at most three digits behind the point, into milliseconds.
 * Errors as parse_u64(); the bounds are of the milliseconds. */
NODISCARD int parse_seconds(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *out_ms);

/* Parse bytes: a whole number, with K, M, G or T behind it for powers of 1024. Errors as
 * parse_u64(). */
NODISCARD int parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* The same as text, with the largest unit that leaves a whole number. Returns `text`. */
const char *parse_size_text(uint64_t bytes, char *text, size_t size);

/* Parse a yes/no word: 1 y yes true on / 0 n no false off, any case. -EINVAL otherwise. */
NODISCARD int parse_flag(const char *text, bool *out);

/* The parts of "HOST:PORT". The host may be a name, an IPv4 address, or an IPv6 address in
 * brackets. */
struct host_port {
    char host[256];
    uint16_t port;
};

/* Parse "HOST:PORT"; port 0 is accepted and means "any free port" where one listens.
 * -EINVAL: no host, no port, or a port that is not 0...65535. *out is untouched on error. */
NODISCARD int parse_host_port(const char *text, struct host_port *out);

/* The parts of "SCHEME://HOST[:PORT][/PATH]"; `port` is `default_port` where the text has none. */
struct url {
    char scheme[16];
    struct host_port authority;
    char path[256]; /* with its leading slash; "/" when absent */
};

/* Parse an address of a peer service. -EINVAL when it is not of that form or a part is too long. */
NODISCARD int parse_url(const char *text, uint16_t default_port, struct url *out);

/* Is this where a broker can listen or be reached: "tcp://HOST:PORT" with a port that is not 0, or
 * "ipc:///PATH" short enough for a socket? */
#define PARSE_ENDPOINT_FORM "tcp://HOST:PORT or ipc:///PATH"
bool parse_is_endpoint(const char *text);

#endif
