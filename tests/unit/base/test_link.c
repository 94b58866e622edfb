/* Two ends of a link and the frames between them, which the tests lose, repeat and reorder. */
#include "base/link.h"

#include <criterion/criterion.h>

struct ends {
    struct link near;
    struct link far;
};

static struct ends given_ends(void)
{
    struct ends ends;

    link_init(&ends.near, 9);
    link_init(&ends.far, 9);
    return ends;
}

static void finish(struct ends *ends)
{
    link_fini(&ends->near);
    link_fini(&ends->far);
}

/* Push a frame with `tag` as its count, so that the receiver can tell frames apart. */
static struct blob *push(struct link *link, uint32_t tag)
{
    struct blob *frame = wire_frame_new(WIRE_TASKS, link->id, 0);

    cr_assert_not_null(frame);
    wire_frame_add_count(frame, tag);
    cr_assert_eq(link_push(link, frame), 0);
    blob_unref(frame); /* the link keeps its own reference */
    return link_kept(link, link->sent);
}

static enum link_verdict carry(struct link *to, struct blob *frame)
{
    enum link_verdict verdict = LINK_GAP;
    struct wire_header header;
    struct wire_cursor body;

    cr_assert_eq(wire_frame_read(frame->data, frame->size, &header, &body), 0);
    cr_assert_eq(link_receive(to, &header, frame->size, &verdict), 0);
    return verdict;
}

static void carry_ack(struct link *from, struct link *to)
{
    struct blob *ack CLEANUP(blob_unref_p) = link_ack(from, false);

    cr_assert_eq(carry(to, ack), LINK_DELIVER);
}

Test(link, delivers_in_order_and_forgets_what_is_acknowledged)
{
    struct ends ends = given_ends();

    for (uint32_t tag = 1; tag <= 100; tag++)
        cr_assert_eq(carry(&ends.far, push(&ends.near, tag)), LINK_DELIVER);
    cr_assert_eq(link_unacked(&ends.near), 100);
    carry_ack(&ends.far, &ends.near);
    cr_assert_eq(link_unacked(&ends.near), 0);
    cr_assert_eq(ends.near.kept_bytes, 0);
    cr_assert_null(link_kept(&ends.near, 100));
    finish(&ends);
}

Test(link, ignores_a_frame_that_comes_twice)
{
    struct ends ends = given_ends();
    struct blob *frame = push(&ends.near, 1);

    cr_assert_eq(carry(&ends.far, frame), LINK_DELIVER);
    cr_assert_eq(carry(&ends.far, frame), LINK_DUPLICATE);
    finish(&ends);
}

Test(link, asks_once_for_a_gap_and_takes_the_rest_in_order)
{
    struct ends ends = given_ends();
    struct blob *lost = push(&ends.near, 1);
    struct blob *second = push(&ends.near, 2);
    struct blob *third = push(&ends.near, 3);

    cr_assert_eq(carry(&ends.far, second), LINK_GAP);
    cr_assert_eq(carry(&ends.far, third), LINK_GAP_TOLD);
    cr_assert_eq(carry(&ends.far, lost), LINK_DELIVER);
    cr_assert_eq(carry(&ends.far, second), LINK_DELIVER);
    cr_assert_eq(carry(&ends.far, third), LINK_DELIVER);
    finish(&ends);
}

Test(link, learns_from_a_ping_that_the_last_frame_was_lost)
{
    struct ends ends = given_ends();
    struct blob *ping CLEANUP(blob_unref_p) = NULL;
    struct wire_header header;
    struct wire_cursor body;
    struct wire_ping record;

    push(&ends.near, 1);
    ping = link_ping(&ends.near, 77);
    cr_assert_eq(carry(&ends.far, ping), LINK_DELIVER);
    cr_assert_eq(wire_frame_read(ping->data, ping->size, &header, &body), 0);
    cr_assert_eq(wire_get_ping(&body, &record), 0);
    cr_assert_eq(record.clock, 77);
    cr_assert(link_lags(&ends.far, &record));
    cr_assert_eq(carry(&ends.far, link_kept(&ends.near, 1)), LINK_DELIVER);
    cr_assert_not(link_lags(&ends.far, &record));
    finish(&ends);
}

Test(link, owes_an_ack_after_many_frames_or_many_bytes)
{
    struct ends ends = given_ends();

    for (uint32_t tag = 1; tag < 16; tag++)
        carry(&ends.far, push(&ends.near, tag));
    cr_assert_not(link_owes_ack(&ends.far));
    carry(&ends.far, push(&ends.near, 16));
    cr_assert(link_owes_ack(&ends.far));
    push(&ends.far, 1); /* any outgoing frame acknowledges */
    cr_assert_not(link_owes_ack(&ends.far));
    finish(&ends);
}

Test(link, refuses_an_ack_of_what_was_never_sent)
{
    struct ends ends = given_ends();
    enum link_verdict verdict = LINK_GAP;
    const struct wire_header header = {.type = WIRE_ACK, .link = 9, .ack = 1};

    cr_assert_eq(link_receive(&ends.near, &header, WIRE_HEADER_BYTES, &verdict), -EPROTO);
    finish(&ends);
}

/* Loss of any single frame of ten, repaired by one resend, delivers all ten once. */
Test(link, repairs_the_loss_of_any_one_frame)
{
    for (uint64_t lost = 1; lost <= 10; lost++) {
        struct ends ends = given_ends();
        uint32_t delivered = 0;

        for (uint32_t tag = 1; tag <= 10; tag++)
            push(&ends.near, tag);
        for (int pass = 0; pass < 2; pass++) {
            for (uint64_t seq = ends.near.acked + 1; seq <= ends.near.sent; seq++) {
                if (pass == 0 && seq == lost)
                    continue;
                if (carry(&ends.far, link_kept(&ends.near, seq)) == LINK_DELIVER)
                    delivered++;
            }
            carry_ack(&ends.far, &ends.near);
        }
        cr_assert_eq(delivered, 10, "lost frame %d", (int)lost);
        cr_assert_eq(link_unacked(&ends.near), 0);
        finish(&ends);
    }
}
