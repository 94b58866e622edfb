#include "sshkey.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Longest line of a public key: RSA of 16384 bits has 2.8 KiB. */
#define LINE_MAX_BYTES 4096

static const char *const key_types[] = {
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
};

/* ---- base64 ---- */

static int base64_value(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

    return at != NULL ? (int)(at - alphabet) : -1;
}

/* Decode text[0..length), newlines skipped, into at most `size` bytes; more are checked and
 * dropped. Returns how many were stored, or -EINVAL. */
static ssize_t base64_decode(const char *text, size_t length, uint8_t *bytes, size_t size)
{
    uint32_t bits = 0;
    unsigned pending = 0;
    size_t digits = 0;
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            continue;
        digits++;
        if (text[i] == '=' && i + 2 >= length)
            continue;
        const int value = base64_value(text[i]);
        if (value < 0)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        pending += 6;
        if (pending < 8)
            continue;
        pending -= 8;
        if (used < size)
            bytes[used++] = (uint8_t)(bits >> pending);
    }
    return digits % 4 == 0 ? (ssize_t)used : -EINVAL;
}

/* Does the SSH string (32-bit length, bytes) at `at` equal `text`? */
static bool string_is(const uint8_t *at, size_t left, const char *text)
{
    const size_t length = strlen(text);

    if (left < 4 + length)
        return false;
    const size_t told =
        (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | (size_t)at[3];
    return told == length && memcmp(at + 4, text, length) == 0;
}

/* ---- private keys ---- */

/* What stands between "-----BEGIN LABEL-----" and the end line of the same label. */
struct pem {
    char label[48];
    const char *body;
    size_t length;
};

static bool read_pem(const char *text, struct pem *out)
{
    static const char begin[] = "-----BEGIN ";
    char end_line[80];

    if (strncmp(text, begin, sizeof(begin) - 1) != 0)
        return false;
    const char *label = text + sizeof(begin) - 1;
    const char *stop = strstr(label, "-----\n");
    if (stop == NULL || (size_t)(stop - label) >= sizeof(out->label))
        return false;
    snprintf(out->label, sizeof(out->label), "%.*s", (int)(stop - label), label);
    snprintf(end_line, sizeof(end_line), "\n-----END %s-----", out->label);
    out->body = stop + sizeof("-----\n") - 1;
    const char *end = strstr(out->body - 1, end_line);
    if (end == NULL || end[strlen(end_line)] != '\0')
        return false;
    out->length = end > out->body ? (size_t)(end - out->body) : 0;
    return true;
}

static int check_openssh(const char *name, const struct pem *pem, struct problem *problem)
{
    static const char magic[] = "openssh-key-v1"; /* with its zero byte */
    uint8_t head[64];
    const ssize_t size = base64_decode(pem->body, pem->length, head, sizeof(head));
    const bool valid = size == (ssize_t)sizeof(head) && memcmp(head, magic, sizeof(magic)) == 0;
    int rc = 0;

    if (!valid)
        rc = problem_set(problem, -EINVAL, "%s: the private key is damaged", name);
    else if (!string_is(head + sizeof(magic), sizeof(head) - sizeof(magic), "none"))
        rc = problem_set(problem, -EINVAL, "%s: the private key has a passphrase, none is allowed",
                         name);
    explicit_bzero(head, sizeof(head));
    return rc;
}

int sshkey_check_private(const char *name, const char *text, struct problem *problem)
{
    static const char *const plain[] = {"RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"};
    struct pem pem;

    if (!read_pem(text, &pem))
        return problem_set(problem, -EINVAL, "%s is no private key of ssh", name);
    if (strcmp(pem.label, "OPENSSH PRIVATE KEY") == 0)
        return check_openssh(name, &pem, problem);
    if (strcmp(pem.label, "ENCRYPTED PRIVATE KEY") == 0 ||
        strstr(text, "\nProc-Type: 4,ENCRYPTED") != NULL)
        return problem_set(problem, -EINVAL,
                           "%s: the private key has a passphrase, none is allowed", name);
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        if (strcmp(pem.label, plain[i]) == 0 && base64_decode(pem.body, pem.length, NULL, 0) == 0)
            return 0;
    }
    return problem_set(problem, -EINVAL, "%s is no private key of ssh", name);
}

/* ---- public keys ---- */

/* Is line[0..length) "TYPE BASE64 ..." with that type inside the key as well? *end: behind the
 * base64. */
static bool is_public(const char *line, size_t length, size_t *end)
{
    uint8_t head[32];

    for (size_t i = 0; i < COUNT_OF(key_types); i++) {
        const size_t type = strlen(key_types[i]);
        if (length < type + 2 || strncmp(line, key_types[i], type) != 0 || line[type] != ' ')
            continue;
        const char *key = line + type + 1;
        const char *stop = memchr(key, ' ', length - type - 1);
        const size_t size = stop != NULL ? (size_t)(stop - key) : length - type - 1;
        const ssize_t n = base64_decode(key, size, head, sizeof(head));
        *end = type + 1 + size;
        return n == (ssize_t)sizeof(head) && string_is(head, sizeof(head), key_types[i]);
    }
    return false;
}

static bool is_skipped(const char *line, size_t length)
{
    return length == 0 || line[0] == '#';
}

int sshkey_check_public(const char *name, const char *text, struct problem *problem)
{
    size_t number = 0;
    size_t keys = 0;
    size_t end = 0;

    for (const char *line = text; line != NULL; number++) {
        const char *stop = strchrnul(line, '\n');
        const size_t length = (size_t)(stop - line);
        if (!is_skipped(line, length)) {
            if (!is_public(line, length, &end) || end >= LINE_MAX_BYTES)
                return problem_set(problem, -EINVAL,
                                   "%s: line %zu is no public key of ssh (ed25519, ECDSA or RSA)",
                                   name, number + 1);
            keys++;
        }
        line = *stop == '\n' ? stop + 1 : NULL;
    }
    if (keys == 0)
        return problem_set(problem, -EINVAL, "%s has no public key of ssh", name);
    return 0;
}

int sshkey_each_public(const char *text,
                       int (*visit)(const char *line, void *argument),
                       void *argument)
{
    char copy[LINE_MAX_BYTES];
    size_t end = 0;
    int rc = 0;

    for (const char *line = text; rc == 0 && line != NULL;) {
        const char *stop = strchrnul(line, '\n');
        const size_t length = (size_t)(stop - line);
        if (!is_skipped(line, length) && is_public(line, length, &end) && end < sizeof(copy)) {
            snprintf(copy, sizeof(copy), "%.*s", (int)end, line);
            rc = visit(copy, argument);
        }
        line = *stop == '\n' ? stop + 1 : NULL;
    }
    return rc;
}
