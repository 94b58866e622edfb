#include "base/bootstrap.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

static struct problem problem;

static void given_config(struct bootstrap_config *config)
{
    *config = (struct bootstrap_config){.broker = "tcp://broker:5556", .gone_ms = 30000};
    cr_assert_eq(curve_parse(KEY, &config->broker_key), 0);
}

Test(bootstrap, carries_a_configuration_unchanged)
{
    struct bootstrap_config in;
    struct bootstrap_config out;
    char text[BOOTSTRAP_CONFIG_MAX];

    given_config(&in);
    cr_assert_gt(bootstrap_write_config(&in, text), 0);
    cr_assert_eq(bootstrap_read_config(text, &out, &problem), 0, "%s", problem.text);
    cr_assert_str_eq(out.broker, in.broker);
    cr_assert_str_eq(out.broker_key.text, KEY);
    cr_assert_eq(out.gone_ms, 30000);
}

Test(bootstrap, carries_what_a_broker_of_one_program_adds)
{
    struct bootstrap_config in;
    struct bootstrap_config out;
    char text[BOOTSTRAP_CONFIG_MAX];

    given_config(&in);
    in.attached = true;
    in.slots = 3;
    strcpy(in.programs, "/home/me/my programs:/x");
    cr_assert_gt(bootstrap_write_config(&in, text), 0);
    cr_assert_eq(bootstrap_read_config(text, &out, &problem), 0, "%s", problem.text);
    cr_assert(out.attached);
    cr_assert_eq(out.slots, 3);
    cr_assert_str_eq(out.programs, in.programs);
    strcpy(in.programs, "a\nend");
    cr_assert_eq(bootstrap_write_config(&in, text), -EINVAL);
}

struct origin_case {
    char broker[32];
    char connection[48]; /* "": not set */
    char expected[48];   /* "": refused */
};

