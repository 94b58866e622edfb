#include "joblog.h"

#include "base/blob.h"
#include "base/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

enum { COLUMN_SEQ, COLUMN_EXITVAL = 6, COLUMN_SIGNAL, COLUMN_COMMAND, COLUMNS };

/* ---- reading ---- */

/* Make room for the bit of `number`. */
static int grow(struct joblog *log, uint64_t number)
{
    uint64_t limit = log->limit > 0 ? log->limit : 8192;

    if (number < log->limit)
        return 0;
    while (limit <= number)
        limit *= 2;
    uint8_t *done = realloc(log->done, limit / 8);
    if (done == NULL)
        return -ENOMEM;
    memset(done + log->limit / 8, 0, (limit - log->limit) / 8);
    log->done = done;
    log->limit = limit;
    return 0;
}

/* Cut the line at its tabs; the command keeps its own. False: too few columns. */
static bool split(char *line, char *columns[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i] = line;
        line = i < COLUMN_COMMAND ? strchr(line, '\t') : line;
        if (line == NULL)
            return false;
        if (i < COLUMN_COMMAND)
            *line++ = '\0';
    }
    return true;
}

static bool is_zero(const char *text)
{
    return strcmp(text, "0") == 0;
}

/* -EINVAL: this is no line of a log. */
static int take_line(struct joblog *log, char *line, enum joblog_mode mode)
{
    char *columns[COLUMNS];
    uint64_t number = 0;

    if (!split(line, columns) || parse_u64(columns[COLUMN_SEQ], 1, JOBLOG_NUMBER_MAX, &number) != 0)
        return -EINVAL;
    const int error = grow(log, number);
    if (error != 0)
        return error;
    const uint8_t bit = (uint8_t)(1U << (number % 8));
    const bool well = is_zero(columns[COLUMN_EXITVAL]) && is_zero(columns[COLUMN_SIGNAL]);
    if (well || mode == JOBLOG_RESUME)
        log->done[number / 8] |= bit;
    else
        log->done[number / 8] &= (uint8_t)~bit;
    return 0;
}

struct reading {
    struct joblog *log;
    const char *path;
    enum joblog_mode mode;
    off_t whole; /* bytes of lines that have their end */
    bool cut;    /* the last line has none */
};

static int read_lines(struct reading *r, FILE *file, struct problem *problem)
{
    char *line CLEANUP(free_p) = NULL;
    size_t capacity = 0;
    size_t number = 0;
    ssize_t length = 0;

    while ((length = getline(&line, &capacity, file)) > 0) {
        r->cut = line[length - 1] != '\n';
        if (r->cut)
            break;
        r->whole += length;
        if (number++ == 0 && strcmp(line, HEAD) == 0)
            continue;
        const int error = take_line(r->log, line, r->mode);
        if (error == -EINVAL)
            return problem_set(problem, error, "%s: line %zu is not one of a job log", r->path,
                               number);
        if (error != 0)
            return problem_set(problem, error, "%s: out of memory", r->path);
    }
    if (ferror(file))
        return problem_set(problem, -EIO, "%s: cannot be read", r->path);
    return 0;
}

static int read_log(struct reading *r, struct problem *problem)
{
    FILE *file = fopen(r->path, "re");

    if (file == NULL && errno == ENOENT)
        return 0;
    if (file == NULL)
        return problem_set(problem, -errno, "%s: %s", r->path, strerror(errno));
    const int error = read_lines(r, file, problem);
    fclose(file);
    return error;
}

/* ---- writing ---- */

static int write_whole(int fd, const void *bytes, size_t size)
{
    const ssize_t written = write(fd, bytes, size);

    if (written == (ssize_t)size)
        return 0;
    return written < 0 ? -errno : -ENOSPC;
}

static int prepare(const struct reading *r)
{
    if (r->cut && ftruncate(r->log->fd, r->whole) != 0)
        return -errno;
    return r->whole == 0 ? write_whole(r->log->fd, HEAD, strlen(HEAD)) : 0;
}

int joblog_open(struct joblog *log,
                const char *path,
                enum joblog_mode mode,
                struct problem *problem)
{
    struct reading reading = {.log = log, .path = path, .mode = mode};

    *log = (struct joblog){.fd = -1};
    int error = mode != JOBLOG_FRESH ? read_log(&reading, problem) : 0;
    if (error == 0) {
        const int fresh = mode == JOBLOG_FRESH ? O_TRUNC : 0;

        log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | fresh, 0666);
        if (log->fd < 0)
            error = problem_set(problem, -errno, "%s: %s", path, strerror(errno));
    }
    if (error == 0 && (error = prepare(&reading)) != 0)
        problem_set(problem, error, "%s: %s", path, strerror(-error));
    if (error != 0)
        joblog_close(log);
    return error;
}

bool joblog_has(const struct joblog *log, uint64_t number)
{
    return number < log->limit && (log->done[number / 8] >> (number % 8) & 1) != 0;
}

int joblog_add(const struct joblog *log, const struct joblog_line *line)
{
    char head[192];

    if (log->fd < 0)
        return 0;
    const int length = snprintf(
        head, sizeof(head),
        "%" PRIu64 "\t%.*s\t%.3f\t%.3f\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu32 "\t%" PRIu32 "\t",
        line->number, line->host.size < 64 ? (int)line->host.size : 64,
        (const char *)line->host.data, (double)line->start_us / 1e6, (double)line->run_us / 1e6,
        line->sent, line->received, line->code, line->signal);
    struct blob *text CLEANUP(blob_unref_p) = blob_new((size_t)length + line->command.size + 1);
    if (text == NULL)
        return -ENOMEM;
    wire_put_bytes(text, head, (size_t)length);
    wire_put_bytes(text, line->command.data, line->command.size);
    wire_put_bytes(text, "\n", 1);
    return write_whole(log->fd, text->data, text->size);
}

void joblog_close(struct joblog *log)
{
    if (log->fd >= 0)
        close(log->fd);
    free(log->done);
    *log = (struct joblog){.fd = -1};
}
