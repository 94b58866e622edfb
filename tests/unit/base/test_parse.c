#include "base/parse.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <inttypes.h>
#include <string.h>

struct number_case {
    char text[32];
    int result;
    uint64_t value;
};

ParameterizedTestParameters(parse, reads_whole_decimal_numbers_only)
{
    static struct number_case cases[] = {
        {"0", 0, 0},
        {"00032", 0, 32},
        {"100", 0, 100},
        {"101", -ERANGE, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+5", -EINVAL, 0},
        {" 5", -EINVAL, 0},
        {"5 ", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1.5", -EINVAL, 0},
    };
    return cr_make_param_array(struct number_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct number_case *c, parse, reads_whole_decimal_numbers_only)
{
    uint64_t value = 0;

    cr_assert_eq(parse_u64(c->text, 0, 100, &value), c->result, "\"%s\"", c->text);
    cr_assert_eq(value, c->value, "\"%s\" gave %" PRIu64, c->text, value);
}

ParameterizedTestParameters(parse, reads_sizes_with_their_units)
{
    static struct number_case cases[] = {
        {"0", 0, 0},
        {"4096", 0, 4096},
        {"64K", 0, 65536},
        {"512M", 0, 536870912},
        {"2G", 0, 2147483648},
        {"2T", -ERANGE, 0},
        {"18446744073709551615T", -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"M", -EINVAL, 0},
        {"5m", -EINVAL, 0},
        {"5MB", -EINVAL, 0},
        {"-5M", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
    };
    return cr_make_param_array(struct number_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct number_case *c, parse, reads_sizes_with_their_units)
{
    uint64_t value = 0;

    cr_assert_eq(parse_size(c->text, 0, 1ULL << 40, &value), c->result, "\"%s\"", c->text);
    cr_assert_eq(value, c->value, "\"%s\" gave %" PRIu64, c->text, value);
}

Test(parse, writes_sizes_as_it_reads_them)
{
    char text[32];

    cr_assert_str_eq(parse_size_text(0, text, sizeof(text)), "0");
    cr_assert_str_eq(parse_size_text(1000, text, sizeof(text)), "1000");
    cr_assert_str_eq(parse_size_text(1536ULL << 20, text, sizeof(text)), "1536M");
    cr_assert_str_eq(parse_size_text(4ULL << 30, text, sizeof(text)), "4G");
}

ParameterizedTestParameters(parse, reads_seconds_as_milliseconds)
{
    static struct number_case cases[] = {
        {"0", 0, 0},
        {"10", 0, 10000},
        {"0.5", 0, 500},
        {"1.25", 0, 1250},
        {"1.001", 0, 1001},
        {"", -EINVAL, 0},
        {".5", -EINVAL, 0},
        {"1.", -EINVAL, 0},
        {"1.2345", -EINVAL, 0},
        {"1.2.3", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"20.001", -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, 0},
    };
    return cr_make_param_array(struct number_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct number_case *c, parse, reads_seconds_as_milliseconds)
{
    uint64_t value = 0;

    cr_assert_eq(parse_seconds(c->text, 0, 20000, &value), c->result, "\"%s\"", c->text);
    cr_assert_eq(value, c->value);
}

struct url_case {
    char text[64];
    int result;
    char host[32];
    uint16_t port;
    char path[32];
};

ParameterizedTestParameters(parse, splits_addresses_of_services)
{
    static struct url_case cases[] = {
        {"http://rng", 0, "rng", 80, "/"},
        {"http://rng:8001", 0, "rng", 8001, "/"},
        {"http://rng:8001/x/y", 0, "rng", 8001, "/x/y"},
        {"redis://[::1]:6379", 0, "::1", 6379, "/"},
        {"rng", -EINVAL, "", 0, ""},
        {"http://", -EINVAL, "", 0, ""},
        {"http://:80", -EINVAL, "", 0, ""},
        {"http://rng:", -EINVAL, "", 0, ""},
        {"http://rng:99999", -EINVAL, "", 0, ""},
        {"http://rng:8x", -EINVAL, "", 0, ""},
        {"http://[::1", -EINVAL, "", 0, ""},
    };
    return cr_make_param_array(struct url_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct url_case *c, parse, splits_addresses_of_services)
{
    struct url url = {0};

    cr_assert_eq(parse_url(c->text, 80, &url), c->result, "\"%s\"", c->text);
    cr_assert_str_eq(url.authority.host, c->host);
    cr_assert_eq(url.authority.port, c->port);
    cr_assert_str_eq(url.path, c->path);
}

Test(parse, knows_the_endpoints_of_a_broker)
{
    static const char *const good[] = {"tcp://*:5555", "tcp://broker:1", "tcp://[::1]:5555",
                                       "ipc:///run/scoop/client"};
    static const char *const bad[] = {"",
                                      "broker",
                                      "tcp://",
                                      "tcp://broker",
                                      "tcp://broker:0",
                                      "tcp://broker:65536",
                                      "tcp://broker:1/path",
                                      "http://broker:1",
                                      "ipc://",
                                      "ipc://relative",
                                      "ipc://@abstract"};
    char long_path[7 + 120] = "ipc:///";

    for (size_t i = 0; i < COUNT_OF(good); i++)
        cr_assert(parse_is_endpoint(good[i]), "%s", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_assert_not(parse_is_endpoint(bad[i]), "%s", bad[i]);
    for (size_t i = strlen(long_path); i < sizeof(long_path) - 1; i++)
        long_path[i] = 'x';
    cr_assert_not(parse_is_endpoint(long_path), "no socket has such a long path");
}

Test(parse, asks_for_a_port_where_one_listens)
{
    struct host_port address;

    cr_assert_eq(parse_host_port("0.0.0.0", &address), -EINVAL);
    cr_assert_eq(parse_host_port("0.0.0.0:80", &address), 0);
    cr_assert_str_eq(address.host, "0.0.0.0");
    cr_assert_eq(address.port, 80);
}
