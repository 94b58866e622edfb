#include "log.h"

#include "clock.h"
#include "parse.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static const char *service_name = "scoop";
static char host_name[64] = "localhost";
static enum log_level highest_level = LOG_INFO;

void log_init(const char *service)
{
    const char *debug = getenv("DEBUG");
    bool verbose = false;

    service_name = service;
    gethostname(host_name, sizeof(host_name) - 1);
    if (debug != NULL && parse_flag(debug, &verbose) == 0 && verbose)
        highest_level = LOG_DEBUG;
}

bool log_enabled(enum log_level level)
{
    return level <= highest_level;
}

/* The wall clock as text. The part down to the second is kept: it is most of the cost of a line. */
static int format_stamp(char *line, size_t size)
{
    static _Thread_local time_t known_seconds;
    static _Thread_local char known[32];
    const int64_t wall_ms = clock_wall_ms();
    const time_t seconds = (time_t)(wall_ms / 1000);

    if (seconds != known_seconds) {
        struct tm utc;
        gmtime_r(&seconds, &utc);
        strftime(known, sizeof(known), "%Y-%m-%dT%H:%M:%S", &utc);
        known_seconds = seconds;
    }
    return snprintf(line, size, "ts=%s.%03dZ", known, (int)(wall_ms % 1000));
}

static void write_all(int fd, const char *bytes, size_t length)
{
    /* A full log pipe is the reader's loss: there is nobody left to tell. */
    while (write(fd, bytes, length) < 0 && errno == EINTR)
        ;
}

/* Format one line with its newline; an over-long one is cut visibly. Returns its length. */
static PRINTF(4, 0) size_t format_line(
    char *line, enum log_level level, const char *event, const char *format, va_list fields)
{
    const size_t size = LOG_LINE_MAX + 1;
    size_t used = (size_t)format_stamp(line, size);

    used += (size_t)snprintf(line + used, size - used, " lvl=%s svc=%s host=%s ev=%s ",
                             level_names[level], service_name, host_name, event);
    used += (size_t)vsnprintf(line + used, size - used, format, fields);
    if (used >= LOG_LINE_MAX) {
        used = LOG_LINE_MAX - 1;
        memcpy(line + used - 3, "...", 3);
    }
    line[used++] = '\n';
    return used;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char line[LOG_LINE_MAX + 1];
    va_list fields;

    if (!log_enabled(level))
        return;
    va_start(fields, format);
    write_all(STDERR_FILENO, line, format_line(line, level, event, format, fields));
    va_end(fields);
}

size_t log_format_access(char *line, const char *format, ...)
{
    va_list fields;

    va_start(fields, format);
    const size_t length = format_line(line, LOG_INFO, "request", format, fields);
    va_end(fields);
    return length;
}

void log_write_access(const char *lines, size_t length)
{
    write_all(STDOUT_FILENO, lines, length);
}

const char *log_quote(char *buffer, size_t size, const char *text)
{
    size_t used = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0' && used + 5 < size; p++) {
        if (*p == '"' || *p == '\\')
            used += (size_t)snprintf(buffer + used, size - used, "\\%c", *p);
        else if (*p >= 0x20 && *p < 0x7f)
            buffer[used++] = (char)*p;
        else
            used += (size_t)snprintf(buffer + used, size - used, "\\x%02x", *p);
    }
    if (size > 0)
        buffer[used] = '\0';
    return buffer;
}
