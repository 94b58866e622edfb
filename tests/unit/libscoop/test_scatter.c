/* Values in a process that computes serially, and what of them is lent. */
#include "libscoop/scatter.h"

#include "libscoop/include/scoop.h"

#include <criterion/criterion.h>
#include <string.h>

static const char bytes[] = "0123456789";

static void before(void)
{
    scoop_init(NULL, NULL);
}

TestSuite(scatter, .init = before);

/* As an agent asks for it. */
static size_t
lend(struct scoop_ref ref, uint64_t offset, uint8_t *data, size_t size, uint64_t *total)
{
    struct wire_cargo cargo = {.what = WIRE_WHAT_VALUE, .offset = offset};
    struct blob *key CLEANUP(blob_unref_p) = blob_new(16);
    const char *why = NULL;

    wire_put_u64(key, ref.id[0]);
    wire_put_u64(key, ref.id[1]);
    memcpy(cargo.key, key->data, 16);
    const size_t lent = scattered_lend(NULL, &cargo, data, size, total, &why);
    if (lent == 0)
        cr_assert_str_eq(why, "its program has freed it, or never had it");
    return lent;
}

Test(scatter, lends_a_value_up_to_its_end)
{
    const struct scoop_ref ref = scoop_scatter(NULL, bytes, 10);
    uint8_t data[10];
    uint64_t total = 0;

    cr_assert_eq(ref.size, 10);
    cr_assert_eq(lend(ref, 3, data, 4, &total), 4);
    cr_assert_arr_eq(data, "3456", 4);
    cr_assert_eq(total, 10);
    cr_assert_eq(lend(ref, 7, data, 10, &total), 3);
    cr_assert_arr_eq(data, "789", 3);
    cr_assert_eq(lend(ref, 10, data, 10, &total), 0);
    cr_assert_eq(scoop_unscatter(NULL, ref), SCOOP_OK);
    cr_assert_eq(lend(ref, 0, data, 10, &total), 0, "it was freed");
    cr_assert_eq(scoop_unscatter(NULL, ref), SCOOP_REFUSED);
}

Test(scatter, copies_nothing_where_it_is_read_at_home)
{
    const struct scoop_ref first = scoop_scatter(NULL, bytes, 10);
    const struct scoop_ref second = scoop_scatter(NULL, bytes, 10);
    struct scoop_bytes read;
    size_t count = 0;

    cr_assert_neq(memcmp(&first, &second, sizeof(first)), 0, "each is a value of its own");
    cr_assert_eq(scoop_scattered(NULL, first, &read), SCOOP_OK);
    cr_assert_eq(read.data, bytes);
    cr_assert_eq(read.size, 10);
    cr_assert_eq(SCOOP_SCATTERED(char, second, &count), bytes);
    cr_assert_eq(count, 10);
    cr_assert_null(SCOOP_SCATTERED(int, second, &count));
    cr_assert_eq(scoop_unscatter(NULL, first), SCOOP_OK);
    cr_assert_eq(scoop_unscatter(NULL, second), SCOOP_OK);
}
