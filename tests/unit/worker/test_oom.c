#include "worker/oom.h"

#include "base/err.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What /proc/self/cgroup says, and the file below /sys/fs/cgroup that counts; %d is the number. */
struct oom_case {
    char name[40];
    char groups[160];
    char file[64];
    char text[96];
};

static void
write_file(const char *root, const char *below, const char *name, const char *text, int number)
{
    char path[512];

    snprintf(path, sizeof(path), "%s%s/%s", root, below, name);
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *const file = fopen(path, "we");
    cr_assert_not_null(file, "%s", path);
    const char *const mark = strstr(text, "%d");
    if (mark == NULL)
        fputs(text, file);
    else
        fprintf(file, "%.*s%d%s", (int)(mark - text), text, number, mark + 2);
    fclose(file);
}

static void remove_tree(const char *root)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", root);
    cr_assert_eq(system(command), 0);
}

ParameterizedTestParameters(oom, counts_each_end_by_the_kernel_once)
{
    static struct oom_case cases[] = {
        {"version 2", "0::/a\n", "a/memory.events", "low 0\nmax 9\noom 4\noom_kill %d\n"},
        {"mounted at the root", "0::/docker/7f\n", "memory.events", "oom 4\noom_kill %d\n"},
        {"version 1", "9:cpu:/\n4:memory:/x\n0::/\n", "memory/x/memory.oom_control",
         "oom_kill_disable 0\nunder_oom 0\noom_kill %d\n"},
    };
    return cr_make_param_array(struct oom_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct oom_case *c, oom, counts_each_end_by_the_kernel_once)
{
    char root[] = "/tmp/scoop-oom-XXXXXX";
    struct oom oom;

    cr_assert_not_null(mkdtemp(root));
    write_file(root, "/proc/self", "cgroup", c->groups, 0);
    write_file(root, "/sys/fs/cgroup", c->file, c->text, 3);
    oom_open(&oom, root);
    cr_assert_not(oom_took_one(&oom), "%s: those before are not ours", c->name);
    write_file(root, "/sys/fs/cgroup", c->file, c->text, 5);
    cr_assert(oom_took_one(&oom), "%s", c->name);
    cr_assert(oom_took_one(&oom), "%s", c->name);
    cr_assert_not(oom_took_one(&oom), "%s: there were two", c->name);
    oom_close(&oom);
    remove_tree(root);
}

Test(oom, is_unknown_where_nothing_counts)
{
    char root[] = "/tmp/scoop-oom-XXXXXX";
    struct oom oom;

    cr_assert_not_null(mkdtemp(root));
    write_file(root, "/proc/self", "cgroup", "0::/\n", 0);
    write_file(root, "/sys/fs/cgroup", "memory.events", "oom_kill_of_others 7\n", 0);
    oom_open(&oom, root);
    cr_assert_eq(oom.fd, -1);
    cr_assert_not(oom_took_one(&oom));
    oom_close(&oom);
    remove_tree(root);
}
