#include "base/redis.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct url_case {
    char url[80];
    bool valid;
};

ParameterizedTestParameters(redis, takes_only_urls_that_it_can_follow)
{
    static struct url_case cases[] = {
        {"redis://redis", true},
        {"redis://redis:6379", true},
        {"redis://redis:6379/3", true},
        {"redis://:secret@redis:6379/3", true},
        {"redis://:se:c@re/t@redis", true},
        {"redis://[::1]:6379", true},
        {"redis://user:secret@redis", false},
        {"redis://redis/x", false},
        {"redis://redis/-1", false},
        {"redis://redis:x", false},
        {"redis://", false},
        {"http://redis", false},
        {"redis", false},
        {"", false},
    };
    return cr_make_param_array(struct url_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct url_case *c, redis, takes_only_urls_that_it_can_follow)
{
    cr_assert_eq(redis_url_is_valid(c->url), c->valid, "\"%s\"", c->url);
}

static struct redis *given_redis(const char *url, const char *password_file)
{
    struct redis *redis = NULL;
    const struct redis_options options = {
        .url = url, .password_file = password_file, .timeout_ms = 500};

    cr_assert_eq(redis_new(&options, &redis), 0);
    return redis;
}

Test(redis, that_is_not_there_says_so_and_is_left_alone_for_a_while)
{
    struct redis *redis = given_redis("redis://127.0.0.1:1", NULL);

    cr_assert_eq(redis_connect(redis), -ECONNREFUSED);
    cr_assert_str_eq(redis_reason(redis), "127.0.0.1:1: Connection refused");
    cr_assert_eq(redis_connect(redis), -EAGAIN);
    clock_sleep_ms(REDIS_RETRY_FIRST_MS);
    cr_assert_eq(redis_connect(redis), -ECONNREFUSED);
    redis_free(redis);
}

Test(redis, takes_no_command_while_it_is_not_connected)
{
    struct redis *redis = given_redis("redis://127.0.0.1:1", NULL);
    const char *words[] = {"PING"};
    const size_t bytes[] = {4};
    redisReply *reply = NULL;

    cr_assert_eq(redis_queue(redis, 1, words, bytes), -ENOTCONN);
    cr_assert_eq(redis_read_reply(redis, &reply), -ENOTCONN);
    cr_assert_null(reply);
    cr_assert_not(redis_is_connected(redis));
    redis_free(redis);
}

Test(redis, refuses_a_bad_url)
{
    struct redis *redis = NULL;

    cr_assert_eq(redis_new(&(struct redis_options){.url = "redis://"}, &redis), -EINVAL);
    cr_assert_null(redis);
    redis_free(NULL);
}
