#include "base/ring.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAPACITY 65536 /* a multiple of every page size in use */

struct pair {
    int fd;
    struct ring writer;
    struct ring reader;
};

static struct pair given_a_ring(void)
{
    struct pair p = {.fd = -1};

    cr_assert_eq(ring_file(ring_bytes(CAPACITY), &p.fd), 0);
    cr_assert_eq(ring_map(&p.writer, p.fd, 0, CAPACITY), 0);
    cr_assert_eq(ring_map(&p.reader, p.fd, 0, CAPACITY), 0);
    return p;
}

static void after(struct pair *p)
{
    ring_unmap(&p->writer);
    ring_unmap(&p->reader);
    close(p->fd);
}

static bool put(struct ring *ring, const void *data, size_t size)
{
    memcpy(ring_put_at(ring), data, size);
    ring_put(ring, size);
    return ring_publish(ring);
}

static size_t ready(struct ring *ring)
{
    size_t size = 0;

    cr_assert_eq(ring_ready(ring, &size), 0);
    return size;
}

static size_t room(struct ring *ring)
{
    size_t size = 0;

    cr_assert_eq(ring_room(ring, &size), 0);
    return size;
}

Test(ring, shows_what_is_put_only_when_it_is_published)
{
    struct pair p = given_a_ring();

    memcpy(ring_put_at(&p.writer), "hello", 5);
    ring_put(&p.writer, 5);
    cr_assert_eq(ready(&p.reader), 0);
    cr_assert_not(ring_publish(&p.writer));
    cr_assert_eq(ready(&p.reader), 5);
    cr_assert_arr_eq(ring_take_at(&p.reader), "hello", 5);
    after(&p);
}

Test(ring, keeps_a_record_contiguous_across_its_end)
{
    struct pair p = given_a_ring();
    char record[1000];

    for (int round = 0; round < 200; round++) {
        memset(record, round, sizeof(record));
        put(&p.writer, record, sizeof(record));
        cr_assert_eq(ready(&p.reader), sizeof(record));
        cr_assert_arr_eq(ring_take_at(&p.reader), record, sizeof(record));
        ring_take(&p.reader, sizeof(record));
        cr_assert_not(ring_release(&p.reader));
    }
    after(&p);
}

Test(ring, has_room_for_its_capacity_and_not_a_byte_more)
{
    struct pair p = given_a_ring();

    cr_assert_eq(room(&p.writer), CAPACITY);
    ring_put(&p.writer, CAPACITY);
    cr_assert_not(ring_publish(&p.writer));
    cr_assert_eq(room(&p.writer), 0);
    cr_assert_eq(ready(&p.reader), CAPACITY);
    ring_take(&p.reader, 10);
    cr_assert_eq(room(&p.writer), 0, "room comes with ring_release");
    cr_assert_not(ring_release(&p.reader));
    cr_assert_eq(room(&p.writer), 10);
    after(&p);
}

Test(ring, asks_for_one_ring_of_the_bell_for_each_time_it_parks)
{
    struct pair p = given_a_ring();

    cr_assert_eq(ready(&p.reader), 0);
    cr_assert(ring_park_reader(&p.reader));
    cr_assert(put(&p.writer, "a", 1));
    cr_assert_not(put(&p.writer, "b", 1));
    cr_assert_not(ring_park_reader(&p.reader), "there is something to read");
    cr_assert_not(put(&p.writer, "c", 1), "the flag is down again");
    after(&p);
}

Test(ring, wakes_a_writer_that_waits_for_room)
{
    struct pair p = given_a_ring();

    ring_put(&p.writer, CAPACITY);
    cr_assert_not(ring_publish(&p.writer));
    cr_assert_eq(room(&p.writer), 0);
    cr_assert(ring_park_writer(&p.writer));
    ring_take(&p.reader, 1);
    cr_assert(ring_release(&p.reader));
    cr_assert_eq(room(&p.writer), 1);
    after(&p);
}

