/* Invariant: a host's number is its index in `hosts`, plus 1; a lane is named when it is first seen.
 */
#include "trace.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Lanes that get a name; higher ones are shown by their number. */
#define LANES_MAX 1024

struct host {
    char *name;
    uint64_t named[LANES_MAX / 64]; /* bit per lane */
};

struct trace {
    FILE *file;
    struct host *hosts;
    uint32_t host_count;
    bool begun; /* an event stands in the file */
};

/* ---- JSON ---- */

static void put_text(FILE *file, const char *text, size_t size)
{
    fputc('"', file);
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void begin_event(struct trace *trace)
{
    fputs(trace->begun ? ",\n" : "[\n", trace->file);
    trace->begun = true;
}

static void name_something(
    struct trace *trace, const char *what, uint32_t host, uint32_t lane, const char *name)
{
    begin_event(trace);
    fprintf(trace->file,
            "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32
            ",\"args\":{\"name\":",
            what, host, lane);
    put_text(trace->file, name, strlen(name));
    fputs("}}", trace->file);
}

/* ---- hosts and lanes ---- */

/* 0: out of memory; such a slice is shown under no name. */
static uint32_t add_host(struct trace *trace, struct wire_bytes name)
{
    struct host *hosts = realloc(trace->hosts, (trace->host_count + 1) * sizeof(*hosts));
    char *copy = strndup((const char *)name.data, name.size);

    if (hosts != NULL)
        trace->hosts = hosts;
    if (hosts == NULL || copy == NULL) {
        free(copy);
        return 0;
    }
    hosts[trace->host_count++] = (struct host){.name = copy};
    name_something(trace, "process_name", trace->host_count, 0, copy);
    return trace->host_count;
}

static uint32_t find_host(struct trace *trace, struct wire_bytes name)
{
    for (uint32_t i = 0; i < trace->host_count; i++) {
        if (strlen(trace->hosts[i].name) == name.size &&
            memcmp(trace->hosts[i].name, name.data, name.size) == 0)
            return i + 1;
    }
    return add_host(trace, name);
}

static void name_lane(struct trace *trace, uint32_t host, uint32_t lane)
{
    char name[32];

    if (host == 0 || lane >= LANES_MAX)
        return;
    uint64_t *word = &trace->hosts[host - 1].named[lane / 64];
    const uint64_t bit = (uint64_t)1 << (lane % 64);
    if ((*word & bit) != 0)
        return;
    *word |= bit;
    snprintf(name, sizeof(name), "executor %" PRIu32, lane);
    name_something(trace, "thread_name", host, lane, name);
}

/* ---- the public calls ---- */

int trace_open(const char *path, struct trace **out)
{
    struct trace *trace = calloc(1, sizeof(*trace));

    if (trace == NULL)
        return -ENOMEM;
    trace->file = fopen(path, "we");
    if (trace->file == NULL) {
        const int error = -errno;

        free(trace);
        return error;
    }
    *out = trace;
    return 0;
}

void trace_write(struct trace *trace, const struct trace_span *span)
{
    const uint32_t host = find_host(trace, span->host);
    const int64_t queued_us = span->queued_us != 0 ? span->start_us - span->queued_us : 0;

    name_lane(trace, host, span->lane);
    begin_event(trace);
    fputs("{\"ph\":\"X\",\"cat\":\"task\",\"name\":", trace->file);
    put_text(trace->file, span->function, strlen(span->function));
    fprintf(trace->file,
            ",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32 ",\"ts\":%" PRId64 ",\"dur\":%" PRIu32
            ",\"args\":{\"task\":%" PRIu64 ",\"attempt\":%u,\"queued_us\":%" PRId64
            ",\"outcome\":\"%s\"}}",
            host, span->lane, span->start_us, span->run_us, span->task, span->attempt,
            queued_us > 0 ? queued_us : 0, span->outcome);
}

int trace_close(struct trace *trace)
{
    if (trace == NULL)
        return 0;
    fputs(trace->begun ? "\n]\n" : "[]\n", trace->file);
    int error = ferror(trace->file) != 0 ? -EIO : 0;
    if (fclose(trace->file) != 0 && error == 0)
        error = -errno;
    for (uint32_t i = 0; i < trace->host_count; i++)
        free(trace->hosts[i].name);
    free(trace->hosts);
    free(trace);
    return error;
}
