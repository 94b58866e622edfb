#include "cli/template.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct row {
    char words[5][40]; /* the command; "" ends it */
    char first[24];    /* values of the item */
    char second[24];   /* "": there is none */
    char filled[64];   /* words joined by | */
    char shown[64];
};

static size_t count_words(struct row *row, char **words)
{
    size_t count = 0;

    while (count < COUNT_OF(row->words) && row->words[count][0] != '\0') {
        words[count] = row->words[count];
        count++;
    }
    return count;
}

static void fill(struct row *row, struct template *template, struct words *out)
{
    char *words[COUNT_OF(row->words)];
    const struct input_item item = {
        .values = {row->first, row->second},
        .count = row->second[0] != '\0' ? 2 : 1,
    };

    template_init(template, words, count_words(row, words));
    cr_assert_eq(template_fill(template, &item, 7, out), 0);
}

static void assert_filled(struct row *row)
{
    struct template template;
    struct words words;
    struct blob *shown = blob_new(0);
    char joined[128] = "";

    fill(row, &template, &words);
    for (size_t i = 0; words.at[i] != NULL; i++) {
        strcat(joined, i > 0 ? "|" : "");
        strcat(joined, words.at[i]);
    }
    cr_assert_str_eq(joined, row->filled);
    cr_assert_null(words.at[words.count]);
    if (row->shown[0] != '\0') {
        cr_assert_eq(template_show(&template, &words, shown), 0);
        cr_assert_eq(shown->size, strlen(row->shown), "%.*s", (int)shown->size, shown->data);
        cr_assert_arr_eq(shown->data, row->shown, shown->size);
    }
    blob_unref(shown);
    words_fini(&words);
}

ParameterizedTestParameters(template, puts_the_argument_where_it_belongs)
{
    static struct row rows[] = {
        {{"echo"}, "A B", "", "echo|A B", "echo 'A B'"},
        {{"echo", "{}"}, "A B", "", "echo|A B", ""},
        {{"echo", "x{}y{}"}, "A B", "", "echo|xA ByA B", ""},
        {{"{}"}, "A", "", "A", ""},
        {{"echo", "{", "}"}, "A", "", "echo|{|}|A", "echo '{' '}' A"},
        {{"echo", "{}{}", "{}"}, "A", "", "echo|AA|A", ""},
        {{"echo", "{{}}{x}{"}, "A", "", "echo|{A}{x}{", ""},
        {{"echo", "{}"}, "", "", "echo|", "echo ''"},
        {{"echo", "{#}:{}"}, "A", "", "echo|7:A", ""},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, template, puts_the_argument_where_it_belongs)
{
    assert_filled(row);
}

ParameterizedTestParameters(template, takes_a_path_apart)
{
    static struct row rows[] = {
        {{"e", "{.}", "{/}", "{//}", "{/.}"}, "a/b.c.gz", "", "e|a/b.c|b.c.gz|a|b.c", ""},
        {{"e", "{.}", "{/}", "{//}"}, "plain", "", "e|plain|plain|.", ""},
        {{"e", "{.}", "{/}", "{//}"}, "/top", "", "e|/top|top|/", ""},
        {{"e", "{.}", "{/.}"}, "a.d/b", "", "e|a.d/b|b", ""},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, template, takes_a_path_apart)
{
    assert_filled(row);
}

ParameterizedTestParameters(template, names_the_lists)
{
    static struct row rows[] = {
        {{"e"}, "A", "B", "e|A|B", ""},
        {{"e", "{}"}, "A", "B", "e|A|B", ""},
        {{"e", "<{}>"}, "A", "B", "e|<A B>", ""},
        {{"e", "{2}{1}"}, "A", "B", "e|BA", ""},
        {{"e", "{2/.}"}, "A", "b/c.d", "e|c", ""},
        {{"e", "{1#}{0}"}, "A", "B", "e|{1#}{0}|A|B", ""},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, template, names_the_lists)
{
    assert_filled(row);
}

ParameterizedTestParameters(template, quotes_for_the_shell_when_it_is_one_line)
{
    static struct row rows[] = {
        {{"echo {}; hostname"}, "A", "", "sh|-c|echo A; hostname", "echo A; hostname"},
        {{"echo {} >x"}, "$(rm) 'x'", "", "sh|-c|echo '$(rm) '\\''x'\\''' >x", ""},
        {{"echo x"}, "A", "B;", "sh|-c|echo x A 'B;'", "echo x A 'B;'"},
        {{"echo {}"}, "a\nb", "", "sh|-c|echo 'a\nb'", "sh -c $'echo \\'a\\nb\\''"},
        {{"echo {//}"}, "a b/c", "", "sh|-c|echo 'a b'", ""},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, template, quotes_for_the_shell_when_it_is_one_line)
{
    assert_filled(row);
}

Test(template, knows_the_highest_list_it_asks_for)
{
    char *words[] = {"echo", "{1}{#}", "{3/}"};
    struct template template;

    template_init(&template, words, COUNT_OF(words));
    cr_assert_eq(template.highest, 3);
}
