/* What can go wrong in a task, and what its caller learns of it: one line for each kind. */
#include <scoop.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum how { WELL, FAIL, CRASH, HANG };

/* An error of the function: a code and a text. It is the result; nothing is tried again. */
SCOOP_FUNCTION(double, root, double x)
{
    if (x < 0)
        scoop_fail(1, "%g has no square root", x);
    return sqrt(fabs(x));
}

/* What functions should not do. Other tasks of the same workers do not notice. */
SCOOP_FUNCTION(int, misbehave, enum how how)
{
    if (how == CRASH)
        abort();
    while (how == HANG) /* NOLINT(bugprone-infinite-loop): that is the point */
        pause();
    return 0;
}

static void tell(const char *what, scoop_future *future)
{
    struct scoop_error error;

    if (future == NULL || scoop_wait(future, SCOOP_FOREVER) != SCOOP_OK) {
        printf("%s: %s\n", what, scoop_last_error());
        return;
    }
    if (scoop_error(future, &error))
        printf("%s: %s, code %u, %u of its tries: %s\n", what, scoop_strerror(error.status),
               error.code, error.attempts, error.text);
    scoop_future_free(future);
}

int main(int argc, char **argv)
{
    const struct scoop_options limit = {.limit_ms = 200};

    scoop_init(&argc, &argv);
    tell("root(2)", scoop_submit(root, 2.0));
    tell("root(-2)", scoop_submit(root, -2.0));
    if (getenv("SCOOP_BROKER") != NULL) { /* serially they would be our own end */
        tell("crash", scoop_submit(misbehave, CRASH));
        tell("hang", scoop_submit_on(NULL, &limit, misbehave, HANG));
    }
    return 0;
}
