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

static int format_stamp(char *line, size_t size)
{
    const int64_t wall_ms = clock_wall_ms();
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char stamp[32];

    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    return snprintf(line, size, "ts=%s.%03dZ", stamp, (int)(wall_ms % 1000));
}

/* Cut an over-long line visibly, end it, and write it in one call. A full log pipe is the reader's
 * loss: there is nobody left to tell. */
static void write_line(int fd, char *line, size_t length)
{
    if (length >= LOG_LINE_MAX) {
        length = LOG_LINE_MAX - 1;
        memcpy(line + length - 3, "...", 3);
    }
    line[length++] = '\n';
    while (write(fd, line, length) < 0 && errno == EINTR)
        ;
}

static void write_event(int fd, enum log_level level, const char *event, const char *format,
                        va_list fields)
{
    char line[LOG_LINE_MAX + 1];
    size_t used = (size_t)format_stamp(line, sizeof(line));

    used += (size_t)snprintf(line + used, sizeof(line) - used, " lvl=%s svc=%s host=%s ev=%s ",
                             level_names[level], service_name, host_name, event);
    used += (size_t)vsnprintf(line + used, sizeof(line) - used, format, fields);
    write_line(fd, line, used);
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    va_list fields;

    if (!log_enabled(level))
        return;
    va_start(fields, format);
    write_event(STDERR_FILENO, level, event, format, fields);
    va_end(fields);
}

void log_access(const char *format, ...)
{
    va_list fields;

    va_start(fields, format);
    write_event(STDOUT_FILENO, LOG_INFO, "request", format, fields);
    va_end(fields);
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
