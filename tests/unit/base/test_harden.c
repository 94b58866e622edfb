#include "base/harden.h"

#include <criterion/criterion.h>
#include <sys/prctl.h>
#include <sys/resource.h>

Test(harden, refuses_root_only_inside_an_image_of_ours)
{
    cr_assert(harden_refuses(0, "/dev/null"));
    cr_assert_not(harden_refuses(10001, "/dev/null"));
    cr_assert_not(harden_refuses(0, "/nowhere/scoop-image"));
}

Test(harden, gives_up_privileges_and_core_files)
{
    struct problem problem = {0};
    struct rlimit core = {0};

    cr_assert_eq(harden_process(&problem), 0, "%s", problem.text);
    cr_assert_eq(prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL), 1);
    cr_assert_eq(getrlimit(RLIMIT_CORE, &core), 0);
    cr_assert_eq(core.rlim_max, 0);
}
