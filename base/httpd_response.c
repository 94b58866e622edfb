/* Filling in and releasing responses: no socket, no thread. */
#include "httpd.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void httpd_reply_static(struct httpd_response *response,
                        const char *type,
                        const void *bytes,
                        size_t size)
{
    response->type = type;
    response->body = HTTPD_BODY_STATIC;
    response->fixed = bytes;
    response->size = size;
}

void httpd_reply_owned(struct httpd_response *response, const char *type, void *bytes, size_t size)
{
    response->type = type;
    response->body = HTTPD_BODY_OWNED;
    response->owned = bytes;
    response->size = size;
}

void httpd_reply_inline(struct httpd_response *response, const char *type, size_t size)
{
    assert(size <= sizeof(response->bytes));
    response->type = type;
    response->body = HTTPD_BODY_INLINE;
    response->size = size;
}

void httpd_reply_copy(struct httpd_response *response,
                      const char *type,
                      const void *bytes,
                      size_t size)
{
    if (size <= sizeof(response->bytes)) {
        memcpy(response->bytes, bytes, size);
        httpd_reply_inline(response, type, size);
        return;
    }
    void *copy = malloc(size);
    if (copy == NULL) {
        httpd_reply_error(response, 503, "out_of_memory", "no memory for %zu bytes", size);
        return;
    }
    memcpy(copy, bytes, size);
    httpd_reply_owned(response, type, copy, size);
}

void httpd_reply_text(struct httpd_response *response, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(response->bytes, sizeof(response->bytes), format, arguments);
    va_end(arguments);
    assert(length >= 0 && (size_t)length < sizeof(response->bytes));
    httpd_reply_inline(response, "text/plain", (size_t)length);
}

void httpd_reply_stream(struct httpd_response *response,
                        const char *type,
                        uint64_t size,
                        httpd_read read,
                        void (*release)(void *state),
                        void *state)
{
    response->type = type;
    response->body = HTTPD_BODY_STREAM;
    response->size = size;
    response->stream.read = read;
    response->stream.release = release;
    response->stream.state = state;
}

/* Append `text` as the inside of a JSON string, cutting what does not fit. Returns the new length.
 */
static size_t append_json_text(char *to, size_t used, size_t limit, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0' && used + 6 < limit;
         p++) {
        if (*p == '"' || *p == '\\')
            used += (size_t)snprintf(to + used, limit - used, "\\%c", *p);
        else if (*p < 0x20 || *p >= 0x7f)
            used += (size_t)snprintf(to + used, limit - used, "\\u%04x", *p);
        else
            to[used++] = (char)*p;
    }
    return used;
}

void httpd_reply_error(struct httpd_response *response,
                       unsigned status,
                       const char *error,
                       const char *detail_format,
                       ...)
{
    char *to = response->bytes;
    const size_t limit = sizeof(response->bytes) - 3; /* room for the end */
    char detail[HTTPD_INLINE_BYTES];
    va_list arguments;

    va_start(arguments, detail_format);
    vsnprintf(detail, sizeof(detail), detail_format, arguments);
    va_end(arguments);
    size_t used = (size_t)snprintf(to, limit, "{\"error\":\"%s\",\"detail\":\"", error);
    used = append_json_text(to, used, limit, detail);
    memcpy(to + used, "\"}\n", 3);
    response->status = status;
    response->etag = NULL;
    httpd_reply_inline(response, "application/json", used + 3);
}

void httpd_reply_header(struct httpd_response *response, const char *name, const char *value)
{
    assert(response->header_count < HTTPD_HEADERS_MAX);
    response->headers[response->header_count++] = (struct httpd_header){name, value};
}

const void *httpd_response_bytes(const struct httpd_response *response)
{
    switch (response->body) {
    case HTTPD_BODY_INLINE: return response->bytes;
    case HTTPD_BODY_STATIC: return response->fixed;
    case HTTPD_BODY_OWNED: return response->owned;
    case HTTPD_BODY_NONE:
    case HTTPD_BODY_STREAM: break;
    }
    return NULL;
}

void httpd_response_fini(struct httpd_response *response)
{
    if (response->body == HTTPD_BODY_OWNED)
        free(response->owned);
    if (response->body == HTTPD_BODY_STREAM && response->stream.release != NULL)
        response->stream.release(response->stream.state);
    response->body = HTTPD_BODY_NONE;
    response->size = 0;
}

const char *httpd_request_header(const struct httpd_request *request, const char *name)
{
    return request->find != NULL ? request->find(request, HTTPD_HEADER, name) : NULL;
}

const char *httpd_request_query(const struct httpd_request *request, const char *name)
{
    return request->find != NULL ? request->find(request, HTTPD_QUERY, name) : NULL;
}
