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

SCOOP_BYTES_FUNCTION(command)
{
    struct capture capture = {0};
    char **words CLEANUP(free_p) = NULL;
    int result = command_get_words(data, size, &words);

    if (result != 0) {
        scoop_fail(EINVAL, "command: the argument is not a command line: %s", strerror(-result));
        return;
    }
    result = capture_command(words, &capture);
    if (result != 0) {
        scoop_fail(result == -ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "command %.200s: %s", words[0],
                   strerror(-result));
        return;
    }
    write_result(out, &capture);
    capture_fini(&capture);
}
