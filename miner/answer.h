/* Reading one HTTP answer, in whatever pieces it arrives. No sockets here. */
#ifndef MINER_ANSWER_H
#define MINER_ANSWER_H

#include "base/err.h"

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer {
    http_parser parser;
    uint8_t *body; /* borrowed from the caller of answer_begin() */
    size_t room;
    size_t bytes; /* of the body so far; only of an answer with status 200 */
    bool complete;
    bool too_long;
};

/* Expect an answer to GET or POST; its body goes to body[0..room). */
void answer_begin(struct answer *answer, uint8_t *body, size_t room);

/* Take what arrived. 1: the answer is complete; 0: there is more to come; -EMSGSIZE: the body is
 * longer than `room`; -EPROTO: this is not HTTP, or there are bytes behind the answer. */
NODISCARD int answer_feed(struct answer *answer, const char *bytes, size_t length);

/* The other side ended the connection. 1: that completes the answer; -ECONNRESET: it is cut short.
 */
NODISCARD int answer_end(struct answer *answer);

/* Of a complete answer. */
unsigned answer_status(const struct answer *answer);
bool answer_keeps_alive(const struct answer *answer);

#endif
