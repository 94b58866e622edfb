#include "base/crc32c.h"

#include <criterion/criterion.h>
#include <string.h>

/* RFC 3720, section B.4, and the check value of the polynomial's catalogue entry. */
Test(crc32c, of_the_published_examples_is_as_published)
{
    uint8_t bytes[32];

    cr_assert_eq(crc32c("123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    cr_assert_eq(crc32c(bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    cr_assert_eq(crc32c(bytes, sizeof(bytes)), 0x62a8ab43);
    for (uint8_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = i;
    cr_assert_eq(crc32c(bytes, sizeof(bytes)), 0x46dd794e);
    cr_assert_eq(crc32c("", 0), 0);
}
