#include "base/hostlist.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

static struct hostlist list;
static struct problem problem;

static void finish(void)
{
    hostlist_fini(&list);
}

TestSuite(hostlist, .fini = finish);

struct row {
    char text[80];
    char tasks[24];     /* of SLURM; "": none */
    char expected[128]; /* the list as it is written, or a part of the problem */
};

static void assert_list(int result, const char *expected)
{
    struct blob *text = blob_new(0);

    cr_assert_eq(result, 0, "%s", problem.text);
    cr_assert_eq(hostlist_write(&list, text), 0);
    cr_assert_eq(text->size, strlen(expected), "%.*s", (int)text->size, text->data);
    cr_assert_arr_eq(text->data, expected, text->size);
    blob_unref(text);
}

static void assert_refused(int result, const char *expected)
{
    cr_assert_eq(result, -EINVAL);
    cr_assert_not_null(strstr(problem.text, expected), "%s", problem.text);
}

ParameterizedTestParameters(hostlist, reads_names_numbers_and_ranges)
{
    static struct row rows[] = {
        {"a", "", "a"},
        {"a:2,b:4,c", "", "a:2,b:4,c"},
        {"me@a.b-c_d:3", "", "me@a.b-c_d:3"},
        {"red[00-04]", "", "red00,red01,red02,red03,red04"},
        {"red[8-11]:2", "", "red8:2,red9:2,red10:2,red11:2"},
        {"r[1,3-4,09].x,b", "", "r1.x,r3.x,r4.x,r09.x,b"},
        {"r[1-2]n[0-1]", "", "r1n0,r1n1,r2n0,r2n1"},
        {"a:2,b,a:3", "", "a:5,b"},
        {"a:2,a", "", "a"},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, hostlist, reads_names_numbers_and_ranges)
{
    assert_list(hostlist_add(&list, row->text, &problem), row->expected);
}

ParameterizedTestParameters(hostlist, refuses_what_is_no_host_and_names_it)
{
    static struct row rows[] = {
        {"", "", "\"\" is not a host"},
        {"a,", "", "\"\" is not a host"},
        {"a:0", "", "\"a:0\" is not a host: HOST, HOST:NUMBER"},
        {"a:1025", "", "1 to 1024"},
        {"a:x", "", "\"a:x\""},
        {"-oProxyCommand=x", "", "\"-oProxyCommand=x\""},
        {"a b", "", "\"a b\""},
        {"a;b", "", "\"a;b\""},
        {"r[1-", "", "\"r[1-\""},
        {"r[]", "", "\"r[]\""},
        {"r[2-1]", "", "\"r[2-1]\""},
        {"r[1-2", "", "\"r[1-2\""},
        {"r[0-99999]", "", "\"r[0-99999]\""},
        {"r[0-9999999999]", "", "\"r[0-9999999999]\""},
        {"[1-2][1-2][1-2][1-2][1-2]", "", "is not a host"},
        {"a:1000,a:1000", "", "more than 1024 tasks on a"},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, hostlist, refuses_what_is_no_host_and_names_it)
{
    assert_refused(hostlist_add(&list, row->text, &problem), row->expected);
}

Test(hostlist, has_a_limit)
{
    cr_assert_eq(hostlist_add(&list, "r[0-1023]", &problem), 0);
    cr_assert_eq(list.count, HOSTLIST_MAX);
    cr_assert_eq(hostlist_add(&list, "one", &problem), -E2BIG);
    cr_assert_not_null(strstr(problem.text, "\"one\": more than 1024 hosts"));
}

Test(hostlist, counts_what_brackets_repeat)
{
    /* 20 * 20 * 20 * 20 times the same host: more of them took longer than anybody waits. */
    static const char ones[] = "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]";
    char text[4 * sizeof(ones) + 2];

    snprintf(text, sizeof(text), "r%s%s%s%s", ones, ones, ones, ones);
    cr_assert_eq(hostlist_add(&list, text, &problem), -E2BIG);
    cr_assert_not_null(strstr(problem.text, "more than 1024 hosts"), "%s", problem.text);
}

Test(hostlist, refuses_a_name_that_is_too_long)
{
    char name[HOSTLIST_NAME_MAX + 16];

    memset(name, 'x', HOSTLIST_NAME_MAX);
    name[HOSTLIST_NAME_MAX] = '\0';
    cr_assert_eq(hostlist_add(&list, name, &problem), -EINVAL);
    memcpy(name + HOSTLIST_NAME_MAX - 3, "[10]", 5);
    cr_assert_eq(hostlist_add(&list, name, &problem), 0, "%s", problem.text);
    memcpy(name + HOSTLIST_NAME_MAX - 3, "[100]", 6);
    cr_assert_eq(hostlist_add(&list, name, &problem), -EINVAL);
}

Test(hostlist, reads_a_host_file)
{
    assert_list(hostlist_add_file(&list, "# ours\na 2\n\n  b\nc:3 # big\r\nred[1-2] 4", &problem),
                "a:2,b,c:3,red1:4,red2:4");
}

ParameterizedTestParameters(hostlist, refuses_a_host_file_that_is_none)
{
    static struct row rows[] = {
        {"", "", "no host in it"},
        {"# a\n\n", "", "no host in it"},
        {"a 2 3\n", "", "\"a\" is not a host"},
        {"a zwei\n", "", "\"a\" is not a host"},
        {"/etc/passwd\n", "", "\"/etc/passwd\" is not a host"},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, hostlist, refuses_a_host_file_that_is_none)
{
    assert_refused(hostlist_add_file(&list, row->text, &problem), row->expected);
}

Test(hostlist, of_pbs_counts_the_lines_of_each_host)
{
    assert_list(hostlist_add_nodes(&list, "a\na\nb\na\n", &problem), "a:3,b:1");
}

ParameterizedTestParameters(hostlist, of_slurm_gives_each_node_its_tasks)
{
    static struct row rows[] = {
        {"n[1-4]", "2(x3),1", "n1:2,n2:2,n3:2,n4:1"},
        {"n[1-2],m", "8", ""},
        {"n1", "", "n1"},
        {"n1", "4(x1)", "n1:4"},
    };
    return cr_make_param_array(struct row, rows, COUNT_OF(rows));
}

ParameterizedTest(struct row *row, hostlist, of_slurm_gives_each_node_its_tasks)
{
    const char *tasks = row->tasks[0] != '\0' ? row->tasks : NULL;
    const int result = hostlist_add_slurm(&list, row->text, tasks, &problem);

    if (row->expected[0] != '\0')
        assert_list(result, row->expected);
    else
        assert_refused(result, "there are 3 nodes, and tasks for 1 of them");
}

Test(hostlist, of_slurm_refuses_numbers_that_are_none)
{
    assert_refused(hostlist_add_slurm(&list, "a", "2(x", &problem), "\"2\" is not a number");
    assert_refused(hostlist_add_slurm(&list, "a", "0", &problem), "\"0\" is not a number");
    assert_refused(hostlist_add_slurm(&list, "a", "2(x0)", &problem), "is not a number");
}
