/* What a host got from others, by its name; there is no link here: what is asked for is lost. */
#include "worker/store.h"

#include "worker/cargo.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

static uint64_t room;

static uint64_t room_of_test(const char *root)
{
    (void)root;
    return room;
}

static void *context;
static struct fetches fetches;
static struct store store;

static void before(void)
{
    context = zmq_ctx_new();
    const struct dialler_config config = {
        .context = context,
        .endpoint = "ipc:///nonexistent/test",
        .role = WIRE_AGENT,
        .name = "test",
    };

    room = (uint64_t)1 << 40;
    fetches = (struct fetches){0};
    cr_assert_eq(dialler_new(&config, &fetches.dialler), 0);
    store = (struct store){.fetches = &fetches, .room = room_of_test};
}

static void after(void)
{
    store_fini(&store);
    cr_assert_eq(store.held, 0, "a file leaked");
    cr_assert_eq(fetches.count, 0);
    dialler_free(fetches.dialler);
    zmq_ctx_term(context);
}

TestSuite(store, .init = before, .fini = after);

/* Somebody who needs something, and what became of it. */
struct asker {
    struct need need;
    int calls;
    bool here;
    char why[256];
};

static void take(struct need *need, struct blob *file, const char *why)
{
    struct asker *const asker = need->owner;

    asker->calls++;
    asker->here = file != NULL;
    if (why != NULL)
        strncpy(asker->why, why, sizeof(asker->why) - 1);
}

static void hash(const char *text, uint8_t *key)
{
    cr_assert_eq(EVP_Digest(text, strlen(text), key, NULL, EVP_sha256(), NULL), 1);
}

/* The program that consists of this text, needed for a task of this session. */
static void need_program(struct asker *asker, const char *text, uint64_t task, uint32_t session)
{
    *asker = (struct asker){
        .need = {.what = WIRE_WHAT_PROGRAM,
                 .task = task,
                 .attempt = 1,
                 .session = session,
                 .done = take,
                 .owner = asker},
    };
    hash(text, asker->need.key);
    cr_assert_eq(store_need(&store, &asker->need), 0);
    store_turn(&store, 0);
}

/* The submitter of this task sends `text` for what this one needs. */
static void send(const struct asker *asker, uint64_t task, const char *text, uint8_t flags)
{
    struct wire_piece piece = {
        .cargo = {.task = task, .attempt = 1, .what = asker->need.what, .flags = flags},
        .total = strlen(text),
        .bytes = {(const uint8_t *)text, strlen(text)},
    };

    memcpy(piece.cargo.key, asker->need.key, sizeof(piece.cargo.key));
    fetch_take(&fetches, &piece);
    store_turn(&store, 0);
}

static struct blob *find(const struct asker *asker)
{
    return store_find(&store, asker->need.what, asker->need.key, 0);
}

Test(store, fetches_a_program_once_for_all_who_need_it)
{
    struct asker askers[3];

    for (uint32_t i = 0; i < 3; i++)
        need_program(&askers[i], "text", 10 + i, i);
    cr_assert_eq(fetches.count, 1);
    send(&askers[0], 10, "text", 0);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(askers[i].here && askers[i].calls == 1);
    cr_assert_not_null(find(&askers[0]));
    cr_assert_eq(store.fetched, 1);
    cr_assert_eq(store.held, 4);
}

