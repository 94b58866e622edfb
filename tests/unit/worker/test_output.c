#include "worker/output.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct pipe {
    struct output output;
    int writer;
};

static struct pipe given_an_output(void)
{
    int ends[2];

    cr_assert_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    return (struct pipe){
        .output = {.fd = ends[0], .stream = "stderr", .program = "test"},
        .writer = ends[1],
    };
}

static void say(struct pipe *p, const char *text)
{
    cr_assert_eq(write(p->writer, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert(output_read(&p->output, 1));
}

static const char *tail(const struct pipe *p)
{
    static char text[2 * OUTPUT_TAIL_BYTES];

    return output_tail(&p->output, text, sizeof(text));
}

Test(output, keeps_the_end_as_one_line)
{
    struct pipe p = given_an_output();

    cr_assert_str_eq(tail(&p), "");
    say(&p, "first\nsecond");
    say(&p, " half\n\n\x1b[1mthird\n");
    cr_assert_str_eq(tail(&p), "first | second half | ?[1mthird");
    close(p.writer);
    output_finish(&p.output, 1);
}

Test(output, keeps_no_more_than_its_tail)
{
    struct pipe p = given_an_output();
    char line[101];

    memset(line, 'x', sizeof(line) - 1);
    line[100] = '\0';
    say(&p, "lost");
    for (int i = 0; i < 30; i++)
        say(&p, line);
    say(&p, "end");
    const char *const text = tail(&p);
    cr_assert_eq(strlen(text), OUTPUT_TAIL_BYTES);
    cr_assert_str_eq(text + OUTPUT_TAIL_BYTES - 4, "xend");
    close(p.writer);
    output_finish(&p.output, 1);
}

Test(output, cuts_the_tail_to_the_room_there_is)
{
    struct pipe p = given_an_output();
    char text[8];

    say(&p, "a long line");
    output_tail(&p.output, text, sizeof(text));
    cr_assert_lt(strlen(text), sizeof(text));
    close(p.writer);
    output_finish(&p.output, 1);
}

Test(output, ends_when_the_other_end_is_closed)
{
    struct pipe p = given_an_output();

    close(p.writer);
    cr_assert_not(output_read(&p.output, 1));
    cr_assert_eq(p.output.fd, -1);
}
