#include "miner/answer.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#define ROOM 64

static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

Test(answer, is_complete_with_its_last_byte_and_not_before)
{
    struct answer answer;
    uint8_t body[ROOM];

    for (size_t cut = 0; cut < strlen(good); cut++) {
        answer_begin(&answer, body, ROOM);
        cr_assert_eq(answer_feed(&answer, good, cut), 0, "cut at %zu", cut);
        cr_assert_eq(answer_feed(&answer, good + cut, strlen(good) - cut), 1, "cut at %zu", cut);
        cr_assert_eq(answer_status(&answer), 200);
        cr_assert_eq(answer.bytes, 5);
        cr_assert_arr_eq(body, "hello", 5);
        cr_assert(answer_keeps_alive(&answer));
    }
}

Test(answer, that_is_cut_short_is_a_broken_connection)
{
    struct answer answer;
    uint8_t body[ROOM];

    for (size_t cut = 0; cut < strlen(good); cut++) {
        answer_begin(&answer, body, ROOM);
        cr_assert_eq(answer_feed(&answer, good, cut), 0);
        cr_assert_eq(answer_end(&answer), -ECONNRESET, "cut at %zu", cut);
    }
}

Test(answer, without_length_ends_with_the_connection)
{
    struct answer answer;
    uint8_t body[ROOM];
    static const char text[] = "HTTP/1.0 200 OK\r\n\r\nhello";

    answer_begin(&answer, body, ROOM);
    cr_assert_eq(answer_feed(&answer, text, strlen(text)), 0);
    cr_assert_eq(answer_end(&answer), 1);
    cr_assert_eq(answer.bytes, 5);
    cr_assert_not(answer_keeps_alive(&answer));
}

struct answer_case {
    char text[160];
    int result;
    unsigned status;
    size_t bytes;
};

ParameterizedTestParameters(answer, is_judged_as_http_wants_it)
{
    /* clang-format off */
    static struct answer_case cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 1, 200, 5},
        {"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nwait", 1, 503, 0},
        {"HTTP/1.1 204 None\r\n\r\n", 1, 204, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", -EPROTO, 200, 2},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
         -EPROTO, 200, 0},
        {"SSH-2.0-OpenSSH_9.2\r\n", -EPROTO, 0, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n"
         "01234567890123456789012345678901234567890123456789012345678901234", -EMSGSIZE, 200, 0},
    };
    /* clang-format on */
    return cr_make_param_array(struct answer_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct answer_case *c, answer, is_judged_as_http_wants_it)
{
    struct answer answer;
    uint8_t body[ROOM];

    answer_begin(&answer, body, ROOM);
    cr_assert_eq(answer_feed(&answer, c->text, strlen(c->text)), c->result, "%s", c->text);
    cr_assert_eq(answer_status(&answer), c->status, "%s", c->text);
    cr_assert_eq(answer.bytes, c->bytes, "%s", c->text);
}
