/* The head of a request, read as base/httpd_head.c does, without a connection: this file cuts it into fields, as
 * carelessly as libmicrohttpd does, and stands in for it. What is accepted has lines that end in CRLF, no control
 * characters, and one length at most. That is not asked of a head with a zero byte: libmicrohttpd ends lines with such,
 * and one that came in cannot be told from them. fuzz_http.c has the connections. */
#include "fuzz.h"

#include "base/httpd_internal.h"

#define FIELDS_MAX 64

struct field {
    const char *name;
    const char *value; /* NULL: there is no colon */
};

static struct field fields[FIELDS_MAX];
static size_t field_count;
static union MHD_ConnectionInfo info;

int __wrap_MHD_get_connection_values_n(struct MHD_Connection *connection,
                                       enum MHD_ValueKind kind,
                                       MHD_KeyValueIteratorN iterator,
                                       void *place);
const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType type,
                                                               ...);

int __wrap_MHD_get_connection_values_n(struct MHD_Connection *connection,
                                       enum MHD_ValueKind kind,
                                       MHD_KeyValueIteratorN iterator,
                                       void *place)
{
    (void)connection;
    for (size_t i = 0; i < field_count; i++) {
        const struct field *f = &fields[i];
        const size_t value_bytes = f->value != NULL ? strlen(f->value) : 0;

        FUZZ_CHECK(iterator(place, kind, f->name, strlen(f->name), f->value, value_bytes) ==
                   MHD_YES);
    }
    return (int)field_count;
}

const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType type,
                                                               ...)
{
    (void)connection;
    FUZZ_CHECK(type == MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return &info;
}

/* The next line, cut out of *text where its end begins. NULL: there is no whole one. */
static char *next_line(char **text, const char *end)
{
    char *line = *text;
    char *stop = memchr(line, '\n', (size_t)(end - line));

    if (stop == NULL)
        return NULL;
    *text = stop + 1;
    *stop = '\0';
    if (stop > line && stop[-1] == '\r')
        stop[-1] = '\0';
    return line;
}

/* A folded line joins the field before it, somewhere else. */
static void add_field(char *line)
{
    static const struct field joined = {"joined", ""};
    char *colon = strchr(line, ':');

    if ((*line == ' ' || *line == '\t') && field_count > 0)
        fields[field_count - 1] = joined;
    if (*line == ' ' || *line == '\t' || field_count == FIELDS_MAX)
        return;
    if (colon != NULL) {
        *colon++ = '\0';
        colon += strspn(colon, " \t");
    }
    fields[field_count++] = (struct field){line, colon};
}

/* libmicrohttpd itself ends what has another. */
static bool is_version(const char *word)
{
    return strcmp(word, "HTTP/1.0") == 0 || strcmp(word, "HTTP/1.1") == 0;
}

/* Cut "METHOD TARGET VERSION" and the fields out of the text. False: the head has no end. */
static bool cut(char *text, const char *end, const char *words[3])
{
    const char *start = text;
    char *line = next_line(&text, end);

    field_count = 0;
    for (size_t i = 0; i < 3; i++) {
        const char *word = i < 2 && line != NULL ? strsep(&line, " ") : line;

        words[i] = word != NULL ? word : "";
    }
    while ((line = next_line(&text, end)) != NULL && *line != '\0')
        add_field(line);
    info.header_size = (size_t)(text - start);
    return line != NULL;
}

static void check_accepted(const char *head, const struct head *read)
{
    FUZZ_CHECK(read->lengths <= 1 && read->codings <= 1 && read->hosts <= 1);
    FUZZ_CHECK(read->lengths == 0 || read->codings == 0);
    for (size_t i = 0; i < info.header_size; i++) {
        const unsigned char byte = (unsigned char)head[i];

        if (byte == '\n')
            FUZZ_CHECK(i > 0 && head[i - 1] == '\r');
        else if (byte == '\r')
            FUZZ_CHECK(i + 1 < info.header_size && head[i + 1] == '\n');
        else
            FUZZ_CHECK((byte >= ' ' && byte != 0x7f) || byte == '\t');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1);
    struct exchange x = {.connection = NULL};
    const char *words[3];
    struct head head;

    FUZZ_CHECK(text != NULL);
    if (size != 0)
        memcpy(text, data, size);
    if (cut(text, text + size, words) && is_version(words[2])) {
        x.bad_line = !head_is_target(words[1]);
        x.target_bytes = strlen(words[1]);
        head_read(&x, words[0], words[2], &head);
        if (!x.bad_line && !head.malformed && memchr(data, '\0', info.header_size) == NULL)
            check_accepted((const char *)data, &head);
    }
    free(text);
    return 0;
}