Test(store, keeps_files_that_nobody_can_change)
{
    struct asker asker;
    char read[5] = "";

    need_program(&asker, "text", 10, 1);
    send(&asker, 10, "text", 0);
    const int fd = cargo_of(find(&asker))->fd;
    cr_assert_eq(pwrite(fd, "x", 1, 0), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(ftruncate(fd, 0), -1);
    cr_assert_eq(mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    cr_assert_eq(fcntl(fd, F_GET_SEALS) & F_SEAL_SEAL, F_SEAL_SEAL, "for ever");
    cr_assert_eq(pread(fd, read, 4, 0), 4);
    cr_assert_str_eq(read, "text");
}

Test(store, refuses_a_program_that_is_not_what_its_name_says)
{
    struct asker asker;

    need_program(&asker, "text", 10, 1);
    send(&asker, 10, "texT", 0);
    cr_assert_eq(asker.calls, 1);
    cr_assert_str_eq(asker.why,
                     "what the client sent has sha256 89c0e45fc632, and not 982d9e3eb996");
    cr_assert_null(find(&asker));
    cr_assert_eq(store.held, 0);
}

Test(store, refuses_what_was_sent_otherwise_than_it_was_asked_for)
{
    struct asker asker;

    need_program(&asker, "text", 10, 1);
    send(&asker, 10, "", 0);
    cr_assert_eq(asker.calls, 1);
    cr_assert_not(asker.here);
}

Test(store, asks_for_another_task_when_the_first_has_left)
{
    struct asker first;
    struct asker second;

    need_program(&first, "text", 10, 1);
    need_program(&second, "text", 11, 1);
    store_drop(&store, &first.need);
    store_turn(&store, 0);
    send(&first, 10, "text", 0);
    cr_assert_eq(second.calls, 0, "that was for the first");
    send(&second, 11, "text", 0);
    cr_assert(second.here);
    cr_assert_eq(first.calls, 0);
}

Test(store, asks_another_session_when_one_has_it_not)
{
    struct asker first;
    struct asker second;
    struct asker third;

    need_program(&first, "text", 10, 1);
    need_program(&second, "text", 11, 2);
    need_program(&third, "text", 12, 1);
    send(&first, 10, "no such file", WIRE_PIECE_GONE);
    cr_assert_str_eq(first.why, "its program is not there any more: no such file");
    cr_assert_eq(third.calls, 1, "it is of the same session");
    cr_assert_eq(second.calls, 0);
    send(&second, 11, "text", 0);
    cr_assert(second.here);
}

Test(store, asks_a_client_before_another_host_and_for_another_host_before_itself)
{
    struct asker own;
    struct asker loan;
    struct asker direct;

    need_program(&own, "text", 10, 1);
    need_program(&loan, "text", 11, 2);
    cr_assert_eq(fetches.list->cargo.task, 10);
    store_drop(&store, &loan.need);
    loan.need.loan = true;
    cr_assert_eq(store_need(&store, &loan.need), 0);
    store_turn(&store, 0);
    cr_assert_eq(fetches.list->cargo.task, 11);
    direct = loan;
    direct.need.owner = &direct;
    direct.need.task = 12;
    direct.need.direct = true;
    cr_assert_eq(store_need(&store, &direct.need), 0);
    store_turn(&store, 0);
    cr_assert_eq(fetches.list->cargo.task, 12);
    cr_assert_eq(fetches.count, 1);
    send(&direct, 12, "text", 0);
    cr_assert(own.here && loan.here && direct.here);
}

Test(store, lets_the_program_go_that_was_used_longest_ago)
{
    struct asker askers[STORE_PROGRAMS_MAX + 1];
    char text[16];

    for (uint32_t i = 0; i < COUNT_OF(askers); i++) {
        snprintf(text, sizeof(text), "text %u", i);
        need_program(&askers[i], text, 10 + i, 1);
        send(&askers[i], 10 + i, text, 0);
        cr_assert(askers[i].here);
        cr_assert_not_null(find(&askers[0]), "it is used all the time");
    }
    cr_assert_null(find(&askers[1]));
    cr_assert_not_null(find(&askers[2]));
}

Test(store, keeps_so_many_values_and_no_more)
{
    static struct asker askers[STORE_VALUES_MAX + 1];
    struct asker *first = &askers[0];

    for (uint32_t i = 0; i < COUNT_OF(askers); i++) {
        askers[i].need = (struct need){
            .what = WIRE_WHAT_VALUE,
            .size = 4,
            .task = 10 + i,
            .attempt = 1,
            .done = take,
            .owner = &askers[i],
        };
        memcpy(askers[i].need.key, &i, sizeof(i));
        cr_assert_eq(store_need(&store, &askers[i].need), 0);
        store_turn(&store, 0);
        send(&askers[i], 10 + i, "text", 0);
        cr_assert(askers[i].here);
    }
    cr_assert_null(find(first));
    cr_assert_not_null(find(first + 1));
    store_forget(&store, WIRE_WHAT_VALUE, first[1].need.key);
    cr_assert_null(find(first + 1));
    store_turn(&store, STORE_IDLE_MS - 1);
    cr_assert_eq(store.held, 4 * (STORE_VALUES_MAX - 1));
    store_turn(&store, STORE_IDLE_MS + 1000);
    cr_assert_eq(store.held, 0, "nobody read them");
}

Test(store, takes_no_more_than_the_host_has_room_for)
{
    struct asker asker;
    struct asker other;

    need_program(&asker, "text", 10, 1);
    send(&asker, 10, "text", 0);
    room = STORE_SPARE_BYTES;
    need_program(&other, "other", 11, 1);
    send(&other, 11, "other", 0);
    cr_assert_str_eq(other.why, "this host has not enough memory for it");
    cr_assert_null(find(&asker), "it was dropped to make room");
}

Test(store, keeps_what_is_here_when_the_link_is_gone)
{
    struct asker here;
    struct asker coming;

    need_program(&here, "text", 10, 1);
    send(&here, 10, "text", 0);
    need_program(&coming, "other", 11, 1);
    store_reset(&store);
    cr_assert_eq(coming.calls, 0);
    cr_assert_null(coming.need.item);
    cr_assert_not_null(find(&here));
    cr_assert_null(find(&coming));
}
