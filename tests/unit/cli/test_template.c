#include "base/command.h"
#include "cli/template.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

struct row {
    char words[3][24]; /* the command; "" ends it */
    char filled[48];   /* with the argument "A B", words joined by | */
};

ParameterizedTestParameters(template, puts_the_argument_where_it_belongs)
{
    static struct row rows[] = {
        {{"echo"}, "echo|A B"},
        {{"echo", "{}"}, "echo|A B"},
        {{"echo", "x{}y{}"}, "echo|xA ByA B"},
        {{"{}"}, "A B"},
        {{"echo", "{", "}"}, "echo|{|}|A B"},
        {{"echo", "{}{}", "{}"}, "echo|A BA B|A B"},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, template, puts_the_argument_where_it_belongs)
{
    char *words[3];
    char joined[64] = "";
    char **filled = NULL;
    struct template template;
    struct blob *argument = blob_new(0);
    size_t count = 0;

    while (count < 3 && row->words[count][0] != '\0') {
        words[count] = row->words[count];
        count++;
    }
    template_init(&template, words, count);
    cr_assert_eq(template_fill(&template, "A B", argument), 0);
    cr_assert_eq(command_get_words(argument->data, argument->size, &filled), 0);
    for (size_t i = 0; filled[i] != NULL; i++) {
        strcat(joined, i > 0 ? "|" : "");
        strcat(joined, filled[i]);
    }
    cr_assert_str_eq(joined, row->filled);
    free(filled);
    blob_unref(argument);
}
