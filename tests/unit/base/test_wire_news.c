/* What is told of a task while it runs, on the wire and within a host. */
#include "base/channel.h"
#include "base/wire.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static struct wire_bytes view(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

static struct wire_bytes all_of(const struct blob *b, size_t size)
{
    return (struct wire_bytes){b->data, size};
}

Test(wire_news, read_back_what_was_written)
{
    struct blob *progress CLEANUP(blob_unref_p) = blob_new(0);
    struct blob *partial CLEANUP(blob_unref_p) = blob_new(0);
    struct blob *ms CLEANUP(blob_unref_p) = blob_new(0);
    struct wire_progress progress_read;
    struct wire_partial partial_read;
    uint32_t ms_read = 0;

    cr_assert_eq(wire_put_progress(progress, &(struct wire_progress){3, UINT64_MAX}), 0);
    cr_assert_eq(progress->size, WIRE_PROGRESS_BYTES);
    cr_assert_eq(wire_get_progress(all_of(progress, progress->size), &progress_read), 0);
    cr_assert(progress_read.done == 3 && progress_read.total == UINT64_MAX);
    cr_assert_eq(wire_put_partial(partial, &(struct wire_partial){7, view("abc")}), 0);
    cr_assert_eq(wire_get_partial(all_of(partial, partial->size), &partial_read), 0);
    cr_assert_eq(partial_read.index, 7);
    cr_assert_eq(partial_read.bytes.size, 3);
    cr_assert_arr_eq(partial_read.bytes.data, "abc", 3);
    cr_assert_eq(wire_put_running_ms(ms, WIRE_NOT_RUNNING), 0);
    cr_assert_eq(wire_get_running_ms(all_of(ms, ms->size), &ms_read), 0);
    cr_assert_eq(ms_read, WIRE_NOT_RUNNING);
}

Test(wire_news, refuse_every_truncation_and_what_is_too_long)
{
    static const uint8_t bytes[WIRE_PARTIAL_MAX + 5];
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    struct wire_progress progress;
    struct wire_partial partial;
    uint32_t ms = 0;

    cr_assert_eq(wire_put_progress(b, &(struct wire_progress){1, 2}), 0);
    for (size_t size = 0; size < b->size; size++)
        cr_assert_eq(wire_get_progress(all_of(b, size), &progress), -EPROTO);
    for (size_t size = 0; size < 4; size++) {
        cr_assert_eq(wire_get_partial(all_of(b, size), &partial), -EPROTO);
        cr_assert_eq(wire_get_running_ms(all_of(b, size), &ms), -EPROTO);
    }
    cr_assert_eq(wire_get_running_ms(all_of(b, 5), &ms), -EPROTO);
    cr_assert_eq(wire_get_partial((struct wire_bytes){bytes, 4 + WIRE_PARTIAL_MAX}, &partial), 0);
    cr_assert_eq(wire_get_partial((struct wire_bytes){bytes, 5 + WIRE_PARTIAL_MAX}, &partial),
                 -EPROTO);
}

Test(wire_news, list_a_running_task_and_refuse_every_truncation_of_it)
{
    struct blob *b CLEANUP(blob_unref_p) = blob_new(0);
    const struct wire_running task = {
        .id = 5,
        .run_ms = 1000,
        .progress = {1, 4},
        .attempt = 2,
        .parked = true,
        .function = view("f"),
        .program = view("p"),
        .client = view("c"),
        .host = view("h"),
    };
    struct wire_running read;

    cr_assert_eq(wire_put_running(b, &task), 0);
    struct wire_cursor c = {.at = b->data, .end = b->data + b->size};
    cr_assert_eq(wire_get_running(&c, &read), 0);
    cr_assert_eq(wire_read_ok(&c), 0);
    cr_assert(read.id == 5 && read.run_ms == 1000 && read.attempt == 2 && read.parked);
    cr_assert(read.progress.done == 1 && read.progress.total == 4);
    cr_assert(*read.function.data == 'f' && *read.program.data == 'p' && *read.client.data == 'c' &&
              *read.host.data == 'h');
    for (size_t size = 0; size < b->size; size++) {
        c = (struct wire_cursor){.at = b->data, .end = b->data + size};
        cr_assert_eq(wire_get_running(&c, &read), -EPROTO);
    }
}

Test(channel, shows_the_progress_of_the_task_that_said_it_and_of_no_other)
{
    struct channel channel;
    struct channel_progress seen = {0};
    int fd = -1;

    cr_assert_eq(channel_file(65536, &fd), 0);
    cr_assert_eq(channel_map(&channel, fd), 0);
    close(fd);
    cr_assert_not(channel_see_progress(&channel, 0, &seen), "nobody has said anything");
    channel_say_progress(&channel, 7, (struct channel_progress){1, 4});
    channel_say_progress(&channel, 7, (struct channel_progress){2, 4});
    cr_assert_not(channel_see_progress(&channel, 6, &seen));
    cr_assert(channel_see_progress(&channel, 7, &seen));
    cr_assert(seen.done == 2 && seen.total == 4);
    atomic_fetch_add(&channel.shared->progress.turn, 1);
    cr_assert_not(channel_see_progress(&channel, 7, &seen), "it is being written");
    channel_say_progress(&channel, 8, (struct channel_progress){3, 4});
    cr_assert(channel_see_progress(&channel, 8, &seen));
    channel_unmap(&channel);
}
