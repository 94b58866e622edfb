#include "base/identity.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

Test(identity, is_base_name_and_sha256)
{
    char path[] = "/tmp/scoop-identity-XXXXXX";
    const int fd = mkstemp(path);
    struct identity identity;
    char text[13];

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "abc", 3), 3);
    close(fd);
    cr_assert_eq(identity_read(path, &identity), 0);
    unlink(path);
    cr_assert_str_eq(identity.name, path + 5);
    /* FIPS 180-4, the example "abc". */
    cr_assert_str_eq(identity_short(identity.sha256, text), "ba7816bf8f01");
}

Test(identity, of_a_missing_file_is_its_errno)
{
    struct identity identity;

    cr_assert_eq(identity_read("/nonexistent/program", &identity), -ENOENT);
}

Test(identity, of_this_process_has_its_name)
{
    struct identity identity;

    cr_assert_eq(identity_self(&identity), 0);
    cr_assert_str_eq(identity.name, "test_base");
}
