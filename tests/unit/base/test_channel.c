#include "base/channel.h"

#include <criterion/criterion.h>

#define SECOND_US ((int64_t)1000000)

Test(channel, a_stamp_tells_the_end_to_who_collects_within_eight_seconds)
{
    const int64_t delays_us[] = {0, 1, 65536, 3 * SECOND_US, 8 * SECOND_US};

    for (int64_t end_us = SECOND_US; end_us < 40 * SECOND_US; end_us += 777778) {
        struct channel_outcome head = {.outcome = WIRE_FAILED};

        channel_stamp(&head, end_us);
        cr_assert_eq(channel_kind(&head), WIRE_FAILED);
        for (size_t i = 0; i < sizeof(delays_us) / sizeof(*delays_us); i++)
            cr_assert_eq(channel_ended_us(&head, end_us + delays_us[i]), end_us, "end %lld",
                         (long long)end_us);
    }
}

Test(channel, a_stamp_leaves_the_mark_of_a_final_failure_alone)
{
    struct channel_outcome head = {.outcome = WIRE_FAILED};

    channel_stamp(&head, 12345679);
    cr_assert_eq(head.flags & CHANNEL_FINAL, 0);
    head.flags |= CHANNEL_FINAL;
    cr_assert_eq(channel_ended_us(&head, 12345700), 12345679);
}

Test(channel, a_result_that_moved_tells_its_end_within_65_milliseconds)
{
    struct channel_outcome head = {.outcome = WIRE_OK};

    channel_stamp(&head, 12345678);
    head.outcome = CHANNEL_MOVED;
    cr_assert_eq(channel_kind(&head), CHANNEL_MOVED);
    cr_assert_eq(channel_ended_us(&head, 12345678 + 65534), 12345678);
}
