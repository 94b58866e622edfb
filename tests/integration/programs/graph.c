/* A program for tests of tasks that wait for others. Its one function, `node`, gives "NAME(RESULTS OF WHAT IT
 * WAITED FOR)" and appends its name to the file $WITNESS, so that the value of a graph tells its shape, and
 * the file what ran how often.
 *
 * usage: graph diamond          A; B and C after A; D after B, C and B
 *        graph known            C after A and B, of which A has ended; then D after A alone
 *        graph chain COUNT      each after the one before, whose future is freed at once
 *        graph fan COUNT        one after so many
 *        graph forgive | retry | cancel    C after B after A, which fails the first time; prints what is seen
 *        graph stay             the same three, left as they are until it is killed
 *        graph slow COUNT       a chain of so many, of 300 ms each, with one that waits for the first and the last
 * A node whose name begins with '!' fails while the file $MARK does not exist. */
#include <scoop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void leave_a_line(const char *name, size_t size)
{
    const char *const path = getenv("WITNESS");
    char line[64];
    const int length = snprintf(line, sizeof(line), "%.*s\n", (int)size, name);
    const int fd = open(path != NULL ? path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT, 0600);

    if (fd < 0 || write(fd, line, (size_t)length) != length)
        scoop_fail(99, "cannot write to $WITNESS");
    close(fd);
}

/* The argument is a name; "NAME:MS" sleeps before. */
SCOOP_BYTES_FUNCTION(node)
{
    const char *const mark = getenv("MARK");
    const char *const colon = memchr(data, ':', size);
    const size_t length = colon != NULL ? (size_t)(colon - (const char *)data) : size;
    struct scoop_bytes input;

    leave_a_line(data, length);
    if (colon != NULL) {
        const int ms = atoi(colon + 1);

        nanosleep(&(struct timespec){.tv_nsec = ms % 1000 * 1000000L, .tv_sec = ms / 1000}, NULL);
    }
    if (*(const char *)data == '!' && (mark == NULL || access(mark, F_OK) != 0)) {
        scoop_fail(1, "there is no $MARK");
        return;
    }
    scoop_write(out, data, length);
    if (scoop_input_count() == 0)
        return;
    scoop_write(out, "(", 1);
    for (size_t i = 0; scoop_input_bytes(i, &input); i++)
        scoop_write(out, input.data, input.size);
    scoop_write(out, ")", 1);
}

static scoop_future *submit(const char *name, scoop_future *const *after, size_t count)
{
    const struct scoop_options options = {.after = after, .after_count = count};
    scoop_future *const future =
        scoop_submit_with(NULL, &options, SCOOP_HANDLE(node), name, strlen(name) + 1);

    if (future == NULL)
        exit(scoop_report());
    return future;
}

#define SUBMIT(name, ...)                                                                          \
    submit(name, (scoop_future *[]){__VA_ARGS__},                                                  \
           sizeof((scoop_future *[]){__VA_ARGS__}) / sizeof(scoop_future *))

/* Print its value without the zero bytes that end the names, or how it ended; frees it. */
static void show(scoop_future *future)
{
    struct scoop_bytes bytes;
    const enum scoop_status status = scoop_result_bytes(future, &bytes);

    for (size_t i = 0; status == SCOOP_OK && i < bytes.size; i++)
        if (((const char *)bytes.data)[i] != '\0')
            putchar(((const char *)bytes.data)[i]);
    printf("%s\n", status != SCOOP_OK ? scoop_strerror(status) : "");
    fflush(stdout);
    scoop_future_free(future);
}

static void diamond(void)
{
    scoop_future *const a = submit("A", NULL, 0);
    scoop_future *const b = SUBMIT("B", a);
    scoop_future *const c = SUBMIT("C", a);
    scoop_future *const d = SUBMIT("D", b, c, b);

    scoop_future_free(a);
    scoop_future_free(b);
    scoop_future_free(c);
    show(d);
}

static void known(void)
{
    scoop_future *const a = submit("A", NULL, 0);

    (void)scoop_wait(a, SCOOP_FOREVER);
    scoop_future *const b = submit("B", NULL, 0);
    scoop_future *const c = SUBMIT("C", a, b);
    show(c);
    show(SUBMIT("D", a));
    scoop_future_free(a);
    scoop_future_free(b);
}

static void chain(int count, const char *name)
{
    scoop_future *first = submit(name, NULL, 0);
    scoop_future *last = first;

    for (int i = 1; i < count; i++) {
        scoop_future *const next = SUBMIT(name, last);

        if (last != first)
            scoop_future_free(last);
        last = next;
    }
    scoop_future *const both = SUBMIT("Z", first, last);
    scoop_future_free(first);
    scoop_future_free(last);
    show(both);
}

static void fan(int count)
{
    scoop_future **const futures = calloc((size_t)count, sizeof(*futures));

    for (int i = 0; futures != NULL && i < count; i++)
        futures[i] = submit("x", NULL, 0);
    scoop_future *const all = submit("F", futures, (size_t)count);
    for (int i = 0; futures != NULL && i < count; i++)
        scoop_future_free(futures[i]);
    free(futures);
    show(all);
}

static void failed(const char *how)
{
    const char *const mark = getenv("MARK");
    scoop_future *const a = submit("!A", NULL, 0);
    scoop_future *const b = SUBMIT("B", a);
    scoop_future *const c = SUBMIT("C", b);
    scoop_future *again = NULL;

    printf("%s\n", scoop_strerror(scoop_wait(c, SCOOP_FOREVER)));
    printf("%s\n", scoop_strerror(scoop_wait(b, SCOOP_FOREVER)));
    if (strcmp(how, "forgive") == 0) {
        if (scoop_forgive(a) != SCOOP_OK)
            exit(scoop_report());
    } else if (strcmp(how, "retry") == 0) {
        close(open(mark, O_WRONLY | O_CREAT, 0600));
        again = scoop_retry(a);
        if (again == NULL)
            exit(scoop_report());
    } else if (strcmp(how, "stay") == 0) {
        fflush(stdout);
        pause();
    } else {
        printf("%d\n", scoop_cancel(b, SCOOP_FOREVER) == SCOOP_NEVER_RAN);
        printf("%d\n", scoop_cancel(c, SCOOP_FOREVER) == SCOOP_NEVER_RAN);
    }
    show(c);
    show(b);
    show(a);
    if (again != NULL)
        show(again);
}

int main(int argc, char **argv)
{
    scoop_init(&argc, &argv);
    const char *const mode = argc > 1 ? argv[1] : "";
    const int count = argc > 2 ? atoi(argv[2]) : 0;

    if (strcmp(mode, "diamond") == 0)
        diamond();
    else if (strcmp(mode, "known") == 0)
        known();
    else if (strcmp(mode, "chain") == 0)
        chain(count, "x");
    else if (strcmp(mode, "slow") == 0)
        chain(count, "x:300");
    else if (strcmp(mode, "fan") == 0)
        fan(count);
    else
        failed(mode);
    return 0;
}
