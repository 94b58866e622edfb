/* Logs: one line an event, the same form in every program:
 *
 *   ts=2026-01-31T12:00:00.123Z lvl=warn svc=broker host=m ev=lease_expired worker=w2 age_ms=3012
 *
 * `ev` names are unique in the source, so one grep finds the line of code. Events go to stderr; the
 * lines of HTTP requests go to stdout. A line is one write(), never torn.
 * Any thread may log. Never log payloads or secrets. Who decides, logs, once. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_ERROR, /* someone must act */
    LOG_WARN,  /* we coped */
    LOG_INFO,  /* life cycle */
    LOG_DEBUG, /* per message; off unless DEBUG=y */
};

/* Longest line written; what is longer is cut and ends in "...". */
#define LOG_LINE_MAX 2048

/* Set the service name (borrowed for ever) and read DEBUG from the environment. Call once, first.
 */
void log_init(const char *service);

/* Is this level written? Guards work that only serves a log line. */
bool log_enabled(enum log_level level);

/* Write one event. `format` gives the fields: "task=%s age_ms=%d". */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF(3, 4);

/* The lines of finished HTTP requests, in two steps, as who writes them writes many: put a line
 * with its newline into `line`, which holds LOG_LINE_MAX + 1 bytes, and return its length; write
 * to stdout the lines that were gathered. */
size_t log_format_access(char *line, const char *format, ...) PRINTF(2, 3);
void log_write_access(const char *lines, size_t length);

/* Quote text from outside for a field's value: printable ASCII stays, `"` and `\` are escaped, the
 * rest becomes \xNN. Returns `buffer`; what does not fit is cut. */
const char *log_quote(char *buffer, size_t size, const char *text);

#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_event(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_event(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_event(LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)

#endif