ParameterizedTestParameters(bootstrap, takes_the_broker_for_where_the_login_came_from)
{
    static struct origin_case cases[] = {
        {"tcp://?:5556", "192.0.2.7 4711 192.0.2.8 22", "tcp://192.0.2.7:5556"},
        {"tcp://?:5556", "2001:db8::1 4711 2001:db8::2 22", "tcp://[2001:db8::1]:5556"},
        {"tcp://?:5556", "", "tcp://127.0.0.1:5556"},
        {"tcp://broker:5556", "192.0.2.7 4711 192.0.2.8 22", "tcp://broker:5556"},
        {"tcp://?:5556", " 1", ""},
        {"tcp://?:5556", "\tx 1", ""},
    };
    return cr_make_param_array(struct origin_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct origin_case *c, bootstrap, takes_the_broker_for_where_the_login_came_from)
{
    struct bootstrap_config config;
    const char *connection = c->connection[0] != '\0' ? c->connection : NULL;

    given_config(&config);
    strcpy(config.broker, c->broker);
    const int result = bootstrap_resolve_origin(&config, connection, &problem);
    cr_assert_eq(result, c->expected[0] != '\0' ? 0 : -EINVAL);
    cr_assert_str_eq(config.broker, c->expected[0] != '\0' ? c->expected : c->broker);
}

Test(bootstrap, refuses_a_configuration_cut_anywhere)
{
    struct bootstrap_config in;
    struct bootstrap_config out = {.gone_ms = 7};
    char text[BOOTSTRAP_CONFIG_MAX];
    char cut[BOOTSTRAP_CONFIG_MAX];

    given_config(&in);
    const int length = bootstrap_write_config(&in, text);
    cr_assert_gt(length, 0);
    for (int i = 0; i < length; i++) {
        snprintf(cut, (size_t)i + 1, "%s", text);
        cr_assert_eq(bootstrap_read_config(cut, &out, &problem), -EINVAL, "cut at %d", i);
    }
    cr_assert_eq(out.gone_ms, 7);
}

struct config_case {
    char text[192];
    int result;
    char problem[64];
};

ParameterizedTestParameters(bootstrap, reads_every_line_strictly)
{
    static struct config_case cases[] = {
        {"scoop 1\nbroker tcp://b:1\nbroker_key " KEY "\ngone_ms 1000\nend\n", 0, ""},
        {"scoop 1\nbroker tcp://b:1\nbroker_key " KEY "\ngone_ms 1000\nnew thing\nx\nend\n", 0, ""},
        {"scoop 2\nbroker tcp://b:1\nbroker_key " KEY "\ngone_ms 1000\nend\n", -EINVAL,
         "first line"},
        {"scoop 1\nbroker_key " KEY "\ngone_ms 1000\nend\n", -EINVAL, "broker is missing"},
        {"scoop 1\nbroker ipc:///x\nbroker_key " KEY "\ngone_ms 1000\nend\n", -EINVAL,
         "broker is not"},
        {"scoop 1\nbroker tcp://b\nbroker_key " KEY "\ngone_ms 1000\nend\n", -EINVAL,
         "broker is not"},
        {"scoop 1\nbroker tcp://b:1 \nbroker_key " KEY "\ngone_ms 1000\nend\n", -EINVAL,
         "broker is not"},
        {"scoop 1\nbroker\nbroker_key " KEY "\ngone_ms 1000\nend\n", -EINVAL, "broker is not"},
        {"scoop 1\nbroker tcp://b:1\nbroker tcp://c:1\nend\n", -EINVAL, "twice"},
        {"scoop 1\nbroker tcp://b:1\nbroker_key x\ngone_ms 1000\nend\n", -EINVAL,
         "broker_key is not"},
        {"scoop 1\nbroker tcp://b:1\nbroker_key " KEY "\ngone_ms 999\nend\n", -EINVAL,
         "gone_ms is not"},
        {"scoop 1\nbroker tcp://b:1\nbroker_key " KEY "\ngone_ms -1\nend\n", -EINVAL,
         "gone_ms is not"},
        {"scoop 1\nend\nbroker tcp://b:1\nend\n", -EINVAL, "is missing"},
        {"end\n", -EINVAL, "cut"},
        {"\nend\n", -EINVAL, "first line"},
        {"", -EINVAL, "cut"},
    };
    return cr_make_param_array(struct config_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct config_case *c, bootstrap, reads_every_line_strictly)
{
    struct bootstrap_config out;

    problem.text[0] = '\0';
    cr_assert_eq(bootstrap_read_config(c->text, &out, &problem), c->result, "%s", problem.text);
    cr_assert_not_null(strstr(problem.text, c->problem), "\"%s\" lacks \"%s\"", problem.text,
                       c->problem);
}

Test(bootstrap, does_not_write_what_could_not_be_read)
{
    struct bootstrap_config config;
    char text[BOOTSTRAP_CONFIG_MAX];

    given_config(&config);
    snprintf(config.broker, sizeof(config.broker), "tcp://a:1\nend");
    cr_assert_eq(bootstrap_write_config(&config, text), -EINVAL);
    given_config(&config);
    config.broker_key.text[3] = '\0';
    cr_assert_eq(bootstrap_write_config(&config, text), -EINVAL);
}

Test(bootstrap, carries_an_answer_unchanged)
{
    struct bootstrap_answer in = {.slots = 8, .version = "0.1.0", .host = "w1"};
    struct bootstrap_answer out;
    char text[BOOTSTRAP_ANSWER_MAX];

    cr_assert_eq(curve_parse(KEY, &in.key), 0);
    cr_assert_gt(bootstrap_write_answer(&in, text), 0);
    text[strcspn(text, "\n")] = '\0';
    cr_assert_eq(bootstrap_read_answer(text, &out, &problem), 0, "%s", problem.text);
    cr_assert_str_eq(out.key.text, KEY);
    cr_assert_eq(out.slots, 8);
    cr_assert_str_eq(out.version, "0.1.0");
    cr_assert_str_eq(out.host, "w1");
}

struct answer_case {
    char text[160];
};

ParameterizedTestParameters(bootstrap, refuses_every_other_answer)
{
    static struct answer_case cases[] = {
        {""},
        {"Welcome to Debian"},
        {"scoop-worker"},
        {"scoop-worker " KEY},
        {"scoop-worker " KEY " 2 0.1.0"},
        {"scoop-worker " KEY " 2 0.1.0 host more"},
        {"scoop-worker " KEY " 2 0.1.0 "},
        {"scoop-worker " KEY " 0 0.1.0 host"},
        {"scoop-worker " KEY " 1025 0.1.0 host"},
        {"scoop-worker " KEY " two 0.1.0 host"},
        {"scoop-worker nokey 2 0.1.0 host"},
        {"scoop-worker " KEY " 2 0.1.0 ho\033[2Jst"},
        {"scoop-worker " KEY " 2 0123456789012345678901234567890123 host"},
        {"scoop-agent " KEY " 2 0.1.0 host"},
    };
    return cr_make_param_array(struct answer_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct answer_case *c, bootstrap, refuses_every_other_answer)
{
    struct bootstrap_answer out = {.slots = 7};

    cr_assert_eq(bootstrap_read_answer(c->text, &out, &problem), -EINVAL);
    cr_assert_eq(out.slots, 7);
}
