/* What an executor prints: stdout and stderr come through pipes, line by line, into the agent's
 * log and to whoever wants to be told; the end of stderr is kept as evidence for the day it
 * crashes. One thread. */
#ifndef WORKER_OUTPUT_H
#define WORKER_OUTPUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes of stderr kept. */
#define OUTPUT_TAIL_BYTES 2048

/* Longer lines are logged in parts of this size. */
#define OUTPUT_LINE_BYTES 400

struct output {
    /* Called for each line, whole or in parts, with its newline cut off; NULL: nobody wants it */
    void (*tell)(void *context, const struct output *output, const char *line, size_t bytes);
    void *context;
    int fd;             /* reading end, non-blocking; -1: closed */
    int epoll_fd;       /* borrowed; it watches fd until that is closed */
    const char *stream; /* "stdout" or "stderr" */
    const char *program;
    pid_t pid;
    size_t line_bytes;
    char line[OUTPUT_LINE_BYTES + 1];
    size_t tail_bytes; /* ever put in; the tail holds the last OUTPUT_TAIL_BYTES of them */
    char tail[OUTPUT_TAIL_BYTES];
    uint32_t budget;   /* lines that may be logged */
    int64_t budget_ms; /* when it was filled last */
    uint64_t dropped;  /* lines since the last one that was logged */
};

/* Read what is there, at most some 64 KiB. False: the other end is closed (fd is closed then, too).
 */
bool output_read(struct output *output, int64_t now_ms);

/* Take this as if it had been read from there. */
void output_add(struct output *output, const char *data, size_t size, int64_t now_ms);

/* Read the rest after the process has ended, log what is left of a line, close. */
void output_finish(struct output *output, int64_t now_ms);

/* Close what was not read to its end; fine when it is closed already. */
void output_close(struct output *output);

/* The kept end as one line for people: lines joined by " | ", other control characters as '?';
 * "" when nothing was printed. Returns `text`. */
const char *output_tail(const struct output *output, char *text, size_t size);

#endif
