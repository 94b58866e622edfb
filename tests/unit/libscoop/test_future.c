/* What a future costs. */
#include "libscoop/future.h"
#include "libscoop/ledger.h"

#include <criterion/criterion.h>

/* Of the allocator, for each block. */
#define OVERHEAD (2 * sizeof(size_t))

Test(future, takes_at_most_300_bytes_with_a_number_in_and_one_out)
{
    const size_t numbers = 2 * sizeof(uint64_t);

    cr_assert_leq(sizeof(struct scoop_future) + numbers + OVERHEAD + sizeof(struct ledger_entry),
                  300);
}
