/* A log of commands that have ended, in the columns of GNU parallel's --joblog:
 *
 *   Seq Host Starttime JobRuntime Send Receive Exitval Signal Command
 *
 * separated by tabs, times in seconds. A line is appended with one write(), after the command's
 * output was written: what is in the log was shown. One thread. */
#ifndef CLI_JOBLOG_H
#define CLI_JOBLOG_H

#include "base/err.h"
#include "base/problem.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Greatest number of a command in a log that is resumed. */
#define JOBLOG_NUMBER_MAX ((uint64_t)1 << 30)

/* What is taken from an older log. */
enum joblog_mode {
    JOBLOG_FRESH,  /* nothing: it is overwritten */
    JOBLOG_RESUME, /* every command in it is done */
    JOBLOG_FAILED, /* those that ended with exit code 0 are done */
};

struct joblog {
    int fd;         /* -1: there is no log */
    uint8_t *done;  /* bit n: command n is done */
    uint64_t limit; /* numbers from here on are not */
};

/* How a command ended. */
struct joblog_line {
    uint64_t number;
    struct wire_bytes host;
    uint64_t start_us; /* since 1970-01-01 UTC */
    uint64_t run_us;
    uint64_t sent;     /* bytes of the command line */
    uint64_t received; /* bytes of output */
    uint32_t code;
    uint32_t signal;
    struct wire_bytes command; /* one line */
};

/* Open the log, and read it first unless it is JOBLOG_FRESH; it is made when there is none. A line
 * that a crash has cut short is taken away. A negative errno with *problem. */
NODISCARD int
joblog_open(struct joblog *log, const char *path, enum joblog_mode mode, struct problem *problem);

/* Is this command done? */
bool joblog_has(const struct joblog *log, uint64_t number);

/* Append a line; nothing when there is no log. A negative errno of write(). */
NODISCARD int joblog_add(const struct joblog *log, const struct joblog_line *line);

void joblog_close(struct joblog *log);

#endif
