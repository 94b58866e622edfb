#include "libscoop/ledger.h"

#include <criterion/criterion.h>

static struct ledger ledger;

/* Entries only need a job that is not NULL. */
static struct job *const some_job = (struct job *)&ledger;

static void prepare(void)
{
    ledger_init(&ledger);
}

static void finish(void)
{
    ledger_fini(&ledger);
}

TestSuite(ledger, .init = prepare, .fini = finish);

static void given_tasks(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_entry entry = {.job = some_job, .index = i, .bytes = 3};

        cr_assert_eq(ledger_add(&ledger, &entry), 0);
    }
}

Test(ledger, gives_numbers_from_one_and_finds_each_once)
{
    struct ledger_entry entry;

    given_tasks(5000);
    cr_assert_eq(ledger_next_no(&ledger), 5001);
    cr_assert_eq(ledger.open_bytes, 15000);
    for (uint64_t no = 5000; no >= 1; no--) {
        cr_assert_eq(ledger_take(&ledger, no, &entry), 0);
        cr_assert_eq(entry.index, no - 1);
        cr_assert_eq(ledger_take(&ledger, no, &entry), -ENOENT, "%lu came twice", no);
    }
    cr_assert_eq(ledger_open(&ledger), 0);
    cr_assert_eq(ledger.open_bytes, 0);
}

Test(ledger, knows_no_number_that_it_did_not_give)
{
    struct ledger_entry entry;

    cr_assert_eq(ledger_take(&ledger, 1, &entry), -ENOENT);
    given_tasks(10);
    cr_assert_eq(ledger_take(&ledger, 0, &entry), -ENOENT);
    cr_assert_eq(ledger_take(&ledger, 11, &entry), -ENOENT);
    cr_assert_eq(ledger_take(&ledger, UINT64_MAX, &entry), -ENOENT);
}

Test(ledger, keeps_little_for_one_slow_task_among_millions)
{
    struct ledger_entry entry;

    given_tasks(1);
    for (uint64_t no = 2; no < 3000000; no++) {
        given_tasks(1);
        cr_assert_eq(ledger_take(&ledger, no, &entry), 0);
    }
    cr_assert_eq(ledger_open(&ledger), 1);
    cr_assert_leq(ledger.roster.capacity, 4096, "a pointer for each 1024 numbers");
    cr_assert_eq(ledger_take(&ledger, 1, &entry), 0);
    cr_assert_eq(ledger.roster.first_chunk, ledger_next_no(&ledger) / 1024);
}

Test(ledger, lists_open_tasks_in_order)
{
    struct ledger_entry entry;
    uint64_t no = 1;

    given_tasks(4000);
    for (uint64_t taken = 1; taken <= 4000; taken++) {
        if (taken != 7 && taken != 3999)
            cr_assert_eq(ledger_take(&ledger, taken, &entry), 0);
    }
    cr_assert_eq(ledger_next(&ledger, &no)->index, 6);
    cr_assert_eq(no, 7);
    no++;
    cr_assert_eq(ledger_next(&ledger, &no)->index, 3998);
    no++;
    cr_assert_null(ledger_next(&ledger, &no));
}
