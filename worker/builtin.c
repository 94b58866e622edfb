/* Functions that every worker has, without a program: this file is linked into scoop-worker,
 * whose executors run them. They are registered by constructors; nothing calls into this file by
 * name. */
#include "base/command.h"
#include "base/parse.h"
#include "capture.h"
#include "libscoop/include/scoop.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Codes of a command that could not be started, as shells have them. */
#define NOT_FOUND      127
#define NOT_EXECUTABLE 126

/* A switch for tests of whoever checks results: SCOOP_TEST_WRONG_ABS=1 makes `absolute` wrong
 * for negative numbers. */
static bool is_wrong_on_purpose(void)
{
    const char *const text = getenv("SCOOP_TEST_WRONG_ABS");
    bool wrong = false;

    return text != NULL && parse_flag(text, &wrong) == 0 && wrong;
}

SCOOP_FUNCTION(int32_t, absolute, int32_t x)
{
    if (x >= 0 || is_wrong_on_purpose())
        return x;
    return (int32_t)(0U - (uint32_t)x); /* INT32_MIN stays what it is, as with abs() */
}

static void write_result(struct scoop_output *out, const struct capture *capture)
{
    struct blob *bytes CLEANUP(blob_unref_p) = blob_new(256);
    char host[HOST_NAME_MAX + 1] = "";

    /* It fits; and a host without a name is not worth a failure. */
    (void)!gethostname(host, sizeof(host) - 1);
    const struct command_result result = {
        .code = capture->code,
        .signal = capture->signal,
        .start_us = capture->start_us,
        .run_us = capture->run_us,
        .host = {(const uint8_t *)host, strlen(host)},
        .out = {capture->out->data, capture->out->size},
        .err = {capture->err->data, capture->err->size},
    };

    if (bytes == NULL || command_put_result(bytes, &result) != 0)
        scoop_fail(ENOMEM, "command: out of memory");
    else
        scoop_write(out, bytes->data, bytes->size);
}

/* What one of the inputs has for stdin: what a command has written, or any other result as it is. */
static struct wire_bytes text_of_input(size_t index)
{
    struct scoop_bytes input = {NULL, 0};
    struct command_result result;

    scoop_input_bytes(index, &input);
    if (input.size != 0 && command_get_result(input.data, input.size, &result) == 0)
        return result.out;
    return (struct wire_bytes){input.data, input.size};
}

static int write_all(int fd, struct wire_bytes text)
{
    while (text.size != 0) {
        const ssize_t written = write(fd, text.data, text.size);

        if (written < 0 && errno != EINTR)
            return -errno;
        text.data += written > 0 ? written : 0;
        text.size -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

/* A file in memory with all inputs, one behind the other. *fd -1: there are none. */
static int open_inputs(int *fd)
{
    int result = 0;

    *fd = -1;
    if (scoop_input_count() == 0)
        return 0;
    *fd = memfd_create("inputs", MFD_CLOEXEC);
    if (*fd < 0)
        return -errno;
    for (size_t i = 0; i < scoop_input_count() && result == 0; i++)
        result = write_all(*fd, text_of_input(i));
    if (result == 0 && lseek(*fd, 0, SEEK_SET) != 0)
        result = -errno;
    return result;
}

static int run(char **words, struct capture *capture)
{
    int input = -1;
    int result = open_inputs(&input);

    if (result == 0)
        result = capture_command(words, input, capture);
    if (input >= 0)
        close(input);
    return result;
}

/* The last line of what it wrote to stderr, as far as it is not too long. */
static struct wire_bytes last_line(const struct blob *err)
{
    const size_t most = 1000;
    const uint8_t *end = err->data + err->size;

    while (end > err->data && end[-1] == '\n')
        end--;
    const uint8_t *line = end;
    while (line > err->data && line[-1] != '\n' && (size_t)(end - line) < most)
        line--;
    return (struct wire_bytes){line, (size_t)(end - line)};
}

static void fail_as(const struct capture *capture, const char *word)
{
    const struct wire_bytes why = last_line(capture->err);
    const bool killed = capture->signal != 0;

    scoop_fail((int)(killed ? 128 + capture->signal : capture->code), "command %.200s: %s %u%s%.*s",
               word, killed ? "signal" : "exit code", killed ? capture->signal : capture->code,
               why.size != 0 ? ": " : "", (int)why.size, (const char *)why.data);
}

static void run_command(const void *data, size_t size, bool strict, struct scoop_output *out)
{
    struct capture capture = {0};
    char **words CLEANUP(free_p) = NULL;
    int result = command_get_words(data, size, &words);

    if (result != 0) {
        scoop_fail(EINVAL, "command: the argument is not a command line: %s", strerror(-result));
        return;
    }
    result = run(words, &capture);
    if (result != 0) {
        scoop_fail(result == -ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "command %.200s: %s", words[0],
                   strerror(-result));
        return;
    }
    if (strict && (capture.code != 0 || capture.signal != 0))
        fail_as(&capture, words[0]);
    else
        write_result(out, &capture);
    capture_fini(&capture);
}

SCOOP_BYTES_FUNCTION(command)
{
    run_command(data, size, false, out);
}

SCOOP_BYTES_FUNCTION(command_strict)
{
    run_command(data, size, true, out);
}
