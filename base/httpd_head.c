/* Reading the head of a request more strictly than MHD does: whatever two readers could understand differently is
 * found here, and refused with 400. */
#include "httpd_internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
            return false;
    }
    return true;
}

/* Visible characters of any alphabet, spaces and tabs. */
static bool is_field_value(const char *text)
{
    while ((unsigned char)*text >= ' ' ? *text != 0x7f : *text == '\t')
        text++;
    return *text == '\0';
}

/* Both texts lie in MHD's buffer as they came in, so that what is between them is a colon and spaces, and what is
 * behind them CRLF and the next field. */
static enum MHD_Result read_header(void *place,
                                   enum MHD_ValueKind kind,
                                   const char *name,
                                   size_t name_bytes,
                                   const char *value,
                                   size_t value_bytes)
{
    struct head *head = place;

    (void)kind;
    (void)name_bytes;
    head->malformed |=
        value == NULL || !is_token(name) || !is_field_value(value) || name != head->at;
    if (value == NULL)
        return MHD_YES;
    head->bytes += (size_t)(value - name) + value_bytes + strlen("\r\n");
    head->at = value + value_bytes + strlen("\r\n");
    if (strcasecmp(name, "Content-Length") == 0) {
        head->lengths++;
        head->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        head->codings++;
        head->coding = value;
    } else if (strcasecmp(name, "Host") == 0) {
        head->hosts++;
    } else if (strcasecmp(name, "Expect") == 0) {
        head->expects_continue = strcasecmp(value, "100-continue") == 0;
    } else if (strcasecmp(name, "If-None-Match") == 0) {
        head->none_match = value;
    }
    return MHD_YES;
}

/* MHD takes lines that end in LF alone, joins folded lines to something else, and passes over what stands behind a
 * zero byte or a field without a name. Then the head has another size than its fields, or they lie elsewhere. */
static bool head_is_whole(const struct exchange *x, const char *method, const struct head *head)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return info != NULL && info->header_size == head->bytes &&
           head->at + strlen("\r\n") == method + info->header_size;
}

/* Is there anything in the head that two readers could understand differently? */
static bool is_ambiguous(const struct head *head, const char *version)
{
    const bool chunked = head->codings == 1 && strcasecmp(head->coding, "chunked") == 0;

    if (head->lengths > 1 || head->hosts > 1)
        return true;
    if (head->hosts == 0 && strcmp(version, "HTTP/1.1") == 0)
        return true;
    if (head->codings == 0)
        return false;
    return !chunked || head->lengths > 0 || strcmp(version, "HTTP/1.0") == 0;
}

void head_read(struct exchange *x, const char *method, const char *version, struct head *out)
{
    *out = (struct head){
        .at = version + strlen(version) + strlen("\r\n"),
        .bytes = strlen(method) + x->target_bytes + strlen(version) + strlen("  \r\n\r\n"),
    };
    x->bad_line |= !is_token(method);
    MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, read_header, out);
    out->malformed |= !head_is_whole(x, method, out) || is_ambiguous(out, version);
}

bool head_is_target(const char *text)
{
    while (*text > ' ' && *text != 0x7f)
        text++;
    return *text == '\0';
}
