#include "libscoop/function.h"

#include <criterion/criterion.h>

Test(function, is_found_by_its_whole_name_only)
{
    static struct scoop_function absolute = {.name = "absolute"};
    static struct scoop_function other = {.name = "abs"};

    function_register(&absolute);
    function_register(&other);
    cr_assert_eq(function_find("absolute", 8), &absolute);
    cr_assert_eq(function_find("abs", 3), &other);
    cr_assert_null(function_find("absolut", 7));
    cr_assert_null(function_find("", 0));
}

Test(function, ends_the_program_when_a_name_is_taken, .exit_code = 2)
{
    static struct scoop_function one = {.name = "same"};
    static struct scoop_function two = {.name = "same"};

    function_register(&one);
    function_register(&two);
}
