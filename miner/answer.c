#include "answer.h"

#include <string.h>

/* A body that is not "200 OK" explains a refusal; the status is enough for us. */
static int on_body(http_parser *parser, const char *bytes, size_t length)
{
    struct answer *answer = parser->data;

    if (parser->status_code != 200)
        return 0;
    if (length > answer->room - answer->bytes) {
        answer->too_long = true;
        return -1;
    }
    memcpy(answer->body + answer->bytes, bytes, length);
    answer->bytes += length;
    return 0;
}

/* Pausing makes http_parser_execute() stop behind this answer, so that a second one is noticed. */
static int on_complete(http_parser *parser)
{
    struct answer *answer = parser->data;

    answer->complete = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings callbacks = {
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void answer_begin(struct answer *answer, uint8_t *body, size_t room)
{
    *answer = (struct answer){.body = body, .room = room};
    http_parser_init(&answer->parser, HTTP_RESPONSE);
    answer->parser.data = answer;
}

int answer_feed(struct answer *answer, const char *bytes, size_t length)
{
    if (answer->complete)
        return -EPROTO;
    const size_t used = http_parser_execute(&answer->parser, &callbacks, bytes, length);

    if (answer->complete)
        return used == length ? 1 : -EPROTO;
    if (answer->too_long)
        return -EMSGSIZE;
    return HTTP_PARSER_ERRNO(&answer->parser) == HPE_OK && !answer->parser.upgrade ? 0 : -EPROTO;
}

int answer_end(struct answer *answer)
{
    http_parser_execute(&answer->parser, &callbacks, NULL, 0);
    return answer->complete ? 1 : -ECONNRESET;
}

unsigned answer_status(const struct answer *answer)
{
    return answer->parser.status_code;
}

bool answer_keeps_alive(const struct answer *answer)
{
    return http_should_keep_alive(&answer->parser) != 0;
}
