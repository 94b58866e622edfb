/* A program for tests of what tasks need of a worker. A task appends a line to a file when it begins and one
 * when it ends, and returns the process id of its agent.
 *
 * usage: needs FILE NEEDS COUNT SLEEP_MS   runs so many tasks with these needs; prints the agents
 *        needs FILE NEEDS children         a task that needs nothing calls two that do; likewise
 *        needs FILE RERUN_MS straggler     one that is started elsewhere when it runs for so long
 *
 * On a worker with SLOW_MS in its environment tasks take so long.
 */
#include <scoop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct work {
    char file[200];
    char needs[80];
    int sleep_ms;
};

static void note(const struct work *work, char sign)
{
    const int fd = open(work->file, O_WRONLY | O_APPEND | O_CREAT, 0600);

    if (fd < 0 || write(fd, &sign, 1) != 1)
        scoop_fail(99, "cannot write to %s", work->file);
    close(fd);
}

SCOOP_FUNCTION(int, where, struct work work)
{
    const char *slow = getenv("SLOW_MS");
    const int ms = slow != NULL ? atoi(slow) : work.sleep_ms;
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    note(&work, '+');
    nanosleep(&time, NULL);
    note(&work, '-');
    return getppid();
}

SCOOP_FUNCTION(int, call, struct work work)
{
    const struct scoop_options options = {.needs = work.needs};
    const struct work in[2] = {work, work};
    int out[2] = {0, 0};

    if (scoop_map_on(NULL, &options, where, in, out, 2) != SCOOP_OK)
        scoop_fail(1, "%s", scoop_last_error());
    return out[0] == out[1] ? out[0] : -1;
}

static int run_many(const struct work *work, int count)
{
    const struct scoop_options options = {.needs = work->needs, .deadline_ms = 20000};
    struct work *in = calloc((size_t)count, sizeof(*in));
    int *out = calloc((size_t)count, sizeof(*out));

    for (int i = 0; i < count && in != NULL; i++)
        in[i] = *work;
    const bool ok = in != NULL && out != NULL &&
                    scoop_map_on(NULL, &options, where, in, out, (size_t)count) == SCOOP_OK;
    for (int i = 0; i < count && ok; i++)
        printf("%d\n", out[i]);
    free(in);
    free(out);
    return ok ? 0 : scoop_report();
}

static int run_straggler(struct work *work)
{
    const struct scoop_options options = {.rerun_after_ms = (uint32_t)atoi(work->needs)};
    int pid = 0;
    scoop_future *future = scoop_submit_on(NULL, &options, where, *work);

    if (scoop_result(future, &pid) == SCOOP_OK)
        printf("%d\n", pid);
    scoop_future_free(future);
    return scoop_report();
}

int main(int argc, char **argv)
{
    struct work work = {.sleep_ms = argc > 4 ? atoi(argv[4]) : 0};

    scoop_init(&argc, &argv);
    if (argc < 4)
        return 2;
    snprintf(work.file, sizeof(work.file), "%s", argv[1]);
    snprintf(work.needs, sizeof(work.needs), "%s", argv[2]);
    if (strcmp(argv[3], "children") == 0) {
        int pid = 0;
        scoop_future *future = scoop_submit(call, work);

        if (scoop_result(future, &pid) == SCOOP_OK)
            printf("%d\n", pid);
        scoop_future_free(future);
        return scoop_report();
    }
    if (strcmp(argv[3], "straggler") == 0)
        return run_straggler(&work);
    return run_many(&work, atoi(argv[3]));
}
