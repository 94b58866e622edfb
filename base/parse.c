#include "parse.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    bool overflow = false;

    if (*text == '\0')
        return -EINVAL;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return -EINVAL;
        overflow |= __builtin_mul_overflow(value, 10U, &value);
        overflow |= __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
    }
    if (overflow || value < min || value > max)
        return -ERANGE;
    *out = value;
    return 0;
}

int parse_seconds(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *out_ms)
{
    const char *point = strchrnul(text, '.');
    const size_t decimals = *point == '.' ? strlen(point + 1) : 0;
    char digits[32];

    /* As whole milliseconds: the point goes, and there are three digits behind it. */
    if ((*point == '.' && decimals == 0) || decimals > 3 || point == text ||
        (size_t)(point - text) > sizeof(digits) - 4)
        return -EINVAL;
    snprintf(digits, sizeof(digits), "%.*s%s%.*s", (int)(point - text), text,
             decimals > 0 ? point + 1 : "", (int)(3 - decimals), "000");
    return parse_u64(digits, min_ms, max_ms, out_ms);
}

static const char units[] = "KMGT";

int parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    const size_t length = strlen(text);
    const char *const unit = length != 0 ? strchr(units, text[length - 1]) : NULL;
    const unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    char digits[24];
    uint64_t number = 0;

    if (length >= sizeof(digits))
        return -ERANGE;
    memcpy(digits, text, length + 1);
    if (unit != NULL)
        digits[length - 1] = '\0';
    const int result = parse_u64(digits, 0, UINT64_MAX >> shift, &number);
    if (result != 0)
        return result;
    number <<= shift;
    if (number < min || number > max)
        return -ERANGE;
    *out = number;
    return 0;
}

const char *parse_size_text(uint64_t bytes, char *text, size_t size)
{
    unsigned unit = 0;

    while (unit < sizeof(units) - 1 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    const char letter[] = {unit != 0 ? units[unit - 1] : '\0', '\0'};
    snprintf(text, size, "%llu%s", (unsigned long long)bytes, letter);
    return text;
}

int parse_flag(const char *text, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"1", true},  {"y", true},  {"yes", true}, {"true", true},   {"on", true},
        {"0", false}, {"n", false}, {"no", false}, {"false", false}, {"off", false},
    };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *out = words[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

/* Copy text[0..length) as a string. -EINVAL when it is empty or does not fit. */
static int copy_part(char *to, size_t size, const char *text, size_t length)
{
    if (length == 0 || length >= size)
        return -EINVAL;
    memcpy(to, text, length);
    to[length] = '\0';
    return 0;
}

/* Where the host of an authority ends: at the bracket's end for IPv6, else at the last colon. */
static const char *host_end(const char *text, const char *end, bool *bracketed)
{
    *bracketed = *text == '[';
    if (*bracketed)
        return memchr(text, ']', (size_t)(end - text));
    const char *colon = memchr(text, ':', (size_t)(end - text));
    return colon != NULL ? colon : end;
}

/* Parse text..end as HOST[:PORT]; without a port *port stays as it is and *has_port is false. */
static int parse_authority(const char *text, const char *end, struct host_port *out, bool *has_port)
{
    bool bracketed = false;
    const char *host = text;
    const char *stop = host_end(text, end, &bracketed);
    char digits[8];
    uint64_t port = 0;

    if (stop == NULL)
        return -EINVAL;
    if (bracketed)
        host++;
    if (copy_part(out->host, sizeof(out->host), host, (size_t)(stop - host)) != 0)
        return -EINVAL;
    if (bracketed)
        stop++;
    *has_port = stop != end;
    if (!*has_port)
        return 0;
    if (*stop != ':' || copy_part(digits, sizeof(digits), stop + 1, (size_t)(end - stop - 1)) != 0)
        return -EINVAL;
    if (parse_u64(digits, 0, UINT16_MAX, &port) != 0)
        return -EINVAL;
    out->port = (uint16_t)port;
    return 0;
}

int parse_host_port(const char *text, struct host_port *out)
{
    struct host_port parsed = {0};
    bool has_port = false;

    if (parse_authority(text, text + strlen(text), &parsed, &has_port) != 0 || !has_port)
        return -EINVAL;
    *out = parsed;
    return 0;
}

int parse_url(const char *text, uint16_t default_port, struct url *out)
{
    struct url parsed = {.authority.port = default_port};
    bool has_port = false;
    const char *mark = strstr(text, "://");

    if (mark == NULL ||
        copy_part(parsed.scheme, sizeof(parsed.scheme), text, (size_t)(mark - text)) != 0)
        return -EINVAL;
    const char *authority = mark + 3;
    const char *path = strchrnul(authority, '/');
    const char *shown = *path != '\0' ? path : "/";

    if (parse_authority(authority, path, &parsed.authority, &has_port) != 0)
        return -EINVAL;
    if (copy_part(parsed.path, sizeof(parsed.path), shown, strlen(shown)) != 0)
        return -EINVAL;
    *out = parsed;
    return 0;
}

static bool is_ipc(const char *text)
{
    const size_t path_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    return strncmp(text, "ipc:///", 7) == 0 && strlen(text) - 6 <= path_max;
}

static bool is_tcp(const char *text)
{
    struct url parts;

    return parse_url(text, 0, &parts) == 0 && strcmp(parts.scheme, "tcp") == 0 &&
           parts.authority.port != 0 && strcmp(parts.path, "/") == 0;
}

bool parse_is_endpoint(const char *text)
{
    return is_ipc(text) || is_tcp(text);
}
