/* Functions that print, for the tests of what the root shows of it. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines of a known shape: whole, unfinished, and in two pieces. */
SCOOP_FUNCTION(int, speak, int x)
{
    printf("whole %d\n", x);
    printf("first half of %d, ", x);
    printf("second half of %d", x);
    fprintf(stderr, "error %d\n", x);
    return x;
}

/* Some 50 MB of lines; the file that SPEAK_DONE names says that they are all written. */
SCOOP_FUNCTION(int, flood, int x)
{
    for (int i = 0; i < 500000; i++)
        printf("%099d\n", i);
    FILE *done = fopen(getenv("SPEAK_DONE"), "we");
    if (done == NULL || fclose(done) != 0)
        scoop_fail(1, "SPEAK_DONE: cannot be written");
    return x;
}

/* The last words of a process, by a descriptor of its own. */
SCOOP_FUNCTION(int, die, int x)
{
    if (write(STDOUT_FILENO, "last words\n", 11) != 11)
        return x;
    _exit(3);
}

/* One line a level, the deepest first. */
SCOOP_FUNCTION(int, descend, int depth)
{
    int below = 0;

    if (depth > 1) {
        scoop_future *child = scoop_submit(descend, depth - 1);
        if (child == NULL || scoop_result(child, &below) != SCOOP_OK)
            scoop_fail(1, "%s", scoop_last_error());
        scoop_future_free(child);
    }
    printf("level %d\n", depth);
    return below + depth;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "speak";
    int in[200];
    int out[200];

    for (int i = 0; i < 200; i++)
        in[i] = i;
    scoop_init(&argc, &argv);
    const enum scoop_status status = strcmp(how, "flood") == 0 ? scoop_map(flood, in, out, 1)
                                     : strcmp(how, "die") == 0 ? scoop_map(die, in, out, 1)
                                     : strcmp(how, "descend") == 0
                                         ? scoop_map(descend, &(int){5}, out, 1)
                                         : scoop_map(speak, in, out, 200);
    if (status != SCOOP_OK)
        return scoop_report();
    printf("the root's own line, at the end\n");
    return 0;
}
