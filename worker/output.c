#include "output.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Read at once, and at most in one turn of the loop: a flood must not hold up the other executors.
 */
#define CHUNK_BYTES 4096
#define CHUNKS_MAX  16

/* After the end: what a pipe holds at most, and some more that a stray child may still write. */
#define FINISH_CHUNKS_MAX 256

/* Lines of one stream in the log: so many at once, and so many a second. */
#define BUDGET_LINES     100
#define LINES_PER_SECOND 20

static bool may_log(struct output *o, int64_t now_ms)
{
    const int64_t earned = (now_ms - o->budget_ms) * LINES_PER_SECOND / 1000;

    if (o->budget_ms == 0 || earned >= BUDGET_LINES) {
        o->budget = BUDGET_LINES;
        o->budget_ms = now_ms;
    } else if (earned > 0) {
        o->budget = o->budget + earned < BUDGET_LINES ? o->budget + (uint32_t)earned : BUDGET_LINES;
        o->budget_ms = now_ms;
    }
    if (o->budget == 0)
        return false;
    o->budget--;
    return true;
}

static void end_line(struct output *o, int64_t now_ms)
{
    char quoted[4 * OUTPUT_LINE_BYTES + 1];

    if (o->line_bytes == 0)
        return; /* empty, or the end of one that was logged in parts */
    if (o->tell != NULL)
        o->tell(o->context, o, o->line, o->line_bytes);
    o->line[o->line_bytes] = '\0';
    o->line_bytes = 0;
    if (!may_log(o, now_ms)) {
        o->dropped++;
        return;
    }
    log_info("executor_output", "program=%s pid=%d stream=%s dropped=%llu text=\"%s\"", o->program,
             (int)o->pid, o->stream, (unsigned long long)o->dropped,
             log_quote(quoted, sizeof(quoted), o->line));
    o->dropped = 0;
}

static void keep_tail(struct output *o, const char *data, size_t size)
{
    for (size_t i = size > OUTPUT_TAIL_BYTES ? size - OUTPUT_TAIL_BYTES : 0; i < size; i++)
        o->tail[o->tail_bytes++ % OUTPUT_TAIL_BYTES] = data[i];
}

void output_add(struct output *o, const char *data, size_t size, int64_t now_ms)
{
    keep_tail(o, data, size);
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n')
            o->line[o->line_bytes++] = data[i] != '\0' ? data[i] : '?';
        if (data[i] == '\n' || o->line_bytes == OUTPUT_LINE_BYTES)
            end_line(o, now_ms);
    }
}

/* False: no more will come. */
static bool read_chunks(struct output *o, int chunks, int64_t now_ms)
{
    char data[CHUNK_BYTES];

    while (o->fd >= 0 && chunks-- > 0) {
        const ssize_t got = read(o->fd, data, sizeof(data));

        if (got > 0)
            output_add(o, data, (size_t)got, now_ms);
        else if (got < 0 && errno == EAGAIN)
            return true;
        else if (got == 0 || errno != EINTR)
            return false;
    }
    return o->fd >= 0;
}

bool output_read(struct output *o, int64_t now_ms)
{
    if (read_chunks(o, CHUNKS_MAX, now_ms))
        return true;
    output_finish(o, now_ms);
    return false;
}

void output_finish(struct output *o, int64_t now_ms)
{
    if (o->fd < 0)
        return;
    (void)read_chunks(o, FINISH_CHUNKS_MAX, now_ms);
    end_line(o, now_ms);
    if (o->dropped != 0)
        log_warn("executor_output_dropped", "program=%s pid=%d stream=%s lines=%llu", o->program,
                 (int)o->pid, o->stream, (unsigned long long)o->dropped);
    output_close(o);
}

void output_close(struct output *o)
{
    if (o->fd < 0)
        return;
    /* Not by itself: a child that was forked meanwhile may hold a copy of the descriptor. */
    (void)epoll_ctl(o->epoll_fd, EPOLL_CTL_DEL, o->fd, NULL);
    close(o->fd);
    o->fd = -1;
}

const char *output_tail(const struct output *o, char *text, size_t size)
{
    const size_t kept = o->tail_bytes < OUTPUT_TAIL_BYTES ? o->tail_bytes : OUTPUT_TAIL_BYTES;
    size_t used = 0;
    bool line_ended = false;

    for (size_t at = o->tail_bytes - kept; at < o->tail_bytes && used + 5 < size; at++) {
        const char c = o->tail[at % OUTPUT_TAIL_BYTES];

        if (c == '\n') {
            line_ended = used != 0;
            continue;
        }
        if (line_ended)
            used += (size_t)snprintf(text + used, size - used, " | ");
        line_ended = false;
        text[used++] = (unsigned char)c >= 0x20 && c != 0x7f ? c : '?';
    }
    text[used] = '\0';
    return text;
}
