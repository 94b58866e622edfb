#include "libscoop/printer.h"

#include "base/thread.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wire_bytes bytes(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, strlen(text)};
}

struct memory {
    FILE *file;
    char *text;
    size_t size;
};

static void open_memory(struct memory *m)
{
    m->file = open_memstream(&m->text, &m->size);
    cr_assert_not_null(m->file);
}

Test(printer, writes_labelled_lines_in_their_order)
{
    struct memory out = {0};
    struct memory err = {0};

    open_memory(&out);
    open_memory(&err);
    struct printer *printer = printer_new(out.file, err.file);
    printer_line(printer, false, bytes("w1"), 0, bytes("one"));
    printer_line(printer, true, bytes("w2"), 13, bytes("two"));
    printer_line(printer, false, bytes("w1"), 1, bytes("a\tb\033[31m"));
    printer_drain(printer, 5000);
    cr_assert_str_eq(out.text, "w1/0| one\nw1/1| a\tb?[31m\n");
    cr_assert_str_eq(err.text, "w2/13| two\n");
    printer_close(printer, 5000);
    fclose(out.file);
    fclose(err.file);
    free(out.text);
    free(err.text);
}

/* The sum of what the messages say. */
static uint64_t lines_lost(const char *messages)
{
    uint64_t sum = 0;

    for (const char *at = messages; (at = strstr(at, "scoop: ")) != NULL; at++)
        sum += strtoull(at + strlen("scoop: "), NULL, 10);
    return sum;
}

struct reader {
    FILE *file;
    unsigned lines;
};

static void read_all(void *context)
{
    struct reader *reader = context;
    char *line = NULL;
    size_t capacity = 0;

    while (getline(&line, &capacity, reader->file) > 0)
        reader->lines++;
    free(line);
}

Test(printer, tells_how_many_lines_a_reader_missed_who_did_not_read)
{
    enum { LINE = 4096, LINES = 2 * PRINTER_QUEUE_BYTES / LINE };
    struct memory err = {0};
    struct reader reader = {0};
    struct thread thread;
    uint8_t line[LINE];
    int ends[2];

    open_memory(&err);
    cr_assert_eq(pipe(ends), 0);
    reader.file = fdopen(ends[0], "r");
    FILE *out = fdopen(ends[1], "w");
    struct printer *printer = printer_new(out, err.file);
    memset(line, 'x', sizeof(line));
    for (unsigned i = 0; i < LINES; i++)
        printer_line(printer, false, bytes("h"), 0, (struct wire_bytes){line, LINE});
    cr_assert_eq(thread_start(&thread, read_all, &reader), 0);
    printer_close(printer, 5000);
    fclose(out);
    cr_assert(thread_join(&thread, 5000));
    fclose(reader.file);
    fclose(err.file);
    cr_expect_gt(lines_lost(err.text), 0);
    cr_expect_eq(reader.lines + lines_lost(err.text), LINES);
    free(err.text);
}

Test(printer, without_a_line_is_closed_at_once)
{
    struct printer *printer = printer_new(stdout, stderr);

    printer_drain(printer, 5000);
    printer_close(printer, 5000);
    printer_close(NULL, 0);
}