struct lie_case {
    uint64_t taken; /* by this end, honestly */
    uint64_t lie;   /* of the other end's position */
};

ParameterizedTestParameters(ring, refuses_an_impossible_position)
{
    static struct lie_case cases[] = {
        {0, CAPACITY + 1}, {0, UINT64_MAX}, {0, (uint64_t)1 << 63}, {100, 99}, {100, 0},
    };
    return cr_make_param_array(struct lie_case, cases, COUNT_OF(cases));
}

ParameterizedTest(struct lie_case *c, ring, refuses_an_impossible_position)
{
    struct pair p = given_a_ring();
    size_t size = 7;

    ring_take(&p.reader, c->taken);
    atomic_store(&p.writer.shared->written, c->lie);
    cr_assert_eq(ring_ready(&p.reader, &size), -EPROTO);
    cr_assert_eq(size, 7, "the output is untouched");
    after(&p);
}

Test(ring, refuses_a_reader_that_read_what_was_not_written)
{
    struct pair p = given_a_ring();
    size_t size = 7;

    ring_put(&p.writer, 100);
    atomic_store(&p.reader.shared->read, 101);
    cr_assert_eq(ring_room(&p.writer, &size), -EPROTO);
    ring_put(&p.writer, CAPACITY);
    atomic_store(&p.reader.shared->read, 99);
    cr_assert_eq(ring_room(&p.writer, &size), -EPROTO);
    cr_assert_eq(size, 7, "the output is untouched");
    after(&p);
}

Test(ring, cannot_be_shrunk_under_the_other_end)
{
    struct pair p = given_a_ring();

    cr_assert_neq(ftruncate(p.fd, 0), 0);
    cr_assert_eq(errno, EPERM);
    after(&p);
}

Test(ring, refuses_capacities_that_do_not_fit_pages)
{
    struct ring ring;

    cr_assert_eq(ring_map(&ring, 0, 0, 1000), -EINVAL);
    cr_assert_eq(ring_map(&ring, 0, 0, 3 * CAPACITY), -EINVAL);
    cr_assert_eq(ring_map(&ring, 0, 1, CAPACITY), -EINVAL);
}

/* ---- two processes ---- */

#define STREAM_BYTES ((size_t)32 << 20)

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 2654435761U >> 13);
}

/* In pieces of changing size, sleeping whenever the ring is full. */
static void write_stream(struct ring *ring)
{
    size_t sent = 0;

    while (sent < STREAM_BYTES) {
        size_t piece = sent % 9973 + 1;
        const size_t space = room(ring);
        if (space == 0) {
            if (ring_park_writer(ring))
                ring_sleep(&ring->shared->writer_parked, 10000);
            continue;
        }
        piece = piece < space ? piece : space;
        piece = piece < STREAM_BYTES - sent ? piece : STREAM_BYTES - sent;
        for (size_t i = 0; i < piece; i++)
            ring_put_at(ring)[i] = byte_at(sent + i);
        ring_put(ring, piece);
        sent += piece;
        if (ring_publish(ring))
            ring_wake(&ring->shared->reader_parked);
    }
}

static size_t count_wrong_bytes(struct ring *ring)
{
    size_t got = 0;
    size_t wrong = 0;

    while (got < STREAM_BYTES) {
        const size_t size = ready(ring);
        if (size == 0) {
            if (ring_park_reader(ring))
                ring_sleep(&ring->shared->reader_parked, 10000);
            continue;
        }
        for (size_t i = 0; i < size; i++)
            wrong += ring_take_at(ring)[i] != byte_at(got + i);
        ring_take(ring, size);
        got += size;
        if (ring_release(ring))
            ring_wake(&ring->shared->writer_parked);
    }
    return wrong;
}

Test(ring, carries_a_stream_between_two_processes)
{
    struct pair p = given_a_ring();
    const pid_t child = fork();
    int status = -1;

    if (child == 0) {
        write_stream(&p.writer);
        _exit(0);
    }
    cr_assert_eq(count_wrong_bytes(&p.reader), 0);
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    after(&p);
}
