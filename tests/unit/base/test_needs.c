#include "base/needs.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

static const char *canonical(const char *text)
{
    static char out[NEEDS_TEXT_MAX + 1];
    struct needs needs;
    struct problem problem = {.text = ""};

    cr_assert_eq(needs_parse(text, &needs, &problem), 0, "%s", problem.text);
    return needs_text(&needs, out, sizeof(out));
}

Test(needs, are_names_with_quantities_and_bare_tags)
{
    struct needs needs;

    cr_assert_eq(needs_parse("ssd,ram=4G,gpu=1", &needs, NULL), 0);
    cr_assert_eq(needs.count, 3);
    cr_assert_eq(needs_find(&needs, "gpu")->quantity, 1);
    cr_assert_eq(needs_find(&needs, "ram")->quantity, 4ULL << 30);
    cr_assert_eq(needs_find(&needs, "ssd")->quantity, 0);
    cr_assert_null(needs_find(&needs, "ss"));
}

Test(needs, that_are_the_same_have_one_text)
{
    cr_assert_str_eq(canonical("ssd,ram=4096M,gpu=01"), "gpu=1,ram=4G,ssd");
    cr_assert_str_eq(canonical("gpu=1,ram=4194304K,ssd"), "gpu=1,ram=4G,ssd");
    cr_assert_str_eq(canonical(""), "");
}

struct bad {
    char text[80];
    char why[64];
};

ParameterizedTestParameters(needs, that_are_malformed_are_refused_with_a_reason)
{
    static struct bad rows[] = {
        {"gpu=", "a quantity must be"},
        {"gpu=0", "a quantity must be"},
        {"gpu=-1", "a quantity must be"},
        {"gpu=1.5", "a quantity must be"},
        {"ram=4GB", "a quantity must be"},
        {"=1", "must be NAME or NAME=QUANTITY"},
        {",", "must be NAME or"},
        {"gpu=1,", "must be NAME or"},
        {"gpu=1, ram=4G", "must be NAME or"},
        {"g:pu", "must be NAME or"},
        {"gpu=1,gpu", "is there twice"},
        {"a12345678901234567890123456789012", "at most 31"},
    };

    return cr_make_param_array(struct bad, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct bad *row, needs, that_are_malformed_are_refused_with_a_reason)
{
    struct needs needs = {.count = 7};
    struct problem problem = {.text = ""};

    cr_assert_eq(needs_parse(row->text, &needs, &problem), -EINVAL);
    cr_assert_not_null(strstr(problem.text, row->why), "%s", problem.text);
    cr_assert_not_null(strstr(problem.text, row->text), "the text is named: %s", problem.text);
    cr_assert_eq(needs.count, 7, "nothing is written");
}

Test(needs, are_at_most_sixteen)
{
    char text[128] = "";
    struct needs needs;

    for (char c = 'a'; c < 'a' + NEEDS_ITEMS_MAX; c++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%c", c != 'a' ? "," : "", c);
    cr_assert_eq(needs_parse(text, &needs, NULL), 0);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), ",z");
    cr_assert_eq(needs_parse(text, &needs, NULL), -EINVAL);
}
