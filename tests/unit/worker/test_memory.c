/* An executor that is played by a process of this test's. */
#include "worker/memory.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* A process with a child; each has that much memory. */
static void hold(size_t mib, int ready)
{
    char *const block = malloc(mib * MIB);

    if (block == NULL)
        _exit(1);
    memset(block, 1, mib * MIB);
    if (write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static pid_t given_a_family(size_t mib)
{
    int ends[2];
    char byte = 0;

    cr_assert_eq(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0)
            hold(mib, ends[1]);
        hold(mib, ends[1]);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static struct program program;

static struct executor given_an_executor(pid_t pid, size_t limit_mib)
{
    return (struct executor){
        .program = &program,
        .pid = pid,
        .ready = true,
        .memory = {.limit = limit_mib * MIB},
        .flying = {0},
    };
}

static void given_a_task(struct executor *e, uint64_t id)
{
    cr_assert_eq(task_queue_push_back(&e->flying, &(struct task){.id = id}), 0);
    e->shelf = EXECUTOR_BUSY;
}

static void after(struct executor *e)
{
    kill(-e->pid, SIGKILL);
    waitpid(e->pid, NULL, 0);
    free(e->flying.items);
}

Test(memory, counts_a_process_and_its_children)
{
    struct executor e = given_an_executor(given_a_family(40), 1000);

    cr_assert_geq(memory_of(e.pid), 80 * MIB);
    after(&e);
    cr_assert_eq(memory_of(e.pid), 0);
}

Test(memory, below_the_limit_is_looked_at_again_and_again)
{
    struct executor e = given_an_executor(given_a_family(20), 10000);

    given_a_task(&e, 1);
    cr_assert_eq(memory_check(&e, 1000), 1000 + MEMORY_FAR_MS);
    cr_assert_eq(memory_check(&e, 1001), 1000 + MEMORY_FAR_MS);
    cr_assert_eq(memory_check(&e, 1060), 1060 + MEMORY_FAR_MS);
    cr_assert_not(executor_is_spent(&e));
    after(&e);
}

Test(memory, above_the_limit_retires_an_executor_and_kills_a_task_that_runs_on)
{
    struct executor e = given_an_executor(given_a_family(20), 16);

    given_a_task(&e, 7);
    cr_assert_eq(memory_check(&e, 1000), 1000 + MEMORY_NEAR_MS);
    cr_assert(executor_is_spent(&e));
    cr_assert_eq(e.blame, EXECUTOR_ALIVE, "it may have been as good as ready");
    (void)memory_check(&e, 1010);
    cr_assert_eq(e.blame, EXECUTOR_MEMORY);
    cr_assert_eq(e.blame_id, 7);
    after(&e);
}

Test(memory, above_the_limit_does_not_kill_for_another_task)
{
    struct executor e = given_an_executor(given_a_family(20), 16);

    given_a_task(&e, 7);
    (void)memory_check(&e, 1000);
    (void)task_queue_pop_front(&e.flying);
    e.answered++;
    given_a_task(&e, 8);
    (void)memory_check(&e, 1010);
    cr_assert_eq(e.blame, EXECUTOR_ALIVE);
    after(&e);
}

Test(memory, an_idle_executor_above_the_limit_is_dismissed)
{
    struct executor e = given_an_executor(given_a_family(20), 16);

    (void)memory_check(&e, 1000);
    cr_assert_eq(e.blame, EXECUTOR_DISMISSED);
    after(&e);
}

Test(memory, an_idle_executor_is_looked_at_once)
{
    struct executor e = given_an_executor(given_a_family(1), 10000);

    e.since_ms = 990;
    cr_assert_eq(memory_check(&e, 1000), 1000 + MEMORY_FAR_MS);
    cr_assert_eq(memory_check(&e, 1100), INT64_MAX);
    after(&e);
}
